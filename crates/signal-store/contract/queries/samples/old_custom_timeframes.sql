SELECT "timestamp" FROM signal_custom_timeframes ORDER BY "timestamp" DESC, id DESC LIMIT 1
