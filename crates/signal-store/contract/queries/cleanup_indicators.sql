DELETE FROM signal_indicators WHERE "timestamp" < $1
