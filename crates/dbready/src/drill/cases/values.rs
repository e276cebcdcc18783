//! Values that do not fit: each is refused with a typed error or stored exactly.

use std::time::Instant;

use pg_session::tokio_postgres::types::{ToSql, Type};
use pg_session::{Class, Error as LayerError, Pool};

use crate::Error;
use crate::drill::Drill;
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{Scene, acquire, limits, value};

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "constraint_violations",
        injects: "rows that violate each class of constraint",
        quick: true,
        run: |scene| Box::pin(constraints(scene)),
    },
    Drill {
        name: "type_mismatch",
        injects: "values of a wrong type, out of range or malformed",
        quick: true,
        run: |scene| Box::pin(type_mismatch(scene)),
    },
    Drill {
        name: "hostile_values",
        injects: "texts made to break quoting, encodings and parsers",
        quick: true,
        run: |scene| Box::pin(hostile_values(scene)),
    },
    Drill {
        name: "limits",
        injects: "values at the limits of their types and just beyond",
        quick: true,
        run: |scene| Box::pin(at_the_limits(scene)),
    },
];

const CONSTRAINED: &str = "CREATE TABLE drill_parent (id bigint PRIMARY KEY);
    INSERT INTO drill_parent VALUES (1);
    CREATE EXTENSION IF NOT EXISTS btree_gist;
    CREATE TABLE drill_child (
        id bigint CONSTRAINT drill_child_key PRIMARY KEY,
        parent bigint NOT NULL CONSTRAINT drill_child_parent REFERENCES drill_parent,
        amount numeric(6, 2) CONSTRAINT drill_child_amount CHECK (amount > 0),
        during int4range,
        CONSTRAINT drill_child_during EXCLUDE USING gist (during WITH &&),
        CONSTRAINT drill_child_later UNIQUE (amount) DEFERRABLE INITIALLY DEFERRED
    );
    INSERT INTO drill_child VALUES (1, 1, 1, '[1,5)')";

/// SQLSTATE, the constraint or column that the error must name, and the row.
const VIOLATIONS: [(&str, &str, &str); 6] = [
    ("23505", "drill_child_key", "(1, 1, 2, NULL)"),
    ("23503", "drill_child_parent", "(2, 7, 2, NULL)"),
    ("23514", "drill_child_amount", "(2, 1, -1, NULL)"),
    ("23P01", "drill_child_during", "(2, 1, 2, '[3,4)')"),
    ("23502", "parent", "(2, NULL, 2, NULL)"),
    // Deferred: found at COMMIT.
    ("23505", "drill_child_later", "(2, 1, 1, NULL)"),
];

async fn constraints(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    scene.record.exhaustive = true;
    let examiner = scene.examiner().await?;
    examiner.batch_execute(CONSTRAINED).await?;
    let pool = scene.pool(limits()).await?;
    for (sqlstate, name, row) in VIOLATIONS {
        let mut trial = Trial::new(format!("{sqlstate} of {name}"));
        let log_length = scene.server.log_length()?;
        let row = if scene.sabotage.injects() { row } else { "(3, 1, 3, NULL)" };
        let begun = Instant::now();
        let result = insert(&pool, &format!("INSERT INTO drill_child VALUES {row}")).await;
        let named =
            result.as_ref().err().and_then(LayerError::server).and_then(|server| {
                server.constraint().or_else(|| server.column()).map(str::to_owned)
            });
        let heard = scene.hear(&result, begun);
        let log = scene.server.log_since(log_length)?;
        trial.proof(log.contains(name), format!("the server's log names {name}"));
        trial.expect_refusal("the row", &heard, &[Class::Constraint]);
        trial.expect_sqlstate("the row", &heard, sqlstate);
        let expected = Some(name.to_owned());
        trial.expect_same(Invariant::TypedError, "the name in the error", &expected, &named);
        let rows: i64 = value(&examiner, "SELECT count(*) FROM drill_child").await?;
        trial.expect_same(Invariant::NoPhantom, "rows in the table", &1, &rows);
        scene.close(trial);
    }
    Ok(())
}

async fn insert(pool: &Pool, sql: &str) -> Result<(), LayerError> {
    let mut session = acquire(pool).await?;
    let mut transaction = session.begin(&pg_session::TransactionOptions::default()).await?;
    transaction.execute(sql, &[]).await?;
    transaction.commit().await.map(drop)
}

const TYPED: &str = "CREATE TABLE drill_typed (
        small smallint, whole integer, amount numeric(10, 6), name varchar(10),
        at timestamptz, data jsonb, ok boolean
    )";

/// Column, a text that the column's type does not take, and the SQLSTATE; the text is sent as text.
const MISMATCHES: [(&str, &str, &str); 12] = [
    ("small", "40000", "22003"),
    ("small", "one", "22P02"),
    ("whole", "3000000000", "22003"),
    ("whole", "1.5", "22P02"),
    ("amount", "12345.0", "22003"),
    ("amount", "0x", "22P02"),
    ("name", "eleven chars", "22001"),
    ("at", "2026-02-30T00:00:00Z", "22008"),
    ("at", "yesterdayish", "22007"),
    ("data", "{\"a\":", "22P02"),
    ("data", "\"\\u0000\"", "22P05"),
    ("ok", "perhaps", "22P02"),
];

async fn type_mismatch(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    scene.record.exhaustive = true;
    let examiner = scene.examiner().await?;
    examiner.batch_execute(TYPED).await?;
    let pool = scene.pool(limits()).await?;
    for (column, text, sqlstate) in MISMATCHES {
        let mut trial = Trial::new(format!("{text:?} in {column}"));
        let log_length = scene.server.log_length()?;
        let mut session = acquire(&pool).await?;
        let kind = scene_type(column);
        let sql = format!("INSERT INTO drill_typed ({column}) VALUES ($1::text::{kind})");
        trial.asked(&sql);
        let sent = if scene.sabotage.injects() { text } else { fitting(column) };
        let begun = Instant::now();
        let heard = scene.hear(&session.execute(&sql, &[&sent]).await, begun);
        let log = scene.server.log_since(log_length)?;
        trial.proof(log.contains("ERROR:"), "the server's log has the error");
        trial.expect_refusal("the value", &heard, &[Class::Data]);
        trial.expect_sqlstate("the value", &heard, sqlstate);
        let begun = Instant::now();
        let next = scene.hear(&session.fetch_value::<i32>("SELECT 1", &[]).await, begun);
        trial.expect_success("the next statement of the session", &next);
        scene.close(trial);
    }
    let trial = wrong_rust_type(scene, &pool).await?;
    scene.close(trial);
    Ok(())
}

/// A value whose type the statement does not take is refused before anything is sent.
async fn wrong_rust_type(scene: &mut Scene, pool: &Pool) -> Result<Trial, Error> {
    let mut trial = Trial::new("a text where the statement takes a number");
    let mut session = acquire(pool).await?;
    let text = "one";
    let number = 1_i32;
    let sent: &(dyn ToSql + Sync) = if scene.sabotage.injects() { &text } else { &number };
    let begun = Instant::now();
    let result = session.execute("INSERT INTO drill_typed (whole) VALUES ($1)", &[sent]).await;
    let heard = scene.hear(&result, begun);
    trial.proof(scene.sabotage.injects(), "the value given was a text");
    trial.expect_refusal("the value", &heard, &[Class::Bug]);
    let begun = Instant::now();
    let next = scene.hear(&session.fetch_value::<i32>("SELECT 1", &[]).await, begun);
    trial.expect_success("the next statement of the session", &next);
    Ok(trial)
}

fn scene_type(column: &str) -> &'static str {
    match column {
        "small" => "smallint",
        "whole" => "integer",
        "amount" => "numeric(10, 6)",
        "at" => "timestamptz",
        "data" => "jsonb",
        "ok" => "boolean",
        _ => "text",
    }
}

fn fitting(column: &str) -> &'static str {
    match column {
        "at" => "2026-02-03T00:00:00Z",
        "data" => "{}",
        "ok" => "true",
        _ => "1",
    }
}

/// Texts that must be stored and come back exactly.
const TEXTS: [&str; 16] = [
    "'; DROP TABLE drill_text; --",
    "\" OR \"\"=\"",
    "$1 $$body$$ $tag$x$tag$",
    "\\'; \\x00 \\\\ E'\\n'",
    "ʼ O’Reilly ＇",
    "\u{202e}reversed\u{202c}",
    "\u{feff}with a byte-order mark",
    "\u{1b}[31mred\u{1b}[0m",
    "a\tb\nc\r\nd",
    "😀 𝕏 ﷽",
    "e\u{301} is not é",
    "\u{fffd}\u{ffff}",
    "%s %n {} {0} ${HOME} `id`",
    "<script>alert(1)</script>&amp;",
    "NULL",
    "",
];

async fn hostile_values(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    scene.record.exhaustive = true;
    let examiner = scene.examiner().await?;
    let table =
        "CREATE TABLE IF NOT EXISTS drill_text (id integer PRIMARY KEY, plain text, data jsonb)";
    examiner.batch_execute(table).await?;
    let tables = "SELECT string_agg(relname || relkind::text, ',' ORDER BY relname) FROM pg_class \
                  WHERE relnamespace = 'public'::regnamespace";
    let before: String = value(&examiner, tables).await?;
    let pool = scene.pool(limits()).await?;
    for (at, text) in TEXTS.into_iter().enumerate() {
        let mut trial = Trial::new(format!("text {at}: {}", text.escape_default()));
        let id = i32::try_from(at).unwrap_or_default();
        let sent = if scene.sabotage.injects() { text } else { "plain" };
        let data = serde_json::json!({ sent: sent });
        let mut session = acquire(&pool).await?;
        let begun = Instant::now();
        let sql = "INSERT INTO drill_text VALUES ($1, $2, $3)";
        let heard = scene.hear(&session.execute(sql, &[&id, &sent, &data]).await, begun);
        trial.expect_success("storing it", &heard);
        // By bytes and by length, and not by the layer's own reading.
        let stored = "SELECT convert_to(plain, 'UTF8') FROM drill_text WHERE id = $1";
        let Some(row) = examiner.query_opt(stored, &[&id]).await? else {
            trial.proof(true, "the examiner looked for the row");
            trial.expect(Invariant::NoLoss, false, "the text is stored", "no row");
            scene.close(trial);
            continue;
        };
        let bytes: Vec<u8> = row.try_get(0)?;
        let wanted = text.as_bytes().to_vec();
        trial.proof(scene.sabotage.injects(), "the text was sent as it is listed");
        trial.expect_same(Invariant::Claimed, "the bytes stored", &wanted, &bytes);
        let back = session
            .fetch_one("SELECT plain, data FROM drill_text WHERE id = $1", &[&id])
            .await
            .map(|row| (row.get::<_, String>(0), row.get::<_, serde_json::Value>(1)));
        if let Ok((plain, read)) = back {
            trial.expect_same(Invariant::Claimed, "the text read back", &text.to_owned(), &plain);
            trial.expect_same(Invariant::Claimed, "the JSON read back", &data, &read);
        } else {
            trial.expect(Invariant::Claimed, false, "the text read back", "an error");
        }
        scene.close(trial);
    }
    let mut trial = Trial::new("a NUL within a text");
    let mut session = acquire(&pool).await?;
    let begun = Instant::now();
    let sent = if scene.sabotage.injects() { "a\0b" } else { "ab" };
    let sql = "INSERT INTO drill_text VALUES (99, $1, '{}')";
    let heard = scene.hear(&session.execute(sql, &[&sent]).await, begun);
    trial.proof(scene.sabotage.injects(), "the text sent held a NUL");
    trial.expect_refusal("the text", &heard, &[Class::Data]);
    let after: String = value(&examiner, tables).await?;
    trial.expect_same(Invariant::Claimed, "the tables of the database", &before, &after);
    scene.close(trial);
    Ok(())
}

/// Type, a literal at its limit and one beyond, as the server's own texts.
const EDGES: [(&str, &str, &str); 8] = [
    ("smallint", "32767", "32768"),
    ("integer", "-2147483648", "-2147483649"),
    ("bigint", "9223372036854775807", "9223372036854775808"),
    ("numeric(10,6)", "9999.999999", "10000"),
    ("numeric(8,6)", "99.999999", "100"),
    ("numeric(12,4)", "99999999.9999", "100000000"),
    ("timestamptz", "294276-12-31 23:59:59.999999+00", "294277-01-01 00:00:00+00"),
    ("date", "5874897-12-31", "5874898-01-01"),
];

async fn at_the_limits(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    scene.record.exhaustive = true;
    let pool = scene.pool(limits()).await?;
    let examiner = scene.examiner().await?;
    for (kind, within, beyond) in EDGES {
        let mut trial = Trial::new(format!("{kind}: {within} and {beyond}"));
        let table = format!("DROP TABLE IF EXISTS drill_edge; CREATE TABLE drill_edge (v {kind})");
        examiner.batch_execute(&table).await?;
        let sql = format!("INSERT INTO drill_edge VALUES ($1::text::{kind})");
        let mut session = acquire(&pool).await?;
        let begun = Instant::now();
        let heard = scene.hear(&session.execute(&sql, &[&within]).await, begun);
        trial.expect_success("the value at the limit", &heard);
        let log_length = scene.server.log_length()?;
        let sent = if scene.sabotage.injects() { beyond } else { within };
        let begun = Instant::now();
        let heard = scene.hear(&session.execute(&sql, &[&sent]).await, begun);
        let log = scene.server.log_since(log_length)?;
        trial.proof(log.contains("ERROR:"), "the server's log has the error");
        trial.expect_refusal("the value beyond it", &heard, &[Class::Data]);
        let stored = format!("SELECT count(*) FROM drill_edge WHERE v = '{within}'::{kind}");
        let there: i64 = value(&examiner, &stored).await?;
        trial.expect_same(Invariant::NoLoss, "rows with the value at the limit", &1, &there);
        scene.close(trial);
    }
    for (parameters, fits) in [(65_535_usize, true), (65_536, false)] {
        let trial = many_parameters(scene, &pool, parameters, fits).await?;
        scene.close(trial);
    }
    Ok(())
}

/// A statement takes 65,535 parameters; more are refused before anything is sent.
async fn many_parameters(
    scene: &mut Scene,
    pool: &Pool,
    parameters: usize,
    fits: bool,
) -> Result<Trial, Error> {
    let mut trial = Trial::new(format!("{parameters} parameters"));
    let given = if scene.sabotage.injects() { parameters } else { 1 };
    let marks: Vec<String> = (1..=given).map(|at| format!("${at}::int4")).collect();
    let sql = format!("SELECT count(*) FROM unnest(ARRAY[{}]) AS x", marks.join(","));
    let one = 1_i32;
    let values: Vec<&(dyn ToSql + Sync)> = vec![&one; given];
    let mut session = acquire(pool).await?;
    let begun = Instant::now();
    let result = session.fetch_value::<i64>(&sql, &values).await;
    let counted = result.as_ref().ok().copied();
    let heard = scene.hear(&result, begun);
    trial.proof(given == parameters, format!("{given} were given, of type {}", Type::INT4));
    if fits {
        trial.expect_success("the statement", &heard);
        let wanted = i64::try_from(parameters).ok();
        trial.expect_same(Invariant::Claimed, "parameters that arrived", &wanted, &counted);
    } else {
        trial.expect_refusal("the statement", &heard, &[Class::Bug]);
    }
    let begun = Instant::now();
    let next = scene.hear(&session.fetch_value::<i32>("SELECT 1", &[]).await, begun);
    trial.expect_success("the next statement of the session", &next);
    Ok(trial)
}
