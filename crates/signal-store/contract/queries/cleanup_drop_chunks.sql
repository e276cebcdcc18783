SELECT drop_chunks(to_regclass($1), older_than => $2::timestamptz)
