//! The published schema and the types say the same, and real certificates follow it.

use std::collections::{BTreeMap, BTreeSet};

use dbready::claim::{Producer, Severity, Target};
use dbready::contract::{Contract, source};
use dbready::evidence::{Evidence, Finding, Outcome, Statements};
use dbready::report::{Certificate, ContractFacts, Counts, ServerReport, Verdict};
use dbready::score::{AreaScore, RefinementScore, Scope, Tally};
use dbready::verdict::Status;
use dbready::verdict::acceptance::{Covered, Difference, Suppressed, Suppression};
use dbready::{catalog, check, migrate, run};
use jsonschema::Validator;
use pg_local::testing::TestDatabase;
use pg_session::Config;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_postgres::types::Type;

use crate::fixture::{hostile, large, small};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../docs/certificate.schema.json")).unwrap()
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).unwrap()
}

fn value(certificate: &Certificate) -> Value {
    serde_json::from_str(&certificate.to_json()).unwrap()
}

#[track_caller]
fn follows(file: &Value) {
    let validator = validator();
    let errors: Vec<String> = validator
        .iter_errors(file)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new());
}

/// What a type accepts: serde names every key or word it knows when it meets another one.
fn accepted<T: DeserializeOwned>(wrong: Value) -> BTreeSet<String> {
    let Err(error) = serde_json::from_value::<T>(wrong) else { panic!("`?` was accepted") };
    let text = error.to_string();
    let (met, known) = text.split_once("expected").unwrap_or((&text, ""));
    assert!(met.starts_with("unknown") && met.contains("`?`"), "{text}");
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn keys<T: DeserializeOwned>() -> BTreeSet<String> {
    accepted::<T>(json!({ "?": 0 }))
}

fn words<T: DeserializeOwned>() -> BTreeSet<String> {
    accepted::<T>(json!("?"))
}

fn strings<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    texts.into_iter().map(str::to_owned).collect()
}

/// The keys that an object of the schema has; all of them required, and no other allowed.
#[track_caller]
fn closed(at: &str, object: &Value) -> BTreeSet<String> {
    assert_eq!(object["type"], "object", "{at}");
    assert_eq!(object["additionalProperties"], false, "{at} allows other keys");
    let has: BTreeSet<String> =
        object["properties"].as_object().unwrap().keys().map(String::from).collect();
    let required = object["required"].as_array().unwrap().iter().filter_map(Value::as_str);
    assert_eq!(strings(required), has, "{at}: every key is always written");
    has
}

#[test]
fn the_schema_names_the_keys_of_every_type() {
    let schema = schema();
    let at = |pointer: &str| schema.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
    let area = "/$defs/refinement/properties/areas/items";
    let tally = format!("{area}/properties/claims");
    for (pointer, keys) in [
        ("", keys::<Certificate>()),
        ("/properties/counts", keys::<Counts>()),
        ("/properties/contract", keys::<ContractFacts>()),
        ("/$defs/server", keys::<ServerReport>()),
        ("/$defs/refinement", keys::<RefinementScore>()),
        (area, keys::<AreaScore>()),
        (&tally, keys::<Tally>()),
        ("/$defs/claim", keys::<dbready::report::ClaimResult>()),
        ("/$defs/evidence", keys::<Evidence>()),
        ("/$defs/findings/items", keys::<Finding>()),
        ("/$defs/suppressed", keys::<Suppressed>()),
        ("/$defs/suppression", keys::<Suppression>()),
        ("/$defs/covered", keys::<Covered>()),
        ("/$defs/difference", keys::<Difference>()),
    ] {
        assert_eq!(closed(pointer, at(pointer)), keys, "{pointer}");
    }
}

/// Each alternative of a `oneOf` by its kind, with the keys beside `kind`.
fn kinds(alternatives: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for one in alternatives["oneOf"].as_array().unwrap() {
        let mut keys = closed("oneOf", one);
        assert!(keys.remove("kind"));
        let kind = &one["properties"]["kind"];
        let named = kind["enum"].as_array().cloned().unwrap_or_else(|| vec![kind["const"].clone()]);
        for name in named {
            found.insert(name.as_str().unwrap().to_owned(), keys.clone());
        }
    }
    found
}

fn kinds_of<T: DeserializeOwned>() -> BTreeMap<String, BTreeSet<String>> {
    let names = accepted::<T>(json!({ "kind": "?" }));
    names
        .into_iter()
        .map(|kind| {
            // A kind without keys of its own names none.
            let error = serde_json::from_value::<T>(json!({ "kind": kind, "?": 0 }));
            let keys = match error {
                Ok(_) => BTreeSet::new(),
                Err(error) if error.to_string().contains("there are no fields") => BTreeSet::new(),
                Err(_) => accepted::<T>(json!({ "kind": kind, "?": 0 })),
            };
            (kind, keys)
        })
        .collect()
}

#[test]
fn the_schema_names_every_kind_of_goal_and_outcome() {
    let schema = schema();
    assert_eq!(kinds(&schema["$defs"]["goal"]), kinds_of::<Target>());
    let outcome = schema.pointer("/$defs/evidence/properties/outcome").unwrap();
    assert_eq!(kinds(outcome), kinds_of::<Outcome>());
}

#[test]
fn the_schema_names_every_word() {
    let schema = schema();
    for (pointer, words) in [
        ("/properties/verdict", words::<Verdict>()),
        ("/properties/scope", words::<Scope>()),
        ("/$defs/claim/properties/status", words::<Status>()),
        ("/$defs/claim/properties/severity", words::<Severity>()),
        ("/$defs/claim/properties/producer", words::<Producer>()),
    ] {
        let listed = schema.pointer(pointer).unwrap()["enum"].as_array().unwrap();
        assert_eq!(strings(listed.iter().filter_map(Value::as_str)), words, "{pointer}");
    }
}

#[test]
fn assembled_certificates_follow_the_schema() {
    for certificate in [small(), large(), hostile()] {
        follows(&value(&certificate));
    }
}

#[test]
fn the_first_file_of_this_version_follows_the_schema() {
    follows(&serde_json::from_str(include_str!("certificate-v6.json")).unwrap());
}

/// A migrated database, examined as `dbready check` does.
#[test]
fn the_certificate_of_a_real_server_follows_the_schema() {
    let contract = source::load(None).unwrap();
    let name = format!("schema_{}", &contract.digest[..16]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let prepare = |url: &str| {
        runtime.block_on(async {
            let mut client = pg_session::connect(&Config::from_url(url)?).await?;
            let options = migrate::Options::default();
            migrate::up(&mut client, &contract, None, &options, &|_| ()).await?;
            Ok(())
        })
    };
    let database = TestDatabase::copy_of(&name, prepare).unwrap();
    let gathered = runtime.block_on(async {
        let config = Config::from_url(database.url()).unwrap();
        let mut client = pg_session::connect(&config).await.unwrap();
        run::check(&mut client, &contract, &catalog::Options::default()).await.unwrap()
    });
    let texts = gathered.statements.clone();
    let occasion = run::Occasion {
        command: "check".to_owned(),
        profile: None,
        started_at: "2025-01-15T09:30:00Z".to_owned(),
        finished_at: "2025-01-15T09:30:01Z".to_owned(),
        notes: Vec::new(),
    };
    let claims = check::plan(&contract);
    let certificate = run::certificate(&contract, claims, Scope::Part, gathered, occasion);
    assert!(certificate.counts.proven > 100, "{:?}", certificate.counts);
    follows(&value(&certificate));
    statements_are_those_that_ran(&certificate, &contract, &texts, &runtime, &database);
}

/// Whatever was looked at names its statements, and the server takes their texts.
fn statements_are_those_that_ran(
    certificate: &Certificate,
    contract: &Contract,
    texts: &Statements,
    runtime: &Runtime,
    database: &TestDatabase,
) {
    let of_contract: BTreeMap<&str, &str> = contract.statements().collect();
    for claim in &certificate.claims {
        let named = claim.evidence.iter().flat_map(|one| &one.statements);
        for name in named.clone() {
            let ran =
                texts.get(name).map(String::as_str).or(of_contract.get(name.as_str()).copied());
            assert_eq!(certificate.statements.get(name).map(String::as_str), ran, "{name}");
        }
        // Without rows nothing is compared, and no hostile text can be sent.
        let settled = claim.status != Status::Unproven;
        assert!(!settled || named.count() > 0, "{}", claim.id);
    }
    runtime.block_on(async {
        let config = Config::from_url(database.url()).unwrap();
        let client = pg_session::connect(&config).await.unwrap();
        for (name, sql) in &certificate.statements {
            // Typed where it is sent, too.
            let types: &[Type] = if name == catalog::FACTS { &[Type::TEXT_ARRAY] } else { &[] };
            if let Err(error) = client.prepare_typed(sql, types).await {
                panic!("{name}: {error:?}\n{sql}");
            }
        }
    });
}

/// Takes apart a certificate in every place: whatever the schema still allows can be read.
#[test]
fn what_the_schema_allows_can_be_read() {
    let validator = validator();
    let whole = value(&small());
    let mut places = Vec::new();
    pointers(&whole, String::new(), &mut places);
    let (mut refused, mut allowed) = (0, 0);
    for place in &places {
        let others =
            [Value::Null, json!(-1), json!(0.55), json!("?"), json!([]), json!({}), json!(true)];
        for other in others {
            let mut file = whole.clone();
            *file.pointer_mut(place).unwrap() = other;
            if !validator.is_valid(&file) {
                refused += 1;
                continue;
            }
            allowed += 1;
            if let Err(error) = Certificate::from_json(&file.to_string()) {
                // Beyond a schema: what stands twice or for another claim, and decimal places.
                let beyond = ["twice", "holds evidence for", "one decimal"];
                let text = error.to_string();
                assert!(beyond.iter().any(|words| text.contains(words)), "{place}: {error}");
            }
        }
    }
    assert!(refused > 1_000 && allowed > 100, "{refused} refused, {allowed} allowed");
}

fn pointers(value: &Value, here: String, found: &mut Vec<String>) {
    match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                let key = key.replace('~', "~0").replace('/', "~1");
                pointers(value, format!("{here}/{key}"), found);
            }
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                pointers(value, format!("{here}/{at}"), found);
            }
        }
        _ => {}
    }
    found.push(here);
}

#[test]
fn departures_are_refused() {
    let validator = validator();
    let departures: [fn(&mut Value); 6] = [
        |file| file["claims"][0]["status"] = json!("fine"),
        |file| file["surprise"] = json!(1),
        |file| file["score"] = json!(136),
        |file| file["counts"]["expected"] = json!(-1),
        |file| file["claims"][0]["evidence"][0]["outcome"]["kind"] = json!("guessed"),
        |file| {
            file.as_object_mut().unwrap().remove("problems");
        },
    ];
    for (at, depart) in departures.into_iter().enumerate() {
        let mut file = value(&small());
        depart(&mut file);
        assert!(!validator.is_valid(&file), "{at}");
    }
}
