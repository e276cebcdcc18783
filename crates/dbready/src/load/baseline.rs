//! The floor: the same query by `pgbench -M prepared` in the same run.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;

use super::Test;
use super::bench::{Bench, Profile};
use super::closed;
use super::found::Found;
use super::generator::Span;
use super::workload::{self, LoadedQuery, Manner};
use crate::Error;

/// Where pgbench is, and how it logs in. Its password is not for printing.
#[derive(Clone)]
pub struct Pgbench {
    /// The program.
    pub program: PathBuf,
    /// `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`: passed in its environment.
    pub environment: Vec<(String, String)>,
}

impl std::fmt::Debug for Pgbench {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Pgbench({})", self.program.display())
    }
}

/// One query through pgbench and through the pool, closed loop, with the same number of connections
/// and the same parameters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Floor {
    /// The query.
    pub query: String,
    /// Connections of each.
    pub connections: u32,
    /// Queries a second by pgbench.
    pub pgbench_per_second: f64,
    /// Queries a second through the pool.
    pub pool_per_second: f64,
    /// Time of a query through the pool over that by pgbench; 1 is no overhead.
    pub overhead: f64,
}

/// Measures each query with limits, first by pgbench and then through the pool.
///
/// # Errors
///
/// [`Error::Database`] when the server cannot be reached, [`Error::File`] when pgbench cannot be run.
pub async fn measure(bench: &Bench<'_>) -> Result<Found, Error> {
    let mut found = Found::default();
    let Some(pgbench) = &bench.pgbench else {
        found
            .notes
            .push("no pgbench at hand: the floor of the queries was not measured".to_owned());
        return Ok(found);
    };
    let seconds = if bench.profile == Profile::Quick { 1 } else { 4 };
    let client = pg_session::connect(&bench.read_only()).await?;
    for query in workload::queries_of(Test::Baseline, &client, bench.contract, &mut found).await? {
        if bench.stopped() {
            break;
        }
        bench.say(&format!("{} by pgbench and through the pool", query.name));
        let texts = workload::as_text(&client, &query).await?;
        let connections = bench.contract.model.pool.max;
        match by_pgbench(bench, pgbench, &query, &texts, connections, seconds).await? {
            Ok(floor) => {
                let ours = by_pool(bench, &query, connections, seconds).await?;
                if ours <= 0.0 || floor <= 0.0 {
                    found.notes.push(format!(
                        "{}: no overhead is known: {floor:.1}/s by pgbench, {ours:.1}/s through the pool \
                         within {seconds} s",
                        query.name
                    ));
                    continue;
                }
                let overhead = floor / ours;
                found.notes.push(format!(
                    "{}: {floor:.0}/s by pgbench, {ours:.0}/s through the pool, closed loop on \
                     {connections} connections: overhead × {overhead:.2}",
                    query.name
                ));
                found.pgbench.push(Floor {
                    query: query.name.clone(),
                    connections,
                    pgbench_per_second: floor,
                    pool_per_second: ours,
                    overhead,
                });
            }
            Err(words) => found.notes.push(format!("{}: pgbench failed: {words}", query.name)),
        }
    }
    Ok(found)
}

/// `$3` → `:p3`, the last parameter first, so that `$12` is not taken for `$1`.
fn script(sql: &str, parameters: usize) -> String {
    let mut script = sql.trim_end().trim_end_matches(';').to_owned();
    for at in (1..=parameters).rev() {
        script = script.replace(&format!("${at}"), &format!(":p{at}"));
    }
    script.push_str(";\n");
    script
}

async fn by_pgbench(
    bench: &Bench<'_>,
    pgbench: &Pgbench,
    query: &LoadedQuery,
    texts: &[String],
    connections: u32,
    seconds: u32,
) -> Result<Result<f64, String>, Error> {
    let name = format!("dbready-pgbench-{}-{}.sql", std::process::id(), query.name);
    let path = std::env::temp_dir().join(name);
    let of_file = |source| Error::File { path: path.display().to_string(), source };
    std::fs::write(&path, script(&query.sql, texts.len())).map_err(of_file)?;
    let mut command = Command::new(&pgbench.program);
    command.args(["-n", "-M", "prepared", "-j", "1", "-c", &connections.to_string()]);
    command.args(["-T", &seconds.to_string(), "-f"]).arg(&path);
    for (at, text) in texts.iter().enumerate() {
        command.arg("-D").arg(format!("p{}={text}", at + 1));
    }
    command.arg(bench.config.dbname()).env("PGOPTIONS", "-c default_transaction_read_only=on");
    command.envs(pgbench.environment.iter().cloned()).kill_on_drop(true);
    let output = command.output().await;
    std::fs::remove_file(&path).map_err(of_file)?;
    let program = pgbench.program.display().to_string();
    let output = output.map_err(|source| Error::File { path: program, source })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let rate = said.lines().find_map(|line| {
        line.strip_prefix("tps = ")?.split_whitespace().next()?.parse::<f64>().ok()
    });
    let words = String::from_utf8_lossy(&output.stderr);
    Ok(rate
        .filter(|_| output.status.success())
        .ok_or_else(|| words.lines().last().unwrap_or("it said nothing").trim().to_owned()))
}

/// Queries a second through the pool, by as many callers as connections, one after the other.
async fn by_pool(
    bench: &Bench<'_>,
    query: &LoadedQuery,
    connections: u32,
    seconds: u32,
) -> Result<f64, Error> {
    let pool = bench.pool(bench.read_only()).await?;
    let span = Span {
        warm_up: Duration::ZERO,
        measured: Duration::from_secs(seconds.into()),
        drain: bench.span.drain,
    };
    let (shared, query) = (pool.clone(), query.clone());
    let operate = move |_, _| {
        let (sql, rows) = (query.sql.clone(), query.parameters.clone());
        (0, workload::call(shared.clone(), sql, rows, 0, Manner::Prompt))
    };
    let callers = usize::try_from(connections).unwrap_or(usize::MAX);
    // Nobody watches the server, as nobody does while pgbench runs.
    let recordings = closed::run(callers, 1, span, &bench.stop, operate).await;
    pool.close();
    Ok(closed::answered_per_second(&recordings))
}

#[cfg(test)]
mod tests {
    use super::script;

    #[test]
    fn parameters_become_variables() {
        let sql = "SELECT $1::interval, $12, $2;\n";
        assert_eq!(script(sql, 12), "SELECT :p1::interval, :p12, :p2;\n");
    }
}
