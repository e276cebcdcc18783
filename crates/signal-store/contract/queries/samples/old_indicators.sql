SELECT "timestamp" FROM signal_indicators ORDER BY "timestamp" DESC, id DESC LIMIT 1
