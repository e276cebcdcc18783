SELECT signal_id, instrument_key, "timestamp", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM signal_greeks ORDER BY "timestamp" DESC, id DESC LIMIT 1
