-- What TimescaleDB keeps about the hypertables and continuous aggregates of those schemas: one row
-- a hypertable, dimension, job and aggregate; chunks are not looked at.
(SELECT json_build_object(
    'hypertables', (SELECT coalesce(json_agg(json_build_object(
        'schema', h.schema_name,
        'table', h.table_name,
        'dimensions', (SELECT coalesce(json_agg(json_build_object(
            'column', d.column_name,
            'interval', d.interval_length,
            'partitions', d.num_slices
            ) ORDER BY d.id), '[]')
            FROM _timescaledb_catalog.dimension d WHERE d.hypertable_id = h.id),
        'compression', (SELECT json_build_object(
            'segment_by', coalesce(to_json(k.segmentby), '[]'),
            'order_by', (SELECT coalesce(json_agg(concat(o.name,
                    CASE WHEN o.descending THEN ' DESC' END,
                    CASE WHEN o.nulls_first AND NOT o.descending THEN ' NULLS FIRST'
                         WHEN NOT o.nulls_first AND o.descending THEN ' NULLS LAST' END)
                    ORDER BY o.n), '[]')
                FROM unnest(k.orderby, k.orderby_desc, k.orderby_nullsfirst)
                    WITH ORDINALITY o(name, descending, nulls_first, n)))
            FROM _timescaledb_catalog.compression_settings k
            WHERE h.compression_state <> 0
              AND k.relid = (SELECT c.oid FROM pg_class c
                  WHERE c.relname = h.table_name
                    AND c.relnamespace = (SELECT s.oid FROM space s WHERE s.nspname = h.schema_name)))
        ) ORDER BY h.schema_name, h.table_name), '[]')
        FROM _timescaledb_catalog.hypertable h
        WHERE h.schema_name IN (SELECT s.nspname FROM space s)),
    'continuous_aggregates', (SELECT coalesce(json_agg(json_build_object(
        'schema', g.user_view_schema,
        'name', g.user_view_name,
        'source_schema', raw.schema_name,
        'source', raw.table_name,
        'materialized_only', g.materialized_only,
        'bucket', b.bucket_width,
        'bucket_seconds', extract(epoch FROM b.bucket_width::interval)::bigint
        ) ORDER BY g.user_view_schema, g.user_view_name), '[]')
        FROM _timescaledb_catalog.continuous_agg g
        JOIN _timescaledb_catalog.hypertable raw ON raw.id = g.raw_hypertable_id
        LEFT JOIN _timescaledb_catalog.continuous_aggs_bucket_function b
            ON b.mat_hypertable_id = g.mat_hypertable_id
        WHERE g.user_view_schema IN (SELECT s.nspname FROM space s)),
    -- A policy names its hypertable by id; that of an aggregate is shown under the view's name.
    'policies', (SELECT coalesce(json_agg(json_build_object(
        'job', j.job_id,
        'procedure', j.proc_name,
        'schema', coalesce(g.user_view_schema, h.schema_name),
        'relation', coalesce(g.user_view_name, h.table_name),
        'scheduled', j.scheduled,
        'every_seconds', extract(epoch FROM j.schedule_interval)::bigint,
        'after_seconds', (SELECT extract(epoch FROM (j.config ->> a.key)::interval)::bigint
            FROM unnest(ARRAY['drop_after', 'compress_after']) a(key)
            WHERE jsonb_typeof(j.config -> a.key) = 'string')
        ) ORDER BY j.job_id), '[]')
        FROM timescaledb_information.jobs j
        JOIN _timescaledb_catalog.hypertable h
            ON h.id = coalesce(j.config ->> 'hypertable_id', j.config ->> 'mat_hypertable_id')::integer
        LEFT JOIN _timescaledb_catalog.continuous_agg g ON g.mat_hypertable_id = h.id
        WHERE j.proc_name LIKE 'policy\_%'
          AND coalesce(g.user_view_schema, h.schema_name) IN (SELECT s.nspname FROM space s))
))
