-- A signal is one record of each kind, all under the same key.
SELECT op_id, count(*) = 4 AS in_ledger, max(copies) AS copies, min(payload) = max(payload) AS same, min(payload) AS payload
FROM (
    SELECT kind,
           split_part(key, '@', 4)::bigint AS op_id,
           count(*) AS copies,
           min(lower(substr(split_part(key, '@', 2), 2))) AS payload
    FROM (
        SELECT 'greeks' AS kind, instrument_key AS key FROM signal_greeks
        UNION ALL
        SELECT 'indicators', instrument_key FROM signal_indicators
        WHERE "values" ->> 'payload' = lower(substr(split_part(instrument_key, '@', 2), 2))
        UNION ALL
        SELECT 'moneyness', underlying_symbol FROM signal_moneyness_greeks
        UNION ALL
        SELECT 'timeframes', instrument_key FROM signal_custom_timeframes
    ) AS records
    GROUP BY kind, op_id
) AS kinds
WHERE op_id BETWEEN $1 AND $2
GROUP BY op_id
