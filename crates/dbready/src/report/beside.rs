//! What a run wrote beside its certificate: courses of load tests, timelines of drills, the trend of
//! nights. It is drawn in the page, never judged, and no part of the seal; what does not agree with the
//! certificate, such as files of an earlier run, is left out.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::certificate::Certificate;
use crate::evidence::Outcome;

/// What was read beside a certificate.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    loads: Vec<Load>,
    drills: Vec<Drill>,
    nights: Vec<Nights>,
}

impl Beside {
    /// Takes up the text of one file; `false` when it is none of the documents that are drawn.
    pub fn add(&mut self, text: &str) -> bool {
        if let Ok(load) = serde_json::from_str::<Load>(text)
            && load.format == "dbready-load"
        {
            self.loads.push(load);
        } else if let Ok(drill) = serde_json::from_str::<Drill>(text)
            && drill.format == "dbready-drill"
        {
            self.drills.push(drill);
        } else if let Ok(nights) = serde_json::from_str::<Nights>(text)
            && nights.night.format == "dbready-night"
        {
            self.nights.push(nights);
        } else {
            return false;
        }
        true
    }

    /// The load tests whose figures are this certificate's; those without figures, if they began with it.
    pub(super) fn loads(&self, certificate: &Certificate) -> Vec<&Load> {
        let is_of = |load: &&Load| {
            let holds = |(name, outcome): (&String, &Outcome)| {
                let id = format!("load.{name}");
                let mine = certificate.claims.iter().find(|claim| claim.id == id);
                mine.is_some_and(|claim| {
                    claim.evidence.iter().any(|evidence| evidence.outcome == *outcome)
                })
            };
            let began_with_it = load.started_at.as_ref() == Some(&certificate.started_at);
            (!load.figures.is_empty() || began_with_it) && load.figures.iter().all(holds)
        };
        self.loads.iter().filter(is_of).collect()
    }

    /// The drill of this claim, when it counted the trials that the certificate counts.
    pub(super) fn drill(&self, certificate: &Certificate, claim: &str) -> Option<&Drill> {
        let claim = certificate.claims.iter().find(|one| one.id == claim)?;
        let name = claim.id.strip_prefix("drill.")?;
        let counted = |drill: &Drill| {
            claim.evidence.iter().any(|evidence| match &evidence.outcome {
                Outcome::Counted { trials, wrong, .. } => {
                    *trials == drill.faults_injected
                        && *wrong == drill.wrong()
                        && evidence.method.ends_with(&drill.injects)
                }
                _ => false,
            })
        };
        self.drills.iter().find(|drill| drill.name == name && counted(drill))
    }

    /// The score of each night, the oldest first, when this certificate is the last one's.
    pub(super) fn trend(&self, certificate: &Certificate) -> Option<&[(String, f64)]> {
        let is_of = |nights: &&Nights| {
            nights.night.at == certificate.finished_at
                && nights.trend.last().is_some_and(|(at, score)| {
                    *at == certificate.finished_at
                        && (score - certificate.score.value()).abs() < 0.05
                })
        };
        self.nights.iter().find(is_of).map(|nights| nights.trend.as_slice())
    }
}

/// A document of load tests, as far as it is drawn.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Load {
    format: String,
    /// As its certificate says; documents of earlier versions do not say it.
    started_at: Option<String>,
    figures: BTreeMap<String, Outcome>,
    pub(super) phases: Vec<Phase>,
    #[serde(default)]
    pub(super) curve: Vec<Step>,
    #[serde(default)]
    pub(super) scaling: Vec<Scale>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Phase {
    pub(super) name: String,
    pub(super) workload: String,
    pub(super) streams: BTreeMap<String, Stream>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Stream {
    pub(super) timeline: Vec<Second>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Second {
    #[serde(rename = "second")]
    pub(super) at: u32,
    pub(super) failed: u64,
    pub(super) p95: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Step {
    pub(super) offered_per_second: f64,
    pub(super) achieved_per_second: f64,
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Scale {
    pub(super) unit: String,
    pub(super) said: String,
    pub(super) points: Vec<Point>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Point {
    pub(super) at: f64,
    pub(super) p50: f64,
    pub(super) p95: f64,
}

/// The record of a drill, as far as it is drawn.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Drill {
    format: String,
    #[serde(rename = "drill")]
    name: String,
    injects: String,
    faults_injected: u64,
    pub(super) trials: Vec<Trial>,
}

impl Drill {
    fn wrong(&self) -> u64 {
        let wrong = |trial: &&Trial| trial.is_valid() && !trial.violations.is_empty();
        self.trials.iter().filter(wrong).count() as u64
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Trial {
    pub(super) name: String,
    proof: Vec<String>,
    invalid: Option<String>,
    pub(super) timeline: Option<Timeline>,
    violations: Vec<serde::de::IgnoredAny>,
}

impl Trial {
    fn is_valid(&self) -> bool {
        self.invalid.is_none() && !self.proof.is_empty()
    }
}

/// Milliseconds from the fault.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Timeline {
    #[serde(rename = "first_error_ms")]
    pub(super) first_error: Option<f64>,
    #[serde(rename = "first_success_ms")]
    pub(super) first_success: Option<f64>,
    #[serde(rename = "full_recovery_ms")]
    pub(super) full_recovery: Option<f64>,
    #[serde(rename = "cleared_ms")]
    pub(super) cleared: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
struct Nights {
    night: Night,
    trend: Vec<(String, f64)>,
}

#[derive(Debug, Clone, Deserialize)]
struct Night {
    format: String,
    at: String,
}
