//! Badges: SVG to serve as it stands, and the endpoint document of shields.io.

use maud::html;
use serde::Serialize;

use super::module::{Module, Standing};
use super::share::FailUnder;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint<'a> {
    schema_version: u8,
    label: &'a str,
    message: String,
    color: &'static str,
    is_error: bool,
}

/// The document of one module for `img.shields.io/endpoint`, with a final newline.
#[must_use]
pub fn endpoint(module: &Module, least: FailUnder) -> String {
    let document = Endpoint {
        schema_version: 1,
        label: &module.name,
        message: message(module),
        color: match module.standing(least) {
            Standing::Reached => "brightgreen",
            Standing::Below => "red",
            Standing::NoData => "lightgrey",
        },
        is_error: module.standing(least) != Standing::Reached,
    };
    // Keys are strings and nothing in it is a figure, so that writing into memory cannot fail.
    format!("{}\n", serde_json::to_string(&document).unwrap_or_default())
}

/// The badge of one module.
#[must_use]
pub fn svg(module: &Module, least: FailUnder) -> String {
    let color = match module.standing(least) {
        Standing::Reached => "#3fb950",
        Standing::Below => "#d1242f",
        Standing::NoData => "#8c959f",
    };
    let (label, message) = (module.name.as_str(), message(module));
    let (left, right) = (width(label), width(&message));
    let (all, middle) = (left + right, left + right / 2);
    let title = format!("lines of {label}: {message}");
    let page = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(all) height="20" role="img" aria-label=(title) {
            title { (title) }
            clipPath id="r" { rect width=(all) height="20" rx="3" fill="#fff" {} }
            g clip-path="url(#r)" {
                rect width=(left) height="20" fill="#3d444d" {}
                rect x=(left) width=(right) height="20" fill=(color) {}
            }
            g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" {
                text x=(left / 2) y="14" textLength=(left - 10) lengthAdjust="spacingAndGlyphs" { (label) }
                text x=(middle) y="14" textLength=(right - 10) lengthAdjust="spacingAndGlyphs" { (message) }
            }
        }
    };
    format!("{}\n", page.into_string())
}

fn message(module: &Module) -> String {
    match module.lines.percent() {
        Some(_) => format!("{} %", module.lines),
        None => "no data".to_owned(),
    }
}

/// Room for a text in pixels, with a margin of five on both sides.
fn width(text: &str) -> usize {
    text.chars().count().max(1) * 7 + 10
}
