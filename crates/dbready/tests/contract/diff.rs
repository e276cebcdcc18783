//! Comparing contracts: nothing is ignored, and each change means what it must.

use dbready::contract::{Column, Contract, Model, source};
use dbready::diff::{Diff, Impact, MARKDOWN_CHARS, diff, json, markdown, text};
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag};
use serde_json::Value;

use crate::every_key;
use crate::support::{DOCUMENT, files};

fn with(model: Model) -> Contract {
    Contract { model, ..every_key::contract() }
}

/// The built-in contract with texts of its document replaced.
#[track_caller]
fn changed(replacements: &[(&str, &str)]) -> Contract {
    let mut document = files()[DOCUMENT].clone();
    for (from, to) in replacements {
        assert!(document.contains(from), "no `{from}`");
        document = document.replacen(from, to, 1);
    }
    let model: Model = toml::from_str(&document).unwrap_or_else(|error| panic!("{error}"));
    Contract { model, digest: "another".to_owned(), ..built_in() }
}

fn built_in() -> Contract {
    source::load(None).unwrap()
}

#[test]
fn a_contract_does_not_differ_from_itself() {
    for contract in [built_in(), every_key::contract()] {
        let same = diff(&contract, &contract.clone());
        assert_eq!(same.changes, []);
        assert_eq!((same.release.impact, same.release.fits()), (None, true));
        assert!(text(&same).contains("no change"), "{}", text(&same));
    }
    let comments = Contract { digest: "another".to_owned(), ..built_in() };
    let same = diff(&built_in(), &comments);
    assert_eq!(same.changes, []);
    assert!(same.notes[0].contains("layout, comments or order"));
}

/// Keys of a JSON pointer without places in lists.
fn keys(pointer: &str) -> String {
    let parts = pointer.split('/').skip(1).filter(|part| part.parse::<usize>().is_err());
    parts.collect::<Vec<_>>().join(".")
}

/// Exactly the changed key is reported, by a rule made for it.
#[track_caller]
fn reported(old: &Model, new: &Model, pointer: &str) {
    let found = diff(&with(old.clone()), &with(new.clone()));
    let reported: Vec<&str> = found.changes.iter().map(|one| one.key.as_str()).collect();
    let wanted = keys(pointer);
    let near = |key: &str| {
        let key = key.trim_end_matches(".versions").trim_end_matches(".order");
        wanted.starts_with(key) || key.starts_with(&wanted)
    };
    assert!(reported.iter().any(|key| near(key)), "{pointer}: only {reported:?}");
    for change in &found.changes {
        assert!(!change.why.contains("no rule knows"), "{pointer}: {change:?}");
    }
    // And the other way round, as often.
    let back = diff(&with(new.clone()), &with(old.clone()));
    assert_eq!(back.changes.len(), found.changes.len(), "{pointer}");
}

#[test]
fn every_value_that_changes_is_reported() {
    let old = every_key::model();
    let value = serde_json::to_value(&old).unwrap();
    let mut count = 0;
    for at in every_key::leaves(&value) {
        let Some(other) = every_key::other(value.pointer(&at).unwrap()) else { continue };
        let mut changed = value.clone();
        *changed.pointer_mut(&at).unwrap() = other;
        let new: Model = serde_json::from_value(changed)
            .unwrap_or_else(|error| panic!("{at} is not damaged as it should be: {error}"));
        reported(&old, &new, &at);
        count += 1;
    }
    assert!(count > 140, "{count}");
}

/// Pointers to all elements of lists, and to all tables.
fn branches(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let at = format!("{at}/{key}");
                if !inner.is_null() {
                    found.push(at.clone());
                }
                branches(inner, &at, found);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                found.push(format!("{at}/{index}"));
                branches(inner, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn without(value: &Value, at: &str) -> Value {
    let mut changed = value.clone();
    let (parent, last) = at.rsplit_once('/').unwrap();
    match changed.pointer_mut(parent).unwrap() {
        Value::Object(map) => drop(map.remove(last)),
        Value::Array(elements) => drop(elements.remove(last.parse().unwrap())),
        _ => unreachable!(),
    }
    changed
}

#[test]
fn everything_that_is_removed_or_added_is_reported() {
    let full = every_key::model();
    let value = serde_json::to_value(&full).unwrap();
    let mut at = Vec::new();
    branches(&value, "", &mut at);
    let mut count = 0;
    for at in at {
        // What the format requires cannot be left out.
        let Ok(less) = serde_json::from_value::<Model>(without(&value, &at)) else { continue };
        // Some keys left out mean what they meant before.
        if serde_json::to_value(&less).unwrap() == value {
            continue;
        }
        reported(&full, &less, &at);
        reported(&less, &full, &at);
        count += 1;
    }
    assert!(count > 100, "{count}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn many_changes_at_once_are_reported_and_rendered(
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..12)
    ) {
        let old = every_key::model();
        let mut value = serde_json::to_value(&old).unwrap();
        let leaves = every_key::leaves(&value);
        for pick in &picks {
            let at = pick.get(&leaves);
            if let Some(other) = every_key::other(value.pointer(at).unwrap()) {
                let before = std::mem::replace(value.pointer_mut(at).unwrap(), other);
                if serde_json::from_value::<Model>(value.clone()).is_err() {
                    *value.pointer_mut(at).unwrap() = before;
                }
            }
        }
        let new: Model = serde_json::from_value(value.clone()).unwrap();
        let same = serde_json::to_value(&old).unwrap() == value;
        let found = diff(&with(old.clone()), &with(new.clone()));
        prop_assert_eq!(found.changes.is_empty(), same);
        prop_assert_eq!(diff(&with(new.clone()), &with(new)).changes, vec![]);
        prop_assert!(markdown(&found).chars().count() <= MARKDOWN_CHARS);
        let parsed: Value = serde_json::from_str(&json(&found)).unwrap();
        prop_assert_eq!(parsed["changes"].as_array().unwrap().len(), found.changes.len());
    }
}

/// What is replaced, the key of the one change, its impact, and a query that it concerns.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Impact, Option<&'a str>);

const RHO: &str = "    { name = \"rho\", type = \"numeric(10,6)\", nullable = true, meaning = \"change of the option price per percentage point of interest\" },\n";

#[test]
fn each_change_means_what_the_policy_or_the_rule_says() {
    use Impact::{Breaking, Compatible, Editorial};
    let cases: &[Case<'_>] = &[
        (&[(RHO, "")], "table.column", Breaking, Some("latest_greeks")),
        (
            &[(
                "name = \"delta\", type = \"numeric(10,6)\"",
                "name = \"delta\", type = \"numeric\"",
            )],
            "table.column.type",
            Breaking,
            Some("historical_greeks"),
        ),
        (
            &[(
                RHO,
                &format!(
                    "{RHO}{{ name = \"x\", type = \"text\", default = \"''::text\", meaning = \"x\" }},"
                ),
            )],
            "table.column",
            Compatible,
            None,
        ),
        (
            &[(
                RHO,
                &format!(
                    "{RHO}{{ name = \"x\", type = \"text\", nullable = true, meaning = \"x\" }},"
                ),
            )],
            "table.column",
            Compatible,
            None,
        ),
        (
            &[(RHO, &format!("{RHO}{{ name = \"x\", type = \"text\", meaning = \"x\" }},"))],
            "table.column",
            Breaking,
            None,
        ),
        (
            &[("delta <= 5::numeric", "delta <= 6::numeric")],
            "table.constraint.definition",
            Breaking,
            None,
        ),
        (
            &[("    { name = \"idx_signal_greeks_signal_id\", columns = [\"signal_id\"] },\n", "")],
            "table.index",
            Compatible,
            None,
        ),
        (
            &[(
                "    { name = \"idx_signal_greeks_instrument_timestamp\", columns = [\"instrument_key\", '\"timestamp\" DESC'] },\n",
                "",
            )],
            "table.index",
            Breaking,
            Some("latest_greeks"),
        ),
        (
            &[("index = [\n", "index = [\n{ name = \"extra\", columns = [\"rho\"] },\n")],
            "table.index",
            Compatible,
            None,
        ),
        (
            &[(
                "index = [\n",
                "index = [\n{ name = \"extra\", columns = [\"rho\"], unique = true },\n",
            )],
            "table.index",
            Breaking,
            None,
        ),
        (&[("keep = \"90 days\"", "keep = \"30 days\"")], "table.retention.keep", Breaking, None),
        (&[("keep = \"90 days\"", "keep = \"91 days\"")], "table.retention.keep", Compatible, None),
        (
            &[("p95_ms = 50.0", "p95_ms = 60.0")],
            "query.sla.p95_ms",
            Breaking,
            Some("latest_greeks"),
        ),
        (
            &[("p95_ms = 50.0", "p95_ms = 40.0")],
            "query.sla.p95_ms",
            Compatible,
            Some("latest_greeks"),
        ),
        (
            &[("per_second = 1000.0", "per_second = 900.0")],
            "query.sla.per_second",
            Breaking,
            Some("latest_greeks"),
        ),
        (&[("min = -5.0", "min = -4.0")], "range.min", Breaking, Some("latest_greeks")),
        (&[("scale = 6", "scale = 5")], "precision.scale", Breaking, Some("latest_greeks")),
        (
            &[("postgresql = \">=16, <19\"", "postgresql = \">=17, <19\"")],
            "server.postgresql",
            Breaking,
            None,
        ),
        (
            &[("postgresql = \">=16, <19\"", "postgresql = \">=16, <20\"")],
            "server.postgresql",
            Compatible,
            None,
        ),
        (&[("notice_days = 30", "notice_days = 7")], "versioning.notice_days", Breaking, None),
        (&[("notice_days = 30", "notice_days = 60")], "versioning.notice_days", Compatible, None),
        (
            &[("    \"a table is renamed or removed\",\n", "")],
            "versioning.breaking",
            Breaking,
            None,
        ),
        (
            &[("isolation = \"read committed\"", "isolation = \"serializable\"")],
            "transactions.isolation",
            Breaking,
            Some("health"),
        ),
        (&[("max = 10\n", "max = 8\n")], "pool.max", Breaking, Some("health")),
        (
            &[("meaning = \"row number, generated\"", "meaning = \"number\"")],
            "table.column.meaning",
            Editorial,
            None,
        ),
        (&[("at_most = 5.0", "at_most = 6.0")], "figure.at_most", Breaking, None),
        (&[("at_most = 5.0", "at_most = 4.0")], "figure.at_most", Compatible, None),
        (&[("percent = 100.0", "percent = 90.0")], "coverage.percent", Compatible, None),
        (
            &[(
                "{ name = \"applied_at\", type = \"timestamp with time zone\", nullable = true }",
                "{ name = \"applied_at\", type = \"timestamp with time zone\" }",
            )],
            "query.result.nullable",
            Compatible,
            Some("health"),
        ),
        (
            &[(
                "{ name = \"version\", type = \"character varying(20)\" },\n    { name = \"applied_at\"",
                "{ name = \"version\", type = \"character varying(20)\", nullable = true },\n    { name = \"applied_at\"",
            )],
            "query.result.nullable",
            Breaking,
            Some("health"),
        ),
        (
            &[("privileges = [\"SELECT\", \"DELETE\"]", "privileges = [\"SELECT\"]")],
            "role.table.privileges",
            Breaking,
            None,
        ),
        (
            &[(
                "privileges = [\"SELECT\", \"DELETE\"]",
                "privileges = [\"SELECT\", \"TRUNCATE\", \"DELETE\"]",
            )],
            "role.table.privileges",
            Compatible,
            None,
        ),
        (&[("member_of = [\"pg_monitor\"]\n", "")], "role.member_of", Breaking, None),
    ];
    for (replacements, key, impact, query) in cases {
        let found = diff(&built_in(), &changed(replacements));
        let [change] = &found.changes[..] else { panic!("{replacements:?}: {:#?}", found.changes) };
        assert_eq!((change.key.as_str(), change.impact), (*key, *impact), "{change:#?}");
        if let Some(query) = query {
            assert!(change.queries.iter().any(|one| one == query), "{change:#?}");
        }
    }
}

#[test]
fn the_clause_that_decided_and_the_consumers_are_named() {
    let found = diff(&built_in(), &changed(&[(RHO, "")]));
    let change = &found.changes[0];
    assert_eq!(change.object, "column signal_greeks.rho");
    assert_eq!(change.clause.as_deref(), Some("a column is removed or retyped"));
    assert!(found.consumers.contains(&"Dashboard".to_owned()), "{:?}", found.consumers);
    assert!(!found.consumers.contains(&"Risk Management".to_owned()), "{:?}", found.consumers);
    let shown = text(&found);
    for word in ["signal_greeks.rho", "a column is removed", "Dashboard", "2.0.0", "30 days"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
}

#[test]
fn a_policy_of_its_own_decides() {
    let policy = ("\"an index is added\",", "");
    let strict =
        ("breaking = [\n", "breaking = [\n    \"an index is added\",\n    \"a column hurts\",\n");
    let old = changed(&[policy, strict]);
    let new = changed(&[
        policy,
        strict,
        ("index = [\n", "index = [\n{ name = \"extra\", columns = [\"rho\"] },\n"),
    ]);
    let found = diff(&old, &new);
    assert_eq!(found.changes[0].impact, Impact::Breaking);
    assert!(found.notes.iter().any(|note| note.contains("a column hurts")), "{:?}", found.notes);
}

#[test]
fn waivers_are_judged_by_the_policy_and_else_as_weaker_promises() {
    use Impact::{Breaking, Compatible, Editorial};
    let stated = "[[waiver]]\nclaim = \"query.latest_greeks.plan\"\n\
        reason = \"slow disk\"\nexpires = \"2026-12-31\"\n[[deviation]]";
    let plain = [("[[deviation]]", "[[deviation]]")];
    let waiving = [("[[deviation]]", stated)];
    let with = |from, to| [("[[deviation]]", stated), (from, to)];
    let later = with("2026-12-31", "2027-12-31");
    let sooner = with("2026-12-31", "2026-11-30");
    let worded = with("slow disk", "old disk");
    let cases: [(&[_], &[_], &str, Impact); 5] = [
        (&plain, &waiving, "waiver", Breaking),
        (&waiving, &plain, "waiver", Compatible),
        (&waiving, &later, "waiver.expires", Breaking),
        (&waiving, &sooner, "waiver.expires", Compatible),
        (&waiving, &worded, "waiver.reason", Editorial),
    ];
    for (old, new, key, impact) in cases {
        let found = diff(&changed(old), &changed(new));
        let [change] = &found.changes[..] else { panic!("{:#?}", found.changes) };
        assert_eq!((change.key.as_str(), change.impact), (key, impact), "{change:#?}");
        assert_eq!(change.object, "waiver query.latest_greeks.plan");
        assert_eq!(change.queries, ["latest_greeks"]);
    }
    let policy = ("\"an index is added\",", "\"a waiver is added or changed\",");
    let found = diff(&changed(&[policy]), &changed(&[policy, waiving[0]]));
    assert_eq!(found.changes[0].impact, Compatible);
    assert_eq!(found.changes[0].clause.as_deref(), Some("a waiver is added or changed"));
}

#[test]
fn a_new_name_for_the_same_thing_is_seen() {
    let renamed = changed(&[("name = \"rho\", type", "name = \"rho_percent\", type")]);
    let found = diff(&built_in(), &renamed);
    let removed = found.changes.iter().find(|one| one.new.is_none()).unwrap();
    assert!(removed.why.contains("looks like `rho_percent`"), "{removed:#?}");
    assert_eq!(removed.impact, Impact::Breaking);
}

/// What was there only in versions before is history and no change of the current state.
#[test]
fn what_is_retired_is_removed_and_its_history_is_editorial() {
    let retired = "{ name = \"rho\", until = \"1.1.0\", type";
    let found = diff(&built_in(), &changed(&[("{ name = \"rho\", type", retired)]));
    let keys: Vec<_> = found.changes.iter().map(|one| (one.key.as_str(), one.impact)).collect();
    assert_eq!(keys, [("table.column", Impact::Breaking)]);
    let cleaned = diff(&changed(&[("{ name = \"rho\", type", retired)]), &changed(&[(RHO, "")]));
    let keys: Vec<_> = cleaned.changes.iter().map(|one| (one.key.as_str(), one.impact)).collect();
    assert_eq!(keys, [("table.column.versions", Impact::Editorial)]);
}

const BREAK: (&str, &str) = ("notice_days = 30", "notice_days = 7");
const MAJOR: (&str, &str) = ("version = \"1.5.0\"", "version = \"2.0.0\"");

fn announced(announced: &str, effective: &str) -> String {
    format!(
        "notice_days = 7\nannouncement = [{{ version = \"2.0.0\", announced = \"{announced}\", \
         effective = \"{effective}\", what = \"less notice\" }}]"
    )
}

#[test]
fn version_and_notice_must_fit() {
    let problems = |replacements: &[(&str, &str)]| {
        diff(&built_in(), &changed(replacements)).release.problems.join("\n")
    };
    let compatible = ("notice_days = 30", "notice_days = 31");
    let minor = ("version = \"1.5.0\"", "version = \"1.6.0\"");
    assert!(problems(&[compatible]).contains("asks for 1.6.0 at least"));
    assert_eq!(problems(&[compatible, minor]), "");
    assert!(problems(&[("version = \"1.5.0\"", "version = \"1.0.9\"")]).contains("comes before"));
    assert!(problems(&[BREAK, minor]).contains("asks for 2.0.0 at least"));
    let silent = problems(&[BREAK, MAJOR]);
    assert!(silent.contains("30 days' notice") && silent.contains("announcement"), "{silent}");
    let short = announced("2026-10-01", "2026-10-30");
    let short = problems(&[(BREAK.0, &short), MAJOR]);
    assert!(short.contains("29 days later: not before 2026-10-31"), "{short}");
    let enough = announced("2026-10-01", "2026-10-31");
    assert_eq!(problems(&[(BREAK.0, &enough), MAJOR]), "");
    // A breaking change of the schema comes with a migration that says so.
    let schema = announced("2026-10-01", "2026-10-31");
    let schema = problems(&[(BREAK.0, &schema), MAJOR, (RHO, "")]);
    assert!(schema.contains("no migration after 1.5.0 declares `breaking: yes`"), "{schema}");
    let other = problems(&[("name = \"signal-service\"", "name = \"other\"")]);
    assert!(other.contains("two services"), "{other}");
}

#[test]
fn released_migrations_are_never_edited() {
    let mut new = built_in();
    new.migrations[0].checksum = "0".to_owned();
    new.migrations[1].down_sql.push(' ');
    new.migrations[1].description.push('!');
    let found = diff(&built_in(), &new);
    let keys: Vec<_> = found.changes.iter().map(|one| (one.key.as_str(), one.impact)).collect();
    assert_eq!(keys[0], ("migration.up", Impact::Breaking));
    assert_eq!(keys[1], ("migration.down", Impact::Compatible));
    let mut less = built_in();
    less.migrations.remove(0);
    assert_eq!(diff(&built_in(), &less).changes[0].impact, Impact::Breaking);
    assert_eq!(diff(&less, &built_in()).changes[0].impact, Impact::Breaking);
}

#[test]
fn texts_beside_the_document_are_compared() {
    let mut new = built_in();
    new.query_sql[0].statement.push_str(" FOR SHARE");
    new.query_sql[1].statement.push('\n');
    new.query_sql[0].sample = Some("SELECT 1".to_owned());
    new.rollup_sql[0].raw.push_str(" LIMIT 1");
    new.seed_sql = None;
    let found = diff(&built_in(), &new);
    let keys: Vec<_> = found.changes.iter().map(|one| (one.key.as_str(), one.impact)).collect();
    assert!(keys.contains(&("query.statement", Impact::Compatible)), "{keys:?}");
    assert!(keys.contains(&("query.layout", Impact::Editorial)), "{keys:?}");
    assert!(keys.contains(&("rollup.statement", Impact::Editorial)), "{keys:?}");
    assert!(keys.contains(&("seed", Impact::Editorial)), "{keys:?}");
}

/// A contract so different that no comment could hold it.
fn large() -> Diff {
    let mut new = built_in();
    for table in &mut new.model.tables {
        for n in 0..200 {
            let mut column = table.columns[0].clone();
            column.name = format!("c{n}|`</td><script>alert(1)</script>");
            column.meaning = "[x](https://evil.example) \u{1b}[31m".repeat(20);
            table.columns.push(column);
        }
    }
    diff(&built_in(), &new)
}

#[test]
fn markdown_is_bounded_and_cannot_be_left() {
    let found = large();
    let page = markdown(&found);
    assert!(page.chars().count() <= MARKDOWN_CHARS, "{}", page.chars().count());
    assert!(page.chars().count() > MARKDOWN_CHARS / 2);
    assert!(page.contains("further changes"), "what is cut is counted");
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    let (_, cut) = page.rsplit_once("… and ").unwrap();
    let cut: usize = cut.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(rows + cut, found.changes.len());
    for page in [page, markdown(&diff(&built_in(), &changed(&[(RHO, "")])))] {
        assert!(!page.contains('\u{1b}'));
        for event in Parser::new_ext(&page, Options::all()) {
            match event {
                Event::Html(text) | Event::InlineHtml(text) => panic!("HTML: {text}"),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    panic!("link: {dest_url}")
                }
                _ => {}
            }
        }
    }
    assert!(!text(&found).contains('\u{1b}'));
}

/// Contracts of the largest size are compared without looking at each text for each change.
#[test]
fn thousands_of_changes_and_long_queries_are_compared() {
    let (mut old, mut new) = (built_in(), built_in());
    for (contract, name) in [(&mut old, "old"), (&mut new, "new")] {
        let column = contract.model.tables[0].columns[4].clone();
        for n in 0..2_000 {
            contract.model.tables[0]
                .columns
                .push(Column { name: format!("{name}_{n}"), ..column.clone() });
        }
        for sql in &mut contract.query_sql {
            sql.statement.push_str(&"/* nothing to see */ ".repeat(20_000));
        }
    }
    let found = diff(&old, &new);
    assert_eq!(found.changes.len(), 4_000);
    assert!(markdown(&found).chars().count() <= MARKDOWN_CHARS);
}
