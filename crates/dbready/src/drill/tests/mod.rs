//! Sabotage: every drill is run with a layer or an injector that is broken on purpose, and must notice.
//!
//! A broken layer has to be refuted, a broken injector leaves the claim unproven.
#![allow(clippy::unwrap_used)]

mod sabotages;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pg_local::Runtime;
use tokio::sync::Mutex;

use super::heard::Heard;
use super::journal::Answer;
use super::sabotage::Sabotage;
use super::server::Server;
use super::{Drill, Options, Record, Scene, all, plan, play};
use crate::contract::source;
use crate::verdict::{Judgement, Status, judge};

/// Drills run one at a time.
static ONE: Mutex<()> = Mutex::const_new(());

const OPTIONS: Options = Options { thorough: false, repeat: Some(1), seed: 1 };

/// A sabotage of one drill, and what must become of its claim.
struct Case {
    drill: &'static str,
    what: &'static str,
    sabotage: Sabotage,
    expected: Status,
}

/// The layer's answers twisted.
fn answers(drill: &'static str, what: &'static str, twist: fn(Heard) -> Heard) -> Case {
    let sabotage = Sabotage { answer: Some(twist), ..Sabotage::default() };
    Case { drill, what, sabotage, expected: Status::Refuted }
}

/// The pool's limits changed.
fn limits(
    drill: &'static str,
    what: &'static str,
    change: fn(&mut pg_session::PoolOptions),
) -> Case {
    let sabotage = Sabotage { limits: Some(change), ..Sabotage::default() };
    Case { drill, what, sabotage, expected: Status::Refuted }
}

/// A setting of the layer's sessions changed.
fn setting(drill: &'static str, name: &'static str, value: &'static str) -> Case {
    let sabotage = Sabotage { setting: Some((name, value)), ..Sabotage::default() };
    Case { drill, what: name, sabotage, expected: Status::Refuted }
}

/// The database spoilt.
fn sql(drill: &'static str, what: &'static str, sql: &'static str) -> Case {
    let sabotage = Sabotage { sql: Some(sql), ..Sabotage::default() };
    Case { drill, what, sabotage, expected: Status::Refuted }
}

/// Takes every error for a success.
fn believes(heard: Heard) -> Heard {
    Heard { answer: Answer::Acknowledged, class: None, sqlstate: None, ..heard }
}

/// Takes what is unknown for not applied.
fn forgets(heard: Heard) -> Heard {
    let unknown = heard.answer == Answer::Unknown;
    Heard { answer: if unknown { Answer::NotApplied } else { heard.answer }, ..heard }
}

/// Turns every answer into an error.
fn complains(heard: Heard) -> Heard {
    Heard { answer: Answer::NotApplied, class: Some(pg_session::Class::Lost), ..heard }
}

/// Denies some of what took effect.
fn denies(heard: Heard) -> Heard {
    let denied = heard.class.is_none() && heard.took.as_micros().is_multiple_of(4);
    Heard { answer: if denied { Answer::NotApplied } else { heard.answer }, ..heard }
}

/// Takes every answer that comes late for an error.
fn hastens(heard: Heard) -> Heard {
    if heard.took.as_millis() < 80 { heard } else { complains(heard) }
}

/// Loses the class of every error.
fn blurs(heard: Heard) -> Heard {
    let class = heard.class.map(|_| pg_session::Class::Other);
    Heard { class, sqlstate: None, ..heard }
}

async fn judged(
    server: &Server,
    runtime: &Runtime,
    drill: &Drill,
    sabotage: Sabotage,
) -> Judgement {
    let record = Record::new(drill.name, drill.injects, OPTIONS.seed);
    let mut scene = Scene::new(runtime.clone(), server.clone(), record, &OPTIONS);
    scene.sabotage = sabotage;
    server.revive().await.unwrap();
    play(&mut scene, drill).await;
    let claims = plan(&source::load(None).unwrap());
    let id = format!("drill.{}", drill.name);
    let claim = claims.iter().find(|claim| claim.id == id).unwrap();
    judge(claim, Some(&scene.record.evidence()))
}

/// Runs the sabotages of one family, each also with an injector that does nothing.
async fn all_are_noticed(family: &[Drill], cases: Vec<Case>) {
    let _one = ONE.lock().await;
    let runtime = Runtime::locate_or_install(&|_| ()).unwrap();
    let server = Server::start(&runtime).await.unwrap();
    let broken = cases.iter().map(|case| case.drill).collect::<BTreeSet<_>>();
    let mut missed = Vec::new();
    for drill in family {
        assert!(broken.contains(drill.name), "{} has no sabotage", drill.name);
        let nothing = Sabotage { no_fault: true, ..Sabotage::default() };
        let idle = Case {
            drill: drill.name,
            what: "no fault",
            sabotage: nothing,
            expected: Status::Unproven,
        };
        let own = cases.iter().filter(|case| case.drill == drill.name);
        for case in own.chain([&idle]) {
            let judgement = judged(&server, &runtime, drill, case.sabotage.clone()).await;
            if judgement.status != case.expected && !is_beyond_this_machine(&judgement) {
                missed.push(format!(
                    "{} with {}: expected {}, found {}: {} {:?}",
                    case.drill,
                    case.what,
                    case.expected.word(),
                    judgement.status.word(),
                    judgement.reason.unwrap_or(judgement.observed),
                    judgement.findings.first(),
                ));
            }
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}

/// Whether the machine lacks what the drill needs; then nothing can be noticed either.
fn is_beyond_this_machine(judgement: &Judgement) -> bool {
    judgement.status == Status::Unproven
        && judgement.reason.as_deref().is_some_and(|reason| reason.starts_with("this machine"))
}

#[test]
fn names_are_unique_and_every_drill_has_its_claim_and_page() {
    let drills = all();
    let names: BTreeSet<&str> = drills.iter().map(|drill| drill.name).collect();
    assert_eq!(names.len(), drills.len());
    let contract = source::load(None).unwrap();
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/drills");
    for name in &names {
        assert!(contract.model.drills.iter().any(|one| one.name == *name), "{name}: no claim");
        let page = fs::read_to_string(pages.join(format!("{name}.md"))).unwrap_or_default();
        assert!(page.starts_with(&format!("# {name}\n")), "docs/drills/{name}.md: no such page");
    }
}
