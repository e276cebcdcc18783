-- The longest time by which a standby is behind, or this server when it is one itself.
SELECT
    CASE
        WHEN NOT pg_is_in_recovery() THEN
            (SELECT max(coalesce(extract(epoch FROM r.replay_lag), 0)) FROM pg_stat_replication r)
        WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
        ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
    END::double precision AS seconds,
    EXISTS (SELECT FROM pg_stat_replication r WHERE r.state IS NULL) AS hidden
