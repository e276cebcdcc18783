//! The statements that run are the contract's.

use std::collections::BTreeMap;

use signal_store::{STATEMENTS, statement_names};

use crate::support::contract;

#[test]
fn every_statement_is_a_query_of_the_contract_and_the_other_way_round() {
    let model = &contract().model;
    let queries: BTreeMap<&str, &str> = model
        .queries
        .iter()
        .zip(&contract().query_sql)
        .map(|(query, sql)| (query.name.as_str(), sql.statement.as_str()))
        .collect();
    let ours: BTreeMap<&str, &str> = STATEMENTS.iter().copied().collect();
    assert_eq!(ours, queries);
    assert_eq!(statement_names().len(), STATEMENTS.len());
}

#[test]
fn no_other_sql_stands_in_the_crate() {
    fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { files(&entry, found) } else { found.push(entry) }
        }
    }
    let mut sources = Vec::new();
    files(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    assert!(sources.len() > 10);
    let sql = regex::Regex::new(r#""\s*(SELECT|INSERT|UPDATE|DELETE|WITH|COPY|CREATE|SET)\s"#);
    for source in sources {
        let text = std::fs::read_to_string(&source).unwrap();
        let found = sql.as_ref().unwrap().find(&text).map(|found| found.as_str());
        assert_eq!(found, None, "{}", source.display());
    }
}
