//! A client in a process of its own, which a drill can kill, freeze or put elsewhere: this program
//! again, under a command of its own.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pg_session::{Class, Config, Pool, Session, TransactionOptions};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;

use super::heard::Heard;
use super::journal::Answer;
use super::scene::{acquire, limits};
use crate::Error;

/// What stands before each answer: a program may print other lines too.
const MARK: &str = "drill-client ";

/// What a client is told to do, one line each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Opens a pool.
    Open {
        /// Where, with the password.
        url: String,
    },
    /// Asks for a text through the pool.
    Ask {
        /// The question.
        sql: String,
    },
    /// Takes a row's lock and stays in the middle of something.
    Hold(Hold),
    /// Says what its clock shows, in seconds since 1970.
    Clock,
}

/// What a client is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Hold {
    /// A transaction between two statements.
    Transaction,
    /// A COPY of which half was sent.
    Copy,
    /// A statement that runs.
    Statement,
    /// A statement that waits for the second row, which somebody else has locked.
    Wait,
    /// Nothing, but its session has an advisory lock.
    Advisory,
}

impl Hold {
    pub(crate) const ALL: [Self; 5] =
        [Self::Transaction, Self::Copy, Self::Statement, Self::Wait, Self::Advisory];
}

#[derive(Debug, Serialize, Deserialize)]
struct Reply {
    fine: bool,
    text: String,
    took_us: u64,
}

/// A client process.
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a client by a command that runs [`serve`].
    pub(crate) fn start(command: std::process::Command) -> Result<Self, Error> {
        let mut command = Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().map_err(of_client)?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::Interrupted("the client has no pipes".to_owned()));
        };
        Ok(Self { child, orders, answers: BufReader::new(answers).lines() })
    }

    /// Tells it to do something and gives its answer.
    pub(crate) async fn tell(&mut self, order: &Order) -> Result<Heard, Error> {
        let mut line = serde_json::to_string(order).map_err(|error| of_client(error.into()))?;
        line.push('\n');
        self.orders.write_all(line.as_bytes()).await.map_err(of_client)?;
        while let Some(line) = self.answers.next_line().await.map_err(of_client)? {
            let Some(at) = line.find(MARK) else { continue };
            let reply = line.get(at + MARK.len()..).unwrap_or_default();
            let reply: Reply =
                serde_json::from_str(reply).map_err(|error| of_client(error.into()))?;
            return Ok(Heard {
                answer: if reply.fine { Answer::Acknowledged } else { Answer::NotApplied },
                class: (!reply.fine).then_some(Class::Other),
                sqlstate: None,
                text: reply.text,
                took: Duration::from_micros(reply.took_us),
            });
        }
        Err(Error::Interrupted("the client has ended".to_owned()))
    }

    /// Kills it outright, and gives how it ended.
    pub(crate) async fn kill(mut self) -> Result<ExitStatus, Error> {
        self.child.start_kill().map_err(of_client)?;
        self.child.wait().await.map_err(of_client)
    }
}

fn of_client(source: std::io::Error) -> Error {
    Error::File { path: "the drill's client process".to_owned(), source }
}

/// What a client process does: orders from its standard input, answers to its standard output, until
/// its input ends.
///
/// # Errors
///
/// [`Error::File`] when a line cannot be read, understood or answered.
pub async fn serve() -> Result<(), Error> {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let mut output = tokio::io::stdout();
    let mut pool = None;
    while let Some(line) = orders.next_line().await.map_err(of_client)? {
        let order: Order = serde_json::from_str(&line).map_err(|error| of_client(error.into()))?;
        let begun = Instant::now();
        let (fine, text) = match obey(&mut pool, order).await {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        let took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let reply = serde_json::to_string(&Reply { fine, text, took_us });
        let reply = reply.map_err(|error| of_client(error.into()))?;
        output.write_all(format!("{MARK}{reply}\n").as_bytes()).await.map_err(of_client)?;
        output.flush().await.map_err(of_client)?;
    }
    Ok(())
}

async fn obey(pool: &mut Option<Pool>, order: Order) -> Result<String, String> {
    let words = |error: pg_session::Error| format!("{}: {error}", error.class().name());
    match (order, &pool) {
        (Order::Open { url }, _) => {
            let config = Config::from_url(&url).map_err(words)?;
            *pool = Some(Pool::open(config, limits()).await.map_err(words)?);
            Ok("open".to_owned())
        }
        (Order::Clock, _) => {
            let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
            since.map(|since| since.as_secs().to_string()).map_err(|error| error.to_string())
        }
        (Order::Ask { sql }, Some(pool)) => {
            let mut session = acquire(pool).await.map_err(words)?;
            session.fetch_value::<String>(&sql, &[]).await.map_err(words)
        }
        (Order::Hold(hold), Some(pool)) => {
            let session = acquire(pool).await.map_err(words)?;
            let (ready, told) = oneshot::channel();
            tokio::spawn(async move {
                // It ends with the process.
                let _ = held(session, hold, ready).await;
            });
            told.await.map(|()| "held".to_owned()).map_err(|_| "it does not hold".to_owned())
        }
        (_, None) => Err("no pool is open".to_owned()),
    }
}

/// Gets into the middle of something, says so, and stays there.
async fn held(
    mut session: Session,
    hold: Hold,
    ready: oneshot::Sender<()>,
) -> Result<(), pg_session::Error> {
    if hold == Hold::Advisory {
        session.execute("SELECT pg_advisory_lock(5)", &[]).await?;
        let _ = ready.send(());
        return std::future::pending().await;
    }
    let mut transaction = session.begin(&TransactionOptions::default()).await?;
    transaction.execute("UPDATE drill_pair SET n = n + 1 WHERE id = 1", &[]).await?;
    match hold {
        Hold::Copy => {
            let mut copy = transaction.copy_in("COPY drill_copy FROM STDIN").await?;
            for row in 0..1_000 {
                copy.send(Bytes::from(format!("{row}\n"))).await?;
            }
            let _ = ready.send(());
            std::future::pending().await
        }
        Hold::Statement => {
            let _ = ready.send(());
            transaction.execute("SELECT pg_sleep(60)", &[]).await?;
            Ok(())
        }
        Hold::Wait => {
            let _ = ready.send(());
            transaction.execute("UPDATE drill_pair SET n = n + 1 WHERE id = 2", &[]).await?;
            std::future::pending().await
        }
        Hold::Transaction | Hold::Advisory => {
            let _ = ready.send(());
            std::future::pending().await
        }
    }
}
