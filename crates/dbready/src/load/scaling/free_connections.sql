-- Connections that the server, this database and this role still have room for. Of a server that is `$1`,
-- shared with others, a tenth is left to them.
WITH used AS (
    SELECT
        count(*) AS of_server,
        count(*) FILTER (WHERE datname = current_database()) AS of_database,
        count(*) FILTER (WHERE usename = session_user) AS of_role
    FROM pg_stat_activity
    -- What the sessions of other roles are is not told to everybody.
    WHERE datname IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
)
SELECT greatest(0, least(
    current_setting('max_connections')::bigint
    - current_setting('superuser_reserved_connections')::bigint
    - coalesce(current_setting('reserved_connections', true), '0')::bigint
    - CASE WHEN $1 THEN current_setting('max_connections')::bigint / 10 ELSE 0 END
    - of_server,
    CASE WHEN datconnlimit >= 0 AND NOT rolsuper THEN datconnlimit - of_database END,
    CASE WHEN rolconnlimit >= 0 AND NOT rolsuper THEN rolconnlimit - of_role END
))
FROM used
CROSS JOIN pg_database
CROSS JOIN pg_roles
WHERE datname = current_database() AND rolname = session_user
