DELETE FROM signal_greeks_rollup
WHERE chunk NOT IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'signal_greeks'::regclass)
