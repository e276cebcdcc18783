SELECT
    "timestamp", moneyness_level, expiry_date, spot_price,
    all_delta, all_gamma, all_theta, all_vega, all_rho, all_iv, all_count,
    calls_delta, calls_gamma, calls_count,
    puts_delta, puts_gamma, puts_count,
    min_strike, max_strike, strike_count
FROM signal_moneyness_greeks
WHERE underlying_symbol = $1 AND "timestamp" >= $2 AND "timestamp" <= $3
ORDER BY "timestamp" DESC, moneyness_level
