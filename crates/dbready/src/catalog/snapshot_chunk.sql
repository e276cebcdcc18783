EXISTS (
    SELECT FROM pg_inherits i
    JOIN pg_class p ON p.oid = i.inhparent
    JOIN pg_namespace s ON s.oid = p.relnamespace
    JOIN _timescaledb_catalog.hypertable h ON h.schema_name = s.nspname AND h.table_name = p.relname
    WHERE i.inhrelid = c.oid
)
