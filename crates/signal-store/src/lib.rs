//! The database layer of Signal Service and its database contract.
//!
//! A [`Store`] holds the records of Signal Service in a PostgreSQL database with
//! TimescaleDB. It runs the very statements of the contract directory
//! ([`CONTRACT`]), and no other SQL stands in this crate but three COPY statements,
//! which no server prepares.
//!
//! ```no_run
//! use pg_session::Config;
//! use signal_store::{Greeks, Maintenance, Store, StoreOptions, now, number_from_f64};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::connect(Config::resolve(None)?, StoreOptions::default()).await?;
//! // Removes what is old and refreshes rollups for as long as it is held.
//! let _maintainer = store.maintained(Maintenance::default());
//! let (signal, option) = ("signal_20260117_000001".parse()?, "NSE@NIFTY@CE@24000".parse()?);
//! let mut greeks = Greeks::new(signal, option, now());
//! greeks.delta = Some(number_from_f64("delta", 0.512_345, 6)?);
//! store.save_greeks(&greeks).await?;
//! let latest = store.get_latest_greeks(&greeks.instrument_key).await?;
//! # let _ = latest; Ok(()) }
//! ```
//!
//! # What holds at every moment
//!
//! - A record that breaks the contract is refused before it is sent, with the
//!   field, the rule and the kind of value ([`Violation`]); what is accepted comes
//!   back as it was. Instants are at most one year old when they are written.
//! - Only `Ok` means stored. An [`Error`] says by [`Error::outcome`] whether the
//!   work may have been applied, and by [`Error::class`] how to treat it.
//! - [`Store::save_signal`] and [`Store::save_custom_timeframe_data`] store all or
//!   nothing, once, also when the answer to the commit was lost. A single write
//!   whose answer was lost is not repeated: its outcome is unknown.
//! - Nothing grows without limit while [`Store::maintained`] runs, or somebody calls
//!   [`Store::maintain`]: old records, rollups and the ledger of batches go.
//! - A login that is a member of the contract's role `signal_writer` may do all of
//!   this, and one of `signal_reader` all reads; neither owns a table.
//! - No read buffers without limit: results beyond 10,000 rows are refused, and
//!   come one by one from the functions named `stream_…`.

mod contract;
mod error;
pub mod ingest;
mod keys;
mod models;
mod patience;
mod range;
mod records;
mod rollups;
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
pub use rollups::Rollups;
pub use rust_decimal::Decimal;
pub use serde_json;
pub use statements::{STATEMENTS, statement_names};
pub use store::{
    APPLICATION_NAME, Cleanup, ComputationMetrics, GreeksBucket, Health, LatestGreeks,
    LatestIndicator, Maintained, Maintainer, Maintenance, MoneynessRecord, Retention,
    SCHEMA_VERSION, SavedSignal, Signal, Store, StoreOptions, TableCleanup, TimeframeRecord,
    TimeframesSaved, Verdict, stream_custom_timeframe_data, stream_historical_greeks,
    stream_moneyness_greeks,
};
pub use violation::{Found, NumberRule, Rule, Violation};
