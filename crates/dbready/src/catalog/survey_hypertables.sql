UNION ALL
    SELECT h.id::bigint, format('SELECT create_hypertable(%L, by_range(%L, %s), create_default_indexes => false)',
        format('%I.%I', h.schema_name, h.table_name), d.column_name,
        CASE WHEN d.column_type IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
             THEN d.interval_length::text
             ELSE format('INTERVAL %L', (d.interval_length * INTERVAL '1 microsecond')::text) END)
    FROM _timescaledb_catalog.hypertable h
    JOIN LATERAL (SELECT * FROM _timescaledb_catalog.dimension d
        WHERE d.hypertable_id = h.id ORDER BY d.id LIMIT 1) d ON true
    WHERE h.schema_name = ANY ($1)
