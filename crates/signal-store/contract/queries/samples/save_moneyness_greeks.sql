SELECT
    underlying_symbol, moneyness_level, NULL, "timestamp", spot_price,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM signal_moneyness_greeks ORDER BY "timestamp" DESC, id DESC LIMIT 1
