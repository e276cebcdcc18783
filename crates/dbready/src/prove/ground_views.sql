-- Tables with the views that read them, at any depth, in the order in which they were made, and the
-- statements that drop each and make it again.
WITH RECURSIVE direct (source, reader) AS (
    SELECT DISTINCT d.refobjid, r.ev_class
    FROM pg_rewrite r
    JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
),
reading (source, reader) AS (
    SELECT source, reader FROM direct
    UNION
    SELECT r.source, d.reader FROM reading r JOIN direct d ON d.source = r.reader
)
SELECT s.nspname::text, c.relname::text,
    format('DROP %sVIEW %I.%I', kind.word, n.nspname, v.relname),
    format('CREATE %sVIEW %I.%I AS %s', kind.word, n.nspname, v.relname, rtrim(pg_get_viewdef(v.oid), '; '))
FROM reading r
JOIN pg_class c ON c.oid = r.source AND c.relkind IN ('r', 'p')
JOIN pg_namespace s ON s.oid = c.relnamespace
JOIN pg_class v ON v.oid = r.reader
JOIN pg_namespace n ON n.oid = v.relnamespace
CROSS JOIN LATERAL (SELECT CASE v.relkind WHEN 'm' THEN 'MATERIALIZED ' ELSE '' END AS word) kind
WHERE s.nspname !~ '^(pg_|_timescaledb|information_schema)'
ORDER BY v.oid
