//! Why a value is refused before it is sent.

use std::fmt;
use std::ops::Bound;

/// A value that the contract does not allow: the field, what kind of value was
/// found there, and the rule that it breaks. The value itself is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {rule}, found {found}")]
pub struct Violation {
    /// The field, by the name of its column or parameter.
    pub field: &'static str,
    /// What the field must satisfy.
    pub rule: Rule,
    /// What kind of value was found.
    pub found: Found,
}

/// What a field must satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// Text of a form, shown by a pattern in words.
    Format(&'static str),
    /// Text of 1 to this many characters, without NUL.
    Text(usize),
    /// A decimal number.
    Number(NumberRule),
    /// A number that is neither infinite nor not-a-number.
    Finite,
    /// A whole number not below this one.
    AtLeast(i32),
    /// An instant at most one year ago.
    WithinOneYear,
    /// An instant or length of time in whole microseconds.
    WholeMicroseconds,
    /// A date that the server can store.
    Date,
    /// A JSON object of limited depth and size, without NUL.
    Json {
        /// The deepest nesting of arrays and objects.
        depth: usize,
        /// Bytes of text and one for each value.
        bytes: usize,
    },
    /// The same signal in all records that are stored together.
    SameSignal,
    /// A range whose end is not before its start.
    Ordered,
    /// A length of time between these numbers of seconds.
    Seconds(u64, u64),
}

/// What a decimal number must satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberRule {
    /// Digits in all, as the column has them.
    pub precision: u32,
    /// Digits after the point, as the column has them.
    pub scale: u32,
    /// The lower bound.
    pub lower: Bound<i32>,
    /// The upper bound.
    pub upper: Bound<i32>,
}

/// What kind of value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Found {
    /// Nothing.
    Empty,
    /// More characters, bytes or seconds than allowed.
    TooLong,
    /// Less time than allowed.
    TooShort,
    /// The character NUL, which the server cannot store.
    Nul,
    /// Text of another form.
    OtherForm,
    /// A value below the range.
    BelowRange,
    /// A value above the range.
    AboveRange,
    /// More digits before the point than the column holds.
    TooManyDigits,
    /// More digits after the point than the column holds.
    TooManyDecimals,
    /// Not a number.
    NotANumber,
    /// An infinite number.
    Infinite,
    /// An instant that is too long ago.
    TooOld,
    /// A part of a microsecond.
    PartOfMicrosecond,
    /// Arrays or objects nested too deep.
    TooDeep,
    /// An end before the start.
    Reversed,
    /// Another value than before.
    Another,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(form) => f.write_str(form),
            Self::Text(most) => write!(f, "1 to {most} characters without NUL"),
            Self::Number(rule) => rule.fmt(f),
            Self::Finite => f.write_str("a finite number"),
            Self::AtLeast(least) => write!(f, "{least} or more"),
            Self::WithinOneYear => f.write_str("an instant within the last year or later"),
            Self::WholeMicroseconds => f.write_str("whole microseconds"),
            Self::Date => f.write_str("a date that PostgreSQL can store"),
            Self::Json { depth, bytes } => {
                write!(f, "JSON without NUL, {depth} levels deep and {bytes} bytes long at most")
            }
            Self::SameSignal => f.write_str("the same signal in all records"),
            Self::Ordered => f.write_str("an end that is not before the start"),
            Self::Seconds(least, most) => write!(f, "{least} to {most} seconds"),
        }
    }
}

impl fmt::Display for NumberRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")?;
        match self.lower {
            Bound::Included(bound) => write!(f, " of at least {bound}")?,
            Bound::Excluded(bound) => write!(f, " above {bound}")?,
            Bound::Unbounded => {}
        }
        if let Bound::Included(bound) | Bound::Excluded(bound) = self.upper {
            write!(f, " and at most {bound}")?;
        }
        let (before, after) = (self.precision - self.scale, self.scale);
        write!(f, " with at most {before} digits before the point and {after} after it")
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing",
            Self::TooLong => "more",
            Self::TooShort => "less",
            Self::Nul => "the character NUL",
            Self::OtherForm => "text of another form",
            Self::BelowRange => "a lower one",
            Self::AboveRange => "a higher one",
            Self::TooManyDigits => "more digits before the point",
            Self::TooManyDecimals => "more digits after the point",
            Self::NotANumber => "not a number",
            Self::Infinite => "infinity",
            Self::TooOld => "an earlier one",
            Self::PartOfMicrosecond => "a part of one",
            Self::TooDeep => "deeper nesting",
            Self::Reversed => "one before it",
            Self::Another => "another one",
        })
    }
}
