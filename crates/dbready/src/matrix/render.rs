//! The two-by-two as text, as JSON, and as Markdown for a pull request.

use std::fmt::Write as _;

use super::{Age, Fare, Matrix};
use crate::markup::{self, cell_code, one_line};

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
    let count = |of: Age, schema: Age| share(matrix, of, schema);
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

/// The matrix as Markdown for a pull request: the two-by-two, then every query that does not work
/// somewhere.
#[must_use]
pub fn markdown(matrix: &Matrix) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_markdown(matrix, &mut out);
    out
}

fn write_markdown(matrix: &Matrix, out: &mut String) -> std::fmt::Result {
    let verdict = if matrix.holds() { "holds" } else { "does not hold" };
    let (old, new) = (markup::text(&matrix.old), markup::text(&matrix.new));
    writeln!(out, "## Release {old} → {new} {verdict}\n")?;
    writeln!(out, "| | old schema {old} | new schema {new} |\n| --- | --- | --- |")?;
    for (age, version) in [(Age::Old, &old), (Age::New, &new)] {
        let [one, other] = [Age::Old, Age::New].map(|schema| share(matrix, age, schema));
        writeln!(out, "| {} queries {version} | {one} | {other} |", age.word())?;
    }
    writeln!(out, "\nRelease: {}", markup::text(&matrix.order))?;
    for (title, names) in [
        ("Consumers that the new schema breaks", &matrix.broken_consumers),
        ("Other answers than before", &matrix.other_answers),
    ] {
        if !names.is_empty() {
            writeln!(out, "\n{title}: {}", markup::text(&names.join(", ")))?;
        }
    }
    let cells = matrix.rows.iter().flat_map(|row| {
        let both = [Age::Old, Age::New].map(|schema| (row, schema, row.on(schema)));
        both.into_iter().filter(|(.., cell)| cell.fare != Fare::Works)
    });
    for (at, (row, schema, cell)) in cells.enumerate() {
        if at == 0 {
            writeln!(out, "\n| query | of | on schema | what is wrong | consumers |")?;
            writeln!(out, "| --- | --- | --- | --- | --- |")?;
        }
        let (query, detail) = (cell_code(&row.query), cell_code(&cell.detail));
        let consumers = markup::text(&row.consumers.join(", "));
        let (of, schema) = (row.of.word(), schema.word());
        writeln!(out, "| {query} | {of} | {schema} | {detail} | {consumers} |")?;
    }
    for (at, note) in matrix.notes.iter().enumerate() {
        writeln!(out, "{}- {}", if at == 0 { "\n" } else { "" }, markup::text(note))?;
    }
    Ok(())
}

/// How many queries of one contract work on a schema.
fn share(matrix: &Matrix, of: Age, schema: Age) -> String {
    let mine = matrix.rows.iter().filter(|row| row.of == of);
    let works = mine.clone().filter(|row| row.on(schema).fare == Fare::Works).count();
    format!("{works} of {} work", mine.count())
}
