SELECT ARRAY[instrument_key], ARRAY[signal_type], ARRAY[timeframe_minutes], ARRAY["timestamp"], ARRAY[data]
FROM signal_custom_timeframes ORDER BY "timestamp" DESC, id DESC LIMIT 1
