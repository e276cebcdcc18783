//! Words of the other side: keys with the types that they must have.

use serde_json::{Map, Value};

use crate::Error;
use crate::markup::one_line;

/// One error about the document, on one line.
pub(super) fn wrong(message: impl AsRef<str>) -> Error {
    Error::Usage(format!("not a usable ODCS document: {}", one_line(message.as_ref())))
}

/// A text that must be there.
pub(super) fn text<'a>(object: &'a Value, key: &str, of: &str) -> Result<&'a str, Error> {
    match object.get(key) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text),
        _ => Err(wrong(format!("expected a text `{key}` in {of}"))),
    }
}

/// A text that may be missing.
pub(super) fn optional<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

/// A list that may be missing.
pub(super) fn list<'a>(object: &'a Value, key: &str, of: &str) -> Result<&'a [Value], Error> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(wrong(format!("expected a list `{key}` in {of}"))),
    }
}

/// The value of a custom property that is an object.
pub(super) fn custom(object: &Value, property: &str) -> Result<Option<Map<String, Value>>, Error> {
    let named = |one: &&Value| one.get("property").and_then(Value::as_str) == Some(property);
    let of = "customProperties";
    match list(object, of, "the document")?.iter().find(named).and_then(|one| one.get("value")) {
        None => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map.clone())),
        Some(_) => Err(wrong(format!("expected an object in {of}, {property}"))),
    }
}

/// Words that the server prints in quotes although they are plain: keywords that are not free.
const KEYWORDS: &str = " all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both \
case cast char character check coalesce collate collation column concurrently constraint create cross current_catalog current_date \
current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do else end \
except exists extract false fetch float for foreign freeze from full grant greatest group grouping having ilike in initially inner \
inout int integer intersect interval into is isnull join json json_array json_arrayagg json_exists json_object json_objectagg \
json_query json_scalar json_serialize json_table json_value lateral leading least left like limit localtime localtimestamp \
merge_action national natural nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps \
overlay placing position precision primary real references returning right row select session_user setof similar smallint some \
substring symmetric system_user table tablesample then time timestamp to trailing treat trim true union unique user using values \
varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse \
xmlpi xmlroot xmlserialize xmltable ";

/// A name as the server prints it in definitions: in quotes only where it needs them.
pub(super) fn printed(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit() || c == '$';
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if starts && name.chars().all(plain) && !KEYWORDS.contains(&format!(" {name} ")) {
        name.to_owned()
    } else {
        crate::sql::quote_ident(name)
    }
}
