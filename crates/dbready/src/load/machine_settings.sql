SELECT name, coalesce(current_setting(name, true), '')
FROM pg_settings
WHERE name IN (
    'autovacuum', 'checkpoint_timeout', 'effective_cache_size', 'fsync', 'full_page_writes', 'jit',
    'max_connections', 'max_parallel_workers_per_gather', 'max_wal_size', 'random_page_cost',
    'shared_buffers', 'shared_preload_libraries', 'synchronous_commit', 'timescaledb.license',
    'wal_compression', 'wal_level', 'work_mem'
)
ORDER BY name
