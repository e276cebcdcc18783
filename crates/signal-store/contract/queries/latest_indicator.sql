-- The parameters stand in subqueries: one that is compared directly makes TimescaleDB look on
-- every execution whether chunks can be left out, by parsing all their checks.
SELECT id, signal_id, instrument_key, "timestamp", indicator_name, parameters, "values"
FROM signal_indicators
WHERE instrument_key = (SELECT $1) AND indicator_name = (SELECT $2)
ORDER BY "timestamp" DESC
LIMIT 1
