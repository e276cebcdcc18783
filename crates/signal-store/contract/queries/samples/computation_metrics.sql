SELECT "timestamp" - INTERVAL '1 hour', "timestamp"
FROM signal_greeks ORDER BY "timestamp" DESC, id DESC LIMIT 1
