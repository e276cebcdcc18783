//! The formats that other programs read, each against its own rules.

use std::path::Path;
use std::process::Command;

use dbready::claim::Target;
use dbready::contract::Revision;
use dbready::report::{Certificate, Format, Subject, View};
use dbready::verdict::Status;
use serde_json::{Value, json};

use crate::fixture::{claim, compared, finding, hostile, inputs, large, small};

/// OASIS's schema of SARIF 2.1.0, as the crate that writes it carries it. Its pattern of a
/// language, which is never written, holds a stray bracket.
fn sarif_schema() -> Value {
    let cargo = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        let output = command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Packages for other platforms need not have been downloaded.
    let metadata = ["metadata", "--format-version", "1", "--offline", "--locked"];
    let metadata = cargo(&[&metadata[..], &["--filter-platform", host]].concat());
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let mut packages = metadata["packages"].as_array().unwrap().iter();
    let package = packages.find(|package| package["name"] == "serde-sarif").unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let text = std::fs::read_to_string(manifest.with_file_name("src").join("schema.json"));
    let mut schema: Value = serde_json::from_str(&text.unwrap()).unwrap();
    for holder in ["run", "toolComponent"] {
        let at = format!("/definitions/{holder}/properties/language");
        let language = schema.pointer_mut(&at).and_then(Value::as_object_mut).unwrap();
        language.remove("pattern").unwrap();
    }
    schema
}

#[test]
fn sarif_follows_the_official_schema() {
    let validator = jsonschema::validator_for(&sarif_schema()).unwrap();
    assert!(!validator.is_valid(&serde_json::json!({ "version": "2.1.0" })), "runs are needed");
    for certificate in [small(), large(), hostile()] {
        let log =
            serde_json::from_str(&certificate.render(Format::Sarif, &View::default())).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&log).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
}

#[test]
fn sarif_declares_every_claim_and_reports_those_not_proven() {
    let certificate = small();
    let log: Value =
        serde_json::from_str(&certificate.render(Format::Sarif, &View::default())).unwrap();
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), certificate.claims.len());
    let results = run["results"].as_array().unwrap();
    let open = certificate.claims.iter().filter(|claim| claim.status != Status::Proven);
    assert_eq!(results.len(), open.count());
    for result in results {
        let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[rule]["id"], result["ruleId"]);
        let is_refuted = certificate.claims[rule].status == Status::Refuted;
        assert_eq!(result["kind"], if is_refuted { "fail" } else { "open" });
        assert_eq!(result["level"] == "none", !is_refuted);
    }
    assert_eq!(run["invocations"][0]["executionSuccessful"], certificate.problems.is_empty());
}

#[test]
fn csv_has_a_row_for_each_claim_and_no_formula() {
    for certificate in [small(), large(), hostile()] {
        let text = certificate.render(Format::Csv, &View::default());
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(&reader.headers().unwrap()[0], "id");
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), certificate.claims.len());
        for (row, claim) in rows.iter().zip(&certificate.claims) {
            assert_eq!(&row[3], claim.status.word());
            let signs = row.iter().enumerate().filter(|(column, _)| ![9, 10].contains(column));
            for (_, cell) in signs {
                assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell}");
            }
        }
    }
    let formula = "=HYPERLINK(\"x\",\"y\")";
    let run = inputs(
        vec![claim(formula, "schema_integrity", formula, Target::NoDifference)],
        vec![compared(formula, formula, vec![])],
    );
    let text = Certificate::assemble(run).render(Format::Csv, &View::default());
    assert!(text.contains("\"'=HYPERLINK("), "{text}");
}

#[test]
fn github_gets_one_command_a_line_gravest_first() {
    let text = small().render(Format::Github, &View::default());
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("::error title=refuted%3A schema.signal_greeks"), "{text}");
    assert!(lines.last().unwrap().starts_with("::notice title=NOT CERTIFIED%2C"), "{text}");
    for certificate in [small(), large(), hostile()] {
        let text = certificate.render(Format::Github, &View::default());
        for line in text.lines() {
            let rest = line.strip_prefix("::").unwrap();
            let (head, _) = rest.split_once("::").unwrap();
            let (level, title) = head.split_once(" title=").unwrap();
            assert!(["error", "warning", "notice"].contains(&level), "{line}");
            assert!(!title.contains([':', ',', '\r']), "{line}");
        }
    }
}

#[test]
fn github_counts_what_it_does_not_show() {
    let many = (0..25).map(|at| format!("schema.t{at}"));
    let (claims, evidence): (Vec<_>, Vec<_>) = many
        .map(|id| {
            let wrong = vec![finding(&id, "a", "b", None)];
            (
                claim(&id, "schema_integrity", "It holds.", Target::NoDifference),
                compared(&id, "", wrong),
            )
        })
        .unzip();
    let text =
        Certificate::assemble(inputs(claims, evidence)).render(Format::Github, &View::default());
    assert_eq!(text.matches("::error ").count(), 10);
    assert!(text.contains("::error title=and more::16 more;"), "{text}");
}

/// The fields that the specifications of statement and predicate name, and no others.
#[test]
fn the_statement_has_the_fields_of_its_specification() {
    let subjects = vec![
        Subject::Commit("d20ace7968ba43c0219f62d71334c1095bab1602".to_owned()),
        Subject::Artifact { name: "app".to_owned(), sha256: [0; 32] },
    ];
    let view = View { subjects, ..View::default() };
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    for certificate in [small(), large(), hostile()] {
        let statement: Value =
            serde_json::from_str(&certificate.render(Format::InToto, &view)).unwrap();
        assert_eq!(keys(&statement), ["_type", "subject", "predicateType", "predicate"]);
        assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
        let predicate = &statement["predicate"];
        assert_eq!(statement["predicateType"], "https://in-toto.io/attestation/test-result/v0.1");
        assert_eq!(
            keys(predicate),
            ["result", "configuration", "passedTests", "warnedTests", "failedTests"]
        );
        assert_eq!(predicate["result"], "FAILED");
        let described = statement["subject"].as_array().unwrap().iter();
        for one in described.chain(predicate["configuration"].as_array().unwrap()) {
            let known = [
                "name",
                "uri",
                "digest",
                "content",
                "downloadLocation",
                "mediaType",
                "annotations",
            ];
            assert!(keys(one).iter().all(|key| known.contains(&key.as_str())), "{one}");
        }
        let of_subject = |at: usize| statement["subject"][at]["digest"].clone();
        assert_eq!(of_subject(0), json!({ "dbreadyContract": certificate.contract.digest }));
        assert_eq!(of_subject(1)["gitCommit"], "d20ace7968ba43c0219f62d71334c1095bab1602");
        assert_eq!(of_subject(2), json!({ "sha256": "00".repeat(32) }));
        let named = |list: &str| predicate[list].as_array().unwrap().len() as u64;
        let runs = certificate.problems.len() as u64;
        assert_eq!(named("passedTests"), certificate.counts.proven);
        let listed = named("passedTests") + named("warnedTests") + named("failedTests");
        assert_eq!(listed, certificate.counts.expected + runs);
    }
}

#[test]
fn a_statement_passes_when_the_certificate_does() {
    let small = small();
    let of = |ids: &[usize]| {
        let claims = ids.iter().map(|at| &small.claims[*at]);
        let (claims, evidence) = claims
            .map(|one| {
                let mut claim = claim(&one.id, &one.area, &one.statement, one.goal.clone());
                claim.required = one.required;
                (claim, one.evidence.clone())
            })
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let mut run = inputs(claims, evidence.into_iter().flatten().collect());
        run.scope = dbready::score::Scope::Part;
        let text = Certificate::assemble(run).render(Format::InToto, &View::default());
        serde_json::from_str::<Value>(&text).unwrap()["predicate"].clone()
    };
    let passed = of(&[0]);
    assert_eq!(passed["result"], "PASSED");
    assert_eq!(passed["passedTests"], json!(["schema.signal_greeks"]));
    // Refuted, yet not required.
    let warned = of(&[0, 2]);
    assert_eq!(
        (&warned["result"], &warned["warnedTests"]),
        (&json!("WARNED"), &json!(["drift.tables"]))
    );
    let failed = of(&[0, 3]);
    assert_eq!(failed["result"], "FAILED", "unproven is not passed");
    assert_eq!(failed["failedTests"], json!(["schema.signal_greeks.policy.retention"]));
}

#[test]
fn a_statement_speaks_about_what_the_certificate_knows() {
    let (commit, named) = ("a".repeat(40), "b".repeat(40));
    let subjects = |changed: bool, given: Vec<Subject>| {
        let mut run = inputs(Vec::new(), Vec::new());
        run.contract.revision = Some(Revision { commit: commit.clone(), changed });
        run.server.as_mut().unwrap().schema_digest = Some("5".repeat(64));
        run.tool_digest = Some("6".repeat(64));
        let view = View { subjects: given, ..View::default() };
        let text = Certificate::assemble(run).render(Format::InToto, &view);
        let statement: Value = serde_json::from_str(&text).unwrap();
        statement["subject"].as_array().unwrap()[1..].to_vec()
    };
    let of = |commit: &str| json!({ "name": "source", "digest": { "gitCommit": commit } });
    let known = [
        json!({ "name": "schema", "digest": { "dbreadySchema": "5".repeat(64) } }),
        json!({
            "name": concat!("dbready ", env!("CARGO_PKG_VERSION")),
            "digest": { "sha256": "6".repeat(64) },
        }),
    ];
    assert_eq!(subjects(false, Vec::new()), [&[of(&commit)], &known[..]].concat());
    assert_eq!(subjects(true, Vec::new()), known, "a changed contract is not the commit's");
    let given = vec![Subject::Commit(named.clone())];
    assert_eq!(subjects(false, given), [&[of(&named)], &known[..]].concat());
}
