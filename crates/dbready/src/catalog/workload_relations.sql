-- The relations $1 by schema and name, what they are, and whether an extension brought them.
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind = 'f' AS is_foreign,
    EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS of_extension
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY ($1)
ORDER BY n.nspname, c.relname
