SELECT "timestamp" - INTERVAL '15 minutes', "timestamp"
FROM signal_greeks
WHERE "timestamp" <= (SELECT min("timestamp") + (max("timestamp") - min("timestamp")) / 2 FROM signal_greeks)
ORDER BY "timestamp" DESC, id DESC LIMIT 1
