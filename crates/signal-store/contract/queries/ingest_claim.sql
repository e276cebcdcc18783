INSERT INTO signal_ingest_batch (id, table_name, rows)
VALUES ($1, $2, 0)
ON CONFLICT (id) DO NOTHING
