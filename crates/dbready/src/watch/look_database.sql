-- What counts up in the database, since when the server runs, and whether TimescaleDB is there.
SELECT
    d.xact_commit::double precision AS committed,
    d.xact_rollback::double precision AS rolled_back,
    d.deadlocks::double precision AS deadlocks,
    d.numbackends::double precision AS sessions,
    pg_is_in_recovery() AS in_recovery,
    to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS started,
    EXISTS (SELECT FROM pg_extension x WHERE x.extname = 'timescaledb') AS timescaledb
FROM pg_stat_database d
WHERE d.datname = current_database()
