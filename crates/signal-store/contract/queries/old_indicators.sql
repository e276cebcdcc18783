SELECT count(*) FROM signal_indicators WHERE "timestamp" < $1
