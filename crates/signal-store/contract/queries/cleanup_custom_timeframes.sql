DELETE FROM signal_custom_timeframes WHERE "timestamp" < $1
