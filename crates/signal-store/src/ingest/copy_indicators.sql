COPY signal_indicators (
    signal_id, instrument_key, "timestamp", indicator_name, parameters, "values"
)
FROM STDIN (FORMAT binary)
