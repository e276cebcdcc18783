SELECT range_end
FROM timescaledb_information.chunks
WHERE to_regclass(format('%I.%I', hypertable_schema, hypertable_name)) = to_regclass($1)
    AND range_end <= $2
ORDER BY range_end
