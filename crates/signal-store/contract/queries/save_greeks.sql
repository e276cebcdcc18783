INSERT INTO signal_greeks (
    signal_id, instrument_key, "timestamp", delta, gamma, theta, vega, rho,
    implied_volatility, theoretical_value, underlying_price, strike_price, time_to_expiry
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
RETURNING id
