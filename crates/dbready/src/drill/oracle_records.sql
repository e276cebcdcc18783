SELECT op_id, true AS in_ledger, copies, same, payload FROM greeks
