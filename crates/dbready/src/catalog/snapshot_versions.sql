-- Rows of the contract's version table in the order of recording. The row is read through JSON, so
-- that a missing column is a missing value and not an error.
(SELECT coalesce(json_agg(json_build_object('version', v.document ->> 'version')
    ORDER BY (v.document ->> 'applied_at'), v.number), '[]')
FROM (
    SELECT to_jsonb(r) AS document,
        CASE WHEN jsonb_typeof(to_jsonb(r) -> 'id') = 'number'
             THEN (to_jsonb(r) ->> 'id')::numeric END AS number
    FROM version_table r
) v)
