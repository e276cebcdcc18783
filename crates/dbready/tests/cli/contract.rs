//! `dbready contract`, and contracts that other commands refuse.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{dbready, entries};

/// A copy of the built-in contract, to be changed.
pub(crate) fn copy_of_contract() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in signal_store::CONTRACT {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn lint(folder: &Path) -> crate::support::Ran {
    dbready(&["contract", "lint", folder.to_str().unwrap()])
}

#[test]
fn a_good_contract_is_summed_up() {
    let built_in = dbready(&["contract", "lint"]).exits(0).prints(&["signal-service", "8 tables"]);
    assert_eq!(built_in.stderr, "");
    let copy = copy_of_contract();
    assert_eq!(lint(copy.path()).exits(0).stdout, built_in.stdout);
}

#[test]
fn what_no_server_can_give_and_what_is_dangerous_is_named() {
    let copy = copy_of_contract();
    let file = copy.path().join("contract.toml");
    let text = fs::read_to_string(&file).unwrap();
    let key = "definition = \"PRIMARY KEY (\\\"timestamp\\\", id)\"";
    assert!(text.contains(key));
    let folder = copy.path().to_str().unwrap();
    let strict = ["contract", "lint", folder, "--strict"];
    dbready(&strict).exits(0);
    fs::write(&file, text.replacen("\"id\", type = \"bigint\"", "\"id\", type = \"integer\"", 1))
        .unwrap();
    let words = "dangerous  signal_greeks.id: numbers of rows as `integer` on a hypertable";
    lint(copy.path()).exits(0).prints(&[words, "(narrow_key)"]);
    dbready(&strict).exits(1).prints(&[words]);
    fs::write(&file, text.replacen(key, "definition = \"PRIMARY KEY (id)\"", 1)).unwrap();
    let ran = dbready(&["contract", "lint", folder, "--format", "json"]).exits(1).json();
    assert_eq!(ran["dangers"][0]["kind"], "impossible", "{ran:#}");
    assert_eq!(ran["dangers"][0]["rule"], "unique_without_time");
    assert_eq!((&ran["tables"], &ran["version"]), (&8.into(), &"1.5.0".into()));
}

#[test]
fn waivers_that_cannot_hold_or_last_too_long_are_named() {
    let copy = copy_of_contract();
    let file = copy.path().join("contract.toml");
    let text = fs::read_to_string(&file).unwrap();
    let waive = |claim: &str, expires: &str| {
        let waiver = format!("claim = \"{claim}\"\nreason = \"r\"\nexpires = \"{expires}\"");
        fs::write(&file, format!("{text}\n[[waiver]]\n{waiver}\n")).unwrap();
        lint(copy.path())
    };
    let claim = "schema.signal_greeks.column.rho";
    waive(claim, "2020-01-01").exits(1).prints(&["impossible", claim, "(expired_waiver)"]);
    waive("schema.nothing", "2999-01-01").exits(0).prints(&["dangerous", "(idle_waiver)"]);
    waive(claim, "2999-01-01").exits(0).prints(&["dangerous", claim, "(long_waiver)"]);
}

#[test]
fn what_is_wrong_is_named_with_file_and_line() {
    let copy = copy_of_contract();
    let file = copy.path().join("contract.toml");
    let text = fs::read_to_string(&file).unwrap();
    let at = text.lines().position(|line| line == "[service]").unwrap();
    let (before, after) = text.split_at(text.find("[service]\n").unwrap() + "[service]\n".len());
    fs::write(&file, format!("{before}surprise = 1\n{after}")).unwrap();
    // One for the line after `[service]`, one because lines count from one.
    let place = format!("contract.toml:{}:", at + 2);
    lint(copy.path()).exits(2).says(&[&place, "surprise"]);
    // The commands that read a contract refuse it before they look for a server.
    let folder = copy.path().to_str().unwrap();
    let url = "postgres://u@127.0.0.1:1/d";
    for command in [&["check"][..], &["certify"], &["migrate", "up"], &["migrate", "status"]] {
        let ran = dbready(&[command, &["--contract", folder, "--url", url]].concat());
        ran.exits(2).says(&[&place]);
    }
}

#[test]
fn a_broken_document_and_missing_files_are_told() {
    let copy = copy_of_contract();
    let file = copy.path().join("contract.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, "[service\n").unwrap();
    lint(copy.path()).exits(2).says(&["contract.toml:1:"]);
    fs::write(&file, text).unwrap();
    fs::remove_file(copy.path().join("migrations/1.0.0_initial.down.sql")).unwrap();
    lint(copy.path()).exits(2).says(&["1.0.0_initial"]);
    let empty = TempDir::new().unwrap();
    lint(empty.path()).exits(2).says(&["contract.toml"]);
    lint(Path::new("/nonexistent/contract")).exits(2).says(&["/nonexistent/contract"]);
    lint(&file).exits(2).says(&["found a file"]);
}

#[test]
fn the_page_is_written_and_its_first_stale_line_is_named() {
    let copy = copy_of_contract();
    let (folder, page) = (copy.path().to_str().unwrap(), copy.path().join("docs/PAGE.md"));
    fs::create_dir(copy.path().join("docs")).unwrap();
    let file = page.to_str().unwrap();
    let docs = |more: &[&str]| {
        dbready(&[&["contract", "docs", "--contract", folder, "--out", file], more].concat())
    };
    docs(&["--check"]).exits(1).prints(&["is missing", "dbready contract docs"]);
    docs(&[]).exits(0).prints(&["wrote ", "PAGE.md"]);
    docs(&["--check"]).exits(0).prints(&["what the contract gives"]);
    let contract = copy.path().join("contract.toml");
    let text = fs::read_to_string(&contract).unwrap();
    fs::write(&contract, text.replace("notice_days = 30", "notice_days = 31")).unwrap();
    docs(&["--check"]).exits(1).prints(&["is stale: line ", "31 days", "30 days"]);
    let nowhere = ["contract", "docs", "--out", "/nonexistent/page.md"];
    dbready(&nowhere).exits(3).says(&["/nonexistent/page.md"]);
}

#[test]
fn a_change_is_told_in_each_format_and_must_fit() {
    let (old, new) = (copy_of_contract(), copy_of_contract());
    let (one, other) = (old.path().to_str().unwrap(), new.path().to_str().unwrap());
    dbready(&["contract", "diff", one, other]).exits(0).prints(&["no change"]);
    let file = new.path().join("contract.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("p95_ms = 50.0", "p95_ms = 60.0")).unwrap();
    let ran = dbready(&["contract", "diff", one, other]).exits(1);
    ran.prints(&["Breaking (1)", "latest_greeks", "Dashboard", "does not fit", "2.0.0", "30 days"]);
    let ran = dbready(&["contract", "diff", one, other, "--format", "markdown"]).exits(1);
    ran.prints(&["## Contract change that does not fit", "| object |"]);
    let ran = dbready(&["contract", "diff", one, other, "--format", "json"]).exits(1);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["format"], "dbready-contract-diff");
    assert_eq!(document["release"]["required_version"], "2.0.0");
    assert_eq!(document["changes"][0]["impact"], "breaking");
    dbready(&["contract", "diff", one, "/nonexistent"]).exits(2).says(&["/nonexistent"]);
    dbready(&["contract", "diff", "nowhere:contract", one]).exits(2).says(&["nowhere:contract"]);
    dbready(&["contract", "diff", "--git", "nowhere", "HEAD"]).exits(2).says(&["nowhere:contract"]);
}

#[test]
fn the_matrix_is_printed_and_leaves_no_database_behind() {
    let database = pg_local::testing::TestDatabase::empty().unwrap();
    let (old, new) = (copy_of_contract(), copy_of_contract());
    for copy in [&old, &new] {
        // Without its data, which take long to make.
        fs::remove_file(copy.path().join("seed.sql")).unwrap();
    }
    let query = new.path().join("queries/latest_greeks.sql");
    let text = fs::read_to_string(&query).unwrap();
    fs::write(&query, text.replace("SELECT", "SELECT nothing,")).unwrap();
    let (one, other) = (old.path().to_str().unwrap(), new.path().to_str().unwrap());
    let matrix = |more: &[&str]| {
        let server = ["--url", database.url(), "--allow-writes"];
        dbready(&[&["contract", "matrix", one, other], &server[..], more].concat())
    };
    let ran = matrix(&[]).exits(1);
    // Other tests make databases there meanwhile.
    let own = format!("'^dbready_{}_'", ran.process);
    let left = database.run_sql(&format!("SELECT datname FROM pg_database WHERE datname ~ {own}"));
    assert_eq!(left.unwrap(), "");
    ran.prints(&[
        "latest_greeks of the new contract fails on the old schema",
        "nothing",
        "Dashboard",
        "no seed.sql",
    ]);
    let out = new.path().join("out");
    let folder = ["--format", "markdown", "--out", out.to_str().unwrap()];
    let markdown = matrix(&folder).exits(1);
    let shown =
        ["## Release 1.5.0 → 1.5.0 does not hold", "| old queries 1.5.0 |", "| `latest_greeks` |"];
    let markdown = markdown.prints(&shown).stdout;
    assert_eq!(fs::read_to_string(out.join("matrix.md")).unwrap(), markdown);
    let document = fs::read_to_string(out.join("matrix.json")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["old_on_new"], true);
    assert_eq!(document["new_on_new"], false);
    let refused = dbready(&["contract", "matrix", one, other, "--url", database.url()]).exits(2);
    refused.says(&["--allow-writes"]);
}

#[test]
fn a_contract_goes_out_and_comes_back() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("contract.odcs.yaml");
    let (file, out) = (file.to_str().unwrap(), folder.path().join("contract"));
    let out = out.to_str().unwrap();
    dbready(&["contract", "export", "--format", "odcs", "--out", file])
        .exits(0)
        .prints(&["wrote "]);
    let printed = dbready(&["contract", "export", "--format", "odcs"]).exits(0);
    assert_eq!(printed.stdout, fs::read_to_string(file).unwrap());
    let import =
        |from: &str| dbready(&["contract", "import", "--format", "odcs", from, "--out", out]);
    import(file).exits(0).prints(&["files to "]);
    assert_eq!(
        lint(Path::new(out)).exits(0).stdout,
        dbready(&["contract", "lint"]).exits(0).stdout
    );
    let ran = dbready(&["contract", "diff", out, out, "--format", "json"]).exits(0);
    assert_eq!(ran.json()["changes"], serde_json::json!([]));
    import(file).exits(2).says(&["new or empty folder"]);
    import("/nonexistent.yaml").exits(3).says(&["/nonexistent.yaml"]);
    fs::write(file, "kind: [").unwrap();
    import(file).exits(2).says_in_one_line(&["ODCS"]);
}

#[test]
fn a_document_writes_nothing_outside_of_its_folder() {
    let own = include_str!("../contract/foreign.odcs.yaml");
    let import = |folder: &Path, table: &str| {
        let file = folder.join("document.yaml");
        let name = format!("physicalName: {}", serde_json::to_string(table).unwrap());
        fs::write(&file, own.replace("physicalName: sales.orders", &name)).unwrap();
        let (file, out) = (file.to_str().unwrap(), folder.join("contract"));
        let out = out.to_str().unwrap();
        dbready(&["contract", "import", "--format", "odcs", file, "--out", out])
    };
    for table in ["sales./etc/passwd", "sales.it's \"a\"\\", "sales.-- $(id) `id`"] {
        let folder = TempDir::new().unwrap();
        import(folder.path(), table).exits(0).prints(&["wrote 3 files to "]);
        assert_eq!(entries(folder.path()), ["contract", "document.yaml"]);
        let out = folder.path().join("contract");
        assert_eq!(entries(&out), ["contract.toml", "migrations"]);
        lint(&out).exits(0);
    }
    for table in ["../../x", "sales.../x", "a/../b.c", "sales.a\u{1b}[2Jb", "sales.a\nb"] {
        let folder = TempDir::new().unwrap();
        import(folder.path(), table).exits(2).says(&["expected a name"]);
        assert_eq!(entries(folder.path()), ["document.yaml"], "{table:?}");
    }
}
