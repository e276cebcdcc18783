//! `dbready nightly`: the zero-gap summary with its trend.

use std::path::{Path, PathBuf};

use clap::Args;
use dbready::Error;
use dbready::nightly::{self, History, Summary};
use dbready::report::Certificate;
use jiff::Timestamp;

use super::certify::{self, CertifyArgs};
use super::options::{ContractArgs, Profile};
use super::output::{beside, prepare_folder, print, write_certificate, write_whole};
use super::signing::SignKeyArgs;
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready nightly --history history  certifies on a managed local server
  dbready nightly --history history --certificate check.json,load.json
  0 3 * * * dbready nightly --history /var/lib/dbready    a line of a crontab

Several certificates, one for each producer, are merged and judged again as one. What got worse since \
the night before comes first. Exit codes: 0 all required claims proven, 1 some refuted or unproven, \
2 a certificate cannot be used, 3 the environment failed.";

/// The zero-gap summary of a night, with its trend against the nights before.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct NightlyArgs {
    /// The folder that remembers the nights; made when it is missing.
    #[arg(long, value_name = "DIR")]
    history: PathBuf,

    /// Nights that it remembers.
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=3650))]
    keep: u16,

    /// Certificates of this night instead of a run of `certify`.
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    certificate: Vec<PathBuf>,

    /// The time of the night, to replay an old one [default: now].
    #[arg(long, value_name = "TIME", requires = "certificate")]
    at: Option<Timestamp>,

    /// A server of your own to certify; it is only read.
    #[arg(long, value_name = "URL", conflicts_with = "certificate")]
    url: Option<String>,

    /// How much data the managed server gets.
    #[arg(long, value_enum, default_value_t = Profile::Quick, conflicts_with_all = ["url", "certificate"])]
    profile: Profile,

    /// What is printed on standard output.
    #[arg(long, value_enum, default_value_t = Shape::Markdown)]
    format: Shape,

    /// The folder for nightly.md, .html, .json, the pictures and the certificate.
    #[arg(long, value_name = "DIR", default_value = "dbready-nightly")]
    out: PathBuf,

    #[command(flatten)]
    sign: SignKeyArgs,
    #[command(flatten)]
    contract: ContractArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    Markdown,
    Html,
    Json,
}

pub(crate) async fn run(args: NightlyArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let contract = args.contract.load()?;
    let key = args.sign.unlock()?;
    prepare_folder(&args.out)?;
    let mut history = History::open(&args.history)?;
    let certificates = if args.certificate.is_empty() {
        let measured = CertifyArgs::new(args.contract, args.url, args.profile);
        vec![(
            "this run".to_owned(),
            Box::pin(certify::measure(&measured, &contract, terminal)).await?,
        )]
    } else {
        let read = |path: &PathBuf| Ok((path.display().to_string(), read(path)?));
        args.certificate.iter().map(read).collect::<Result<_, Error>>()?
    };
    let at = args.at.unwrap_or_else(Timestamp::now);
    let certificate = nightly::merge(&contract, certificates, at)
        .map_err(|error| Error::Usage(error.to_string()))?;
    let problems = std::mem::take(&mut history.problems);
    let summary = Summary::of(&certificate, &history.nights, problems);
    history.keep(summary.night.clone(), usize::from(args.keep))?;
    let pictures = nightly::plots(&history.nights);
    let markdown = nightly::markdown(&summary, &pictures);
    let html = nightly::html(&summary, &pictures);
    let json = serde_json::to_string_pretty(&summary)
        .map_err(|error| Error::Interrupted(error.to_string()))?;
    for (name, text) in
        [("nightly.md", &markdown), ("nightly.html", &html), ("nightly.json", &json)]
    {
        write_whole(&args.out.join(name), text)?;
    }
    for picture in &pictures {
        write_whole(&args.out.join(format!("{}.svg", picture.name)), &picture.svg)?;
    }
    // Its page draws the trend, which the summary holds.
    let written = write_certificate(&certificate, &beside(&args.out), &args.out, key.as_ref())?;
    print(match args.format {
        Shape::Markdown => &markdown,
        Shape::Html => &html,
        Shape::Json => &json,
    })?;
    let passed = certificate.is_certified() && !written.lacks_signature;
    Ok(if passed { Exit::Success } else { Exit::NotProven })
}

fn read(path: &Path) -> Result<Certificate, Error> {
    let unusable = |reason: String| Error::Usage(format!("{}: {reason}", path.display()));
    let text = super::output::read(path)?;
    Certificate::from_json(&text).map_err(|error| unusable(error.to_string()))
}
