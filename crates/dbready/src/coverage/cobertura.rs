//! Cobertura XML, as coverage.py, coverlet, gcovr, cargo-tarpaulin and many others write it.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::read::{Damage, line_number};
use super::report::{Branch, Function, Report};

/// Where in the document the reader is.
#[derive(Default)]
struct Place {
    sources: Vec<String>,
    in_source: bool,
    file: Option<String>,
    method: Option<Method>,
    classes: u64,
}

struct Method {
    name: String,
    first: Option<u32>,
    last: u32,
    count: u64,
}

/// Reads a document.
///
/// Lines stand in a class and, of some tools, once more in its methods: the same line is the same line,
/// whoever tells of it. Entities are not expanded beyond XML's own five.
pub(super) fn parse(text: &str) -> Result<Report, Damage> {
    let mut reader = Reader::from_str(text);
    let mut report = Report::default();
    let mut place = Place::default();
    let mut seen_root = false;
    let mut depth = 0_u32;
    loop {
        let event =
            reader.read_event().map_err(|error| damage(text, &reader, error.to_string()))?;
        let is_empty = matches!(event, Event::Empty(_));
        match event {
            Event::Start(tag) | Event::Empty(tag) => {
                if !seen_root && tag.local_name().as_ref() != b"coverage" {
                    let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
                    let problem = format!(
                        "expected a Cobertura document with the root `coverage`, found `{}`",
                        name.escape_debug()
                    );
                    return Err(damage(text, &reader, problem));
                }
                seen_root = true;
                open(&tag, &mut place, &mut report)
                    .map_err(|problem| damage(text, &reader, problem))?;
                if is_empty {
                    close(tag.local_name().as_ref(), &mut place, &mut report);
                } else {
                    depth += 1;
                }
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                close(tag.local_name().as_ref(), &mut place, &mut report);
            }
            Event::Text(words) if place.in_source => {
                let words = words.decode().map_err(|e| damage(text, &reader, e.to_string()))?;
                if !words.trim().is_empty() {
                    place.sources.push(words.trim().to_owned());
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if depth > 0 || !seen_root {
        return Err(Damage { line: None, problem: "cut off: the document has no end".to_owned() });
    }
    if place.classes == 0 {
        let problem = "a document without a class: no Cobertura report, or an empty one".to_owned();
        return Err(Damage { line: None, problem });
    }
    Ok(report)
}

fn open(tag: &BytesStart<'_>, place: &mut Place, report: &mut Report) -> Result<(), String> {
    match tag.local_name().as_ref() {
        b"source" => place.in_source = true,
        b"class" => {
            place.classes += 1;
            let name = attribute(tag, "filename")?
                .filter(|name| !name.trim().is_empty())
                .ok_or("a class without `filename`")?;
            let path = place.join(&name);
            report.file(&path);
            place.file = Some(path);
        }
        b"method" => {
            let name = attribute(tag, "name")?.unwrap_or_default();
            let signature = attribute(tag, "signature")?.unwrap_or_default();
            let signature = if signature.starts_with('(') { signature } else { String::new() };
            let name = format!("{name}{signature}");
            place.method = Some(Method { name, first: None, last: 0, count: 0 });
        }
        b"line" => {
            let path = place.file.as_deref().ok_or("a line outside a class")?;
            let line = line_number(attribute(tag, "number")?.as_deref())?;
            let hits = attribute(tag, "hits")?.ok_or("a line without `hits`")?;
            let hits = count(&hits)?;
            let file = report.file(path);
            // The copy in a method is the same run of the line.
            let known = file.lines.entry(line).or_default();
            *known = (*known).max(hits);
            if let Some(branch) = attribute(tag, "condition-coverage")? {
                file.add_branch(line, String::new(), condition(&branch)?);
            }
            if let Some(method) = &mut place.method {
                let first = *method.first.get_or_insert(line);
                if line == first {
                    method.count = hits;
                }
                method.last = method.last.max(line);
            }
        }
        _ => {}
    }
    Ok(())
}

fn close(name: &[u8], place: &mut Place, report: &mut Report) {
    match name {
        b"source" => place.in_source = false,
        b"class" => place.file = None,
        b"method" => {
            if let (Some(method), Some(path)) = (place.method.take(), &place.file)
                && let Some(first) = method.first
            {
                let function = Function { end: Some(method.last), count: method.count };
                report.file(path).add_function(method.name, first, function);
            }
        }
        _ => {}
    }
}

impl Place {
    /// Relative names are relative to the one source folder; with several nobody can tell.
    fn join(&self, name: &str) -> String {
        let absolute = name.starts_with(['/', '\\']) || name.as_bytes().get(1) == Some(&b':');
        match self.sources.as_slice() {
            [source] if !absolute => {
                let bar = if source.contains('\\') && !source.contains('/') { '\\' } else { '/' };
                format!("{}{bar}{name}", source.trim_end_matches(['/', '\\']))
            }
            _ => name.to_owned(),
        }
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    let found = tag.try_get_attribute(name).map_err(|error| error.to_string())?;
    let decoded = found.map(|value| {
        let text = std::str::from_utf8(&value.value).map_err(|error| error.to_string())?;
        let text = quick_xml::escape::unescape(text).map_err(|error| error.to_string())?;
        Ok(text.into_owned())
    });
    decoded.transpose()
}

fn count(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        let short: String = text.chars().take(40).collect();
        return Err(format!("expected a count of hits, found `{}`", short.escape_debug()));
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

/// `50% (1/2)`: the share in brackets counts.
fn condition(text: &str) -> Result<Branch, String> {
    let wrong = || {
        let short: String = text.chars().take(40).collect();
        format!("expected a share such as `50% (1/2)`, found `{}`", short.escape_debug())
    };
    let inner = text.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(in_, _)| in_);
    let Some((taken, total)) = inner.and_then(|inner| inner.split_once('/')) else {
        return if text.trim_end().ends_with('%') { Ok(Branch::default()) } else { Err(wrong()) };
    };
    let (taken, total) = (count(taken).map_err(|_| wrong())?, count(total).map_err(|_| wrong())?);
    if taken > total { Err(wrong()) } else { Ok(Branch { taken, total }) }
}

fn damage(text: &str, reader: &Reader<&[u8]>, problem: String) -> Damage {
    let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX).min(text.len());
    let before = text.as_bytes().get(..at).unwrap_or_default();
    Damage { line: Some(before.split(|byte| *byte == b'\n').count()), problem }
}
