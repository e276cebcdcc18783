INSERT INTO signal_moneyness_greeks (
    underlying_symbol, moneyness_level, expiry_date, "timestamp", spot_price,
    all_delta, all_gamma, all_theta, all_vega, all_rho, all_iv, all_count,
    calls_delta, calls_gamma, calls_theta, calls_vega, calls_rho, calls_iv, calls_count,
    puts_delta, puts_gamma, puts_theta, puts_vega, puts_rho, puts_iv, puts_count,
    min_strike, max_strike, strike_count
)
VALUES (
    $1, $2, $3, $4, $5,
    $6, $7, $8, $9, $10, $11, $12,
    $13, $14, $15, $16, $17, $18, $19,
    $20, $21, $22, $23, $24, $25, $26,
    $27, $28, $29
)
RETURNING id
