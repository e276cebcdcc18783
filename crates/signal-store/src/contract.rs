//! The contract directory, carried in the program.

/// Every file of the contract directory: its path there and its text.
pub const CONTRACT: &[(&str, &str)] = &[
    ("contract.toml", include_str!("../contract/contract.toml")),
    (
        "migrations/1.0.0_initial.down.sql",
        include_str!("../contract/migrations/1.0.0_initial.down.sql"),
    ),
    (
        "migrations/1.0.0_initial.up.sql",
        include_str!("../contract/migrations/1.0.0_initial.up.sql"),
    ),
    (
        "migrations/1.1.0_policies.down.sql",
        include_str!("../contract/migrations/1.1.0_policies.down.sql"),
    ),
    (
        "migrations/1.1.0_policies.up.sql",
        include_str!("../contract/migrations/1.1.0_policies.up.sql"),
    ),
    ("queries/cleanup_chunks.sql", include_str!("../contract/queries/cleanup_chunks.sql")),
    (
        "migrations/1.2.0_rollups.down.sql",
        include_str!("../contract/migrations/1.2.0_rollups.down.sql"),
    ),
    (
        "migrations/1.2.0_rollups.up.sql",
        include_str!("../contract/migrations/1.2.0_rollups.up.sql"),
    ),
    (
        "migrations/1.3.0_ingest.down.sql",
        include_str!("../contract/migrations/1.3.0_ingest.down.sql"),
    ),
    ("migrations/1.3.0_ingest.up.sql", include_str!("../contract/migrations/1.3.0_ingest.up.sql")),
    (
        "migrations/1.4.0_roles.down.sql",
        include_str!("../contract/migrations/1.4.0_roles.down.sql"),
    ),
    ("migrations/1.4.0_roles.up.sql", include_str!("../contract/migrations/1.4.0_roles.up.sql")),
    (
        "migrations/1.5.0_rollup_buckets.down.sql",
        include_str!("../contract/migrations/1.5.0_rollup_buckets.down.sql"),
    ),
    (
        "migrations/1.5.0_rollup_buckets.up.sql",
        include_str!("../contract/migrations/1.5.0_rollup_buckets.up.sql"),
    ),
    (
        "queries/cleanup_custom_timeframes.sql",
        include_str!("../contract/queries/cleanup_custom_timeframes.sql"),
    ),
    (
        "queries/cleanup_drop_chunks.sql",
        include_str!("../contract/queries/cleanup_drop_chunks.sql"),
    ),
    ("queries/cleanup_greeks.sql", include_str!("../contract/queries/cleanup_greeks.sql")),
    ("queries/cleanup_indicators.sql", include_str!("../contract/queries/cleanup_indicators.sql")),
    ("queries/cleanup_lock.sql", include_str!("../contract/queries/cleanup_lock.sql")),
    (
        "queries/cleanup_moneyness_greeks.sql",
        include_str!("../contract/queries/cleanup_moneyness_greeks.sql"),
    ),
    (
        "queries/computation_metrics.sql",
        include_str!("../contract/queries/computation_metrics.sql"),
    ),
    (
        "queries/custom_timeframe_data.sql",
        include_str!("../contract/queries/custom_timeframe_data.sql"),
    ),
    ("queries/health.sql", include_str!("../contract/queries/health.sql")),
    ("queries/historical_greeks.sql", include_str!("../contract/queries/historical_greeks.sql")),
    (
        "queries/historical_greeks_rollup.sql",
        include_str!("../contract/queries/historical_greeks_rollup.sql"),
    ),
    ("queries/ingest_batch.sql", include_str!("../contract/queries/ingest_batch.sql")),
    ("queries/ingest_claim.sql", include_str!("../contract/queries/ingest_claim.sql")),
    ("queries/ingest_close.sql", include_str!("../contract/queries/ingest_close.sql")),
    ("queries/ingest_greeks.sql", include_str!("../contract/queries/ingest_greeks.sql")),
    ("queries/ingest_indicators.sql", include_str!("../contract/queries/ingest_indicators.sql")),
    (
        "queries/ingest_moneyness_greeks.sql",
        include_str!("../contract/queries/ingest_moneyness_greeks.sql"),
    ),
    ("queries/ingest_prune.sql", include_str!("../contract/queries/ingest_prune.sql")),
    ("queries/latest_greeks.sql", include_str!("../contract/queries/latest_greeks.sql")),
    ("queries/latest_indicator.sql", include_str!("../contract/queries/latest_indicator.sql")),
    (
        "queries/load/hypertable_speedup.hypertable.sql",
        include_str!("../contract/queries/load/hypertable_speedup.hypertable.sql"),
    ),
    (
        "queries/load/hypertable_speedup.parameters.sql",
        include_str!("../contract/queries/load/hypertable_speedup.parameters.sql"),
    ),
    (
        "queries/load/hypertable_speedup.plain.sql",
        include_str!("../contract/queries/load/hypertable_speedup.plain.sql"),
    ),
    (
        "queries/load/hypertable_speedup.prepare.sql",
        include_str!("../contract/queries/load/hypertable_speedup.prepare.sql"),
    ),
    (
        "queries/load/time_bucket.parameters.sql",
        include_str!("../contract/queries/load/time_bucket.parameters.sql"),
    ),
    (
        "queries/load/time_bucket.prepare.sql",
        include_str!("../contract/queries/load/time_bucket.prepare.sql"),
    ),
    ("queries/moneyness_greeks.sql", include_str!("../contract/queries/moneyness_greeks.sql")),
    ("queries/prune_rollup.sql", include_str!("../contract/queries/prune_rollup.sql")),
    ("queries/refresh_rollup.sql", include_str!("../contract/queries/refresh_rollup.sql")),
    (
        "queries/rollups/signal_greeks_raw.sql",
        include_str!("../contract/queries/rollups/signal_greeks_raw.sql"),
    ),
    (
        "queries/rollups/signal_greeks_served.sql",
        include_str!("../contract/queries/rollups/signal_greeks_served.sql"),
    ),
    (
        "queries/old_custom_timeframes.sql",
        include_str!("../contract/queries/old_custom_timeframes.sql"),
    ),
    ("queries/old_greeks.sql", include_str!("../contract/queries/old_greeks.sql")),
    ("queries/old_indicators.sql", include_str!("../contract/queries/old_indicators.sql")),
    (
        "queries/old_moneyness_greeks.sql",
        include_str!("../contract/queries/old_moneyness_greeks.sql"),
    ),
    (
        "queries/samples/cleanup_chunks.sql",
        include_str!("../contract/queries/samples/cleanup_chunks.sql"),
    ),
    (
        "queries/samples/cleanup_drop_chunks.sql",
        include_str!("../contract/queries/samples/cleanup_drop_chunks.sql"),
    ),
    (
        "queries/samples/computation_metrics.sql",
        include_str!("../contract/queries/samples/computation_metrics.sql"),
    ),
    (
        "queries/samples/custom_timeframe_data.sql",
        include_str!("../contract/queries/samples/custom_timeframe_data.sql"),
    ),
    (
        "queries/samples/historical_greeks.sql",
        include_str!("../contract/queries/samples/historical_greeks.sql"),
    ),
    (
        "queries/samples/historical_greeks_rollup.sql",
        include_str!("../contract/queries/samples/historical_greeks_rollup.sql"),
    ),
    (
        "queries/samples/ingest_batch.sql",
        include_str!("../contract/queries/samples/ingest_batch.sql"),
    ),
    (
        "queries/samples/latest_greeks.sql",
        include_str!("../contract/queries/samples/latest_greeks.sql"),
    ),
    (
        "queries/samples/latest_indicator.sql",
        include_str!("../contract/queries/samples/latest_indicator.sql"),
    ),
    (
        "queries/samples/moneyness_greeks.sql",
        include_str!("../contract/queries/samples/moneyness_greeks.sql"),
    ),
    (
        "queries/samples/old_custom_timeframes.sql",
        include_str!("../contract/queries/samples/old_custom_timeframes.sql"),
    ),
    ("queries/samples/old_greeks.sql", include_str!("../contract/queries/samples/old_greeks.sql")),
    (
        "queries/samples/old_indicators.sql",
        include_str!("../contract/queries/samples/old_indicators.sql"),
    ),
    (
        "queries/samples/old_moneyness_greeks.sql",
        include_str!("../contract/queries/samples/old_moneyness_greeks.sql"),
    ),
    (
        "queries/samples/refresh_rollup.sql",
        include_str!("../contract/queries/samples/refresh_rollup.sql"),
    ),
    (
        "queries/samples/save_custom_timeframe_data.sql",
        include_str!("../contract/queries/samples/save_custom_timeframe_data.sql"),
    ),
    (
        "queries/samples/save_greeks.sql",
        include_str!("../contract/queries/samples/save_greeks.sql"),
    ),
    (
        "queries/samples/save_indicator.sql",
        include_str!("../contract/queries/samples/save_indicator.sql"),
    ),
    (
        "queries/samples/save_moneyness_greeks.sql",
        include_str!("../contract/queries/samples/save_moneyness_greeks.sql"),
    ),
    (
        "queries/save_custom_timeframe_data.sql",
        include_str!("../contract/queries/save_custom_timeframe_data.sql"),
    ),
    ("queries/save_greeks.sql", include_str!("../contract/queries/save_greeks.sql")),
    ("queries/save_indicator.sql", include_str!("../contract/queries/save_indicator.sql")),
    (
        "queries/save_moneyness_greeks.sql",
        include_str!("../contract/queries/save_moneyness_greeks.sql"),
    ),
    ("queries/server_time.sql", include_str!("../contract/queries/server_time.sql")),
    ("seed.sql", include_str!("../contract/seed.sql")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn files_below(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                files_below(&entry.path(), &format!("{path}/"), found);
            } else {
                found.insert(path);
            }
        }
    }

    #[test]
    fn the_embedded_contract_is_the_directory() {
        let mut there = BTreeSet::new();
        files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("contract"), "", &mut there);
        let embedded: BTreeSet<String> =
            CONTRACT.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(embedded, there);
        assert_eq!(embedded.len(), CONTRACT.len(), "a file is embedded twice");
    }
}
