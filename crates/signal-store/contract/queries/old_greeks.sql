SELECT count(*) FROM signal_greeks WHERE "timestamp" < $1
