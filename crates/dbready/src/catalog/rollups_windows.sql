-- Windows of one bucket of width $1: those that begin at $2, and those of instants. The expression with
-- a marker comment is replaced by a statement that returns instants.
SELECT DISTINCT start::text, (start + $1::text::interval)::text
FROM (
    SELECT time_bucket($1::text::interval, start) AS start FROM unnest($2::text[]::timestamptz[]) AS edge(start)
    UNION ALL
    SELECT time_bucket($1::text::interval, instant)
    FROM (
SELECT /* instants */
    ) AS seen(instant)
) AS windows
ORDER BY 1
