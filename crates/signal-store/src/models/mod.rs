//! The records of the store. Their keys are checked when they are made, their
//! values when they are written, by `check`.

mod greeks;
mod indicator;
mod json;
mod moneyness;
mod number;
mod time;
mod timeframe;

pub use greeks::Greeks;
pub use indicator::Indicator;
pub use json::JsonObject;
pub use moneyness::{MoneynessGreeks, MoneynessGroup};
pub use number::number_from_f64;
pub use time::{now, oldest_writable};
pub use timeframe::CustomTimeframe;
