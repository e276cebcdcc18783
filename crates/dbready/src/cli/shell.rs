//! Completions for shells and pages for `man`, made from the command line's own description.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use dbready::Error;

use super::output::{of_file, prepare_folder, print};
use super::{Cli, Exit};

const COMPLETIONS: &str = "\
Examples:
  dbready completions bash > ~/.local/share/bash-completion/completions/dbready
  dbready completions zsh > ~/.zfunc/_dbready
  dbready completions fish > ~/.config/fish/completions/dbready.fish";

/// Print a script that lets a shell complete commands and options.
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

const MAN: &str = "\
Examples:
  dbready man --out ~/.local/share/man/man1";

/// Write pages for `man`, one for each command.
#[derive(Debug, Args)]
#[command(after_help = MAN)]
pub(crate) struct ManArgs {
    /// The folder for the pages; made when it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(&Cli::command()), "dbready", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}

/// The command line without what is not meant for people, which clap completes too.
fn shown(whole: &Command) -> Command {
    Command::new("dbready")
        .version(env!("CARGO_PKG_VERSION"))
        .args(whole.get_arguments().cloned())
        .subcommands(whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned())
}

pub(crate) fn man(args: &ManArgs) -> Result<Exit, Error> {
    prepare_folder(&args.out)?;
    clap_mangen::generate_to(Cli::command(), &args.out).map_err(of_file(&args.out))?;
    let pages = fs::read_dir(&args.out).map_err(of_file(&args.out))?.count();
    print(&format!("{pages} pages in {}\n", args.out.display()))?;
    Ok(Exit::Success)
}
