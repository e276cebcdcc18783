COPY signal_moneyness_greeks (
    underlying_symbol, moneyness_level, expiry_date, "timestamp", spot_price, all_delta,
    all_gamma, all_theta, all_vega, all_rho, all_iv, all_count, calls_delta, calls_gamma,
    calls_theta, calls_vega, calls_rho, calls_iv, calls_count, puts_delta, puts_gamma,
    puts_theta, puts_vega, puts_rho, puts_iv, puts_count, min_strike, max_strike, strike_count
)
FROM STDIN (FORMAT binary)
