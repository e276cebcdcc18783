//! The zero-gap summary of a night: what got worse first, the score by area, the trend.

mod change;
mod history;
mod merge;
mod page;
mod plot;

pub use change::{Change, changes};
pub use history::{FORMAT, FORMAT_VERSION, Figure, History, Night, NightArea};
pub use merge::{MergeError, merge};
pub use page::{html, markdown};
pub use plot::{Plot, plots};

use crate::report::Certificate;

/// The summary of one night; every page is rendered from it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Summary {
    /// The night.
    pub night: Night,
    /// When the night before was, if there is one.
    pub before: Option<String>,
    /// What got worse since then, the worst first.
    pub worse: Vec<Change>,
    /// What got better.
    pub better: Vec<Change>,
    /// What is amiss with the history or the run.
    pub problems: Vec<String>,
    /// What to do, where something is wrong.
    pub recommendations: Vec<String>,
    /// The score of each night, the oldest first, this one last.
    pub trend: Vec<(String, f64)>,
}

/// Recommendations given at most; the certificate holds all findings.
const MOST_RECOMMENDED: usize = 20;

impl Summary {
    /// Compares a night's certificate with the nights before it, the oldest first.
    #[must_use]
    pub fn of(certificate: &Certificate, earlier: &[Night], problems: Vec<String>) -> Self {
        let night = Night::of(certificate);
        let mut earlier: Vec<&Night> = earlier.iter().filter(|one| one.at < night.at).collect();
        earlier.sort_by(|one, other| one.at.cmp(&other.at));
        let (worse, better) = changes(certificate, &night, &earlier);
        let trend = earlier.iter().copied().chain([&night]);
        let trend = trend.map(|one| (one.at.clone(), one.score.value())).collect();
        let before = earlier.last().map(|one| one.at.clone());
        let recommendations = recommendations(certificate);
        let problems = certificate.problems.iter().cloned().chain(problems).collect();
        Self { night, before, worse, better, problems, recommendations, trend }
    }
}

/// The remedies of refuted claims; without a remedy, the claim to look at.
fn recommendations(certificate: &Certificate) -> Vec<String> {
    use crate::verdict::Status;
    let mut refuted: Vec<_> =
        certificate.claims.iter().filter(|claim| claim.status == Status::Refuted).collect();
    refuted.sort_by_key(|claim| std::cmp::Reverse(claim.severity));
    let mut all = Vec::new();
    for claim in refuted {
        let remedies: Vec<&str> =
            claim.findings().filter_map(|finding| finding.remedy.as_deref()).collect();
        match remedies.as_slice() {
            [] => {
                let reason = claim.reason.as_deref().unwrap_or("refuted");
                all.push(format!("{}: {reason}", claim.id));
            }
            remedies => {
                all.extend(remedies.iter().map(|remedy| format!("{}: {remedy}", claim.id)));
            }
        }
    }
    if all.len() > MOST_RECOMMENDED {
        let more = all.len() - MOST_RECOMMENDED;
        all.truncate(MOST_RECOMMENDED);
        all.push(format!("and {more} more, in the certificate"));
    }
    all
}
