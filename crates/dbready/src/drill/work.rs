//! What writers write: rows of a ledger through pg-session, records through signal-store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pg_session::{Commit, Pool, PoolOptions, RetryPolicy, TransactionOptions};
use signal_store::ingest::{BatchId, Writer};
use signal_store::{
    CustomTimeframe, Decimal, Greeks, Indicator, InstrumentKey, JsonObject, MoneynessGreeks,
    MoneynessLevel, Signal, SignalId, SignalType, Store, Timeframe, UnderlyingSymbol, Violation,
    now, serde_json,
};

use super::examiner::Named;
use super::heard::Heard;
use super::journal::Answer;
use super::traffic::Manner;

/// The records that one operation of [`Work::Batches`] stores.
pub(crate) const BATCH: usize = 20;

/// Connections of the store that short reads share.
pub(crate) const READERS: u32 = 2;

/// Within what time the store repeats its work.
pub(crate) const RETRIES: RetryPolicy = RetryPolicy {
    attempts: 12,
    deadline: Duration::from_secs(8),
    pause: Duration::from_millis(10),
    longest_pause: Duration::from_secs(1),
};

/// What an operation writes, and through what.
#[derive(Clone)]
pub(crate) enum Work {
    /// Two rows of the ledger in one transaction of a pool.
    Ledger {
        /// The pool.
        pool: Pool,
        /// Whether a commit whose answer is lost is looked up by the layer.
        resolves: bool,
    },
    /// All records of a signal at once.
    Signals(Store),
    /// A batch of records under an id of its own.
    Batches(Store),
    /// One record, through a writer that shares commits.
    Records(Store, Arc<Writer<Greeks>>),
}

/// What shows the operations from `$1` to `$2` of [`Work::Ledger`] that are there.
pub(crate) const LEDGER_ORACLE: Named = ("drill/oracle.sql", include_str!("oracle.sql"));

impl Work {
    /// The pool that it goes through.
    pub(crate) fn pool(&self) -> &Pool {
        match self {
            Self::Ledger { pool, .. } => pool,
            Self::Signals(store) | Self::Batches(store) | Self::Records(store, _) => store.pool(),
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ledger { .. } => "transactions",
            Self::Signals(_) => "signals",
            Self::Batches(_) => "batches",
            Self::Records(..) => "records that share commits",
        }
    }

    /// How many write at once: those who share commits are many.
    pub(crate) fn writers(&self) -> u32 {
        if matches!(self, Self::Records(..)) { 64 } else { 8 }
    }

    /// What shows the operations from `$1` to `$2` that are there.
    pub(crate) fn oracle(&self) -> Named {
        match self {
            Self::Ledger { .. } => LEDGER_ORACLE,
            Self::Signals(_) => ("drill/oracle_signals.sql", include_str!("oracle_signals.sql")),
            Self::Batches(_) => (
                "drill/oracle_batches.sql",
                concat!(include_str!("oracle_greeks.sql"), include_str!("oracle_batches.sql")),
            ),
            Self::Records(..) => (
                "drill/oracle_records.sql",
                concat!(include_str!("oracle_greeks.sql"), include_str!("oracle_records.sql")),
            ),
        }
    }

    /// The longest that a caller may have to wait.
    pub(crate) fn longest(&self) -> Duration {
        let attempt = attempt(self.pool().options());
        match self {
            Self::Ledger { .. } => attempt,
            Self::Signals(_) | Self::Batches(_) => RETRIES.deadline + attempt,
            // A record may come while another commit is under way.
            Self::Records(..) => 2 * (RETRIES.deadline + attempt),
        }
    }

    /// Sessions that it may keep beside those of its pool.
    pub(crate) fn readers(&self) -> u32 {
        match self {
            Self::Ledger { .. } => 0,
            Self::Signals(_) | Self::Batches(_) | Self::Records(..) => READERS,
        }
    }

    /// Writes an operation and gives what the caller was told.
    pub(crate) async fn write(&self, operation: i64, writer: u32) -> Heard {
        let begun = Instant::now();
        match self {
            Self::Ledger { pool, resolves } => {
                let manner = Manner { resolves: *resolves, ..Manner::default() };
                let result = write(pool, manner, operation, writer).await;
                Heard::of(&result, begun.elapsed())
            }
            Self::Signals(store) => {
                let result = async { store.save_signal(&signal(operation)?).await };
                Heard::of(&result.await, begun.elapsed())
            }
            Self::Batches(store) => {
                let result = async {
                    let records = vec![greeks(operation)?; BATCH];
                    store.ingest().batch(batch_id(operation), &records).await
                };
                Heard::of(&result.await, begun.elapsed())
            }
            Self::Records(_, shared) => {
                let result = async { shared.write(greeks(operation)?).await };
                Heard::of(&result.await, begun.elapsed())
            }
        }
    }

    /// Reads an operation back that was acknowledged; what is not there is an error.
    pub(crate) async fn read(&self, operation: i64) -> Option<Heard> {
        let store = match self {
            Self::Ledger { .. } => return None,
            Self::Signals(store) | Self::Batches(store) | Self::Records(store, _) => store,
        };
        let begun = Instant::now();
        let result = async { store.get_latest_greeks(&key(operation)?).await };
        let result = result.await;
        let mut heard = Heard::of(&result, begun.elapsed());
        if matches!(result, Ok(None)) {
            heard.answer = Answer::NotApplied;
            "no record".clone_into(&mut heard.text);
        }
        Some(heard)
    }
}

/// Acquiring, BEGIN, two statements, COMMIT; each has to be prepared at most once.
fn attempt(options: &PoolOptions) -> Duration {
    options.acquire_timeout + 5 * (options.command_timeout + Duration::from_millis(200))
}

/// What is written for an operation; a reader can tell whether it came back unharmed.
pub(crate) fn payload(operation: i64) -> String {
    format!("{:016x}", operation.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Writes an operation and its row in the ledger, in one transaction.
pub(crate) async fn write(
    pool: &Pool,
    manner: Manner,
    operation: i64,
    writer: u32,
) -> Result<Commit, pg_session::Error> {
    let options = TransactionOptions {
        resolve_lost_commit: manner.resolves,
        ..TransactionOptions::default()
    };
    let mut session = pool.acquire().await.map_err(Box::new)?;
    let mut transaction = session.begin(&options).await?;
    insert(&mut transaction, operation, writer).await?;
    transaction.commit().await
}

/// The two rows of an operation.
pub(crate) async fn insert(
    executor: &mut pg_session::Executor,
    operation: i64,
    writer: u32,
) -> Result<(), pg_session::Error> {
    let payload = payload(operation);
    let writer = writer.cast_signed();
    executor
        .execute(
            "INSERT INTO drill_target (op_id, payload) VALUES ($1, $2)",
            &[&operation, &payload],
        )
        .await?;
    executor
        .execute(
            "INSERT INTO drill_ledger (op_id, writer, seq, payload) VALUES ($1, $2, $1, $3)",
            &[&operation, &writer, &payload],
        )
        .await?;
    Ok(())
}

/// The instrument of an operation, which holds its payload and its number.
fn key(operation: i64) -> Result<InstrumentKey, Violation> {
    format!("NSE@P{}@CE@{operation}", payload(operation).to_uppercase()).parse()
}

/// The batch of an operation.
fn batch_id(operation: i64) -> BatchId {
    BatchId::from_bytes(i128::from(operation).to_be_bytes())
}

fn signal_id(operation: i64) -> Result<SignalId, Violation> {
    format!("signal_{:08}_{:06}", operation / 1_000_000 % 100_000_000, operation % 1_000_000)
        .parse()
}

/// The Greeks of an operation.
pub(crate) fn greeks(operation: i64) -> Result<Greeks, Violation> {
    let mut greeks = Greeks::new(signal_id(operation)?, key(operation)?, now());
    greeks.delta = Some(Decimal::new(512_345, 6));
    greeks.implied_volatility = Some(Decimal::new(185, 3));
    greeks.theoretical_value = Some(Decimal::from(operation % 1_000_000));
    Ok(greeks)
}

/// A signal with one record of each kind.
fn signal(operation: i64) -> Result<Signal, Violation> {
    let instrument_key = key(operation)?;
    let timestamp = now();
    let values = JsonObject::from_iter([(
        "payload".to_owned(),
        serde_json::Value::String(payload(operation)),
    )]);
    let indicator = Indicator {
        signal_id: signal_id(operation)?,
        instrument_key: instrument_key.clone(),
        timestamp,
        indicator_name: "RSI".parse()?,
        parameters: JsonObject::new(),
        values: values.clone(),
    };
    let symbol: UnderlyingSymbol = instrument_key.as_str().parse()?;
    let spot = Decimal::from(24_000);
    Ok(Signal {
        greeks: vec![greeks(operation)?],
        indicators: vec![indicator],
        moneyness: vec![MoneynessGreeks::new(symbol, MoneynessLevel::Atm, timestamp, spot)],
        timeframes: vec![CustomTimeframe {
            instrument_key,
            signal_type: SignalType::Greeks,
            timeframe: Timeframe::minutes(5)?,
            timestamp,
            data: values,
        }],
    })
}
