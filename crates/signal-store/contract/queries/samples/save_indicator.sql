SELECT signal_id, instrument_key, "timestamp", indicator_name, '{}', '{}'
FROM signal_indicators ORDER BY "timestamp" DESC, id DESC LIMIT 1
