//! What rollups do in single cases.

use std::collections::BTreeSet;

use signal_store::pg_session::tokio_postgres::Client;
use signal_store::pg_session::tokio_postgres::error::SqlState;

use crate::database::{Question, ROLLUP, connect, contract, count, database, refresh, run, texts};

/// Two instruments with a row every 20 seconds on three days.
const ROWS: &str = r#"
    INSERT INTO signal_greeks (signal_id, instrument_key, "timestamp", delta, gamma, theta, vega,
        rho, implied_volatility, theoretical_value, underlying_price, strike_price)
    SELECT 'signal_20260105_000001', 'NSE@STOCK' || n % 2 || '@EQ',
        '2026-01-05 00:00+00'::timestamptz + n * INTERVAL '10 seconds',
        (n % 1000) / 1000.0, n % 7 / 7.0, -n % 11 / 3.0, n % 13, n % 17 / 9.0, 0.1 + n % 19 / 30.0,
        n % 23 + 0.0001, 1000 + n % 29, 1000 + n % 31
    FROM generate_series(0, 3 * 8640 - 1) AS n
"#;

fn whole() -> Question {
    Question::new("15 minutes", "NSE@STOCK1@EQ", "2026-01-05 00:01+00", "2026-01-07 23:58+00")
}

async fn filled(client: &Client) {
    client.batch_execute(ROWS).await.unwrap();
    refresh(client, i32::MAX).await;
    client.batch_execute("ANALYZE").await.unwrap();
}

#[test]
fn rollups_answer_and_not_the_rows() {
    let database = database();
    run(async {
        let client = connect(database.url()).await;
        filled(&client).await;
        assert_eq!(whole().agree(&client).await.len(), 288);
        // Where the rows are changed behind the triggers' back, the rollups show what was.
        let before = whole().ask(&client, ROLLUP).await;
        let unseen = "SET session_replication_role = replica; \
            UPDATE signal_greeks SET delta = 0 WHERE instrument_key = 'NSE@STOCK1@EQ' \
            AND \"timestamp\" BETWEEN '2026-01-06' AND '2026-01-07'; \
            RESET session_replication_role";
        client.batch_execute(unseen).await.unwrap();
        assert_eq!(whole().ask(&client, ROLLUP).await, before);
    });
}

#[test]
fn one_plan_leaves_the_chunks_out() {
    let database = database();
    run(async {
        let client = connect(database.url()).await;
        filled(&client).await;
        let query = ROLLUP
            .replace("$1::interval", "INTERVAL '1 hour'")
            .replace("$2", "'NSE@STOCK1@EQ'")
            .replace("$3", "'2026-01-06 08:00+00'::timestamptz")
            .replace("$4", "'2026-01-06 16:00+00'::timestamptz");
        let explain = format!("EXPLAIN (ANALYZE, COSTS off, TIMING off) {query}");
        let plan = texts(&client, &explain).await.join("\n");
        assert!(plan.contains("signal_greeks_rollup_pkey"), "{plan}");
        // Two edges in one of the three chunks.
        let read = plan.lines().filter(|line| !line.contains("never executed"));
        let chunks: BTreeSet<&str> = read
            .flat_map(str::split_whitespace)
            .filter(|word| word.starts_with("_hyper_") && word.ends_with("_chunk"))
            .collect();
        assert_eq!(chunks.len(), 1, "{plan}");
    });
}

#[test]
fn of_several_rows_at_one_instant_any_is_the_last_and_null_counts() {
    let database = database();
    run(async {
        let client = connect(database.url()).await;
        let insert = |strike: &str| {
            format!(
                "INSERT INTO signal_greeks (signal_id, instrument_key, \"timestamp\", strike_price) \
                 VALUES ('signal_20260105_000001', 'NSE@TIE@EQ', '2026-01-05 10:02+00', {strike})"
            )
        };
        let question =
            Question::new("5 minutes", "NSE@TIE@EQ", "2026-01-05 09:00+00", "2026-01-05 11:00+00");
        for strikes in [&["100"][..], &["101", "NULL"], &["102"]] {
            for strike in strikes {
                client.batch_execute(&insert(strike)).await.unwrap();
            }
            refresh(&client, i32::MAX).await;
            let answer = question.ask(&client, ROLLUP).await;
            let [answer] = answer.as_slice() else { panic!("{answer:?}") };
            let strike = answer.split(',').nth(9).unwrap();
            assert!(["", "100.0000", "101.0000", "102.0000"].contains(&strike), "{answer}");
        }
        // A later row without a strike leaves the bucket without one.
        let later = insert("NULL").replace("10:02", "10:03");
        client.batch_execute(&later).await.unwrap();
        refresh(&client, i32::MAX).await;
        let answer = question.agree(&client).await;
        assert_eq!(answer[0].split(',').nth(9), Some(""), "{answer:?}");
    });
}

#[test]
fn a_transaction_that_deletes_marks_each_bucket_once_and_for_itself() {
    let database = database();
    run(async {
        let (one, other) = (connect(database.url()).await, connect(database.url()).await);
        filled(&one).await;
        let delete = |from: &str, to: &str| {
            format!(
                "DELETE FROM signal_greeks WHERE instrument_key = 'NSE@STOCK1@EQ' \
                 AND \"timestamp\" >= '2026-01-06 {from}+00' AND \"timestamp\" < '2026-01-06 {to}+00'"
            )
        };
        let two =
            format!("BEGIN; {}; {}; COMMIT", delete("10:00", "11:32"), delete("11:32", "12:00"));
        one.batch_execute(&two).await.unwrap();
        assert_eq!(count(&one, "signal_greeks_rollup_stale").await, 24);
        refresh(&one, i32::MAX).await;

        // The mark of one transaction is of no use to another: the refresh that takes it away
        // does not see what the other has deleted.
        one.batch_execute(&delete("14:00", "14:01")).await.unwrap();
        other.batch_execute(&format!("BEGIN; {}", delete("14:01", "14:02"))).await.unwrap();
        assert_eq!(refresh(&one, i32::MAX).await, 1);
        other.batch_execute("COMMIT").await.unwrap();
        assert_eq!(count(&one, "signal_greeks_rollup_stale").await, 1);
        whole().agree(&one).await;
        refresh(&one, i32::MAX).await;
        whole().agree(&one).await;

        // Marks that are rolled back go with what they stand for.
        let back = format!(
            "BEGIN; SAVEPOINT s; {}; ROLLBACK TO s; {}; COMMIT",
            delete("16:00", "16:05"),
            delete("16:02", "16:03")
        );
        one.batch_execute(&back).await.unwrap();
        whole().agree(&one).await;
        assert_eq!(refresh(&one, i32::MAX).await, 1);
        whole().agree(&one).await;
    });
}

#[test]
#[ignore = "needs TimescaleDB Community"]
fn compressed_rows_that_change_are_marked() {
    let database = database();
    run(async {
        let client = connect(database.url()).await;
        filled(&client).await;
        client
            .batch_execute("SELECT compress_chunk(c) FROM show_chunks('signal_greeks') AS c")
            .await
            .unwrap();
        assert_eq!(count(&client, "signal_greeks_rollup_stale").await, 0);
        let before = whole().agree(&client).await;
        // A whole segment: TimescaleDB would delete it unseen.
        let delete = "DELETE FROM signal_greeks WHERE instrument_key = 'NSE@STOCK0@EQ'";
        client.batch_execute(delete).await.unwrap();
        assert_eq!(count(&client, "signal_greeks_rollup_stale").await, 3 * 288);
        let other = Question { instrument: "NSE@STOCK0@EQ".to_owned(), ..whole() };
        assert!(other.agree(&client).await.is_empty());
        assert_eq!(whole().agree(&client).await, before);
        for change in [
            "UPDATE signal_greeks SET delta = 0.25 WHERE instrument_key = 'NSE@STOCK1@EQ' \
             AND \"timestamp\" BETWEEN '2026-01-06 10:00+00' AND '2026-01-06 10:20+00'",
            "DELETE FROM signal_greeks WHERE instrument_key = 'NSE@STOCK1@EQ' \
             AND \"timestamp\" BETWEEN '2026-01-06 12:00+00' AND '2026-01-06 12:20+00'",
            "INSERT INTO signal_greeks (signal_id, instrument_key, \"timestamp\", delta) \
             VALUES ('signal_20260105_000001', 'NSE@STOCK1@EQ', '2026-01-06 14:00:01+00', -1)",
        ] {
            client.batch_execute(change).await.unwrap();
            assert!(count(&client, "signal_greeks_rollup_stale").await > 0, "{change}");
            let stale = whole().agree(&client).await;
            refresh(&client, i32::MAX).await;
            assert_eq!(whole().agree(&client).await, stale, "{change}");
        }
    });
}

#[test]
fn a_bucket_that_has_not_ended_keeps_one_mark() {
    let database = database();
    run(async {
        let client = connect(database.url()).await;
        for _ in 0..5 {
            let insert = "INSERT INTO signal_greeks (signal_id, instrument_key, \"timestamp\", delta) \
                VALUES ('signal_20260105_000001', 'NSE@NEW@EQ', '2026-01-05 10:02+00', 0.5)";
            client.batch_execute(insert).await.unwrap();
        }
        assert_eq!(count(&client, "signal_greeks_rollup_stale").await, 5);
        for (until, rollups, stale) in
            [("2026-01-05 10:04:59+00", 0, 1), ("2026-01-05 10:05+00", 1, 0)]
        {
            let refresh = format!("SELECT refresh_signal_greeks_rollup('{until}', 100)");
            assert_eq!(texts(&client, &refresh).await, [rollups.to_string()]);
            assert_eq!(count(&client, "signal_greeks_rollup").await, rollups);
            assert_eq!(count(&client, "signal_greeks_rollup_stale").await, stale);
            Question::new("5 minutes", "NSE@NEW@EQ", "-infinity", "infinity").agree(&client).await;
        }
    });
}

#[test]
fn a_refresh_takes_so_many_buckets_at_most() {
    let database = database();
    run(async {
        let client = connect(database.url()).await;
        client.batch_execute(ROWS).await.unwrap();
        let all = i64::from(3 * 288 * 2);
        assert_eq!(refresh(&client, 100).await, 100);
        assert_eq!(count(&client, "signal_greeks_rollup_stale").await, all - 100);
        whole().agree(&client).await;
        assert_eq!(i64::from(refresh(&client, i32::MAX).await), all - 100);
        assert_eq!(refresh(&client, i32::MAX).await, 0);
    });
}

#[test]
fn a_writer_needs_no_right_on_the_rollups() {
    let database = database();
    run(async {
        let client = connect(database.url()).await;
        let role = format!("{}_writer", database.name());
        let write = format!(
            "CREATE ROLE {role}; GRANT INSERT, UPDATE, DELETE, SELECT ON signal_greeks TO {role}; \
             SET ROLE {role}; {ROWS}; UPDATE signal_greeks SET delta = 0 WHERE id = 7; \
             DELETE FROM signal_greeks WHERE id = 8; RESET ROLE"
        );
        client.batch_execute(&write).await.unwrap();
        assert!(count(&client, "signal_greeks_rollup_stale").await > 0);
        let forbidden = format!("SET ROLE {role}; SELECT FROM signal_greeks_rollup");
        let error = client.batch_execute(&forbidden).await.unwrap_err();
        assert_eq!(error.code().map(SqlState::code), Some("42501"), "{error:?}");
        let remove = format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}");
        client.batch_execute(&remove).await.unwrap();
    });
}

#[test]
fn rows_from_before_the_migration_are_read_as_rows_and_then_rolled_up() {
    let database = pg_local::testing::TestDatabase::with_timescaledb().unwrap();
    run(async {
        let mut client = connect(database.url()).await;
        let before = dbready::migrate::Options::default();
        let to = "1.1.0".parse().unwrap();
        dbready::migrate::up(&mut client, contract(), Some(&to), &before, &|_| ()).await.unwrap();
        client.batch_execute(ROWS).await.unwrap();
        dbready::migrate::up(&mut client, contract(), None, &before, &|_| ()).await.unwrap();
        assert_eq!(whole().agree(&client).await.len(), 288);
        assert_eq!(count(&client, "signal_greeks_rollup").await, 0);
        refresh(&client, i32::MAX).await;
        assert_eq!(count(&client, "signal_greeks_rollup").await, 3 * 288 * 2);
        assert_eq!(whole().agree(&client).await.len(), 288);
        dbready::migrate::down(&mut client, contract(), Some(&to), &before, &|_| ()).await.unwrap();
        assert_eq!(count(&client, "signal_greeks").await, 3 * 8640);
    });
}
