//! Hostile values sent as parameters and read back.

use serde_json::{Value, json};
use tokio_postgres::Transaction;

use super::attempt::{Refusal, attempt};
use super::text_value::TextValue;
use crate::Error;
use crate::evidence::Statements;

/// A class of values that clients get wrong.
#[derive(Debug, Clone, Copy)]
pub struct ValueClass {
    /// Last part of the claim's id.
    pub name: &'static str,
    /// The claim in one sentence.
    pub statement: &'static str,
    cases: Cases,
}

#[derive(Debug, Clone, Copy)]
enum Cases {
    Texts(&'static [&'static str]),
    LongText,
    NulText,
    Numerics(&'static [&'static str]),
    Floats(&'static [f64]),
    Instants(&'static [&'static str]),
    Json,
}

impl Cases {
    /// The statement with which they travel.
    fn statement(self) -> &'static str {
        match self {
            Self::Texts(_) | Self::LongText => "SELECT $1::text, char_length($1::text)",
            Self::NulText => "SELECT $1::text",
            Self::Numerics(_) => "SELECT $1::numeric::text",
            Self::Floats(_) => "SELECT $1::float8",
            Self::Instants(_) => "SELECT ($1::timestamptz AT TIME ZONE 'UTC')::text",
            Self::Json => "SELECT $1::jsonb",
        }
    }
}

impl ValueClass {
    /// Name of the statement with which its values travel.
    #[must_use]
    pub fn trip(&self) -> &'static str {
        match self.cases {
            Cases::Texts(_) | Cases::LongText => "a text and its length",
            Cases::NulText => "a text",
            Cases::Numerics(_) => "a number as text",
            Cases::Floats(_) => "a floating-point number",
            Cases::Instants(_) => "an instant as text",
            Cases::Json => "a document",
        }
    }
}

/// What came back for one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundTrip {
    /// The value, printable and cut.
    pub sent: String,
    /// What should have come back, when it is not the value itself.
    pub expected: Option<&'static str>,
    /// Whether that is what happened.
    pub kept: bool,
    /// What happened.
    pub answer: String,
}

/// The classes, in the order of [`observe`]'s answer.
pub const CLASSES: &[ValueClass] = &[
    ValueClass {
        name: "quotes",
        statement: "texts with quotes, semicolons and comment marks come back verbatim",
        cases: Cases::Texts(QUOTES),
    },
    ValueClass {
        name: "backslashes",
        statement: "texts with backslashes and escapes come back verbatim",
        cases: Cases::Texts(BACKSLASHES),
    },
    ValueClass {
        name: "unicode",
        statement: "texts beyond ASCII come back verbatim, and the server counts their characters",
        cases: Cases::Texts(UNICODE),
    },
    ValueClass {
        name: "control",
        statement: "texts with control characters and line ends come back verbatim",
        cases: Cases::Texts(CONTROL),
    },
    ValueClass {
        name: "blank",
        statement: "empty texts and blanks stay what they are and do not become null",
        cases: Cases::Texts(BLANK),
    },
    ValueClass {
        name: "patterns",
        statement: "texts that look like patterns, numbers or keywords come back verbatim",
        cases: Cases::Texts(PATTERNS),
    },
    ValueClass {
        name: "long",
        statement: "a text of one mebibyte comes back whole",
        cases: Cases::LongText,
    },
    ValueClass {
        name: "nul",
        statement: "a text with a NUL character is refused and never cut",
        cases: Cases::NulText,
    },
    ValueClass {
        name: "numeric",
        statement: "numbers keep every digit, and NaN stays NaN",
        cases: Cases::Numerics(NUMERICS),
    },
    ValueClass {
        name: "float",
        statement: "floating-point numbers keep every bit",
        cases: Cases::Floats(FLOATS),
    },
    ValueClass {
        name: "timestamp",
        statement: "instants keep their microseconds from the first to the last, and infinity",
        cases: Cases::Instants(INSTANTS),
    },
    ValueClass {
        name: "json",
        statement: "JSON keeps hostile keys and values, nesting and numbers",
        cases: Cases::Json,
    },
];

/// Bytes of the long text.
const LONG: usize = 1 << 20;

/// Texts that try to leave their parameter: they are sent to the contract's queries too.
pub(super) const INJECTIONS: &[&str] = &[
    "' OR '1'='1",
    "'; DROP TABLE signal_greeks; --",
    "' UNION SELECT version() --",
    "\\' OR 1=1 --",
    "$$ OR true $$",
    "%",
    "\" OR \"1\"=\"1",
];

const QUOTES: &[&str] = &[
    "'",
    "''",
    "\"",
    "it's",
    "' OR '1'='1",
    "'; DROP TABLE signal_greeks; --",
    "/* */",
    "--",
    ";",
    "$1",
    "$$",
    "$tag$ text $tag$",
    "E'\\n'",
    "`",
    "' UNION SELECT version() --",
];
const BACKSLASHES: &[&str] =
    &["\\", "\\\\", "\\'", "\\n", "\\x00", "\\u0000", "C:\\temp\\new", "\\.", "\\N"];
const UNICODE: &[&str] = &[
    "Größe",
    "价格",
    "مرحبا",
    "Ωmega",
    "e\u{301}",
    "é",
    "😀",
    "👨\u{200d}👩\u{200d}👧",
    "\u{202e}right to left",
    "\u{feff}mark",
    "\u{10ffff}",
    "\u{fffd}",
    "NSE@RЕLIANCE@EQ",
    "ﬁ",
    "İ",
    "ß",
];
const CONTROL: &[&str] =
    &["\u{1}", "\u{7}", "\u{1b}[31m", "\t", "\n", "\r\n", "\u{b}", "\u{7f}", "\u{85}", "a\nb\n"];
const BLANK: &[&str] = &["", " ", "  padded  ", "\u{a0}", "\u{3000}"];
const PATTERNS: &[&str] = &[
    "%",
    "_",
    "%s",
    "{}",
    "{0}",
    "[a-z]",
    ".*",
    "(?i)",
    "?",
    ":name",
    "@name",
    "NULL",
    "null",
    "true",
    "NaN",
    "007",
    "1e400",
    "-0",
    "infinity",
    "DEFAULT",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "=1+1",
];
const NUMERICS: &[&str] = &[
    "0.000001",
    "-0.000001",
    "0.10",
    "9999.999999",
    "123456789012345678901234567890.123456789012345678901234567890",
    "NaN",
    "Infinity",
    "-Infinity",
    "0.0000000000000000000000000000000000000001",
    "-9223372036854775809",
];
const FLOATS: &[f64] = &[
    0.0,
    -0.0,
    0.1,
    f64::MIN_POSITIVE,
    5e-324,
    f64::MAX,
    f64::MIN,
    f64::EPSILON,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1.000_000_000_000_000_2,
    9_007_199_254_740_993.0,
];
const INSTANTS: &[&str] = &[
    "2025-01-02 03:04:05.000001",
    "2025-01-02 03:04:05.999999",
    "1970-01-01 00:00:00",
    "2000-01-01 00:00:00",
    "2024-02-29 23:59:59.5",
    "4714-11-24 00:00:00 BC",
    "294276-12-31 23:59:59.999999",
    "infinity",
    "-infinity",
];

/// Sends every value of every class and reads it back, in the order of [`CLASSES`].
pub(super) async fn observe(
    transaction: &mut Transaction<'_>,
    ran: &mut Statements,
) -> Result<Vec<Vec<RoundTrip>>, Error> {
    let mut seen = Vec::with_capacity(CLASSES.len());
    for class in CLASSES {
        let mut trips = Vec::new();
        let sql = class.cases.statement();
        ran.insert(class.trip().to_owned(), sql.to_owned());
        match class.cases {
            Cases::Texts(texts) => {
                for text in texts {
                    trips.push(text_trip(transaction, sql, text).await?);
                }
            }
            Cases::LongText => {
                let long = "0123456789abcdef".repeat(LONG / 16);
                trips.push(text_trip(transaction, sql, &long).await?);
            }
            Cases::NulText => trips.push(nul_trip(transaction, sql).await?),
            Cases::Numerics(numbers) => {
                for number in numbers {
                    trips.push(printed_trip(transaction, sql, number).await?);
                }
            }
            Cases::Floats(numbers) => {
                for number in numbers {
                    trips.push(float_trip(transaction, sql, *number).await?);
                }
            }
            Cases::Instants(instants) => {
                for instant in instants {
                    trips.push(printed_trip(transaction, sql, instant).await?);
                }
            }
            Cases::Json => {
                for value in documents() {
                    trips.push(json_trip(transaction, sql, &value).await?);
                }
            }
        }
        seen.push(trips);
    }
    Ok(seen)
}

/// A text as a text parameter; the server must also count its characters as we do.
async fn text_trip(
    transaction: &mut Transaction<'_>,
    sql: &str,
    text: &str,
) -> Result<RoundTrip, Error> {
    let answer = attempt(transaction, async |inner| {
        let row = inner.query_one(sql, &[&text]).await?;
        Ok((row.try_get::<_, Option<String>>(0)?, row.try_get::<_, Option<i32>>(1)?))
    });
    let sent = shown(text);
    Ok(match answer.await? {
        Err(refusal) => RoundTrip::refused(sent, &refusal),
        Ok((None, _)) => RoundTrip { sent, expected: None, kept: false, answer: "null".to_owned() },
        Ok((Some(back), length)) => {
            let characters = i32::try_from(text.chars().count()).ok();
            let answer = match length {
                length if length == characters => shown(&back),
                length => format!("{} of {} characters", shown(&back), length.unwrap_or_default()),
            };
            RoundTrip { sent, expected: None, kept: back == text && length == characters, answer }
        }
    })
}

/// A text that PostgreSQL cannot store: refused with `character_not_in_repertoire`, not cut.
async fn nul_trip(transaction: &mut Transaction<'_>, sql: &str) -> Result<RoundTrip, Error> {
    let text = "before\0after";
    let answer = attempt(transaction, async |inner| {
        inner.query_one(sql, &[&text]).await?.try_get::<_, Option<String>>(0)
    });
    let (kept, answer) = match answer.await? {
        Err(refusal) => (refusal.sqlstate == "22021", refusal.message),
        Ok(back) => (false, back.map_or("null".to_owned(), |back| shown(&back))),
    };
    Ok(RoundTrip { sent: shown(text), expected: Some("refused with SQLSTATE 22021"), kept, answer })
}

/// A value that the server reads from text and prints the same way.
async fn printed_trip(
    transaction: &mut Transaction<'_>,
    sql: &str,
    text: &str,
) -> Result<RoundTrip, Error> {
    let value = TextValue(Some(text.to_owned()));
    let answer = attempt(transaction, async |inner| {
        inner.query_one(sql, &[&value]).await?.try_get::<_, Option<String>>(0)
    });
    let sent = shown(text);
    Ok(match answer.await? {
        Err(refusal) => RoundTrip::refused(sent, &refusal),
        Ok(back) => {
            let kept = back.as_deref() == Some(text);
            let answer = back.map_or("null".to_owned(), |back| shown(&back));
            RoundTrip { sent, expected: None, kept, answer }
        }
    })
}

/// A floating-point number in binary form.
async fn float_trip(
    transaction: &mut Transaction<'_>,
    sql: &str,
    number: f64,
) -> Result<RoundTrip, Error> {
    let answer = attempt(transaction, async |inner| {
        inner.query_one(sql, &[&number]).await?.try_get::<_, f64>(0)
    });
    let sent = format!("{number:e}");
    Ok(match answer.await? {
        Err(refusal) => RoundTrip::refused(sent, &refusal),
        Ok(back) => {
            let kept = back.to_bits() == number.to_bits() || back.is_nan() && number.is_nan();
            RoundTrip { sent, expected: None, kept, answer: format!("{back:e}") }
        }
    })
}

/// A JSON document as a `jsonb` parameter.
async fn json_trip(
    transaction: &mut Transaction<'_>,
    sql: &str,
    value: &Value,
) -> Result<RoundTrip, Error> {
    let answer = attempt(transaction, async |inner| {
        inner.query_one(sql, &[value]).await?.try_get::<_, Value>(0)
    });
    let sent = shown(&value.to_string());
    Ok(match answer.await? {
        Err(refusal) => RoundTrip::refused(sent, &refusal),
        Ok(back) => RoundTrip {
            sent,
            expected: None,
            kept: back == *value,
            answer: shown(&back.to_string()),
        },
    })
}

/// Documents with hostile keys and values, deep nesting and large numbers.
fn documents() -> Vec<Value> {
    let hostile = QUOTES.iter().chain(BACKSLASHES).chain(UNICODE).chain(BLANK);
    let mut documents: Vec<Value> =
        hostile.map(|text| json!({ *text: text, "list": [text, null, true] })).collect();
    documents.push(json!({ "": {}, "empty": [], "deep": [[[[[[[["deep"]]]]]]]] }));
    documents.push(json!({ "large": i64::MAX, "small": i64::MIN, "half": 0.5, "tiny": 1e-7 }));
    documents
}

impl RoundTrip {
    fn refused(sent: String, refusal: &Refusal) -> Self {
        Self { sent, expected: None, kept: false, answer: refusal.message.clone() }
    }
}

/// A text fit for a report: escaped and cut.
fn shown(text: &str) -> String {
    let shown = text.chars().take(60).collect::<String>().escape_debug().to_string();
    if text.chars().nth(60).is_some() {
        format!("{shown}… ({} bytes)", text.len())
    } else {
        shown
    }
}
