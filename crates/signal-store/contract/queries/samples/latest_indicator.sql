SELECT instrument_key, indicator_name FROM signal_indicators ORDER BY "timestamp" DESC, id DESC LIMIT 1000
