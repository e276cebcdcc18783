SELECT refresh_signal_greeks_rollup(now(), $1) AS buckets
