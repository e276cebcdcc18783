//! The certificate as an in-toto statement of a test result, for signing and for policies.
//!
//! Statement <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>, predicate
//! <https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md>.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::certificate::{Certificate, ClaimResult};
use super::text::one_line;
use crate::contract::hexadecimal;
use crate::verdict::Status;

/// The type of the statement.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// The type of its predicate.
const PREDICATE: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// What a statement speaks about, as the caller names it: the certificate does not know which commit
/// or which binary was deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The git commit that was tested, in hexadecimal.
    Commit(String),
    /// A file that was tested.
    Artifact {
        /// Its name.
        name: String,
        /// Its SHA-256 digest.
        sha256: [u8; 32],
    },
}

/// Renders the statement, not signed.
///
/// Proven claims are its passed tests. Required claims that are refuted or unproven are failed ones, and
/// so is what went wrong with the run; suppressed and optional ones warn. The contract is always a
/// subject, by its digest in the certificate; so are the contract's commit, the schema and the program
/// where the certificate knows them.
#[must_use]
pub fn in_toto(certificate: &Certificate, subjects: &[Subject]) -> String {
    let contract = &certificate.contract;
    let name = format!("contract {} {}", one_line(&contract.name), one_line(&contract.version));
    // Not the digest of one file, hence a name of its own.
    let digest = json!({ "dbreadyContract": contract.digest });
    let contract = json!({ "name": name, "digest": digest });
    let mut all = vec![contract.clone()];
    all.extend(subjects.iter().map(|subject| match subject {
        Subject::Commit(commit) => json!({ "name": "source", "digest": { "gitCommit": commit } }),
        Subject::Artifact { name, sha256 } => {
            json!({ "name": name, "digest": { "sha256": hexadecimal(sha256) } })
        }
    }));
    all.extend(known(certificate, subjects));
    let (mut passed, mut warned, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for claim in &certificate.claims {
        let list = match rank(certificate, claim) {
            Rank::Passed => &mut passed,
            Rank::Warned => &mut warned,
            Rank::Failed => &mut failed,
        };
        list.push(claim.id.clone());
    }
    failed.extend(certificate.problems.iter().map(|problem| format!("run: {problem}")));
    let result = match (certificate.accepted, warned.is_empty()) {
        (false, _) => "FAILED",
        (true, false) => "WARNED",
        (true, true) => "PASSED",
    };
    let statement = json!({
        "_type": STATEMENT,
        "subject": all,
        "predicateType": PREDICATE,
        "predicate": {
            "result": result,
            "configuration": [contract, stored(certificate), tool(certificate)],
            "passedTests": passed,
            "warnedTests": warned,
            "failedTests": failed,
        },
    });
    format!("{statement:#}\n")
}

/// What the certificate itself says that it speaks about: the commit of the contract, unless another
/// one is named or the contract has changed since; the schema; the program that measured.
fn known(certificate: &Certificate, subjects: &[Subject]) -> Vec<Value> {
    let mut known = Vec::new();
    let is_named = subjects.iter().any(|subject| matches!(subject, Subject::Commit(_)));
    let revision = certificate.contract.revision.as_ref().filter(|one| !one.changed && !is_named);
    if let Some(revision) = revision {
        known.push(json!({ "name": "source", "digest": { "gitCommit": revision.commit } }));
    }
    if let Some(digest) = certificate.server.as_ref().and_then(|one| one.schema_digest.as_ref()) {
        known.push(json!({ "name": "schema", "digest": { "dbreadySchema": digest } }));
    }
    if let Some(digest) = &certificate.tool_digest {
        let name = format!("dbready {}", one_line(&certificate.tool_version));
        known.push(json!({ "name": name, "digest": { "sha256": digest } }));
    }
    known
}

enum Rank {
    Passed,
    Warned,
    Failed,
}

fn rank(certificate: &Certificate, claim: &ClaimResult) -> Rank {
    let is_covered = || certificate.suppression(&claim.id).is_some();
    match claim.status {
        Status::Proven => Rank::Passed,
        _ if !claim.required || is_covered() => Rank::Warned,
        Status::Refuted | Status::Unproven => Rank::Failed,
    }
}

/// The certificate itself, which holds every claim with its evidence.
fn stored(certificate: &Certificate) -> Value {
    let digest = hexadecimal(&Sha256::digest(certificate.to_json().as_bytes()));
    json!({
        "name": "certificate.json",
        "digest": { "sha256": digest },
        "mediaType": "application/json",
        "annotations": {
            "seal": certificate.digest,
            "score": certificate.score,
            "scope": certificate.scope,
            "startedAt": certificate.started_at,
            "finishedAt": certificate.finished_at,
        },
    })
}

/// The program that measured, and the server that it looked at.
fn tool(certificate: &Certificate) -> Value {
    json!({
        "name": format!("dbready {}", one_line(&certificate.tool_version)),
        "annotations": {
            "command": certificate.command,
            "profile": certificate.profile,
            "server": certificate.server,
        },
    })
}
