SELECT id FROM signal_ingest_batch ORDER BY committed_at DESC LIMIT 1
