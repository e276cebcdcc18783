//! Sessions led step by step through every order of their steps, as PostgreSQL's own isolation tester
//! does: a step that waits for another session is noticed by asking the server.

use std::time::{Duration, Instant};

use pg_session::{Isolation, Pool, TransactionOptions};
use tokio::sync::mpsc;

use super::examiner::Examiner;
use super::heard::Heard;
use super::sabotage::Sabotage;
use super::scene::acquire;
use crate::Error;

/// One step of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Begins a transaction.
    Begin(Isolation),
    /// Runs a statement.
    Run(&'static str),
    /// Commits.
    Commit,
}

/// A session that does one step after the other.
pub(crate) struct Actor {
    steps: mpsc::UnboundedSender<Step>,
    answers: mpsc::UnboundedReceiver<Heard>,
    process: i32,
    waits: bool,
}

impl Actor {
    /// Takes a session of the layer.
    pub(crate) async fn enter(pool: &Pool, sabotage: &Sabotage) -> Result<Self, Error> {
        let mut session = acquire(pool).await?;
        let process = session.fetch_value("SELECT pg_backend_pid()", &[]).await?;
        let (steps, mut wanted) = mpsc::unbounded_channel::<Step>();
        let (told, answers) = mpsc::unbounded_channel();
        let sabotage = sabotage.clone();
        tokio::spawn(async move {
            let tell = |result: &Result<(), pg_session::Error>, begun: Instant| {
                // A drill that has given up listens no more.
                let _ = told.send(sabotage.answer(Heard::of(result, begun.elapsed())));
            };
            while let Some(step) = wanted.recv().await {
                let begun = Instant::now();
                let Step::Begin(isolation) = step else { continue };
                let options = TransactionOptions::default().isolation(isolation);
                let mut transaction = match session.begin(&options).await {
                    Ok(transaction) => transaction,
                    Err(error) => {
                        tell(&Err(error), begun);
                        continue;
                    }
                };
                tell(&Ok(()), begun);
                loop {
                    let Some(step) = wanted.recv().await else { return };
                    let begun = Instant::now();
                    match step {
                        Step::Run(sql) => {
                            tell(&transaction.execute(sql, &[]).await.map(drop), begun);
                        }
                        Step::Commit => {
                            tell(&transaction.commit().await.map(drop), begun);
                            break;
                        }
                        Step::Begin(_) => {}
                    }
                }
            }
        });
        Ok(Self { steps, answers, process, waits: false })
    }

    /// Does a step; none when it waits for another session.
    async fn step(&mut self, examiner: &Examiner, step: Step) -> Result<Option<Heard>, Error> {
        self.steps.send(step).map_err(|_| gone())?;
        self.waits = true;
        self.answer(examiner).await
    }

    /// The answer to the last step; none while it waits for another session.
    async fn answer(&mut self, examiner: &Examiner) -> Result<Option<Heard>, Error> {
        loop {
            match tokio::time::timeout(Duration::from_millis(3), self.answers.recv()).await {
                Ok(Some(heard)) => {
                    self.waits = false;
                    return Ok(Some(heard));
                }
                Ok(None) => return Err(gone()),
                Err(_) => {}
            }
            let sql = "SELECT cardinality(pg_blocking_pids($1)) > 0";
            if examiner.query_one(sql, &[&self.process]).await?.try_get(0)? {
                return Ok(None);
            }
        }
    }
}

fn gone() -> Error {
    Error::Interrupted("a session of the drill has ended".to_owned())
}

/// What two sessions went through in one order of their steps.
#[derive(Debug, Default)]
pub(crate) struct Course {
    /// The answers of each, step by step.
    pub(crate) answers: [Vec<Heard>; 2],
    /// Whether a step waited for the other session.
    pub(crate) waited: bool,
}

impl Course {
    /// Whether a session's last step, its COMMIT, was acknowledged.
    pub(crate) fn committed(&self, actor: usize) -> bool {
        self.answers[actor].last().is_some_and(|heard| heard.class.is_none())
    }

    /// The first error of a session.
    pub(crate) fn error(&self, actor: usize) -> Option<&Heard> {
        self.answers[actor].iter().find(|heard| heard.class.is_some())
    }
}

/// Leads two sessions through one order of their steps: `order` says whose turn it is. The turn of one
/// that waits comes when it has its answer.
pub(crate) async fn play(
    actors: &mut [Actor; 2],
    examiner: &Examiner,
    scripts: [&[Step]; 2],
    order: &[usize],
) -> Result<Course, Error> {
    let mut course = Course::default();
    let mut next = [0_usize; 2];
    let mut turns: Vec<usize> = order.to_vec();
    while !turns.is_empty() {
        let at = turns.iter().position(|actor| !actors[*actor].waits);
        let Some(at) = at else {
            // Both wait: the server will end one of them.
            for (actor, answers) in actors.iter_mut().zip(&mut course.answers) {
                if let Some(heard) = actor.answer(examiner).await? {
                    answers.push(heard);
                }
            }
            continue;
        };
        let actor = turns.remove(at);
        let step = scripts[actor][next[actor]].clone();
        next[actor] += 1;
        match actors[actor].step(examiner, step).await? {
            Some(heard) => course.answers[actor].push(heard),
            None => course.waited = true,
        }
        // The step may have set the other one free.
        let other = 1 - actor;
        if actors[other].waits
            && !actors[actor].waits
            && let Some(heard) = actors[other].answer(examiner).await?
        {
            course.answers[other].push(heard);
        }
    }
    for (actor, answers) in actors.iter_mut().zip(&mut course.answers) {
        while actor.waits {
            if let Some(heard) = actor.answer(examiner).await? {
                answers.push(heard);
            }
        }
    }
    Ok(course)
}

/// Every order of so many steps of two sessions.
pub(crate) fn orders(first: usize, second: usize) -> Vec<Vec<usize>> {
    if first == 0 || second == 0 {
        return vec![std::iter::repeat_n(0, first).chain(std::iter::repeat_n(1, second)).collect()];
    }
    let mut all = Vec::new();
    for (actor, rest) in [(0, orders(first - 1, second)), (1, orders(first, second - 1))] {
        for mut order in rest {
            order.insert(0, actor);
            all.push(order);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_orders_are_there_once() {
        let all = orders(4, 4);
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!((all.len(), distinct.len()), (70, 70));
        assert!(all.iter().all(|order| order.iter().sum::<usize>() == 4));
    }
}
