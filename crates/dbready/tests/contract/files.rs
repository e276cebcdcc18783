//! Files of a contract: missing, superfluous, misplaced, empty, too large or ill-formed.

use crate::support::At::{self, File, LastLine, Line, Start};
use crate::support::{DOCUMENT, Files, departs, files, replace};

/// What is done to the files, the file that the one problem names, its place, its words.
type Case = (fn(&mut Files), &'static str, At, &'static [&'static str]);

const LATEST: &str = "queries/latest_greeks.sql";
const RAW: &str = "queries/rollups/signal_greeks_raw.sql";
const UP: &str = "migrations/1.1.0_policies.up.sql";
const DOWN: &str = "migrations/1.1.0_policies.down.sql";

#[track_caller]
fn each(cases: &[Case]) {
    let mut failures = Vec::new();
    for (at, (change, file, place, words)) in cases.iter().enumerate() {
        let mut files = files();
        change(&mut files);
        let failure = departs(&files, file, *place, words);
        failures.extend(failure.map(|failure| format!("case {at}, {file}: {failure}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn put(files: &mut Files, file: &str, text: &str) {
    files.insert(file.to_owned(), text.to_owned());
}

fn prepend(files: &mut Files, file: &str, before: &str) {
    files.get_mut(file).unwrap().insert_str(0, before);
}

#[test]
fn files_without_a_place_are_refused() {
    const PLACE: &[&str] = &["a contract directory holds", "rename or remove"];
    each(&[
        (|files| put(files, "notes.txt", "x"), "notes.txt", File, PLACE),
        (|files| put(files, "Contract.toml", "x"), "Contract.toml", File, PLACE),
        (|files| put(files, "contract.toml~", "x"), "contract.toml~", File, PLACE),
        (|files| put(files, "queries/a.SQL", "SELECT 1"), "queries/a.SQL", File, PLACE),
        (|files| put(files, "../seed.sql", "SELECT 1"), "../seed.sql", File, PLACE),
        (|files| put(files, "/seed.sql", "SELECT 1"), "/seed.sql", File, PLACE),
        (|files| put(files, "", "SELECT 1"), "", File, PLACE),
        (
            |files| put(files, "migrations/old/1.0.0_a.up.sql", "x"),
            "migrations/old/1.0.0_a.up.sql",
            File,
            PLACE,
        ),
        (
            |files| put(files, "queries/new.sql", "SELECT 1"),
            "queries/new.sql",
            File,
            &["no query of contract.toml names this file"],
        ),
        (
            |files| put(files, "queries/../new.sql", "SELECT 1"),
            "queries/../new.sql",
            File,
            &["no query of contract.toml names this file"],
        ),
    ]);
}

#[test]
fn missing_files_are_named() {
    each(&[
        (|files| files.clear(), DOCUMENT, File, &["expected this file"]),
        (
            |files| {
                files.remove(LATEST);
            },
            DOCUMENT,
            Line("file = \"queries/latest_greeks.sql\""),
            &["expected the file queries/latest_greeks.sql"],
        ),
        (
            |files| {
                files.remove("queries/samples/latest_greeks.sql");
            },
            DOCUMENT,
            Line("sample = \"queries/samples/latest_greeks.sql\""),
            &["expected the file queries/samples/latest_greeks.sql"],
        ),
        (
            |files| {
                files.remove(RAW);
            },
            DOCUMENT,
            Line("raw = \"queries/rollups/signal_greeks_raw.sql\""),
            &["expected the file queries/rollups/signal_greeks_raw.sql"],
        ),
        (
            |files| {
                files.remove(RAW);
                replace(files, DOCUMENT, RAW, "queries/rollups/signal_greeks_served.sql");
            },
            DOCUMENT,
            Line("raw = \"queries/rollups/signal_greeks_served.sql\""),
            &["expected another file than that of `served`"],
        ),
        (
            |files| {
                files.remove(DOWN);
            },
            UP,
            File,
            &["expected its rollback script", DOWN],
        ),
        (
            |files| put(files, "migrations/1.1.0_other.down.sql", "SELECT 1"),
            "migrations/1.1.0_other.down.sql",
            File,
            &["a rollback without its migration", "1.1.0_other.up.sql"],
        ),
    ]);
}

#[test]
fn sql_that_no_server_takes_is_refused() {
    each(&[
        (|files| put(files, LATEST, ""), LATEST, Start, &["expected a statement"]),
        (|files| put(files, LATEST, "\n"), LATEST, Line(""), &["expected a statement"]),
        (|files| put(files, LATEST, "-- SELECT 1"), LATEST, Line("--"), &["expected a statement"]),
        (
            |files| put(files, LATEST, "/* /* SELECT 1; */"),
            LATEST,
            Line("/*"),
            &["expected a statement"],
        ),
        (|files| put(files, LATEST, ";;"), LATEST, Line(";;"), &["expected a statement"]),
        (
            |files| prepend(files, LATEST, "\u{feff}"),
            LATEST,
            Line("\u{feff}"),
            &["byte-order mark"],
        ),
        (|files| replace(files, LATEST, "FROM", "\0FROM"), LATEST, Line("FROM"), &["NUL"]),
        (
            |files| put(files, "seed.sql", "-- nothing"),
            "seed.sql",
            Line("nothing"),
            &["expected a statement"],
        ),
        (
            |files| prepend(files, "seed.sql", "\u{feff}"),
            "seed.sql",
            Line("\u{feff}"),
            &["byte-order mark"],
        ),
        (
            |files| put(files, DOWN, "-- nothing to do\n"),
            DOWN,
            Line("nothing"),
            &["expected a statement"],
        ),
        (
            |files| replace(files, UP, "DO $migration$", "\0DO $migration$"),
            UP,
            Line("\0DO"),
            &["NUL"],
        ),
        (
            |files| put(files, "queries/samples/latest_greeks.sql", " "),
            "queries/samples/latest_greeks.sql",
            Line(" "),
            &["expected a statement"],
        ),
    ]);
}

#[test]
fn migration_headers_are_strict() {
    each(&[
        (
            |files| replace(files, UP, "-- version: 1.1.0\n", ""),
            UP,
            Line("-- description"),
            &["expected a line `-- version: …`"],
        ),
        (
            |files| replace(files, UP, "-- version: 1.1.0", "-- version: 1.2.0"),
            UP,
            Line("version: 1.2.0"),
            &["expected version 1.1.0 as in the file's name", "`1.2.0`"],
        ),
        (
            |files| replace(files, UP, "-- version: 1.1.0", "-- version: 1.1.0\n-- version: 1.1.0"),
            UP,
            LastLine("-- version"),
            &["`version` is stated twice"],
        ),
        (
            |files| replace(files, UP, "-- description: retention", "-- about: retention"),
            UP,
            Line("-- version"),
            &["expected a line `-- description: …`"],
        ),
        (
            |files| {
                replace(
                    files,
                    UP,
                    "-- description: retention, compression and hourly Greeks where the edition has them",
                    "-- description:",
                );
            },
            UP,
            Line("-- description:"),
            &["expected a description"],
        ),
        (
            |files| replace(files, UP, "-- breaking: no", "-- breaking: maybe"),
            UP,
            Line("maybe"),
            &["`yes` or `no`", "`maybe`"],
        ),
        (
            |files| replace(files, UP, "-- breaking: no", "--"),
            UP,
            Line("-- version"),
            &["expected a line `-- breaking: …`"],
        ),
        (
            |files| prepend(files, DOWN, "-- version: 9.9.9\n"),
            DOWN,
            Line("9.9.9"),
            &["expected version 1.1.0", "`9.9.9`"],
        ),
    ]);
}

#[test]
fn migration_names_are_strict() {
    const NAME: &[&str] = &["expected a name"];
    fn add(files: &mut Files, stem: &str) {
        let header = "-- version: 1.0.5\n-- description: a\n-- breaking: no\nSELECT 1;\n";
        put(files, &format!("migrations/{stem}.up.sql"), header);
    }
    each(&[
        (|files| add(files, "1.0_a"), "migrations/1.0_a.up.sql", File, NAME),
        (|files| add(files, "v1.0.5_a"), "migrations/v1.0.5_a.up.sql", File, NAME),
        (|files| add(files, "1.0.5"), "migrations/1.0.5.up.sql", File, NAME),
        (|files| add(files, "1.0.5_"), "migrations/1.0.5_.up.sql", File, NAME),
        (|files| add(files, "1.0.5-rc1_a"), "migrations/1.0.5-rc1_a.up.sql", File, NAME),
        (|files| add(files, "1.0.05_a"), "migrations/1.0.05_a.up.sql", File, NAME),
        (|files| add(files, "1.0.5_a b"), "migrations/1.0.5_a b.up.sql", File, NAME),
        (
            |files| add(files, "1.0.99999999999999999999_a"),
            "migrations/1.0.99999999999999999999_a.up.sql",
            File,
            NAME,
        ),
        (
            |files| put(files, "migrations/1.0.5_a.sql", "SELECT 1"),
            "migrations/1.0.5_a.sql",
            File,
            NAME,
        ),
        (|files| put(files, "migrations/up.sql", "SELECT 1"), "migrations/up.sql", File, NAME),
        (
            |files| {
                let (up, down) = (files[UP].clone(), files[DOWN].clone());
                put(files, "migrations/1.1.0_again.up.sql", &up);
                put(files, "migrations/1.1.0_again.down.sql", &down);
            },
            UP,
            File,
            &["version 1.1.0 is already that of migrations/1.1.0_again.up.sql"],
        ),
    ]);
}

#[test]
fn documents_that_are_none_are_refused() {
    each(&[
        (|files| put(files, DOCUMENT, ""), DOCUMENT, Start, &["missing field `contract`"]),
        (
            |files| put(files, DOCUMENT, "# nothing\n"),
            DOCUMENT,
            Line("# nothing"),
            &["missing field `contract`"],
        ),
        (
            |files| put(files, DOCUMENT, &"x".repeat((1 << 20) + 1)),
            DOCUMENT,
            File,
            &["expected at most 1048576 bytes"],
        ),
        (
            |files| put(files, DOCUMENT, "{\"contract\": 1}"),
            DOCUMENT,
            Line("{"),
            &["not valid TOML"],
        ),
        (|files| put(files, DOCUMENT, "<html>\n"), DOCUMENT, Line("<html>"), &["not valid TOML"]),
    ]);
}

/// Nesting is no way to exhaust the stack, nor repetition to exhaust anything else.
#[test]
fn deep_and_long_documents_are_refused_in_few_words() {
    let deep = |open: &str, close: &str, levels: usize| {
        format!("contract = 1\nsurprise = {}1{}\n", open.repeat(levels), close.repeat(levels))
    };
    let many = |line: &dyn Fn(usize) -> String| (0..40_000).map(line).collect::<String>();
    for (name, text) in [
        ("arrays", deep("[", "]", 100_000)),
        ("open arrays", deep("[", "", 500_000)),
        ("inline tables", deep("{a=", "}", 100_000)),
        ("dotted keys", format!("contract = 1\n{}a = 1\n", "a.".repeat(100_000))),
        ("a dotted table", format!("contract = 1\n[{}a]\n", "a.".repeat(100_000))),
        ("a dotted array of tables", format!("contract = 1\n[[{}a]]\n", "a.".repeat(100_000))),
        ("unknown keys", format!("contract = 1\n{}", many(&|n| format!("key_{n} = {n}\n")))),
        ("the same key", format!("contract = 1\n{}", many(&|_| "key = 1\n".to_owned()))),
        ("errors of syntax", many(&|_| "= 1\n".to_owned())),
        ("tables", format!("contract = 1\n{}", many(&|_| "[[table]]\n".to_owned()))),
    ] {
        let mut files = files();
        put(&mut files, DOCUMENT, &text);
        let error = dbready::contract::parse(&files).expect_err(name);
        assert!(error.problems().len() <= 30, "{name}: {}", error.problems().len());
        for problem in error.problems() {
            assert!(problem.position.is_some(), "{name}: {problem}");
            assert!(problem.to_string().len() < 2_000, "{name}: {problem}");
        }
    }
}
