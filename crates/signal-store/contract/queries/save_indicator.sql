INSERT INTO signal_indicators (signal_id, instrument_key, "timestamp", indicator_name, parameters, "values")
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id
