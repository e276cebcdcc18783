-- The background workers of TimescaleDB: whether they are started at all, and jobs whose last run failed.
SELECT
    EXISTS (
        SELECT FROM pg_stat_activity a WHERE a.backend_type = 'TimescaleDB Background Worker Launcher'
    ) AS launched,
    EXISTS (SELECT FROM pg_stat_activity a WHERE a.backend_type IS NULL) AS hidden,
    (SELECT count(*) FROM timescaledb_information.jobs)::double precision AS jobs,
    (
        SELECT coalesce(array_agg(format('%s (job %s)', j.proc_name, j.job_id) ORDER BY j.job_id), '{}')
        FROM timescaledb_information.job_stats s
        JOIN timescaledb_information.jobs j USING (job_id)
        WHERE s.last_run_status = 'Failed'
            -- TimescaleDB starts jobs of its own on the Apache edition too, where none of them can run.
            AND NOT (
                j.proc_schema = '_timescaledb_functions'
                AND current_setting('timescaledb.license', true) = 'apache'
            )
    ) AS failed
