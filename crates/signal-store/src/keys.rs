//! The keys of records: text that was checked when it was made.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use pg_session::tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::violation::{Found, Rule, Violation};

/// The longest key, in characters.
const LONGEST: usize = 255;

type SqlError = Box<dyn StdError + Sync + Send>;

/// A type for each kind of key. Cloning one copies no text.
macro_rules! keys {
    ($($(#[$meta:meta])* $name:ident, $field:literal, $rule:expr, $is:expr;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes text that has the form.
            ///
            /// # Errors
            /// The [`Violation`] of other text.
            pub fn new(text: &str) -> Result<Self, Violation> {
                check_text(text, $field, $rule, $is)?;
                Ok(Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = Violation;

            fn from_str(text: &str) -> Result<Self, Violation> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl ToSql for $name {
            fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, SqlError> {
                self.as_str().to_sql(kind, out)
            }

            fn accepts(kind: &Type) -> bool {
                <&str as ToSql>::accepts(kind)
            }

            to_sql_checked!();
        }

        impl<'a> FromSql<'a> for $name {
            fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, SqlError> {
                Ok(Self::new(<&str>::from_sql(kind, raw)?)?)
            }

            fn accepts(kind: &Type) -> bool {
                <&str as FromSql>::accepts(kind)
            }
        }
    )*};
}

keys! {
    /// An instrument: `EXCHANGE@SYMBOL@SEGMENT`, for an option with `@STRIKE` behind
    /// it. `NSE@RELIANCE@EQ`, `NSE@NIFTY@CE@20000`.
    InstrumentKey, "instrument_key",
        Rule::Format("EXCHANGE@SYMBOL@SEGMENT or EXCHANGE@SYMBOL@SEGMENT@STRIKE"),
        is_instrument_key;
    /// A signal: `signal_YYYYMMDD_NNNNNN`.
    SignalId, "signal_id", Rule::Format("signal_YYYYMMDD_NNNNNN"), is_signal_id;
    /// An indicator by its name in `pandas_ta`: `RSI`, `BBANDS`.
    IndicatorName, "indicator_name",
        Rule::Format("a capital letter, then capital letters, digits and _"),
        is_indicator_name;
    /// The symbol of an underlying: `NIFTY`. The contract asks for no form.
    UnderlyingSymbol, "underlying_symbol", Rule::Text(LONGEST), |_| true;
}

fn check_text(
    text: &str,
    field: &'static str,
    rule: Rule,
    has_form: impl Fn(&[u8]) -> bool,
) -> Result<(), Violation> {
    let refuse = |found| Err(Violation { field, rule, found });
    if text.is_empty() {
        return refuse(Found::Empty);
    }
    if text.contains('\0') {
        return refuse(Found::Nul);
    }
    if !has_form(text.as_bytes()) {
        return refuse(Found::OtherForm);
    }
    if text.len() > LONGEST && text.chars().count() > LONGEST {
        return Err(Violation { field, rule: Rule::Text(LONGEST), found: Found::TooLong });
    }
    Ok(())
}

fn all(text: &[u8], allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.iter().all(|byte| allowed(*byte))
}

fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase()
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn is_instrument_key(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b'@');
    let mut part = |allowed: fn(u8) -> bool| parts.next().is_some_and(|part| all(part, allowed));
    part(is_upper)
        && part(|byte| is_upper(byte) || is_digit(byte) || byte == b'&' || byte == b'-')
        && part(is_upper)
        && parts.next().is_none_or(is_strike)
        && parts.next().is_none()
}

fn is_strike(text: &[u8]) -> bool {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    parts.all(|part| all(part, is_digit))
}

fn is_signal_id(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"signal_") else { return false };
    rest.len() == 15
        && rest.iter().enumerate().all(
            |(at, byte)| {
                if at == 8 { *byte == b'_' } else { is_digit(*byte) }
            },
        )
}

fn is_indicator_name(text: &[u8]) -> bool {
    text.first().is_some_and(|byte| is_upper(*byte))
        && all(text, |byte| is_upper(byte) || is_digit(byte) || byte == b'_')
}

/// An enumeration that is stored as text.
macro_rules! choices {
    ($(#[$meta:meta])* $name:ident, $field:literal, $rule:literal {
        $($(#[$choice_meta:meta])* $choice:ident = $text:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$choice_meta])* $choice,)*
        }

        impl $name {
            /// Every choice.
            pub const ALL: &'static [Self] = &[$(Self::$choice,)*];

            /// The text that is stored.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$choice => $text,)*
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = Violation;

            fn from_str(text: &str) -> Result<Self, Violation> {
                let found = if text.is_empty() { Found::Empty } else { Found::OtherForm };
                let refusal = Violation { field: $field, rule: Rule::Format($rule), found };
                Self::ALL.iter().copied().find(|one| one.as_str() == text).ok_or(refusal)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ToSql for $name {
            fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, SqlError> {
                self.as_str().to_sql(kind, out)
            }

            fn accepts(kind: &Type) -> bool {
                <&str as ToSql>::accepts(kind)
            }

            to_sql_checked!();
        }

        impl<'a> FromSql<'a> for $name {
            fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, SqlError> {
                Ok(<&str>::from_sql(kind, raw)?.parse::<Self>()?)
            }

            fn accepts(kind: &Type) -> bool {
                <&str as FromSql>::accepts(kind)
            }
        }
    };
}

choices! {
    /// How far the strike is from the spot.
    MoneynessLevel, "moneyness_level", "DEEP_OTM, OTM, ATM, ITM or DEEP_ITM" {
        /// Far out of the money.
        DeepOtm = "DEEP_OTM",
        /// Out of the money.
        Otm = "OTM",
        /// At the money.
        Atm = "ATM",
        /// In the money.
        Itm = "ITM",
        /// Deep in the money.
        DeepItm = "DEEP_ITM",
    }
}

choices! {
    /// What kind of data a custom timeframe holds.
    SignalType, "signal_type", "greeks, indicators or moneyness_greeks" {
        /// Greeks of an instrument.
        Greeks = "greeks",
        /// Indicators of an instrument.
        Indicators = "indicators",
        /// Greeks by moneyness level.
        MoneynessGreeks = "moneyness_greeks",
    }
}

/// The length of a custom timeframe in minutes, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeframe(i32);

impl Timeframe {
    /// A timeframe of that many minutes.
    ///
    /// # Errors
    /// The [`Violation`] of a number below one.
    pub fn minutes(minutes: i32) -> Result<Self, Violation> {
        if minutes > 0 {
            return Ok(Self(minutes));
        }
        let (field, rule) = ("timeframe_minutes", Rule::AtLeast(1));
        Err(Violation { field, rule, found: Found::BelowRange })
    }

    /// Its minutes.
    #[must_use]
    pub fn as_minutes(self) -> i32 {
        self.0
    }
}
