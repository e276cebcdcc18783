UPDATE signal_ingest_batch SET rows = $2, digest = $3, refused = $4 WHERE id = $1
