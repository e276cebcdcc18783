SELECT
    blks_hit,
    blks_read,
    xact_commit,
    deadlocks,
    temp_bytes,
    CASE WHEN pg_is_in_recovery() THEN 0
        ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') END::double precision
FROM pg_stat_database
WHERE datname = current_database()
