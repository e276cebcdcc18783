//! The statements of the contract, under their names there.

use std::collections::BTreeMap;
use std::sync::Arc;

macro_rules! statements {
    ($($name:ident = $file:literal;)*) => {
        $(pub(crate) const $name: &str =
            include_str!(concat!("../contract/queries/", $file, ".sql"));)*

        /// Every statement: its name in the contract and its text.
        pub const STATEMENTS: &[(&str, &str)] = &[$(($file, $name),)*];
    };
}

statements! {
    CLEANUP_CHUNKS = "cleanup_chunks";
    CLEANUP_CUSTOM_TIMEFRAMES = "cleanup_custom_timeframes";
    CLEANUP_DROP_CHUNKS = "cleanup_drop_chunks";
    CLEANUP_GREEKS = "cleanup_greeks";
    CLEANUP_INDICATORS = "cleanup_indicators";
    CLEANUP_LOCK = "cleanup_lock";
    CLEANUP_MONEYNESS_GREEKS = "cleanup_moneyness_greeks";
    COMPUTATION_METRICS = "computation_metrics";
    CUSTOM_TIMEFRAME_DATA = "custom_timeframe_data";
    HEALTH = "health";
    HISTORICAL_GREEKS = "historical_greeks";
    HISTORICAL_GREEKS_ROLLUP = "historical_greeks_rollup";
    INGEST_BATCH = "ingest_batch";
    INGEST_CLAIM = "ingest_claim";
    INGEST_CLOSE = "ingest_close";
    INGEST_GREEKS = "ingest_greeks";
    INGEST_INDICATORS = "ingest_indicators";
    INGEST_MONEYNESS_GREEKS = "ingest_moneyness_greeks";
    INGEST_PRUNE = "ingest_prune";
    LATEST_GREEKS = "latest_greeks";
    LATEST_INDICATOR = "latest_indicator";
    MONEYNESS_GREEKS = "moneyness_greeks";
    OLD_CUSTOM_TIMEFRAMES = "old_custom_timeframes";
    OLD_GREEKS = "old_greeks";
    OLD_INDICATORS = "old_indicators";
    OLD_MONEYNESS_GREEKS = "old_moneyness_greeks";
    PRUNE_ROLLUP = "prune_rollup";
    REFRESH_ROLLUP = "refresh_rollup";
    SAVE_CUSTOM_TIMEFRAME_DATA = "save_custom_timeframe_data";
    SAVE_GREEKS = "save_greeks";
    SAVE_INDICATOR = "save_indicator";
    SAVE_MONEYNESS_GREEKS = "save_moneyness_greeks";
    SERVER_TIME = "server_time";
}

/// The statements' names by their texts, for
/// [`PoolOptions::statement_names`](pg_session::PoolOptions::statement_names).
#[must_use]
pub fn statement_names() -> Arc<BTreeMap<String, String>> {
    let names = STATEMENTS.iter().map(|(name, sql)| ((*sql).to_owned(), (*name).to_owned()));
    Arc::new(names.collect())
}
