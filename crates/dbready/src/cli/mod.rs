//! The command line: arguments, signals, and the only place that knows exit codes.

// The printing macros panic when the reader is gone or the disk is full.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod certify;
mod check;
mod contract;
mod coverage;
mod drill;
mod load;
mod local;
mod managed;
mod migrate;
mod nightly;
mod options;
mod output;
mod prove;
mod report;
mod screen;
mod secrets;
mod shell;
mod signing;
mod stop;
mod suppress;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use screen::{Screen, complain, say};
use secrets::hide_passwords;
use stop::Stop;

/// How a run ended; the numbers are relied on by scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Every required claim is proven, or the command did what it was asked.
    Success = 0,
    /// Some required claim is refuted or unproven.
    NotProven = 1,
    /// Wrong usage, or a contract or file that cannot be used.
    Usage = 2,
    /// The environment failed: no server, no runtime, no disk.
    Environment = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Proves or refutes every claim of a database contract on a real server.
///
/// A contract directory states what a database is: tables, indexes, queries, formats, policies.
/// dbready gathers evidence from a live PostgreSQL or TimescaleDB server and says which claims are
/// proven, which are refuted and which are unproven. Nothing is estimated.
#[derive(Debug, Parser)]
#[command(name = "dbready", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Say more, in the terminal report, too; repeat for more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Say nothing on standard error but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// Colours in the terminal report.
    #[arg(long, global = true, value_enum, default_value_t = clap::ColorChoice::Auto)]
    color: clap::ColorChoice,
}

const EXAMPLES: &str = "\
Examples:
  dbready certify                   the whole package on a managed local server
  dbready check --url postgres://…  a live database, read-only
  dbready drill                     failure drills on disposable servers
  dbready watch --url postgres://…  continuous validation, with a dashboard
  dbready local start               a local TimescaleDB; prints its URL

Exit codes: 0 all required claims proven, 1 some refuted or unproven, 2 wrong usage or contract, \
3 the environment failed (no server).";

#[derive(Debug, Subcommand)]
enum Command {
    Certify(certify::CertifyArgs),
    Check(check::CheckArgs),
    Drill(drill::DrillArgs),
    /// What a drill starts as a client of its own.
    #[command(name = drill::CLIENT[0], hide = true)]
    DrillClient,
    Load(load::LoadArgs),
    Migrate(migrate::MigrateArgs),
    Contract(contract::ContractCommandArgs),
    Coverage(coverage::CoverageArgs),
    Local(local::LocalArgs),
    Nightly(nightly::NightlyArgs),
    Prove(prove::ProveArgs),
    Report(report::StoredArgs),
    Watch(watch::WatchArgs),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

/// How the user wants to be spoken to.
#[derive(Debug)]
pub(crate) struct Terminal {
    is_quiet: bool,
    is_verbose: bool,
    color: clap::ColorChoice,
}

impl Terminal {
    fn screen(&self) -> Screen {
        Screen::new(self.is_quiet)
    }

    /// Says a line on standard error, unless only errors are wanted there.
    fn note(&self, line: &str) {
        if !self.is_quiet {
            say(line);
        }
    }
}

/// Runs the command line and returns its exit code.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error).into(),
    };
    start_logging(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start the asynchronous runtime: {error}"));
            return Exit::Environment.into();
        }
    };
    let code = runtime.block_on(run_until_signal(cli));
    // A signal may leave a blocking call behind; the process must not wait for it.
    runtime.shutdown_background();
    code
}

/// Prints help and version on standard output, and mistakes on standard error.
fn refuse(error: &clap::Error) -> Exit {
    if error.use_stderr() {
        let plain = error.render().to_string();
        let shown = hide_passwords(&plain);
        if shown == plain {
            // Nobody is left to tell when standard error takes nothing.
            let _ = error.print();
        } else {
            say(shown.trim_end());
        }
        return Exit::Usage;
    }
    match error.print() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(&format!("standard output: {error}"));
            Exit::Environment
        }
        _ => Exit::Success,
    }
}

/// Runs the command. SIGINT and SIGTERM drop it, which stops what it started; a command that can end
/// in order is asked to do so first, and dropped at the second signal.
async fn run_until_signal(cli: Cli) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("cannot listen for signals: {error}"));
            return Exit::Environment.into();
        }
    };
    let stop = Stop::default();
    let terminal = Terminal { is_quiet: cli.quiet, is_verbose: cli.verbose > 0, color: cli.color };
    let mut work = std::pin::pin!(dispatch(cli.command, &terminal, &stop));
    let outcome = tokio::select! {
        outcome = &mut work => outcome,
        code = signals.next() => {
            if stop.request() {
                terminal.note("interrupted: ending in order; once more stops at once");
                tokio::select! {
                    outcome = &mut work => {
                        let _ = end(outcome);
                        return ExitCode::from(code);
                    }
                    _ = signals.next() => {}
                }
            }
            terminal.note("interrupted: stopping what was started");
            return ExitCode::from(code);
        }
    };
    end(outcome).into()
}

/// Says what went wrong, and gives the exit code.
fn end(outcome: Result<Exit, dbready::Error>) -> Exit {
    match outcome {
        Ok(exit) => exit,
        Err(error) => {
            complain(&hide_passwords(&error.to_string()));
            exit_of(&error)
        }
    }
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for SIGINT (130) or SIGTERM (143) and gives the conventional exit code.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

async fn dispatch(
    command: Command,
    terminal: &Terminal,
    stop: &Stop,
) -> Result<Exit, dbready::Error> {
    match command {
        Command::Certify(args) => Box::pin(certify::run(args, terminal)).await,
        Command::Check(args) => check::run(args, terminal).await,
        Command::Drill(args) => drill::run(args, terminal).await,
        Command::DrillClient => {
            dbready::drill::serve().await?;
            Ok(Exit::Success)
        }
        Command::Load(args) => Box::pin(load::run(args, terminal, stop)).await,
        Command::Migrate(args) => migrate::run(args, terminal).await,
        Command::Contract(args) => contract::run(&args, terminal).await,
        Command::Coverage(args) => coverage::run(&args, terminal),
        Command::Local(args) => local::run(args, terminal).await,
        Command::Nightly(args) => Box::pin(nightly::run(args, terminal)).await,
        Command::Prove(args) => prove::run(args, terminal).await,
        Command::Report(args) => report::run(&args, terminal),
        Command::Watch(args) => Box::pin(watch::run(args, terminal, stop)).await,
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    }
}

/// The exit code of an error: the caller's mistake, or the environment's.
fn exit_of(error: &dbready::Error) -> Exit {
    if error.is_usage() { Exit::Usage } else { Exit::Environment }
}

fn start_logging(cli: &Cli) {
    use tracing_subscriber::filter::LevelFilter;
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => LevelFilter::ERROR,
        // Drills bring about what is warned of.
        (false, 0) if matches!(cli.command, Command::Drill(_)) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        // Its complaint about a standard error that takes nothing would go there and panic.
        .log_internal_errors(false)
        .with_target(false)
        .without_time()
        .init();
}
