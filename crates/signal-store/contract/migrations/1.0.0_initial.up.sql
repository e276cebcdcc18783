-- version: 1.0.0
-- description: option Greeks, indicators, moneyness aggregates and custom timeframes
-- breaking: no
--
-- Keys of hypertables include the time column, since TimescaleDB asks for it. The primary keys begin
-- with it, so that they also serve scans over a range of time; no other index on time is needed.
-- NaN is greater than every number to PostgreSQL, so an upper bound refuses it; where there is none,
-- a check does.

CREATE TABLE schema_version (
    id integer GENERATED ALWAYS AS IDENTITY,
    version varchar(20) NOT NULL,
    applied_at timestamptz DEFAULT now(),
    description text,
    CONSTRAINT schema_version_pkey PRIMARY KEY (id),
    CONSTRAINT schema_version_version_key UNIQUE (version)
);

CREATE TABLE signal_greeks (
    id bigint GENERATED ALWAYS AS IDENTITY,
    signal_id varchar(255) NOT NULL,
    instrument_key varchar(255) NOT NULL,
    "timestamp" timestamptz NOT NULL,
    delta numeric(10,6),
    gamma numeric(10,6),
    theta numeric(10,6),
    vega numeric(10,6),
    rho numeric(10,6),
    implied_volatility numeric(8,6),
    theoretical_value numeric(12,4),
    underlying_price numeric(12,4),
    strike_price numeric(12,4),
    time_to_expiry numeric(8,6),
    created_at timestamptz DEFAULT now(),
    CONSTRAINT signal_greeks_pkey PRIMARY KEY ("timestamp", id),
    CONSTRAINT signal_greeks_signal_id_check CHECK (signal_id ~ '^signal_[0-9]{8}_[0-9]{6}$'),
    CONSTRAINT signal_greeks_instrument_key_check
        CHECK (instrument_key ~ '^[A-Z]+@[A-Z0-9&-]+@[A-Z]+(@[0-9]+([.][0-9]+)?)?$'),
    CONSTRAINT signal_greeks_timestamp_check CHECK (isfinite("timestamp")),
    CONSTRAINT signal_greeks_delta_check CHECK (delta >= -5 AND delta <= 5),
    CONSTRAINT signal_greeks_gamma_check CHECK (gamma >= 0 AND gamma <= 10),
    CONSTRAINT signal_greeks_implied_volatility_check
        CHECK (implied_volatility > 0 AND implied_volatility <= 5),
    CONSTRAINT signal_greeks_time_to_expiry_check
        CHECK (time_to_expiry >= 0 AND time_to_expiry <> 'NaN'),
    CONSTRAINT signal_greeks_numbers_check CHECK (
        theta <> 'NaN' AND vega <> 'NaN' AND rho <> 'NaN' AND theoretical_value <> 'NaN'
        AND underlying_price <> 'NaN' AND strike_price <> 'NaN'
    )
);
SELECT create_hypertable('signal_greeks', by_range('timestamp', INTERVAL '1 day'), create_default_indexes => false);
CREATE INDEX idx_signal_greeks_instrument_timestamp ON signal_greeks (instrument_key, "timestamp" DESC);
CREATE INDEX idx_signal_greeks_signal_id ON signal_greeks (signal_id);

CREATE TABLE signal_indicators (
    id bigint GENERATED ALWAYS AS IDENTITY,
    signal_id varchar(255) NOT NULL,
    instrument_key varchar(255) NOT NULL,
    "timestamp" timestamptz NOT NULL,
    indicator_name varchar(255) NOT NULL,
    parameters jsonb NOT NULL DEFAULT '{}',
    "values" jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    CONSTRAINT signal_indicators_pkey PRIMARY KEY ("timestamp", id),
    CONSTRAINT signal_indicators_signal_id_check CHECK (signal_id ~ '^signal_[0-9]{8}_[0-9]{6}$'),
    CONSTRAINT signal_indicators_instrument_key_check
        CHECK (instrument_key ~ '^[A-Z]+@[A-Z0-9&-]+@[A-Z]+(@[0-9]+([.][0-9]+)?)?$'),
    CONSTRAINT signal_indicators_indicator_name_check CHECK (indicator_name ~ '^[A-Z][A-Z0-9_]*$'),
    CONSTRAINT signal_indicators_timestamp_check CHECK (isfinite("timestamp")),
    CONSTRAINT signal_indicators_parameters_check CHECK (jsonb_typeof(parameters) = 'object'),
    CONSTRAINT signal_indicators_values_check CHECK (jsonb_typeof("values") = 'object')
);
SELECT create_hypertable('signal_indicators', by_range('timestamp', INTERVAL '1 day'), create_default_indexes => false);
CREATE INDEX idx_signal_indicators_instrument_indicator_timestamp
    ON signal_indicators (instrument_key, indicator_name, "timestamp" DESC);
CREATE INDEX idx_signal_indicators_signal_id ON signal_indicators (signal_id);
CREATE INDEX idx_signal_indicators_parameters ON signal_indicators USING gin (parameters);

CREATE TABLE signal_moneyness_greeks (
    id bigint GENERATED ALWAYS AS IDENTITY,
    underlying_symbol varchar(255) NOT NULL,
    moneyness_level varchar(50) NOT NULL,
    expiry_date date,
    "timestamp" timestamptz NOT NULL,
    spot_price numeric(12,4) NOT NULL,
    all_delta numeric(10,6),
    all_gamma numeric(10,6),
    all_theta numeric(10,6),
    all_vega numeric(10,6),
    all_rho numeric(10,6),
    all_iv numeric(8,6),
    all_count integer,
    calls_delta numeric(10,6),
    calls_gamma numeric(10,6),
    calls_theta numeric(10,6),
    calls_vega numeric(10,6),
    calls_rho numeric(10,6),
    calls_iv numeric(8,6),
    calls_count integer,
    puts_delta numeric(10,6),
    puts_gamma numeric(10,6),
    puts_theta numeric(10,6),
    puts_vega numeric(10,6),
    puts_rho numeric(10,6),
    puts_iv numeric(8,6),
    puts_count integer,
    min_strike numeric(12,4),
    max_strike numeric(12,4),
    strike_count integer,
    created_at timestamptz DEFAULT now(),
    CONSTRAINT signal_moneyness_greeks_pkey PRIMARY KEY ("timestamp", id),
    CONSTRAINT signal_moneyness_greeks_moneyness_level_check
        CHECK (moneyness_level IN ('DEEP_OTM', 'OTM', 'ATM', 'ITM', 'DEEP_ITM')),
    CONSTRAINT signal_moneyness_greeks_timestamp_check CHECK (isfinite("timestamp")),
    CONSTRAINT signal_moneyness_greeks_delta_check CHECK (
        all_delta >= -5 AND all_delta <= 5 AND calls_delta >= -5 AND calls_delta <= 5
        AND puts_delta >= -5 AND puts_delta <= 5
    ),
    CONSTRAINT signal_moneyness_greeks_gamma_check CHECK (
        all_gamma >= 0 AND all_gamma <= 10 AND calls_gamma >= 0 AND calls_gamma <= 10
        AND puts_gamma >= 0 AND puts_gamma <= 10
    ),
    CONSTRAINT signal_moneyness_greeks_iv_check CHECK (
        all_iv > 0 AND all_iv <= 5 AND calls_iv > 0 AND calls_iv <= 5 AND puts_iv > 0 AND puts_iv <= 5
    ),
    CONSTRAINT signal_moneyness_greeks_count_check
        CHECK (all_count >= 0 AND calls_count >= 0 AND puts_count >= 0 AND strike_count >= 0),
    CONSTRAINT signal_moneyness_greeks_numbers_check CHECK (
        spot_price <> 'NaN' AND min_strike <> 'NaN' AND max_strike <> 'NaN'
        AND all_theta <> 'NaN' AND all_vega <> 'NaN' AND all_rho <> 'NaN'
        AND calls_theta <> 'NaN' AND calls_vega <> 'NaN' AND calls_rho <> 'NaN'
        AND puts_theta <> 'NaN' AND puts_vega <> 'NaN' AND puts_rho <> 'NaN'
    )
);
SELECT create_hypertable('signal_moneyness_greeks', by_range('timestamp', INTERVAL '1 day'), create_default_indexes => false);
CREATE INDEX idx_moneyness_greeks_symbol_level_timestamp
    ON signal_moneyness_greeks (underlying_symbol, moneyness_level, "timestamp" DESC);

CREATE TABLE signal_custom_timeframes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    instrument_key varchar(255) NOT NULL,
    signal_type varchar NOT NULL,
    timeframe_minutes integer NOT NULL,
    "timestamp" timestamptz NOT NULL,
    data jsonb NOT NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    CONSTRAINT signal_custom_timeframes_pkey PRIMARY KEY ("timestamp", id),
    CONSTRAINT signal_custom_timeframes_key
        UNIQUE (instrument_key, signal_type, timeframe_minutes, "timestamp"),
    CONSTRAINT signal_custom_timeframes_instrument_key_check
        CHECK (instrument_key ~ '^[A-Z]+@[A-Z0-9&-]+@[A-Z]+(@[0-9]+([.][0-9]+)?)?$'),
    CONSTRAINT signal_custom_timeframes_signal_type_check
        CHECK (signal_type IN ('greeks', 'indicators', 'moneyness_greeks')),
    CONSTRAINT signal_custom_timeframes_timeframe_minutes_check CHECK (timeframe_minutes > 0),
    CONSTRAINT signal_custom_timeframes_timestamp_check CHECK (isfinite("timestamp")),
    CONSTRAINT signal_custom_timeframes_data_check CHECK (jsonb_typeof(data) = 'object')
);
SELECT create_hypertable('signal_custom_timeframes', by_range('timestamp', INTERVAL '1 day'), create_default_indexes => false);

INSERT INTO schema_version (version, description)
VALUES ('1.0.0', 'option Greeks, indicators, moneyness aggregates and custom timeframes');
