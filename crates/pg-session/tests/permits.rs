//! The places of a pool under callers who come, give up, leave and break things in
//! any order: none is lost and none is made up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use futures_util::FutureExt;
use pg_session::{Pool, PoolOptions, Session, TransactionOptions};
use proptest::prelude::*;
use support::{Bench, Random, bench, give_up_after, options, until_returned};

const MAX: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// Takes a session if one is free.
    Take,
    /// Asks for a session and gives up after some polls.
    GiveUp(u32),
    /// Returns the session taken as the given one.
    Return(usize),
    Close(usize),
    /// Gives a statement up after some polls, then returns the session.
    GiveUpStatement(usize, u32),
    /// Leaks a transaction, then returns the session.
    Leak(usize),
    /// Returns the session with something left in it.
    Soil(usize),
    /// Ends the connection from outside, then returns the session.
    Kill(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..MAX;
    prop_oneof![
        4 => Just(Step::Take),
        2 => (1..6_u32).prop_map(Step::GiveUp),
        2 => which.clone().prop_map(Step::Return),
        1 => which.clone().prop_map(Step::Close),
        2 => (which.clone(), 1..6_u32).prop_map(|(at, polls)| Step::GiveUpStatement(at, polls)),
        1 => which.clone().prop_map(Step::Leak),
        1 => which.clone().prop_map(Step::Soil),
        1 => which.prop_map(Step::Kill),
    ]
}

/// Does one step; `held` is what the model says callers hold.
async fn run(bench: &Bench, held: &mut Vec<Session>, step: Step) {
    let pool = &bench.pool;
    let taken = |held: &mut Vec<Session>, at: usize| {
        if held.is_empty() { None } else { Some(held.swap_remove(at % held.len())) }
    };
    match step {
        Step::Take if held.len() < MAX => held.push(pool.acquire().await.unwrap()),
        Step::Take => assert!(pool.acquire().now_or_never().is_none(), "more than {MAX}"),
        Step::GiveUp(polls) => drop(give_up_after(polls, pool.acquire()).await),
        Step::Return(at) => drop(taken(held, at)),
        Step::Close(at) => taken(held, at).into_iter().for_each(Session::close),
        Step::GiveUpStatement(at, polls) => {
            if let Some(mut session) = taken(held, at) {
                let call = session.execute("SELECT pg_sleep(0.001)", &[]);
                let _ = give_up_after(polls, call).await;
            }
        }
        Step::Leak(at) => {
            if let Some(mut session) = taken(held, at) {
                let transaction = session.begin(&TransactionOptions::default()).await.unwrap();
                std::mem::forget(transaction);
            }
        }
        Step::Soil(at) => {
            if let Some(mut session) = taken(held, at) {
                session.execute("SET search_path = soiled", &[]).await.unwrap();
            }
        }
        Step::Kill(at) => {
            if let Some(mut session) = taken(held, at) {
                let pid: i32 = session.fetch_value("SELECT pg_backend_pid()", &[]).await.unwrap();
                let end = "SELECT pg_terminate_backend($1, 5000)";
                bench.observer.execute(end, &[&pid]).await.unwrap();
            }
        }
    }
    let status = pool.status();
    assert!((held.len()..=MAX).contains(&status.out), "{} held: {status:?}", held.len());
}

/// All places can be taken at once, each with a clean session, and one more cannot.
async fn assert_whole(pool: &Pool) {
    let mut all = Vec::new();
    for _ in 0..MAX {
        let mut session = pool.acquire().await.unwrap();
        let sql = "SELECT current_setting('search_path') <> 'soiled' AND pg_current_xact_id_if_assigned() IS NULL";
        assert!(session.fetch_value::<bool>(sql, &[]).await.unwrap());
        all.push(session);
    }
    assert!(pool.acquire().now_or_never().is_none());
    let status = pool.status();
    assert_eq!((status.out, status.idle, status.waiting), (MAX, 0, 0));
}

#[test]
fn no_order_of_events_loses_a_place() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let limits = PoolOptions { max: 3, ..options() };
    let bench = runtime.block_on(bench(limits));
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..40))| {
        runtime.block_on(async {
            let mut held = Vec::new();
            for step in steps {
                run(&bench, &mut held, step).await;
            }
            drop(held);
            until_returned(&bench.pool).await;
            assert_whole(&bench.pool).await;
            until_returned(&bench.pool).await;
        });
    });
    let _guard = runtime.enter();
    drop(bench);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_callers_of_whom_many_give_up() {
    const SEED: u64 = 0x5eed_0006;
    let bench = bench(PoolOptions { max: 3, ..options() }).await;
    let callers = (0..8_u64).map(|caller| {
        let pool = bench.pool.clone();
        tokio::spawn(async move {
            let mut random = Random(SEED + caller);
            let mut served = 0_u32;
            for _ in 0..125_000 {
                let polls = 1 + u32::try_from(random.below(3)).unwrap();
                if let Some(session) = give_up_after(polls, pool.acquire()).await {
                    let session = session.unwrap();
                    if random.below(4) == 0 {
                        tokio::task::yield_now().await;
                    }
                    drop(session);
                    served += 1;
                }
            }
            served
        })
    });
    let mut served = 0;
    for caller in futures_util::future::join_all(callers).await {
        served += caller.unwrap();
    }
    assert!((100_000..1_000_000).contains(&served), "{served} of a million served");
    until_returned(&bench.pool).await;
    assert_whole(&bench.pool).await;
    bench.until_at_most(3).await;
}
