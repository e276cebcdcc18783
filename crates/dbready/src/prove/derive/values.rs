//! A server that does not give back what it was sent: the functions by which types travel are
//! replaced for one value each.

use crate::prove::ground::Ground;
use crate::prove::sabotage::Sabotage;
use crate::sql::quote_literal;

/// What each class of values loses: its name, the value, and what comes back in its place.
const TEXTS: [(&str, &str, &str); 8] = [
    ("quotes", "it's", "its"),
    ("backslashes", "C:\\temp\\new", "C:temp\new"),
    ("unicode", "Größe", "Gr??e"),
    ("control", "a\nb\n", "a b "),
    ("blank", "  padded  ", "padded"),
    ("patterns", "{0}", "0"),
    ("numeric", "0.10", "0.1"),
    ("timestamp", "2025-01-02 03:04:05.000001", "2025-01-02 03:04:05"),
];

/// Every sabotage of the family.
pub(super) fn derive(_: &Ground<'_>) -> Vec<Sabotage> {
    let mut all: Vec<Sabotage> = TEXTS
        .iter()
        .map(|(class, sent, back)| {
            let (value, back) = (quote_literal(sent), quote_literal(back));
            let send = format!("textsend(CASE WHEN $1 = {value} THEN {back} ELSE $1 END)");
            sends(class, "a value that changes on its way back", "text", &send)
        })
        .collect();
    // A document of the catalog may be long too, but not that long.
    let cut = "textsend(CASE WHEN length($1) = 1048576 THEN left($1, 65535) ELSE $1 END)";
    all.push(sends("long", "a long text cut on its way back", "text", cut));
    let float = "float8send(CASE WHEN $1 = 0.1 THEN 0.100000001 ELSE $1 END)";
    all.push(sends("float", "a number rounded on its way back", "float8", float));
    let json = "jsonb_send(CASE WHEN $1 ? 'deep' THEN $1 - 'deep' ELSE $1 END)";
    all.push(sends("json", "a key lost on its way back", "jsonb", json));
    all.push(Sabotage::sql(
        "value.nul",
        "texts are taken as bytes",
        ["UPDATE pg_type SET typreceive = 'bytearecv'::regproc WHERE oid = 'text'::regtype"],
    ));
    all
}

fn sends(class: &str, what: &str, kind: &str, send: &str) -> Sabotage {
    let change = format!(
        "CREATE SCHEMA sabotage_away; \
         CREATE FUNCTION sabotage_away.sends({kind}) RETURNS bytea LANGUAGE sql IMMUTABLE \
         RETURN {send}; \
         UPDATE pg_type SET typsend = 'sabotage_away.sends'::regproc WHERE oid = '{kind}'::regtype"
    );
    Sabotage::sql(format!("value.{class}"), what, [change])
}
