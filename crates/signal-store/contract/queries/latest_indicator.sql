SELECT id, signal_id, instrument_key, "timestamp", indicator_name, parameters, "values"
FROM signal_indicators
WHERE instrument_key = $1 AND indicator_name = $2
ORDER BY "timestamp" DESC
LIMIT 1
