//! Random histories of a table: after every step both answers are the same.

use proptest::prelude::*;
use signal_store::pg_session::tokio_postgres::Client;

use crate::database::{PRUNE, Question, connect, database, refresh, run};

/// Three days, so that ranges, buckets and chunks end between rows.
const START: &str = "2026-01-05 22:00:00+00";
const SECONDS: u32 = 2 * 86_400 + 7_200;

#[derive(Debug, Clone)]
struct Row {
    instrument: u8,
    second: u32,
    delta: Option<i32>,
    price: Option<i64>,
}

#[derive(Debug, Clone)]
enum Change {
    Insert(Vec<Row>),
    /// Other values, and another instant of the same day, for one row in so many.
    Update(u32),
    /// Another instrument for one row in so many.
    Rename(u32),
    Delete(u32),
    /// What a writer sends that updates where there is something.
    Merge(u32),
}

#[derive(Debug, Clone)]
enum Step {
    Do(Vec<Change>),
    /// The same, thought better of.
    Undo(Vec<Change>),
    /// All of them in one savepoint that is rolled back, then others.
    UndoFirst(Vec<Change>, Vec<Change>),
    Refresh(i32),
    DropChunks(u32),
    Truncate,
    Prune,
}

fn row() -> impl Strategy<Value = Row> {
    // Many rows at few instants, some exactly at the edges of buckets, and anything between.
    let second = prop_oneof![
        3 => (0..SECONDS / 300).prop_map(|bucket| bucket * 300),
        2 => (0..SECONDS / 300).prop_map(|bucket| bucket * 300 + 299),
        3 => 0..SECONDS,
        3 => 7_000..8_000_u32,
    ];
    let delta = prop_oneof![1 => Just(None), 4 => (-5_000_000..5_000_000).prop_map(Some)];
    let price = prop_oneof![1 => Just(None), 4 => (1..99_999_999_i64).prop_map(Some)];
    (0..3_u8, second, delta, price).prop_map(|(instrument, second, delta, price)| Row {
        instrument,
        second,
        delta,
        price,
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => prop::collection::vec(row(), 1..40).prop_map(Change::Insert),
        2 => (1..6_u32).prop_map(Change::Update),
        1 => (1..6_u32).prop_map(Change::Rename),
        2 => (1..6_u32).prop_map(Change::Delete),
        1 => (1..6_u32).prop_map(Change::Merge),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let changes = || prop::collection::vec(change(), 1..4);
    prop_oneof![
        6 => changes().prop_map(Step::Do),
        1 => changes().prop_map(Step::Undo),
        1 => (changes(), changes()).prop_map(|(first, then)| Step::UndoFirst(first, then)),
        4 => prop_oneof![Just(1), Just(7), Just(1_000_000)].prop_map(Step::Refresh),
        1 => (0..4_u32).prop_map(Step::DropChunks),
        1 => Just(Step::Truncate),
        1 => Just(Step::Prune),
    ]
}

/// The strike goes with the instant, so that it does not matter which of several rows at one instant
/// is taken for the last.
fn strike(at: &str) -> String {
    format!("nullif(extract(epoch FROM {at})::bigint % 5, 0)")
}

fn sql(change: &Change) -> String {
    match change {
        Change::Insert(rows) => {
            let rows = rows.iter().map(|row| {
                let number = |value: Option<i64>, scale: u32| match value {
                    Some(value) => format!("{value} / {}.0", 10_u32.pow(scale)),
                    None => "NULL".to_owned(),
                };
                format!(
                    "('NSE@STOCK{}@EQ', {} * INTERVAL '1 second', {}, {}, {})",
                    row.instrument,
                    row.second,
                    number(row.delta.map(i64::from), 6),
                    number(row.price, 4),
                    number(row.delta.map(|delta| i64::from(delta) * 7), 6),
                )
            });
            format!(
                "INSERT INTO signal_greeks (signal_id, instrument_key, \"timestamp\", delta, \
                 underlying_price, vega, strike_price) \
                 SELECT 'signal_20260105_000001', instrument, at, delta::numeric, price::numeric, \
                 vega::numeric, {} FROM (SELECT *, '{START}'::timestamptz + past AS at \
                 FROM (VALUES {}) AS given (instrument, past, delta, price, vega)) AS rows",
                strike("at"),
                rows.collect::<Vec<_>>().join(", ")
            )
        }
        Change::Update(share) => format!(
            "UPDATE signal_greeks SET delta = -delta, vega = NULL, \
             \"timestamp\" = date_trunc('hour', \"timestamp\"), strike_price = {} \
             WHERE id % {share} = 0",
            strike("date_trunc('hour', \"timestamp\")")
        ),
        Change::Rename(share) => format!(
            "UPDATE signal_greeks SET instrument_key = 'NSE@STOCK1@EQ' WHERE id % {share} = 0"
        ),
        Change::Delete(share) => format!("DELETE FROM signal_greeks WHERE id % {share} = 0"),
        Change::Merge(share) => format!(
            "INSERT INTO signal_greeks (id, signal_id, instrument_key, \"timestamp\", delta, strike_price) \
             OVERRIDING SYSTEM VALUE \
             SELECT id, signal_id, instrument_key, \"timestamp\", 0.125, strike_price \
             FROM signal_greeks WHERE id % {share} = 0 \
             ON CONFLICT (\"timestamp\", id) DO UPDATE SET delta = excluded.delta"
        ),
    }
}

fn all(changes: &[Change]) -> String {
    changes.iter().map(sql).collect::<Vec<_>>().join("; ")
}

async fn take(client: &Client, step: &Step) {
    let sql = match step {
        Step::Do(changes) => format!("BEGIN; {}; COMMIT", all(changes)),
        Step::Undo(changes) => format!("BEGIN; {}; ROLLBACK", all(changes)),
        Step::UndoFirst(first, then) => {
            format!("BEGIN; SAVEPOINT s; {}; ROLLBACK TO s; {}; COMMIT", all(first), all(then))
        }
        Step::Refresh(at_most) => {
            refresh(client, *at_most).await;
            return;
        }
        Step::DropChunks(days) => format!(
            "SELECT drop_chunks('signal_greeks', \
             older_than => '{START}'::timestamptz + {days} * INTERVAL '1 day')"
        ),
        Step::Truncate => "TRUNCATE signal_greeks".to_owned(),
        Step::Prune => PRUNE.to_owned(),
    };
    client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

fn question() -> impl Strategy<Value = Question> {
    let width = prop_oneof![
        Just("5 minutes"),
        Just("15 minutes"),
        Just("35 minutes"),
        Just("1 hour"),
        Just("1 day"),
        Just("1 week"),
        Just("1 month"),
    ];
    let instant = || {
        prop_oneof![
            1 => Just("-infinity".to_owned()),
            1 => Just("infinity".to_owned()),
            4 => (0..SECONDS / 300).prop_map(|bucket| format!("2026-01-05 22:00:00+00 + {}", bucket * 300)),
            4 => (0..SECONDS).prop_map(|second| format!("2026-01-05 22:00:00+00 + {second}")),
        ]
    };
    (width, 0..3_u8, instant(), instant()).prop_map(|(width, instrument, from, to)| {
        let at = |text: String| match text.split_once(" + ") {
            None => text,
            Some((_, seconds)) => {
                let start: signal_store::jiff::Timestamp = "2026-01-05T22:00:00Z".parse().unwrap();
                let seconds = seconds.parse::<i64>().unwrap();
                (start + signal_store::jiff::SignedDuration::from_secs(seconds)).to_string()
            }
        };
        Question::new(width, &format!("NSE@STOCK{instrument}@EQ"), &at(from), &at(to))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_answers_are_the_same_after_every_step(
        histories in prop::collection::vec(
            (step(), prop::collection::vec(question(), 3)), 4..16
        )
    ) {
        run(async {
            let database = database();
            let client = connect(database.url()).await;
            for (step, questions) in &histories {
                take(&client, step).await;
                for question in questions {
                    question.agree(&client).await;
                }
            }
            // Whatever happened, one refresh leaves nothing stale.
            refresh(&client, i32::MAX).await;
            for question in histories.iter().flat_map(|(_, questions)| questions) {
                question.agree(&client).await;
            }
            let stale = crate::database::count(&client, "signal_greeks_rollup_stale").await;
            assert_eq!(stale, 0);
        });
    }
}
