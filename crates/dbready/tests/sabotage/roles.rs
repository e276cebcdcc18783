//! Rights too few and too many. What belongs to the whole server is changed for roles of a test's own.

use dbready::catalog;
use dbready::contract::{Contract, Role, TableRights};
use dbready::verdict::Status;

use crate::support::{connect, contract, database, ids, judge_by, observe_by, run, sabotages};

sabotages! {
    a_right_revoked: "REVOKE INSERT ON signal_greeks FROM signal_writer" => ["role.signal_writer"];
    a_function_no_longer_called: "REVOKE EXECUTE ON FUNCTION
            refresh_signal_greeks_rollup(timestamptz, integer) FROM signal_writer"
        => ["role.signal_writer"];
    a_schema_no_longer_used: "REVOKE USAGE ON SCHEMA public FROM signal_monitor"
        => ["role.signal_monitor"];
    a_schema_no_longer_filled: "REVOKE CREATE ON SCHEMA public FROM signal_owner"
        => ["role.signal_owner"];
    rows_of_users_for_the_monitor: "GRANT SELECT ON signal_indicators TO signal_monitor"
        => ["role.signal_monitor"];
    truncate_for_the_writer: "GRANT TRUNCATE ON signal_greeks TO signal_writer"
        => ["role.signal_writer"];
    one_column_for_the_reader: "GRANT UPDATE (delta, gamma) ON signal_greeks TO signal_reader"
        => ["role.signal_reader"];
    a_right_to_give_on: "GRANT SELECT ON schema_version TO signal_reader WITH GRANT OPTION"
        => ["role.signal_reader"];
    a_sequence: "GRANT USAGE ON SEQUENCE signal_greeks_id_seq TO signal_reader"
        => ["role.signal_reader"];
    a_table_that_the_contract_does_not_know: "CREATE TABLE notes (id integer);
            GRANT SELECT ON notes TO signal_reader"
        => ["role.signal_reader", "drift.tables"];
    a_table_of_its_own: "ALTER TABLE signal_custom_timeframes OWNER TO signal_writer"
        => ["role.signal_writer"];
    schemas_for_the_reader: "DO $$ BEGIN EXECUTE format(
            'GRANT CREATE ON DATABASE %I TO signal_reader', current_database()); END $$"
        => ["role.signal_reader"];
    a_table_for_everybody: "GRANT SELECT ON signal_greeks TO PUBLIC" => ["role.public"];
    a_function_for_everybody: "GRANT EXECUTE ON FUNCTION
            drop_signal_chunks(regclass, timestamptz) TO PUBLIC"
        => ["role.public"];
    tables_by_everybody: "GRANT CREATE ON SCHEMA public TO PUBLIC" => ["role.public"];
}

/// The contract with one role of that name and no other.
fn with_role(name: &str) -> Contract {
    let mut contract = contract().clone();
    let table = TableRights {
        name: "signal_greeks".to_owned(),
        privileges: vec!["SELECT".to_owned()],
        since: None,
        until: None,
    };
    contract.model.roles = vec![Role {
        name: name.to_owned(),
        meaning: "for one test".to_owned(),
        since: None,
        until: None,
        member_of: vec!["pg_monitor".to_owned()],
        usage: vec!["public".to_owned()],
        create: Vec::new(),
        execute: Vec::new(),
        sequences: Vec::new(),
        tables: vec![table],
    }];
    contract
}

/// A role is made, and made more than a group, and the findings' remedies mend each.
#[test]
fn a_role_is_there_and_nothing_but_a_group() {
    let database = database();
    let name = format!("{}_group", database.name());
    let contract = with_role(&name);
    let claim = format!("role.{name}");
    run(async {
        let client = connect(database.url()).await;
        let judged = async || {
            let options = catalog::Options::default();
            judge_by(&contract, &observe_by(&contract, database.url(), &options).await)
        };
        let changes = [
            // It is not there at first.
            String::new(),
            format!("ALTER ROLE {name} SUPERUSER"),
            format!("ALTER ROLE {name} BYPASSRLS CREATEROLE CREATEDB REPLICATION"),
            format!("ALTER ROLE {name} LOGIN"),
            format!("GRANT pg_read_all_data TO {name}"),
            format!("REVOKE pg_monitor FROM {name}"),
        ];
        for change in changes {
            client.batch_execute(&change).await.unwrap();
            let judgements = judged().await;
            assert_eq!(ids(&judgements, Status::Refuted), [claim.as_str()], "{change}");
            for finding in &judgements[&claim].findings {
                client.batch_execute(finding.remedy.as_deref().unwrap()).await.unwrap();
            }
            let judgements = judged().await;
            assert!(ids(&judgements, Status::Refuted).is_empty(), "{change}: {judgements:#?}");
            assert_eq!(judgements[&claim].status, Status::Proven, "{change}");
        }
        let remove = format!("DROP OWNED BY {name}; DROP ROLE {name}");
        client.batch_execute(&remove).await.unwrap();
    });
}
