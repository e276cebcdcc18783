//! The two-by-two as text and as JSON.

use std::fmt::Write as _;

use super::{Age, Fare, Matrix};
use crate::markup::one_line;

/// The matrix as one JSON document with a final newline.
#[must_use]
pub fn json(matrix: &Matrix) -> String {
    // Keys are strings and there is no float, so that writing cannot fail.
    let mut text = serde_json::to_string_pretty(matrix).unwrap_or_default();
    text.push('\n');
    text
}

/// The matrix as plain text: the two-by-two, then every query that does not work somewhere.
#[must_use]
pub fn text(matrix: &Matrix) -> String {
    let count = |of: Age, schema: Age| {
        let mine = matrix.rows.iter().filter(|row| row.of == of);
        let works = mine.clone().filter(|row| row.on(schema).fare == Fare::Works).count();
        format!("{works} of {} work", mine.count())
    };
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{:<26}{:<26}new schema {}",
        "",
        format!("old schema {}", matrix.old),
        matrix.new
    );
    for (age, version) in [(Age::Old, &matrix.old), (Age::New, &matrix.new)] {
        let (one, other) = (count(age, Age::Old), count(age, Age::New));
        let _ =
            writeln!(out, "{:<26}{one:<26}{other}", format!("{} queries {version}", age.word()));
    }
    for row in &matrix.rows {
        for schema in [Age::Old, Age::New] {
            let cell = row.on(schema);
            let fares = match cell.fare {
                Fare::Works => continue,
                Fare::Fails => "fails",
                Fare::Differs => "differs",
            };
            let consumers =
                if row.consumers.is_empty() { "none".to_owned() } else { row.consumers.join(", ") };
            let _ = writeln!(
                out,
                "\n{} of the {} contract {fares} on the {} schema\n    {}\n    consumers: {}",
                one_line(&row.query),
                row.of.word(),
                schema.word(),
                one_line(&cell.detail),
                one_line(&consumers)
            );
        }
    }
    let _ = writeln!(out, "\nrelease: {}", matrix.order);
    if !matrix.broken_consumers.is_empty() {
        let consumers = matrix.broken_consumers.join(", ");
        let _ = writeln!(out, "consumers that the new schema breaks: {}", one_line(&consumers));
    }
    if !matrix.other_answers.is_empty() {
        let queries = matrix.other_answers.join(", ");
        let _ = writeln!(out, "other answers than before: {}", one_line(&queries));
    }
    for note in &matrix.notes {
        let _ = writeln!(out, "note: {}", one_line(note));
    }
    out
}
