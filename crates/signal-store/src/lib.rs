//! The database layer of Signal Service and its database contract.

mod contract;
mod error;
mod keys;
mod models;
mod range;
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
pub use rust_decimal::Decimal;
pub use serde_json;
pub use violation::{Found, NumberRule, Rule, Violation};
