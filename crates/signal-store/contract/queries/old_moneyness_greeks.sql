SELECT count(*) FROM signal_moneyness_greeks WHERE "timestamp" < $1
