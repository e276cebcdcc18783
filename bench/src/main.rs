//! Measures the database layer beside its peers, on one server in one run, and
//! prints the ratios as a Markdown table.

mod acquire;
mod batch;
mod figures;
mod generator;
mod memory;
mod reads;
mod rollup;
mod setup;
mod single;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::figures::Figure;
use crate::setup::Bench;

pub(crate) type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// The newest row of an instrument, from 50 tasks over 10 connections.
    Reads,
    /// A batch of Greeks, stored once.
    Batch,
    /// Single Greeks that share commits, from 50 tasks.
    Single,
    /// A million rows in buckets of five minutes, from rollups and from the rows.
    Rollup,
    /// A session from a pool that nobody else uses.
    Acquire,
    /// The memory of the process over many reads.
    Memory,
    /// The load generator: what it costs, and a server that stands still.
    Generator,
}

/// Measures the database layer beside pgbench, psql, sqlx and asyncpg, on one
/// durable local server in one run. Peers take turns; what is printed is the
/// median of the rounds. A peer that is not there is named, never estimated.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  cargo run --release                          everything
  cargo run --release -- reads --seconds 10    one subject, longer
  cargo run --release -- --python ~/venv/bin/python   with asyncpg from a virtual environment")]
struct Options {
    /// What to measure; everything when nothing is named.
    subjects: Vec<Subject>,
    /// The time of each peer in each round, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// How often each peer has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// The number of reads over which memory is watched.
    #[arg(long, default_value_t = 1_000_000)]
    memory_reads: u64,
    /// The rows of a batch.
    #[arg(long, default_value_t = 100_000)]
    batch: i64,
    /// A Python that has asyncpg.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
}

impl Options {
    fn wants(&self, subject: Subject) -> bool {
        self.subjects.is_empty() || self.subjects.contains(&subject)
    }
}

async fn run(options: &Options) -> Result<()> {
    let bench = Bench::start().await?;
    let mut figures: Vec<Figure> = Vec::new();
    let mut notes = Vec::new();
    if options.wants(Subject::Reads) {
        figures.extend(reads::measure(&bench, options, &mut notes).await?);
    }
    if options.wants(Subject::Batch) {
        figures.extend(batch::measure(&bench, options, &mut notes).await?);
    }
    if options.wants(Subject::Single) {
        figures.extend(single::measure(&bench, options, &mut notes).await?);
    }
    if options.wants(Subject::Rollup) {
        figures.extend(rollup::measure(&bench).await?);
    }
    if options.wants(Subject::Acquire) {
        figures.push(acquire::measure(&bench).await?);
    }
    if options.wants(Subject::Memory) {
        figures.extend(memory::measure(&bench, options.memory_reads).await?);
    }
    if options.wants(Subject::Generator) {
        figures.extend(generator::measure(&bench, &mut notes).await?);
    }
    println!("{}", bench.facts().await?);
    println!("{}", figures::table(&figures));
    for note in notes {
        println!("- {note}");
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
