SELECT underlying_symbol, "timestamp" - INTERVAL '1 hour', "timestamp"
FROM signal_moneyness_greeks
WHERE "timestamp" <= (SELECT min("timestamp") + (max("timestamp") - min("timestamp")) / 2 FROM signal_moneyness_greeks)
ORDER BY "timestamp" DESC, id DESC LIMIT 1000
