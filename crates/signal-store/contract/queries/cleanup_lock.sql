SELECT pg_advisory_xact_lock(hashtextextended('signal-store cleanup', 0))
