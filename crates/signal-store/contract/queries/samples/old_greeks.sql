SELECT "timestamp" FROM signal_greeks ORDER BY "timestamp" DESC, id DESC LIMIT 1
