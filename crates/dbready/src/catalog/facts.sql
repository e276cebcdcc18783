-- Facts about the server and the session that looks, in one row.
-- $1 text[] settings; $2, $3 schema and name of the version table; $4, $5 those of the runner's table.
WITH setting AS (
    SELECT s.name, current_setting(s.name, true) AS value
    FROM pg_settings s
    WHERE lower(s.name) IN (SELECT lower(n) FROM unnest($1) n)
),
ledger AS (
    SELECT n.nspname, c.relname,
        CASE WHEN has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
                  AND NOT row_security_active(c.oid)
             THEN 'readable' ELSE 'denied' END AS access
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname IN ($3, $5) AND n.nspname IN ($2, $4)
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
)
SELECT
    current_database()::text AS database,
    current_user::text AS role,
    current_setting('server_version') AS postgresql,
    current_setting('server_version_num')::integer AS postgresql_num,
    (SELECT x.extversion FROM pg_extension x WHERE x.extname = 'timescaledb') AS timescaledb,
    current_setting('timescaledb.license', true) AS license,
    (SELECT coalesce(array_agg(s.name ORDER BY s.name), '{}') FROM setting s) AS setting_names,
    (SELECT coalesce(array_agg(s.value ORDER BY s.name), '{}') FROM setting s) AS setting_values,
    coalesce((SELECT l.access FROM ledger l WHERE l.nspname = $2 AND l.relname = $3), 'absent')
        AS versions,
    coalesce((SELECT l.access FROM ledger l WHERE l.nspname = $4 AND l.relname = $5), 'absent')
        AS migrations
