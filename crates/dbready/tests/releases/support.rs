//! The shop of `docs/CONTRACT_FORMAT.md`, to be changed, and a server for scratch databases.

use std::collections::BTreeMap;

use dbready::contract::{Contract, parse};
use dbready::scratch::Scratch;
use pg_local::testing::TestDatabase;
use pg_session::Config;

pub(crate) type Files = BTreeMap<String, String>;

#[track_caller]
pub(crate) fn replace(files: &mut Files, file: &str, from: &str, to: &str) {
    let text = files.get_mut(file).unwrap_or_else(|| panic!("no {file}"));
    assert!(text.contains(from), "{file} does not hold `{from}`");
    *text = text.replace(from, to);
}

#[track_caller]
pub(crate) fn contract(files: &Files) -> Contract {
    parse(files).unwrap_or_else(|error| panic!("{error}"))
}

/// Adds a migration to version 2.0.0, and makes that the version of the contract.
pub(crate) fn migrate(files: &mut Files, up: &str, down: &str) {
    let head = "-- version: 2.0.0\n-- description: change\n-- breaking: yes\n\n";
    let insert = "INSERT INTO schema_version (version) VALUES ('2.0.0');\n";
    let delete = "DELETE FROM schema_version WHERE version = '2.0.0';\n";
    files.insert("migrations/2.0.0_change.up.sql".to_owned(), format!("{head}{up}\n{insert}"));
    files.insert("migrations/2.0.0_change.down.sql".to_owned(), format!("{down}\n{delete}"));
    replace(
        files,
        "contract.toml",
        "version = \"1.1.0\"\ndescription",
        "version = \"2.0.0\"\ndescription",
    );
}

/// Scratch databases on the server that the tests share. The database keeps the server.
pub(crate) fn server() -> (TestDatabase, Scratch) {
    let database = TestDatabase::empty().unwrap();
    let scratch = Scratch::on(Config::from_url(database.url()).unwrap());
    (database, scratch)
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
