//! The database layer of Signal Service and its database contract.

mod contract;
mod error;
mod keys;
mod models;
mod range;
mod records;
mod statements;
mod store;
mod violation;

pub use contract::CONTRACT;
pub use error::Error;
pub use jiff;
pub use keys::{
    IndicatorName, InstrumentKey, MoneynessLevel, SignalId, SignalType, Timeframe, UnderlyingSymbol,
};
pub use models::{
    CustomTimeframe, Greeks, Indicator, JsonObject, MoneynessGreeks, MoneynessGroup, now,
    number_from_f64, oldest_writable,
};
pub use pg_session;
pub use range::{BucketWidth, TimeRange};
pub use records::Records;
pub use rust_decimal::Decimal;
pub use serde_json;
pub use statements::{STATEMENTS, statement_names};
pub use store::{
    APPLICATION_NAME, Cleanup, ComputationMetrics, GreeksBucket, Health, LatestGreeks,
    LatestIndicator, MoneynessRecord, Retention, SCHEMA_VERSION, SavedSignal, Signal, Store,
    StoreOptions, TableCleanup, TimeframeRecord, TimeframesSaved, Verdict,
    stream_custom_timeframe_data, stream_historical_greeks, stream_moneyness_greeks,
};
pub use violation::{Found, NumberRule, Rule, Violation};
