DELETE FROM signal_greeks WHERE "timestamp" < $1
