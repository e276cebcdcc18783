DELETE FROM signal_ingest_batch WHERE committed_at < now() - make_interval(secs => $1)
