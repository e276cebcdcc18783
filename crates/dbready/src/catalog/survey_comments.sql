-- Comments on the tables of the schemas in $1 and on their columns.
SELECT n.nspname::text AS schema, c.relname::text AS table, a.attname::text AS column, d.description AS text
FROM pg_description d
JOIN pg_class c ON d.classoid = 'pg_class'::regclass AND c.oid = d.objoid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0
WHERE n.nspname = ANY ($1)
