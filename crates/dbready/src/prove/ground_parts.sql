-- Constraints, indexes, keys (the indexes of constraints) and computed columns with the columns that they
-- are made of, and for a foreign key the table that it points at.
SELECT 'constraint' AS kind, s.nspname::text AS schema, c.relname::text AS table, k.conname::text AS name,
    coalesce((SELECT array_agg(a.attname::text ORDER BY key.n)
        FROM unnest(k.conkey) WITH ORDINALITY key(number, n)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = key.number), '{}') AS columns,
    (SELECT f.nspname || '.' || t.relname FROM pg_class t JOIN pg_namespace f ON f.oid = t.relnamespace
     WHERE t.oid = k.confrelid) AS target
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND (k.conparentid = 0 OR c.relispartition) AND s.nspname !~ '^(pg_|_timescaledb|information_schema)'
UNION ALL
SELECT CASE WHEN k.oid IS NULL THEN 'index' ELSE 'key' END, s.nspname, c.relname, x.relname,
    coalesce((SELECT array_agg(DISTINCT a.attname::text)
        FROM pg_depend d
        JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
          AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid > 0), '{}'),
    NULL
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace s ON s.oid = c.relnamespace
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
WHERE s.nspname !~ '^(pg_|_timescaledb|information_schema)'
UNION ALL
SELECT 'computed', s.nspname, c.relname, own.attname,
    coalesce((SELECT array_agg(DISTINCT a.attname::text)
        FROM pg_depend d
        JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
          AND d.refclassid = 'pg_class'::regclass AND d.refobjid = f.adrelid AND d.refobjsubid <> f.adnum), '{}'),
    NULL
FROM pg_attrdef f
JOIN pg_attribute own ON own.attrelid = f.adrelid AND own.attnum = f.adnum AND own.attgenerated <> ''
JOIN pg_class c ON c.oid = f.adrelid
JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE s.nspname !~ '^(pg_|_timescaledb|information_schema)'
