//! A contract imported from elsewhere holds on a real server.

use dbready::contract::parse;
use dbready::report::ClaimResult;
use dbready::score::Scope;
use dbready::verdict::Status;
use dbready::{catalog, check, odcs, run, scratch};

use crate::support::{block_on, server};

/// What is imported migrates an empty database, and every claim about tables, keys and versions is
/// proven there.
#[test]
fn a_database_made_by_an_imported_contract_keeps_it() {
    let files = odcs::import(include_str!("../contract/foreign.odcs.yaml")).unwrap();
    let contract = parse(&files).unwrap();
    let (_database, mut scratch) = server();
    block_on(async {
        let config = scratch.create("odcs", &contract).await.unwrap();
        scratch::build(&config, &contract).await.unwrap();
        let mut client = pg_session::connect(&config).await.unwrap();
        let options = catalog::Options::default();
        let gathered = run::check(&mut client, &contract, &options).await.unwrap();
        let occasion = run::Occasion {
            command: "check".to_owned(),
            profile: None,
            started_at: String::new(),
            finished_at: String::new(),
            notes: Vec::new(),
        };
        let claims = check::plan(&contract);
        let certificate = run::certificate(&contract, claims, Scope::Part, gathered, occasion);
        let open = certificate.claims.iter().filter(|claim| claim.status != Status::Proven);
        // Without queries there is nothing to send hostile values through.
        let open: Vec<&ClaimResult> = open.filter(|claim| claim.id != "value.queries").collect();
        assert_eq!(open, Vec::<&ClaimResult>::new());
        assert!(certificate.counts.proven > 20, "{:?}", certificate.counts);
        drop(client);
        scratch.close().await.unwrap();
    });
}
