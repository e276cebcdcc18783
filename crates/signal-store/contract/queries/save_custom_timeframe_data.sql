INSERT INTO signal_custom_timeframes (instrument_key, signal_type, timeframe_minutes, "timestamp", data)
SELECT * FROM unnest($1::varchar[], $2::varchar[], $3::integer[], $4::timestamptz[], $5::jsonb[])
ON CONFLICT (instrument_key, signal_type, timeframe_minutes, "timestamp")
DO UPDATE SET data = excluded.data, updated_at = now()
RETURNING id, created_at < updated_at AS updated
