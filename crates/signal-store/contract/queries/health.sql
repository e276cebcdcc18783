SELECT version, applied_at FROM schema_version ORDER BY id DESC LIMIT 1
