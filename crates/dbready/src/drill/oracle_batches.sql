-- A batch is twenty records and a row in the ledger of batches.
SELECT op_id,
       copies % 20 = 0 AND EXISTS (
           SELECT FROM signal_ingest_batch
           WHERE id = lpad(to_hex(op_id), 32, '0')::uuid AND rows = 20 AND refused = '{}'
       ) AS in_ledger,
       copies / 20 AS copies,
       same,
       payload
FROM greeks
