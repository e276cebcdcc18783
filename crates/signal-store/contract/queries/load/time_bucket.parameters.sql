SELECT INTERVAL '5 minutes', instrument_key, min("timestamp"), max("timestamp")
FROM signal_greeks
WHERE instrument_key = 'NSE@LOADTEST@CE@24000'
GROUP BY instrument_key
