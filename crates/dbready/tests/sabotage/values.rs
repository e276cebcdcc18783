//! Servers that change values.

use dbready::verdict::Status;
use pg_local::testing::TestDatabase;

use crate::support::{ids, judge_all, observe, run};

#[test]
fn a_database_that_is_not_in_unicode() {
    // A neighbour on the same server, made and removed through an empty database.
    let own = TestDatabase::empty().unwrap();
    let name = format!("{}_latin", own.name());
    let make = format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    own.run_sql(&make).unwrap();
    let url = own.url().replace(own.name(), &name);
    let judgements = judge_all(&run(observe(&url)));
    own.run_sql(&format!("DROP DATABASE {name}")).unwrap();
    let refuted: Vec<&str> = ids(&judgements, Status::Refuted)
        .into_iter()
        .filter(|id| id.starts_with("value.") || id.starts_with("server."))
        .collect();
    let expected = [
        "server.extension.timescaledb",
        "server.setting.server_encoding",
        "value.blank",
        "value.json",
        "value.unicode",
    ];
    assert_eq!(refuted, expected);
}
