SELECT instrument_key FROM signal_greeks ORDER BY "timestamp" DESC, id DESC LIMIT 1000
