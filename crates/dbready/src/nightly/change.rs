//! What changed since the night before, the worst first.

use serde::Serialize;

use super::history::Night;
use crate::claim::Target;
use crate::report::{Certificate, ClaimResult};
use crate::verdict::Status;

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The claim, or the key of the area.
    pub id: String,
    /// What it is about, for people.
    pub statement: String,
    /// How it was.
    pub before: String,
    /// How it is.
    pub now: String,
    /// Why, where the certificate says.
    pub reason: Option<String>,
}

/// Nights that a figure is compared with: one slow night is no trend.
const NIGHTS_COMPARED: usize = 7;

/// How much worse than the worst of those nights a figure must be to be named, although its claim is
/// still proven.
const NOTABLE: f64 = 1.2;

/// What got worse and what got better since the last of the `earlier` nights (the oldest first).
///
/// First claims that are now refuted, the severest first, then those no longer proven, then claims that
/// are gone, then figures that are worse by a fifth than in each of the last seven nights.
#[must_use]
pub fn changes(
    certificate: &Certificate,
    night: &Night,
    earlier: &[&Night],
) -> (Vec<Change>, Vec<Change>) {
    let Some(last) = earlier.last() else { return (Vec::new(), Vec::new()) };
    let (mut worse, mut better) = (Vec::new(), Vec::new());
    for claim in &certificate.claims {
        // A new claim is neither better nor worse.
        let Some(before) = last.claims.get(&claim.id).copied() else { continue };
        let change = Change {
            id: claim.id.clone(),
            statement: claim.statement.clone(),
            before: before.word().to_owned(),
            now: claim.status.word().to_owned(),
            reason: claim.reason.clone(),
        };
        match claim.status.cmp(&before) {
            std::cmp::Ordering::Less => {
                let rank = (claim.status, !claim.required, std::cmp::Reverse(claim.severity));
                worse.push((rank, change));
            }
            std::cmp::Ordering::Greater => better.push(change),
            std::cmp::Ordering::Equal => {}
        }
    }
    worse.sort_by_key(|(rank, _)| *rank);
    let mut worse: Vec<Change> = worse.into_iter().map(|(_, change)| change).collect();
    for (id, before) in last.claims.iter().filter(|(id, _)| !night.claims.contains_key(*id)) {
        worse.push(Change {
            id: id.clone(),
            statement: "a claim that is no longer made".to_owned(),
            before: before.word().to_owned(),
            now: "gone".to_owned(),
            reason: None,
        });
    }
    let recent: Vec<&Night> = earlier.iter().rev().take(NIGHTS_COMPARED).copied().collect();
    let same_status = |claim: &&ClaimResult| last.claims.get(&claim.id) == Some(&claim.status);
    let proven = certificate.claims.iter().filter(|claim| claim.status == Status::Proven);
    worse.extend(proven.filter(same_status).filter_map(|claim| slower(claim, night, &recent)));
    (worse, better)
}

/// A figure that is notably worse than in each of the recent nights.
fn slower(claim: &ClaimResult, night: &Night, recent: &[&Night]) -> Option<Change> {
    let now = night.figures.get(&claim.id)?;
    let known = recent.iter().filter_map(|one| one.figures.get(&claim.id));
    let values: Vec<f64> =
        known.filter(|figure| figure.unit == now.unit).map(|figure| figure.value).collect();
    let (worst, is_worse) = match claim.goal {
        Target::AtMost { .. } => {
            let worst = values.iter().copied().reduce(f64::max)?;
            (worst, now.value > worst * NOTABLE)
        }
        Target::AtLeast { .. } => {
            let worst = values.iter().copied().reduce(f64::min)?;
            (worst, now.value < worst / NOTABLE)
        }
        _ => return None,
    };
    is_worse.then(|| Change {
        id: claim.id.clone(),
        statement: claim.statement.clone(),
        before: format!("{worst:.3} {} at worst", now.unit),
        now: format!("{:.3} {}", now.value, now.unit),
        reason: Some(format!(
            "still proven, and worse by a fifth than in each of the last {} nights",
            values.len()
        )),
    })
}
