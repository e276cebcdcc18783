-- Back to an empty database: every row is lost.

DROP TABLE signal_custom_timeframes;
DROP TABLE signal_moneyness_greeks;
DROP TABLE signal_indicators;
DROP TABLE signal_greeks;
DROP TABLE schema_version;
