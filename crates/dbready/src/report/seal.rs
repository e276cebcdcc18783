//! The seal of a certificate: a chain of SHA-256 digests over its claims, and what verifying finds.
//!
//! The digest of a claim is taken over the digest of the claim before it (nothing before the first),
//! a line feed, and the claim as compact JSON without its own digest. The digest of the certificate
//! is taken in the same way over the last claim's digest and everything but the claims. Keys stand in
//! the order in which the file holds them.
//!
//! A seal shows damage and careless changes. It does not say who made it: whoever changes a file can
//! seal it again.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::certificate::Certificate;
use super::stored::StoredError;
use crate::claim::Producer;
use crate::contract::hexadecimal;

/// What verifying a stored certificate found.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The certificate, judged again.
    pub certificate: Certificate,
    /// Every reason not to rely on the file; none when it holds.
    pub doubts: Vec<String>,
}

/// How long evidence of a producer counts after the end of its run.
#[must_use]
pub fn counts_for(producer: Producer) -> SignedDuration {
    match producer {
        Producer::Check => SignedDuration::from_hours(24),
        Producer::Drill | Producer::Load | Producer::Coverage => SignedDuration::from_hours(7 * 24),
    }
}

/// Verifies a stored certificate byte by byte: that it is what this program writes, that its seal
/// holds, that its evidence leads to what it states, and that the evidence still counts at `now`.
///
/// # Errors
///
/// As [`Certificate::from_json`], for what is no certificate at all.
pub fn verify(text: &str, now: Timestamp) -> Result<Verification, StoredError> {
    let stored = super::stored::read(text)?;
    let mut doubts = Vec::new();
    if stored.version == 1 {
        doubts.push("format version 1 carries no seal".to_owned());
    } else if stored.version == super::FORMAT_VERSION && stored.stated.to_json() != text {
        doubts.push("the file is not laid out as it was written".to_owned());
    }
    let certificate = stored.judge();
    let problems = certificate.problems.iter();
    doubts.extend(problems.filter(|problem| !stored.stated.problems.contains(problem)).cloned());
    doubts.extend(expired(&certificate, now));
    Ok(Verification { certificate, doubts })
}

/// Evidence that is too old at `now`, by producer.
fn expired(certificate: &Certificate, now: Timestamp) -> Vec<String> {
    let Ok(end) = certificate.finished_at.parse::<Timestamp>() else {
        return vec!["the end of the run is no instant".to_owned()];
    };
    let age = now.duration_since(end);
    if age < SignedDuration::from_mins(-5) {
        return vec![format!("the run ended in the future, at {end}")];
    }
    [Producer::Check, Producer::Drill, Producer::Load, Producer::Coverage]
        .into_iter()
        .filter(|producer| age > counts_for(*producer))
        .filter_map(|producer| {
            let has = |claim: &&super::ClaimResult| {
                claim.producer == producer && !claim.evidence.is_empty()
            };
            let claims = certificate.claims.iter().filter(has).count();
            (claims > 0).then(|| {
                format!(
                    "the evidence of `{}` for {claims} claims is {} hours old and counts for {}",
                    producer.word(),
                    age.as_hours(),
                    counts_for(producer).as_hours()
                )
            })
        })
        .collect()
}

impl Certificate {
    /// The certificate with every digest taken anew.
    pub(super) fn sealed(mut self) -> Self {
        // Keys are strings and figures finite, so that making a value cannot fail.
        let (claims, whole) = Chain::of(serde_json::to_value(&self).unwrap_or_default()).fresh();
        for (claim, digest) in self.claims.iter_mut().zip(claims) {
            claim.digest = digest;
        }
        self.digest = whole;
        self
    }

    /// Where the seal does not hold that this certificate had as `file`, in the format of its version.
    pub(super) fn broken_seals(&self, file: Value) -> Vec<String> {
        let chain = Chain::of(file);
        let mut before = "";
        let mut broken = Vec::new();
        for (claim, text) in self.claims.iter().zip(&chain.claims) {
            if link(before, text) != claim.digest {
                broken.push(format!("the seal of `{}` does not hold", claim.id));
            }
            before = &claim.digest;
        }
        if link(before, &chain.rest) != self.digest {
            broken.push("the seal of the certificate does not hold".to_owned());
        }
        broken
    }
}

/// What the digests are taken over.
struct Chain {
    claims: Vec<String>,
    rest: String,
}

impl Chain {
    fn of(mut rest: Value) -> Self {
        let claims = match rest.get_mut("claims").map(Value::take) {
            Some(Value::Array(claims)) => claims.into_iter().map(without_digest).collect(),
            _ => Vec::new(),
        };
        Self { claims, rest: without_digest(rest) }
    }

    fn fresh(&self) -> (Vec<String>, String) {
        let mut digests: Vec<String> = Vec::with_capacity(self.claims.len());
        for claim in &self.claims {
            digests.push(link(digests.last().map_or("", String::as_str), claim));
        }
        let whole = link(digests.last().map_or("", String::as_str), &self.rest);
        (digests, whole)
    }
}

fn without_digest(mut value: Value) -> String {
    if let Value::Object(keys) = &mut value {
        keys.shift_remove("digest");
    }
    value.to_string()
}

fn link(before: &str, text: &str) -> String {
    let digest =
        Sha256::new().chain_update(before).chain_update("\n").chain_update(text).finalize();
    hexadecimal(&digest)
}
