//! The seal: what verifying notices.

use dbready::report::{Certificate, StoredError, counts_for, verify};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixture::{hostile, large, small};

/// Soon after the run of the fixtures ended.
fn soon(certificate: &Certificate) -> Timestamp {
    let end = certificate.finished_at.parse::<Timestamp>();
    end.unwrap_or_default() + SignedDuration::from_mins(1)
}

fn doubts(text: &str, now: Timestamp) -> Vec<String> {
    verify(text, now).unwrap().doubts
}

#[test]
fn a_file_as_it_was_written_leaves_no_doubt() {
    for certificate in [small(), large()] {
        assert_eq!(doubts(&certificate.to_json(), soon(&certificate)), [""; 0]);
    }
}

#[test]
fn each_changed_claim_is_named() {
    let certificate = small();
    let mut file: Value = serde_json::from_str(&certificate.to_json()).unwrap();
    file["claims"][2]["statement"] = json!("it holds");
    let text = serde_json::to_string_pretty(&file).unwrap() + "\n";
    let found = doubts(&text, soon(&certificate));
    assert_eq!(found, [format!("the seal of `{}` does not hold", certificate.claims[2].id)]);

    let mut file: Value = serde_json::from_str(&certificate.to_json()).unwrap();
    file["claims"].as_array_mut().unwrap().remove(1);
    let text = serde_json::to_string_pretty(&file).unwrap() + "\n";
    let found = doubts(&text, soon(&certificate)).join("; ");
    assert!(found.contains(&certificate.claims[2].id), "its predecessor is gone: {found}");

    let mut file: Value = serde_json::from_str(&certificate.to_json()).unwrap();
    file["notes"] = json!(["all is well"]);
    let text = serde_json::to_string_pretty(&file).unwrap() + "\n";
    let found = doubts(&text, soon(&certificate));
    assert_eq!(found, ["the seal of the certificate does not hold"]);
    assert!(!Certificate::from_json(&text).unwrap().is_certified());
}

#[test]
fn a_file_laid_out_otherwise_is_noticed() {
    let certificate = small();
    for text in [certificate.to_json() + "\n", certificate.to_json().replace("\n  ", "\n")] {
        let found = doubts(&text, soon(&certificate));
        assert_eq!(found, ["the file is not laid out as it was written"]);
    }
}

#[test]
fn evidence_counts_for_a_time() {
    let certificate = small();
    let end: Timestamp = certificate.finished_at.parse().unwrap();
    let producers: std::collections::BTreeSet<&str> = certificate
        .claims
        .iter()
        .filter(|claim| !claim.evidence.is_empty())
        .map(|claim| claim.producer.word())
        .collect();
    let longest = certificate.claims.iter().map(|claim| counts_for(claim.producer)).max().unwrap();
    let text = certificate.to_json();
    let late = doubts(&text, end + longest + SignedDuration::from_secs(1));
    assert_eq!(late.len(), producers.len(), "{late:?}");
    assert!(late.iter().all(|doubt| doubt.contains("hours old")), "{late:?}");
    assert_eq!(doubts(&text, end + SignedDuration::from_hours(24)), [""; 0]);
    let early = doubts(&text, end - SignedDuration::from_hours(1));
    assert!(early[0].contains("in the future"), "{early:?}");
}

#[test]
fn version_1_has_no_seal() {
    let text = include_str!("certificate-v1.json");
    let found = doubts(text, soon(&Certificate::from_json(text).unwrap()));
    assert_eq!(found, ["format version 1 carries no seal"]);
}

#[test]
fn what_states_no_instant_is_in_doubt() {
    let found = doubts(&hostile().to_json(), Timestamp::UNIX_EPOCH);
    assert_eq!(found, ["the end of the run is no instant"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn one_flipped_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let certificate = small();
        let mut bytes = certificate.to_json().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        match verify(&text, soon(&certificate)) {
            Ok(verification) => prop_assert!(!verification.doubts.is_empty(), "byte {}", at),
            Err(StoredError::Foreign(_) | StoredError::Damaged(_) | StoredError::Version { .. }) => (),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}
