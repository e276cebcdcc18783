SELECT table_name, rows, coalesce(digest, '') AS digest, refused, committed_at
FROM signal_ingest_batch
WHERE id = $1
