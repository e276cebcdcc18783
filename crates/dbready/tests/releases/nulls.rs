//! Nullability of results on adversarial rows.

use dbready::contract::{Contract, source};
use dbready::seed::Profile;
use dbready::verdict::{Judgement, Status, judge_all};
use dbready::{nulls, scratch};

use crate::shop;
use crate::support::{Files, block_on, contract, replace, server};

/// Every claim with what became of it.
fn judged(contracts: &[&Contract]) -> Vec<Vec<(String, Judgement)>> {
    let (_database, mut scratch) = server();
    block_on(async {
        let config = scratch.create("nulls", contracts[0]).await.unwrap();
        scratch::build(&config, contracts[0], Profile::Quick).await.unwrap();
        let mut client = pg_session::connect(&config).await.unwrap();
        let mut all = Vec::new();
        for contract in contracts {
            let evidence = nulls::examine(&mut client, contract).await.unwrap();
            let claims = nulls::plan(contract);
            assert_eq!(claims.len(), evidence.len());
            let judged = claims.iter().zip(&evidence).map(|(claim, one)| {
                (claim.id.clone(), judge_all(claim, std::slice::from_ref(one)))
            });
            all.push(judged.collect());
        }
        // Nothing is left of it.
        let rows = client.query_one("SELECT count(*) FROM schema_version", &[]).await.unwrap();
        assert!(rows.get::<_, i64>(0) > 0);
        drop(client);
        scratch.close().await.unwrap();
        all
    })
}

fn refuted(judged: &[(String, Judgement)]) -> Vec<&str> {
    let refuted = judged.iter().filter(|(_, one)| one.status == Status::Refuted);
    refuted.map(|(id, _)| id.as_str()).collect()
}

/// The built-in contract states every nullable column; where it states otherwise, of the first, a
/// middle or the last nullable column of every query, it is found out.
#[test]
fn the_built_in_contract_is_proven_and_false_statements_are_refuted() {
    let honest = source::load(None).unwrap();
    let mut expected = vec![Vec::new(); 3];
    let mut lies = vec![honest.clone(); 3];
    for (at, query) in honest.model.queries.iter().enumerate() {
        let results = query.results.iter().enumerate();
        let nullable: Vec<usize> =
            results.filter(|(_, one)| one.nullable).map(|(column, _)| column).collect();
        // `saved` and `updated` of writers come back as they were written, so that no rows make them
        // null; the rollups' history has the columns of the rows' history.
        let is_other = query.name.starts_with("save_") || query.name == "historical_greeks_rollup";
        let (Some(first), Some(last)) = (nullable.first(), nullable.last()) else { continue };
        if is_other || query.sample.is_none() {
            continue;
        }
        let picked = [*first, nullable[nullable.len() / 2], *last];
        for ((column, lie), expected) in picked.into_iter().zip(&mut lies).zip(&mut expected) {
            lie.model.queries[at].results[column].nullable = false;
            expected.push(format!("query.{}.not_null", query.name));
        }
    }
    assert!(expected[0].len() > 4, "{expected:?}");
    let contracts: Vec<&Contract> = std::iter::once(&honest).chain(&lies).collect();
    let judged = judged(&contracts);
    for (id, one) in &judged[0] {
        let sampled =
            honest.model.queries.iter().any(|query| {
                query.sample.is_some() && *id == format!("query.{}.not_null", query.name)
            });
        assert_ne!(one.status, Status::Refuted, "{id}: {one:?}");
        assert!(one.status == Status::Proven || !sampled, "{id}: {one:?}");
    }
    for (expected, found) in expected.iter().zip(&judged[1..]) {
        assert_eq!(refuted(found), *expected);
    }
}

/// The shop with a query that adds up the orders of a customer.
fn with_sum(nullable: bool) -> Files {
    let mut files = shop::files();
    replace(
        &mut files,
        "contract.toml",
        "[pool]\n",
        &format!(
            "[[query]]\nname = \"spent\"\nfile = \"queries/spent.sql\"\nmethod = \"spent\"\nmeaning = \"sum\"\n\
             sample = \"queries/samples/spent.sql\"\nparameter = [{{ name = \"customer\", type = \"text\" }}]\n\
             result = [{{ name = \"n\", type = \"bigint\" }}, {{ name = \"sum\", type = \"numeric\", nullable = {nullable} }}]\n\n[pool]\n"
        ),
    );
    let sql = "SELECT count(*) AS n, sum(amount) AS sum FROM customer_order WHERE customer = $1";
    files.insert("queries/spent.sql".to_owned(), sql.to_owned());
    let sample = files["queries/samples/latest_orders.sql"].clone();
    files.insert("queries/samples/spent.sql".to_owned(), sample);
    files
}

/// A sum over no rows is null, and no row of the data shows it.
#[test]
fn empty_tables_show_what_no_row_shows() {
    let (honest, lie) = (contract(&with_sum(true)), contract(&with_sum(false)));
    let judged = judged(&[&honest, &lie]);
    assert_eq!(refuted(&judged[0]), [""; 0]);
    assert_eq!(refuted(&judged[1]), ["query.spent.not_null"]);
    let (_, spent) = judged[1].iter().find(|(id, _)| id.contains("spent")).unwrap();
    assert!(spent.findings[0].found.contains("empty"), "{:?}", spent.findings);
}

#[test]
fn without_rows_or_a_sample_nothing_is_proven() {
    let mut files = shop::files();
    files.remove("seed.sql");
    let mut no_sample = with_sum(true);
    replace(&mut no_sample, "contract.toml", "sample = \"queries/samples/spent.sql\"\n", "");
    no_sample.remove("queries/samples/spent.sql");
    let (empty, no_sample) = (contract(&files), contract(&no_sample));
    for contract in [&empty, &no_sample] {
        let judged = judged(&[contract]);
        let open: Vec<_> =
            judged[0].iter().filter(|(_, one)| one.status == Status::Unproven).collect();
        assert_eq!(open.len(), 1, "{judged:?}");
        assert!(open[0].1.reason.as_ref().is_some_and(|reason| !reason.is_empty()));
    }
    let unproven = nulls::not_run(&empty, "not here");
    assert_eq!(unproven.len(), nulls::plan(&empty).len());
}
