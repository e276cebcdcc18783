//! Assembling, storing and reading certificates.

use dbready::claim::Target;
use dbready::evidence::Outcome;
use dbready::report::{Certificate, StoredError, Verdict, View};
use dbready::score::Scope;
use dbready::verdict::Status;
use dbready::verdict::acceptance::{Source, State, Suppression};
use serde_json::{Value, json};

use crate::fixture::{SNAPSHOT, claim, compared, finding, hostile, inputs, large, small, weights};

/// A run of one proven claim in its only area.
fn proven() -> dbready::report::Inputs {
    let one = claim("schema.t", "schema_integrity", "t is a table.", Target::NoDifference);
    let mut inputs = inputs(vec![one], vec![compared("schema.t", "a table", Vec::new())]);
    inputs.weights.truncate(1);
    inputs.weights[0].areas.truncate(1);
    inputs
}

fn value(certificate: &Certificate) -> Value {
    serde_json::from_str(&certificate.to_json()).unwrap()
}

fn read(value: &Value) -> Result<Certificate, StoredError> {
    Certificate::from_json(&value.to_string())
}

#[test]
fn certified_when_everything_required_is_proven() {
    let certificate = Certificate::assemble(proven());
    assert_eq!(certificate.verdict, Verdict::Certified);
    assert_eq!(value(&certificate)["verdict"], "certified");
    assert_eq!(value(&certificate)["score"], 100.0);
}

#[test]
fn evidence_that_was_not_planned_forbids_certification() {
    let mut run = proven();
    run.evidence.push(compared("schema.other", "a table", Vec::new()));
    let certificate = Certificate::assemble(run);
    assert_eq!(certificate.verdict, Verdict::NotCertified);
    assert_eq!(certificate.unplanned.len(), 1);
    assert!(certificate.problems[0].contains("schema.other"), "{:?}", certificate.problems);
}

#[test]
fn a_claim_planned_twice_or_without_area_forbids_certification() {
    let mut twice = proven();
    twice.claims.push(twice.claims[0].clone());
    let certificate = Certificate::assemble(twice);
    assert_eq!((certificate.verdict, certificate.claims.len()), (Verdict::NotCertified, 1));

    let mut homeless = proven();
    homeless.claims.push(claim("x", "nowhere", "x holds.", Target::NoDifference));
    homeless.evidence.push(compared("x", "x", Vec::new()));
    let certificate = Certificate::assemble(homeless);
    assert_eq!(certificate.verdict, Verdict::NotCertified);
    assert!(certificate.problems[0].contains("nowhere"));
}

#[test]
fn the_worst_of_two_pieces_of_evidence_counts() {
    let mut run = proven();
    let wrong = finding("public.t", "a table", "a view", None);
    run.evidence.push(compared("schema.t", "", vec![wrong]));
    let certificate = Certificate::assemble(run);
    assert_eq!(certificate.claims[0].status, Status::Refuted);
    assert_eq!(certificate.claims[0].evidence.len(), 2);
}

#[test]
fn an_area_without_claims_is_seen_in_a_whole_run_and_left_out_of_a_part() {
    let mut run = proven();
    run.weights = weights();
    let whole = Certificate::assemble(run.clone());
    assert_eq!(whole.verdict, Verdict::NotCertified);
    run.scope = Scope::Part;
    let part = Certificate::assemble(run);
    assert_eq!(part.verdict, Verdict::Certified);
    assert!(part.render(dbready::report::Format::Terminal, &View::default()).contains("IN PART"));
}

#[test]
fn counts_and_fixed_keys() {
    let certificate = small();
    let value = value(&certificate);
    for key in ["verdict", "score", "server", "claims", "format", "format_version", "counts"] {
        assert!(value.get(key).is_some(), "{key}");
    }
    let claim = value["claims"][0].as_object().unwrap();
    for key in [
        "id",
        "area",
        "statement",
        "status",
        "severity",
        "required",
        "target",
        "observed",
        "n",
        "reason",
    ] {
        assert!(claim.contains_key(key), "{key}");
    }
    let counts = certificate.counts;
    assert_eq!((counts.expected, counts.settled, counts.required), (8, 6, 7));
    assert_eq!((counts.proven, counts.refuted, counts.unproven), (3, 3, 2));
    assert!(
        certificate
            .claims
            .iter()
            .all(|claim| { claim.reason.is_some() == (claim.status != Status::Proven) })
    );
}

#[test]
fn what_is_stored_is_read_back_the_same() {
    for certificate in [small(), large(), hostile(), Certificate::assemble(proven())] {
        let again = Certificate::from_json(&certificate.to_json()).unwrap();
        assert_eq!(again, certificate);
    }
}

#[test]
fn a_figure_that_is_no_number_is_stored_as_not_measured() {
    let mut run = proven();
    run.claims[0].target =
        Target::AtMost { statistic: "p95".into(), limit: 5.0, unit: "ms".into() };
    run.evidence[0].outcome = Outcome::Measured {
        n: 100,
        n_needed: 59,
        value: f64::NAN,
        bound: 1.0,
        unit: "ms".into(),
        statistics: Vec::new(),
    };
    let certificate = Certificate::assemble(run);
    assert_eq!(certificate.claims[0].status, Status::Unproven);
    assert_eq!(Certificate::from_json(&certificate.to_json()).unwrap(), certificate);
}

#[test]
fn a_forged_certificate_is_judged_by_its_evidence() {
    let forgeries: [fn(&mut Value); 4] = [
        |file| file["verdict"] = json!("certified"),
        |file| file["score"] = json!(100.0),
        |file| file["claims"][1]["status"] = json!("proven"),
        |file| file["counts"]["refuted"] = json!(0),
    ];
    let honest = small();
    for forge in forgeries {
        let mut file = value(&honest);
        forge(&mut file);
        let read = read(&file).unwrap();
        assert_eq!(read.verdict, Verdict::NotCertified);
        assert_eq!(read.claims, honest.claims);
        assert_eq!((read.score, read.counts), (honest.score, honest.counts));
        assert!(read.problems.iter().any(|problem| problem.contains("stored certificate")));
    }
}

#[test]
fn a_claim_taken_out_is_seen() {
    let mut file = value(&Certificate::assemble(proven()));
    file["claims"] = json!([]);
    let read = read(&file).unwrap();
    assert_eq!(read.verdict, Verdict::NotCertified);
    assert!(!read.problems.is_empty());
}

#[test]
fn damaged_documents_are_refused() {
    let damages: [fn(&mut Value); 8] = [
        |file| file["surprise"] = json!(1),
        |file| file["claims"][0]["surprise"] = json!(1),
        |file| file["claims"][1] = file["claims"][0].clone(),
        |file| file["claims"][0]["evidence"][0]["claim"] = json!("another"),
        |file| file["unplanned"] = file["claims"][0]["evidence"].clone(),
        |file| file["score"] = json!(395),
        |file| file["claims"][0]["weight"] = Value::Null,
        |file| file["refinements"][1] = file["refinements"][0].clone(),
    ];
    for (at, damage) in damages.into_iter().enumerate() {
        let mut file = value(&small());
        damage(&mut file);
        let error = read(&file).unwrap_err();
        assert!(matches!(error, StoredError::Damaged(_)), "{at}: {error}");
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn foreign_and_other_versions_are_told_apart() {
    for text in [
        "",
        "[]",
        "{}",
        "null",
        "{\"format\": 1}",
        "<html>",
        "{\"format\":\"x\",\"format_version\":1}",
    ] {
        let error = Certificate::from_json(text).unwrap_err();
        assert!(matches!(error, StoredError::Foreign(_)), "{text}: {error}");
    }
    let mut file = value(&small());
    for version in [0, u64::from(dbready::report::FORMAT_VERSION) + 1] {
        file["format_version"] = json!(version);
        file["something_new"] = json!(true);
        let error = read(&file).unwrap_err();
        assert!(matches!(error, StoredError::Version { found } if found == version), "{error}");
    }
    let deep = "[".repeat(100_000);
    assert!(Certificate::from_json(&deep).is_err());
    let long = " ".repeat(dbready::report::MAX_BYTES + 1);
    assert!(matches!(Certificate::from_json(&long), Err(StoredError::TooLong { .. })));
}

/// A file as each version of the format was first written; it must stay readable.
#[test]
fn old_versions_stay_readable() {
    for text in [include_str!("certificate-v1.json"), include_str!("certificate-v2.json")] {
        let certificate = Certificate::from_json(text).unwrap();
        assert_eq!(certificate.problems, Vec::<String>::new());
        assert_eq!(certificate.score.to_string(), "12.0 %");
        assert_eq!(certificate.claims.len(), 8);
        let again = Certificate::from_json(&certificate.to_json()).unwrap();
        assert_eq!(again, certificate);
    }
    let mut mixed: Value = serde_json::from_str(include_str!("certificate-v1.json")).unwrap();
    mixed["digest"] = json!("");
    assert!(matches!(read(&mixed), Err(StoredError::Damaged(_))));
}

/// Older versions that know suppressions were never written.
#[test]
fn older_versions_know_no_suppressions() {
    for text in [include_str!("certificate-v1.json"), include_str!("certificate-v2.json")] {
        for (key, forged) in [("accepted", json!(true)), ("suppressions", json!([]))] {
            let mut file: Value = serde_json::from_str(text).unwrap();
            file[key] = forged;
            assert!(matches!(read(&file), Err(StoredError::Damaged(_))), "{key}");
        }
    }
}

/// The seal of an older version is that of its own keys.
#[test]
fn the_seal_of_version_2_still_holds_and_still_breaks() {
    let mut file: Value = serde_json::from_str(include_str!("certificate-v2.json")).unwrap();
    assert_eq!(read(&file).unwrap().problems, Vec::<String>::new());
    file["notes"] = json!(["another note"]);
    let problems = read(&file).unwrap().problems;
    assert!(problems.iter().any(|problem| problem.contains("seal")), "{problems:?}");
}

/// Files as versions 3 and 4 of the format were first written; they must stay readable.
#[test]
fn versions_with_suppressions_stay_readable() {
    let (three, four) = (include_str!("certificate-v3.json"), include_str!("certificate-v4.json"));
    for (text, suppressions) in [(three, 5), (four, 6)] {
        let certificate = Certificate::from_json(text).unwrap();
        assert_eq!(certificate.problems, Vec::<String>::new());
        assert_eq!((certificate.claims.len(), certificate.suppressions.len()), (8, suppressions));
        assert!(!certificate.accepted);
    }
    let mut mixed: Value = serde_json::from_str(three).unwrap();
    mixed["suppressions"][0]["suppression"]["source"] = json!("waiver");
    assert!(matches!(read(&mixed), Err(StoredError::Damaged(_))));
}

/// A file as version 5 of the format was first written.
#[test]
fn the_version_with_digests_stays_readable_and_older_ones_have_none() {
    let five = include_str!("certificate-v5.json");
    let certificate = Certificate::from_json(five).unwrap();
    assert_eq!(certificate.problems, Vec::<String>::new());
    let four: Value = serde_json::from_str(include_str!("certificate-v4.json")).unwrap();
    for (part, key) in
        [("/contract", "revision"), ("/server", "schema_digest"), ("", "tool_digest")]
    {
        let mut mixed = four.clone();
        mixed.pointer_mut(part).unwrap()[key] = Value::Null;
        assert!(matches!(read(&mixed), Err(StoredError::Damaged(_))), "{part}/{key}");
    }
}

/// A file as version 6 of the format was first written.
#[test]
fn the_version_with_statements_stays_readable_and_older_ones_have_none() {
    let six = include_str!("certificate-v6.json");
    let certificate = Certificate::from_json(six).unwrap();
    assert_eq!(certificate.problems, Vec::<String>::new());
    assert_eq!(certificate.statements.keys().collect::<Vec<_>>(), [SNAPSHOT]);
    let five: Value = serde_json::from_str(include_str!("certificate-v5.json")).unwrap();
    for (part, key, empty) in
        [("", "statements", json!({})), ("/claims/0/evidence/0", "statements", json!([]))]
    {
        let mut mixed = five.clone();
        mixed.pointer_mut(part).unwrap()[key] = empty;
        assert!(matches!(read(&mixed), Err(StoredError::Damaged(_))), "{part}/{key}");
    }
}

#[test]
fn statements_are_sealed_and_only_those_named_are_kept() {
    let certificate = Certificate::assemble(proven());
    assert_eq!(certificate.statements.keys().collect::<Vec<_>>(), [SNAPSHOT]);
    let mut other = value(&certificate);
    other["statements"][SNAPSHOT] = json!("SELECT 'another'");
    let doubted = read(&other).unwrap();
    assert!(doubted.problems[0].contains("seal"), "{:?}", doubted.problems);
    assert_eq!(doubted.verdict, Verdict::NotCertified);
}

#[test]
fn evidence_by_a_statement_without_a_text_forbids_certification() {
    let mut run = proven();
    run.evidence[0].statements.push("elsewhere.sql".to_owned());
    let certificate = Certificate::assemble(run);
    assert_eq!(certificate.verdict, Verdict::NotCertified);
    assert!(certificate.problems[0].contains("elsewhere.sql"), "{:?}", certificate.problems);
}

fn given(claim: &str, expires: &str) -> Suppression {
    Suppression {
        claim: claim.to_owned(),
        reason: "old".to_owned(),
        expires: expires.parse().unwrap(),
        source: Source::Suppression,
        covers: None,
    }
}

/// A run of one refuted claim in its only area.
fn refuted() -> dbready::report::Inputs {
    let mut run = proven();
    let wrong = finding("public.t", "a table", "a view", None);
    run.evidence = vec![compared("schema.t", "", vec![wrong])];
    run
}

#[test]
fn a_suppression_accepts_a_run_and_changes_nothing_else() {
    let plain = Certificate::assemble(refuted());
    let suppressed = plain.clone().suppress(vec![given("schema.t", "2025-01-15")]);
    assert!(suppressed.accepted && !plain.accepted);
    assert_eq!(suppressed.verdict, Verdict::NotCertified);
    assert_eq!((suppressed.score, suppressed.counts), (plain.score, plain.counts));
    assert_eq!((&suppressed.claims, &suppressed.refinements), (&plain.claims, &plain.refinements));
    assert_eq!(suppressed.claims[0].status, Status::Refuted);
    assert_eq!(Certificate::from_json(&suppressed.to_json()).unwrap(), suppressed);
    // The day of the run is 2025-01-15.
    let expired = plain.clone().suppress(vec![given("schema.t", "2025-01-14")]);
    assert!(!expired.accepted);
    assert_eq!(expired.suppressions[0].state, State::Expired);
    let other = plain.suppress(vec![given("schema.other", "2030-01-01")]);
    assert!(!other.accepted);
    assert_eq!(other.suppressions[0].state, State::NotPlanned);
    let unused = Certificate::assemble(proven()).suppress(vec![given("schema.t", "2030-01-01")]);
    assert!(unused.accepted && unused.is_certified());
    assert_eq!(unused.suppressions[0].state, State::Unused);
    assert!(!certificate_with_problem().accepted, "a problem of the run cannot be suppressed");
}

fn waiver(claim: &str, expires: &str) -> Suppression {
    Suppression { source: Source::Waiver, ..given(claim, expires) }
}

/// What the contract waives is accepted until its day; then the waiver itself is a problem of the run.
#[test]
fn a_waiver_is_a_suppression_that_fails_when_it_is_over() {
    let run = |mut run: dbready::report::Inputs, expires: &str| {
        run.suppressions = vec![waiver("schema.t", expires)];
        Certificate::assemble(run)
    };
    let active = run(refuted(), "2025-01-15");
    assert!(active.accepted && !active.is_certified() && active.problems.is_empty());
    assert_eq!(Certificate::from_json(&active.to_json()).unwrap(), active);
    // Suppressions of a file stand beside it.
    let more = active.clone().suppress(vec![given("schema.other", "2025-01-15")]);
    assert!(more.accepted && more.suppressions.len() == 2);
    for claims in [refuted(), proven()] {
        let expired = run(claims, "2025-01-14");
        assert!(!expired.accepted && !expired.is_certified());
        assert_eq!(expired.suppressions[0].state, State::Expired);
        let [problem] = &expired.problems[..] else { panic!("{:?}", expired.problems) };
        assert!(problem.contains("`schema.t`, and it expired on 2025-01-14"), "{problem}");
        assert_eq!(Certificate::from_json(&expired.to_json()).unwrap(), expired);
    }
}

fn certificate_with_problem() -> Certificate {
    let mut run = refuted();
    run.problems.push("interrupted".to_owned());
    Certificate::assemble(run).suppress(vec![given("schema.t", "2030-01-01")])
}

#[test]
fn a_forged_suppression_is_noticed() {
    let honest = Certificate::assemble(refuted()).suppress(vec![given("schema.t", "2025-01-14")]);
    let mut file = value(&honest);
    file["suppressions"][0]["state"] = json!("active");
    file["suppressions"][0]["note"] = Value::Null;
    file["accepted"] = json!(true);
    let read = read(&file).unwrap();
    assert!(!read.accepted);
    assert!(
        read.problems.iter().any(|problem| problem.contains("suppressions")),
        "{:?}",
        read.problems
    );
}

/// Every format lists every suppression, and JUnit is red exactly when the run is not accepted.
#[test]
fn every_format_lists_the_suppressions() {
    use dbready::report::Format;
    let hostile = given("schema.<img src=x>|`a`", "2030-01-01");
    let all = vec![given("schema.t", "2025-01-15"), hostile, waiver("schema.u", "2025-01-16")];
    let certificate = Certificate::assemble(refuted()).suppress(all);
    for format in [Format::Terminal, Format::Markdown, Format::Html, Format::Junit] {
        let text = certificate.render(format, &View::default());
        assert!(text.contains("2025-01-15"), "{format}: {text}");
        let waived = format == Format::Junit || text.contains("waiver until 2025-01-16");
        assert!(waived, "{format}: {text}");
        if matches!(format, Format::Html | Format::Junit) {
            assert!(!text.contains("<img"), "{format}");
        }
    }
    let text = certificate.render(Format::Terminal, &View::default());
    assert!(text.starts_with("NOT CERTIFIED") && text.contains("accepted."), "{text}");
    let junit = |certificate: &Certificate| certificate.render(Format::Junit, &View::default());
    assert!(
        junit(&certificate).contains("failures=\"0\"")
            && junit(&certificate).contains("suppressed until")
    );
    assert!(junit(&Certificate::assemble(refuted())).contains("failures=\"1\""));
}

#[test]
fn a_baseline_covers_the_run_that_it_was_made_from_and_no_more() {
    use dbready::suppressions::{baseline, read};
    for run in [refuted(), inputs(small().claims.iter().map(planned).collect(), Vec::new())] {
        let certificate = Certificate::assemble(run);
        let text = baseline(&certificate).unwrap();
        let list = read(&text, "baseline.toml", Source::Baseline).unwrap();
        let open = certificate.claims.iter().filter(|claim| claim.status != Status::Proven).count();
        assert_eq!(list.len(), open);
        let covered = certificate.suppress(list);
        assert!(covered.suppressions.iter().all(|one| one.state == State::Active));
    }
    let mut worse = refuted();
    let text = baseline(&Certificate::assemble(worse.clone())).unwrap();
    let wrong = finding("public.u", "a table", "nothing", None);
    worse.evidence.push(compared("schema.t", "", vec![wrong]));
    let list = read(&text, "baseline.toml", Source::Baseline).unwrap();
    let worse = Certificate::assemble(worse).suppress(list);
    assert_eq!(worse.suppressions[0].state, State::Exceeded);
    assert!(!worse.accepted);
}

fn planned(result: &dbready::report::ClaimResult) -> dbready::claim::Claim {
    claim(&result.id, &result.area, &result.statement, result.goal.clone())
}

#[test]
fn files_of_suppressions_are_strict() {
    use dbready::suppressions::read;
    let entry = "[[suppression]]\nclaim = \"a\"\nreason = \"b\"\nexpires = \"2026-01-01\"\n";
    let head = "suppressions = 1\n";
    let good = format!("{head}{entry}");
    assert_eq!(read(&good, "f.toml", Source::Suppression).unwrap().len(), 1);
    assert_eq!(read(head, "f.toml", Source::Suppression).unwrap(), []);
    for (text, words) in [
        (String::new(), "missing field"),
        (good.replace("= 1", "= 2"), "expected suppressions = 1"),
        (good.replace("reason = \"b\"", "reason = \" \""), "gives no reason"),
        (good.replace("reason = \"b\"\n", ""), "missing field `reason`"),
        (good.replace("expires = \"2026-01-01\"\n", ""), "missing field `expires`"),
        (good.replace("2026-01-01", "next year"), "f.toml:5"),
        (good.replace("2026-01-01", "2026-13-01"), "f.toml:5"),
        (format!("{good}{entry}"), "suppressed twice"),
        (good.replace("claim =", "surprise = 1\nclaim ="), "unknown field"),
        ("[".repeat(100_000), "f.toml"),
        ("suppressions = 1 # \u{1b}[2J\n=".to_owned(), "f.toml"),
        (" ".repeat(5 << 20), "at most"),
    ] {
        let error = read(&text, "f.toml", Source::Suppression).unwrap_err().to_string();
        assert!(error.starts_with("f.toml") && error.contains(words), "{words}: {error}");
        assert!(!error.contains(char::is_control) && error.len() < 1_000, "{error:?}");
    }
}
