-- $1 application_name of the service. What a role may not see has no state.
SELECT
    count(*) FILTER (WHERE a.application_name = $1)::double precision AS open,
    count(*) FILTER (WHERE a.application_name = $1 AND a.state <> 'idle')::double precision AS at_work,
    count(*) FILTER (WHERE a.application_name = $1 AND a.state IS NULL) > 0 AS hidden,
    count(*) FILTER (WHERE a.application_name = current_setting('application_name'))::double precision
        AS own
FROM pg_stat_activity a
WHERE a.datname = current_database()
