//! What a run of sabotages showed: counts, families, and everything that was not noticed.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::{Fate, Trial};
use crate::check;
use crate::claim::Claim;
use crate::contract::Contract;
use crate::evidence::ServerFacts;
use crate::verdict::count;

/// The detection power of the checks for one contract.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `proven` when every sabotage was noticed by its claim and by no stranger, and the untouched twin
    /// refutes nothing; else `not_proven`.
    pub verdict: &'static str,
    /// Whose contract it is.
    pub contract: String,
    /// Its version.
    pub version: String,
    /// The server that the twins were on.
    pub server: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Claims of the contract's checks.
    pub claims: usize,
    /// Sabotages made.
    pub sabotages: usize,
    /// Those noticed by the claim that they were meant for.
    pub noticed: usize,
    /// Those that it did not notice.
    pub missed: usize,
    /// Refutations of claims that a sabotage does not concern.
    pub collateral: usize,
    /// Claims that the untouched twin refutes already, so that nothing is proven.
    pub refuted_untouched: usize,
    /// Other claims that no sabotage was made for.
    pub claims_without_sabotage: usize,
    /// Sabotages after which everything was looked at, and not only what they can have touched.
    pub looked_at_whole: usize,
    /// Sabotages that the server did not let us make.
    pub not_applied: usize,
    /// Noticed sabotages in percent, rounded down to a tenth.
    pub share_percent: f64,
    /// The same by check.
    pub families: Vec<Family>,
    /// The claims that the untouched twin refutes, and why.
    pub untouched_refutations: Vec<Without>,
    /// Every sabotage that was not noticed.
    pub misses: Vec<Miss>,
    /// Every refutation of a claim that a sabotage does not concern.
    pub collateral_refutations: Vec<Collateral>,
    /// The other claims without a sabotage, and why.
    pub without_sabotage: Vec<Without>,
    /// The sabotages that were not made, and why.
    pub refused_by_server: Vec<Refused>,
    /// Noticed and missed sabotages of each claim.
    pub by_claim: Vec<OfClaim>,
}

/// The sabotages of one check.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Family {
    /// Id of the check.
    pub check: String,
    /// Its claims.
    pub claims: usize,
    /// Sabotages made.
    pub sabotages: usize,
    /// Those noticed.
    pub noticed: usize,
    /// Those missed.
    pub missed: usize,
    /// Refutations of strangers.
    pub collateral: usize,
}

/// A sabotage that was not noticed.
#[derive(Debug, Clone, Serialize)]
pub struct Miss {
    /// The claim that should have noticed.
    pub claim: String,
    /// What was done.
    pub what: String,
    /// What happened instead.
    pub found: String,
}

/// A claim that was refuted although the sabotage does not concern it.
#[derive(Debug, Clone, Serialize)]
pub struct Collateral {
    /// The sabotage.
    pub sabotage: String,
    /// The stranger.
    pub claim: String,
}

/// A claim without a sabotage, or refuted without one.
#[derive(Debug, Clone, Serialize)]
pub struct Without {
    /// The claim.
    pub claim: String,
    /// Why.
    pub reason: String,
}

/// A sabotage that was not made.
#[derive(Debug, Clone, Serialize)]
pub struct Refused {
    /// The sabotage.
    pub sabotage: String,
    /// What the server said.
    pub reason: String,
}

/// The sabotages of one claim.
#[derive(Debug, Clone, Serialize)]
pub struct OfClaim {
    /// The claim.
    pub claim: String,
    /// Sabotages noticed, in words.
    pub noticed: Vec<String>,
    /// Sabotages missed.
    pub missed: Vec<String>,
}

/// What a report is made of.
pub(super) struct Parts<'a> {
    pub(super) contract: &'a Contract,
    pub(super) server: &'a ServerFacts,
    pub(super) seconds: f64,
    /// The claims that the untouched twin leaves unproven, and why.
    pub(super) unproven: BTreeMap<String, String>,
    /// The claims that it refutes, and why.
    pub(super) refuted: BTreeMap<String, String>,
    pub(super) trials: &'a [Trial],
}

impl Report {
    pub(super) fn new(parts: &Parts<'_>) -> Self {
        let mut families = Vec::new();
        let mut by_claim: Vec<OfClaim> = Vec::new();
        for check in check::ALL {
            let claims: Vec<Claim> = (check.plan)(parts.contract);
            if claims.is_empty() {
                continue;
            }
            let mut family =
                Family { check: check.id.to_owned(), claims: claims.len(), ..Family::default() };
            for claim in claims {
                let mut own = OfClaim { claim: claim.id, noticed: Vec::new(), missed: Vec::new() };
                for trial in parts.trials.iter().filter(|trial| trial.target == own.claim) {
                    match &trial.fate {
                        Fate::Noticed => own.noticed.push(trial.what.clone()),
                        Fate::Missed(_) => own.missed.push(trial.what.clone()),
                        Fate::NotApplied(_) => continue,
                    }
                    family.collateral += trial.collateral.len();
                }
                family.noticed += own.noticed.len();
                family.missed += own.missed.len();
                by_claim.push(own);
            }
            family.sabotages = family.noticed + family.missed;
            families.push(family);
        }
        let sum = |of: fn(&Family) -> usize| families.iter().map(of).sum();
        let (noticed, missed): (usize, usize) = (sum(|one| one.noticed), sum(|one| one.missed));
        let collateral = sum(|one| one.collateral);
        let (overlooked, not_applied) = failures(parts.trials);
        let without = without(&by_claim, parts, &not_applied);
        let model = &parts.contract.model;
        let whole = missed == 0 && collateral == 0 && noticed > 0 && parts.refuted.is_empty();
        Self {
            verdict: if whole { "proven" } else { "not_proven" },
            contract: model.service.name.clone(),
            version: model.service.version.to_string(),
            server: server_words(parts.server),
            seconds: (parts.seconds * 10.0).round() / 10.0,
            claims: by_claim.len(),
            sabotages: noticed + missed,
            noticed,
            missed,
            collateral,
            refuted_untouched: parts.refuted.len(),
            claims_without_sabotage: without.len(),
            looked_at_whole: parts.trials.iter().filter(|trial| trial.whole).count(),
            not_applied: not_applied.len(),
            share_percent: share(noticed, noticed + missed),
            families,
            untouched_refutations: parts
                .refuted
                .iter()
                .map(|(claim, reason)| Without { claim: claim.clone(), reason: reason.clone() })
                .collect(),
            misses: overlooked,
            collateral_refutations: strangers(parts.trials),
            without_sabotage: without,
            refused_by_server: not_applied,
            by_claim,
        }
    }

    /// Whether every sabotage was noticed by its claim and by no stranger, and the untouched twin
    /// refutes nothing.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.verdict == "proven"
    }

    /// The report for people, in Markdown that reads well as it is.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let (sabotages, claims) = (self.sabotages as u64, self.claims as u64);
        writeln!(out, "# Detection power of {} {}\n", self.contract, self.version)?;
        writeln!(
            out,
            "{} of {} noticed by the right claim ({} %), {} missed, {} collateral, \
             {} refuted on the untouched twin, {} on {}, {:.1} s; everything looked at after {}\n",
            self.noticed,
            count(sabotages, "sabotage"),
            self.share_percent,
            self.missed,
            self.collateral,
            self.refuted_untouched,
            count(claims, "claim"),
            self.server,
            self.seconds,
            self.looked_at_whole
        )?;
        let row = |one: &str, figures: [&str; 5]| {
            let [claims, sabotages, noticed, missed, collateral] = figures;
            format!(
                "| {one:<21} | {claims:>6} | {sabotages:>9} | {noticed:>7} | {missed:>6} | \
                 {collateral:>10} |"
            )
        };
        writeln!(
            out,
            "{}",
            row("check", ["claims", "sabotages", "noticed", "missed", "collateral"])
        )?;
        writeln!(out, "|{}|-------:|----------:|--------:|-------:|-----------:|", "-".repeat(23))?;
        for one in &self.families {
            let figures = [one.claims, one.sabotages, one.noticed, one.missed, one.collateral];
            let words = figures.map(|figure| figure.to_string());
            writeln!(out, "{}", row(&one.check, words.each_ref().map(String::as_str)))?;
        }
        let bare = |one: &Without| format!("{}: {}", one.claim, one.reason);
        list(out, "Refuted on the untouched twin", &self.untouched_refutations, bare)?;
        list(out, "Not noticed", &self.misses, |one| {
            format!("{}: {}: {}", one.claim, one.what, one.found)
        })?;
        list(out, "Refuted without being concerned", &self.collateral_refutations, |one| {
            format!("{} by {}", one.claim, one.sabotage)
        })?;
        list(out, "Claims without a sabotage", &self.without_sabotage, bare)?;
        list(out, "Sabotages that the server does not allow", &self.refused_by_server, |one| {
            format!("{}: {}", one.sabotage, one.reason)
        })
    }
}

fn list<T>(
    out: &mut String,
    title: &str,
    items: &[T],
    words: impl Fn(&T) -> String,
) -> std::fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## {title} ({})\n", items.len())?;
    items.iter().try_for_each(|item| writeln!(out, "- {}", words(item)))
}

fn failures(trials: &[Trial]) -> (Vec<Miss>, Vec<Refused>) {
    let (mut misses, mut refused) = (Vec::new(), Vec::new());
    for trial in trials {
        let (claim, what) = (trial.target.clone(), trial.what.clone());
        match &trial.fate {
            Fate::Noticed => {}
            Fate::Missed(found) => misses.push(Miss { claim, what, found: found.clone() }),
            Fate::NotApplied(reason) => refused
                .push(Refused { sabotage: format!("{claim}: {what}"), reason: reason.clone() }),
        }
    }
    (misses, refused)
}

fn strangers(trials: &[Trial]) -> Vec<Collateral> {
    let pairs = trials.iter().flat_map(|trial| {
        let sabotage = format!("{}: {}", trial.target, trial.what);
        trial.collateral.iter().map(move |claim| (sabotage.clone(), claim.clone()))
    });
    pairs.map(|(sabotage, claim)| Collateral { sabotage, claim }).collect()
}

/// The claims that nothing was done to though the untouched twin does not refute them, and why.
fn without(by_claim: &[OfClaim], parts: &Parts<'_>, refused: &[Refused]) -> Vec<Without> {
    let bare = by_claim.iter().filter(|one| {
        one.noticed.is_empty() && one.missed.is_empty() && !parts.refuted.contains_key(&one.claim)
    });
    bare.map(|one| {
        let of_server = || {
            let own = refused.iter().find(|other| {
                other.sabotage.strip_prefix(&one.claim).is_some_and(|rest| rest.starts_with(": "))
            });
            own.map(|other| format!("the server does not allow it: {}", other.reason))
        };
        let untouched = || {
            let reason = parts.unproven.get(&one.claim)?;
            Some(format!("unproven on the untouched twin: {reason}"))
        };
        let reason = untouched().or_else(of_server);
        Without {
            claim: one.claim.clone(),
            reason: reason.unwrap_or_else(|| "no sabotage is known for it".to_owned()),
        }
    })
    .collect()
}

fn server_words(server: &ServerFacts) -> String {
    let edition = server.license.as_deref().unwrap_or_default();
    match &server.timescaledb {
        Some(version) => {
            format!("PostgreSQL {}, TimescaleDB {version} ({edition})", server.postgresql)
        }
        None => format!("PostgreSQL {}", server.postgresql),
    }
}

/// Percent, rounded down to a tenth, so that 100 means all.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn share(part: usize, whole: usize) -> f64 {
    (part * 1_000).checked_div(whole).unwrap_or_default() as f64 / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(trials: &[Trial], refuted: &[&str]) -> Report {
        let contract = crate::contract::source::load(None).unwrap();
        let server = ServerFacts {
            address: String::new(),
            database: String::new(),
            role: String::new(),
            postgresql: "17.5".to_owned(),
            postgresql_num: 170_005,
            timescaledb: None,
            license: None,
            settings: Vec::new(),
        };
        let refuted = refuted.iter().map(|id| ((*id).to_owned(), "there is none".to_owned()));
        let (refuted, unproven) = (refuted.collect(), BTreeMap::new());
        let (contract, server) = (&contract, &server);
        Report::new(&Parts { contract, server, seconds: 1.0, unproven, refuted, trials })
    }

    fn trial(target: &str, fate: Fate, collateral: &[&str]) -> Trial {
        Trial {
            target: target.to_owned(),
            what: "dropped".to_owned(),
            fate,
            collateral: collateral.iter().map(|id| (*id).to_owned()).collect(),
            whole: true,
        }
    }

    const DELTA: &str = "schema.signal_greeks.column.delta";
    const GAMMA: &str = "schema.signal_greeks.column.gamma";

    #[test]
    fn one_miss_and_one_stranger_each_leave_it_unproven() {
        let noticed = || trial(DELTA, Fate::Noticed, &[]);
        assert!(report(&[noticed()], &[]).is_proven());
        let miss = report(&[noticed(), trial(GAMMA, Fate::Missed("proven".to_owned()), &[])], &[]);
        assert!(!miss.is_proven());
        assert_eq!((miss.sabotages, miss.noticed, miss.missed), (2, 1, 1));
        assert!((miss.share_percent - 50.0).abs() < f64::EPSILON);
        assert!(miss.text().contains("- schema.signal_greeks.column.gamma: dropped: proven"));
        let stranger = report(&[trial(DELTA, Fate::Noticed, &["server.version"])], &[]);
        assert_eq!((stranger.is_proven(), stranger.collateral), (false, 1));
        assert!(stranger.text().contains("- server.version by schema.signal_greeks.column.delta"));
    }

    #[test]
    fn nothing_made_proves_nothing() {
        assert!(!report(&[], &[]).is_proven());
    }

    #[test]
    fn a_twin_that_breaks_its_contract_proves_nothing_and_says_so_first() {
        let miss = trial(DELTA, Fate::Missed("proven".to_owned()), &[]);
        let report = report(&[miss], &[GAMMA]);
        assert!(!report.is_proven());
        assert_eq!(report.refuted_untouched, 1);
        assert!(report.without_sabotage.iter().all(|one| one.claim != GAMMA));
        let text = report.text();
        assert!(text.contains(", 1 refuted on the untouched twin, "), "{text}");
        let first = text.find("\n## ").unwrap();
        let section = format!(
            "\n## Refuted on the untouched twin (1)\n\n- {GAMMA}: there is none\n\n## Not noticed (1)"
        );
        assert!(text[first..].starts_with(&section), "{text}");
    }

    #[test]
    fn what_the_server_does_not_allow_counts_for_nothing_and_is_listed() {
        let refused = trial(GAMMA, Fate::NotApplied("it is a key".to_owned()), &[]);
        let report = report(&[trial(DELTA, Fate::Noticed, &[]), refused], &[]);
        assert_eq!((report.sabotages, report.not_applied), (1, 1));
        assert_eq!(report.claims_without_sabotage, report.claims - 1);
        let own = report.without_sabotage.iter().find(|one| one.claim == GAMMA).unwrap();
        assert_eq!(own.reason, "the server does not allow it: it is a key");
    }

    #[test]
    fn a_share_is_never_rounded_up() {
        assert!((share(999, 1_000) - 99.9).abs() < f64::EPSILON);
        assert!((share(9_999, 10_000) - 99.9).abs() < f64::EPSILON);
        assert!((share(3, 3) - 100.0).abs() < f64::EPSILON);
        assert!(share(0, 0).abs() < f64::EPSILON);
    }
}
