SELECT INTERVAL '1 hour', instrument_key, "timestamp" - INTERVAL '1 day', "timestamp"
FROM signal_greeks ORDER BY "timestamp" DESC, id DESC LIMIT 1
