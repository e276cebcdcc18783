/* dbready */
-- Rows of two statements over one window, $1 to $2, that only one of them returns. The expressions
-- with a marker comment are replaced by the two statements.
--
-- Of two lists, what the first lacks of the second follows in number from their lengths and what the
-- second lacks of the first: the second difference is computed only where there is something to show.
WITH served AS MATERIALIZED (
SELECT /* served */
),
raw AS MATERIALIZED (
SELECT /* raw */
),
missing AS MATERIALIZED (TABLE raw EXCEPT ALL TABLE served),
excess AS MATERIALIZED (TABLE served EXCEPT ALL TABLE raw),
size AS MATERIALIZED (
    SELECT raw, served, missing, served - raw + missing AS excess
    FROM (SELECT count(*) AS raw FROM raw) AS a,
        (SELECT count(*) AS served FROM served) AS b,
        (SELECT count(*) AS missing FROM missing) AS c
),
example AS MATERIALIZED (
    (SELECT true AS raw, left(to_jsonb(missing)::text, 600) AS row FROM missing LIMIT 5)
    UNION ALL
    (SELECT false, left(to_jsonb(excess)::text, 600) FROM excess
     WHERE (SELECT size.excess > 0 FROM size) LIMIT 5)
)
SELECT
    greatest(raw, served) AS buckets,
    greatest(missing, excess) AS wrong,
    (SELECT coalesce(array_agg(raw ORDER BY row, raw), '{}') FROM example) AS examples_raw,
    (SELECT coalesce(array_agg(row ORDER BY row, raw), '{}') FROM example) AS examples
FROM size
