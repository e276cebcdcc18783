-- Tables with what the server does not retype a column of theirs, or of their heirs', before it is gone:
-- views at any depth, rules, triggers of single columns and policies. In the order in which they are
-- made, with the statements that drop each and, where something is claimed of it, make it again.
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
),
family (root, member) AS (
    SELECT c.oid, c.oid FROM pg_class c WHERE c.relkind IN ('r', 'p')
    UNION
    SELECT f.root, i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.member
),
-- What else is made of columns: the kind of thing, its number, and the table.
made (kind, number, source) AS (
    SELECT DISTINCT d.classid, d.objid, d.refobjid
    FROM pg_depend d
    WHERE d.classid IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_policy'::regclass)
      AND d.refclassid = 'pg_class'::regclass
),
reader (place, number, source, gone, again) AS (
    SELECT 1, v.oid, r.source, format('DROP %sVIEW %I.%I', kind.word, n.nspname, v.relname),
        format('CREATE %sVIEW %I.%I AS %s', kind.word, n.nspname, v.relname, rtrim(pg_get_viewdef(v.oid), '; '))
    FROM reading r
    JOIN pg_class v ON v.oid = r.reader
    JOIN pg_namespace n ON n.oid = v.relnamespace
    CROSS JOIN LATERAL (SELECT CASE v.relkind WHEN 'm' THEN 'MATERIALIZED ' ELSE '' END AS word) kind
    UNION ALL
    SELECT 2, w.oid, m.source, format('DROP RULE %I ON %s', w.rulename, w.ev_class::regclass), NULL
    FROM made m JOIN pg_rewrite w ON m.kind = 'pg_rewrite'::regclass AND w.oid = m.number AND w.ev_type <> '1'
    UNION ALL
    SELECT 3, g.oid, m.source, format('DROP TRIGGER %I ON %s', g.tgname, g.tgrelid::regclass), pg_get_triggerdef(g.oid)
    FROM made m
    JOIN pg_trigger g ON m.kind = 'pg_trigger'::regclass AND g.oid = m.number
    WHERE NOT g.tgisinternal AND g.tgparentid = 0
      AND (g.tgqual IS NOT NULL OR array_length(g.tgattr::int2[], 1) > 0)
    UNION ALL
    SELECT 4, p.oid, m.source, format('DROP POLICY %I ON %s', p.polname, p.polrelid::regclass), NULL
    FROM made m JOIN pg_policy p ON m.kind = 'pg_policy'::regclass AND p.oid = m.number
)
SELECT DISTINCT s.nspname::text, c.relname::text, r.gone, r.again, r.place = 3 AS is_trigger, r.place, r.number
FROM reader r
JOIN family f ON f.member = r.source
JOIN pg_class c ON c.oid = f.root
JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE s.nspname !~ '^(pg_|_timescaledb|information_schema)'
ORDER BY r.place, r.number
