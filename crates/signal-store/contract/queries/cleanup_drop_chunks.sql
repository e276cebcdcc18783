SELECT drop_signal_chunks(to_regclass($1), $2::timestamptz) AS drop_chunks
