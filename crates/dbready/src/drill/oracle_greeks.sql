-- Greeks by the number of the operation that stored them.
WITH greeks AS (
    SELECT op_id, count(*) AS copies, min(payload) = max(payload) AS same, min(payload) AS payload
    FROM (
        SELECT split_part(instrument_key, '@', 4)::bigint AS op_id,
               lower(substr(split_part(instrument_key, '@', 2), 2)) AS payload
        FROM signal_greeks
    ) AS records
    WHERE op_id BETWEEN $1 AND $2
    GROUP BY op_id
)
