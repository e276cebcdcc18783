SELECT "timestamp", data, created_at, updated_at
FROM signal_custom_timeframes
WHERE instrument_key = $1 AND signal_type = $2 AND timeframe_minutes = $3
    AND "timestamp" >= $4 AND "timestamp" <= $5
ORDER BY "timestamp"
