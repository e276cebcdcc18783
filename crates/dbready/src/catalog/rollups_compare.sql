/* dbready */
-- Rows of two statements over one window, $1 to $2, that only one of them returns. The expressions
-- with a marker comment are replaced by the two statements.
WITH served AS MATERIALIZED (
SELECT /* served */
),
raw AS MATERIALIZED (
SELECT /* raw */
),
missing AS MATERIALIZED (TABLE raw EXCEPT ALL TABLE served),
excess AS MATERIALIZED (TABLE served EXCEPT ALL TABLE raw),
example AS MATERIALIZED (
    (SELECT true AS raw, left(to_jsonb(missing)::text, 600) AS row FROM missing LIMIT 5)
    UNION ALL
    (SELECT false, left(to_jsonb(excess)::text, 600) FROM excess LIMIT 5)
)
SELECT
    greatest((SELECT count(*) FROM raw), (SELECT count(*) FROM served)) AS buckets,
    greatest((SELECT count(*) FROM missing), (SELECT count(*) FROM excess)) AS wrong,
    (SELECT coalesce(array_agg(raw ORDER BY row, raw), '{}') FROM example) AS examples_raw,
    (SELECT coalesce(array_agg(row ORDER BY row, raw), '{}') FROM example) AS examples
