SELECT "timestamp" FROM signal_moneyness_greeks ORDER BY "timestamp" DESC, id DESC LIMIT 1
