SELECT concat_ws(' ', current_user = session_user,
    current_setting('search_path') = '"$user", public',
    current_setting('transaction_isolation') = 'read committed',
    pg_current_xact_id_if_assigned() IS NULL,
    NOT EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
    NOT EXISTS (SELECT FROM pg_class WHERE relpersistence = 't' AND relnamespace = pg_my_temp_schema()),
    NOT EXISTS (SELECT FROM pg_listening_channels()))
