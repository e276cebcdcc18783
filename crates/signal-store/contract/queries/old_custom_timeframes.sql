SELECT count(*) FROM signal_custom_timeframes WHERE "timestamp" < $1
