SELECT (SELECT count(*) FROM pg_stat_activity
        WHERE application_name = $1 AND datname = current_database()) AS sessions,
       (SELECT count(*) FROM pg_stat_activity
        WHERE application_name = $1 AND datname = current_database()
          AND state LIKE 'idle in transaction%') AS open_transactions,
       (SELECT count(*) FROM pg_stat_activity
        WHERE application_name = $1 AND datname = current_database()
          AND state = 'active') AS active,
       (SELECT count(*) FROM pg_locks AS l
        JOIN pg_stat_activity AS a USING (pid)
        WHERE a.application_name = $1 AND a.datname = current_database()
          AND l.locktype <> 'virtualxid') AS locks,
       (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()) AS prepared
