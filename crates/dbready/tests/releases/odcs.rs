//! A contract imported from elsewhere holds on a real server.

use dbready::contract::parse;
use dbready::report::ClaimResult;
use dbready::score::Scope;
use dbready::seed::Profile;
use dbready::verdict::Status;
use dbready::{catalog, check, odcs, run, scratch};

use crate::support::{block_on, server};

/// What is imported migrates an empty database, and every claim about tables, keys and versions is
/// proven there.
#[test]
fn a_database_made_by_an_imported_contract_keeps_it() {
    let own = include_str!("../contract/foreign.odcs.yaml");
    keeps(own);
    // The names of a stranger are names on the server, too.
    let longest = "ü".repeat(31);
    for name in [r#"it's "a"; DROP TABLE x; --"#, "/etc/passwd $1 %s \\", "user", &longest] {
        let yaml = serde_json::to_string(name).unwrap();
        let sales = serde_json::to_string(&format!("sales.{name}")).unwrap();
        let hostile = own
            .replace("physicalName: sales.orders", &format!("physicalName: {sales}"))
            .replace("name: order_id", &format!("name: {yaml}"));
        assert_ne!(hostile, own);
        keeps(&hostile);
    }
}

fn keeps(document: &str) {
    let files = odcs::import(document).unwrap();
    let contract = parse(&files).unwrap();
    let (_database, mut scratch) = server();
    block_on(async {
        let config = scratch.create("odcs", &contract).await.unwrap();
        scratch::build(&config, &contract, Profile::Quick).await.unwrap();
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
        let open: Vec<&ClaimResult> =
            certificate.claims.iter().filter(|claim| claim.status != Status::Proven).collect();
        assert_eq!(open, Vec::<&ClaimResult>::new());
        assert!(certificate.counts.proven > 20, "{:?}", certificate.counts);
        drop(client);
        scratch.close().await.unwrap();
    });
}
