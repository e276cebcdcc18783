COPY signal_greeks (
    signal_id, instrument_key, "timestamp", delta, gamma, theta, vega, rho, implied_volatility,
    theoretical_value, underlying_price, strike_price, time_to_expiry
)
FROM STDIN (FORMAT binary)
