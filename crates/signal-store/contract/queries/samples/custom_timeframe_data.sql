SELECT instrument_key, signal_type, timeframe_minutes, "timestamp" - INTERVAL '1 day', "timestamp"
FROM signal_custom_timeframes ORDER BY "timestamp" DESC, id DESC LIMIT 1
