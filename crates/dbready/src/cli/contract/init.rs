//! `dbready contract init`: a first contract from a live database.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use dbready::{Error, init};

use crate::cli::options::ServerArgs;
use crate::cli::output::{of_file, print};
use crate::cli::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready contract init --url postgres://readonly@db.example/shop --out contract
  dbready contract init --schema public --schema audit --out contract
  dbready check --contract contract --url postgres://readonly@db.example/shop
  dbready prove --contract contract

The database is only read. What a contract cannot describe is named with its reason and left out. \
Where pg_stat_statements is installed, the 50 statements with the most time in total become queries, \
with what was observed as their proposed limits; none of them is run. \
Nothing that speaks of roles, no aggregate function and no publication is part of the migration; \
they are named, too. \
Exit codes: 0 written, 2 the folder is not empty or a schema is unknown, 3 no server.";

/// Write a first contract from a live database: its tables, and its queries where `pg_stat_statements`
/// remembers them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    server: ServerArgs,

    /// Folder for the contract; it must be empty or not there yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Schema to describe; may be repeated.
    #[arg(long, value_name = "SCHEMA", default_value = "public")]
    schema: Vec<String>,

    /// Name of the service [default: the name of the database].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

pub(crate) async fn run(args: &InitArgs, terminal: &Terminal) -> Result<Exit, Error> {
    refuse_to_overwrite(&args.out)?;
    let screen = terminal.screen();
    screen.passing("reading the catalogs");
    let config = args.server.config()?;
    let name = args.name.clone().unwrap_or_else(|| config.dbname().to_owned());
    let (mut client, address) = args.server.connect().await?;
    let draft = init::draft(&mut client, &name, &args.schema).await?;
    screen.clear();
    for (name, text) in &draft.files {
        let path = args.out.join(name);
        let folder = path.parent().unwrap_or(&args.out);
        fs::create_dir_all(folder).map_err(of_file(folder))?;
        fs::write(&path, text).map_err(of_file(&path))?;
    }
    let out = args.out.display();
    let model = &draft.contract.model;
    let queries = match model.queries.len() {
        0 => String::new(),
        count => format!(" and {count} queries"),
    };
    let tables = model.tables.len();
    let mut lines = vec![format!("wrote {out}: {tables} tables{queries} of {address}")];
    lines.extend(draft.left_out.iter().map(|one| format!("  left out  {one}")));
    lines.push(format!(
        "next: dbready check --contract {out} --url …; dbready prove --contract {out}"
    ));
    print(&lines.join("\n"))?;
    Ok(Exit::Success)
}

/// A contract is written by people once it is drafted.
fn refuse_to_overwrite(folder: &Path) -> Result<(), Error> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::Usage(format!(
                "--out: expected an empty folder or none, found files in {}; \
                 nothing is overwritten, choose another",
                folder.display()
            ))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(of_file(folder)(error)),
    }
}
