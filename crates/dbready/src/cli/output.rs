//! Putting a certificate where it is wanted.

use std::fs::{self, File};
use std::io::{IsTerminal, Read, Write};
use std::path::Path;

use dbready::Error;
use dbready::report::{Beside, Certificate, Format, MAX_BYTES, Subject, View};
use dbready::verdict::Status;

use super::options::ReportArgs;
use super::screen::complain;
use super::signing::SignKey;
use super::{Exit, Terminal};

/// Makes a folder and sees that it takes files, before the work whose result would otherwise be lost.
pub(crate) fn prepare_folder(folder: &Path) -> Result<(), Error> {
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&probe, []))
        .and_then(|()| fs::remove_file(&probe))
        .map_err(|error| Error::File {
            path: format!("--out {}", folder.display()),
            source: std::io::Error::new(
                error.kind(),
                format!("expected a folder that takes files: {error}"),
            ),
        })
}

/// Where a command's certificate goes. It is prepared before the work whose result would otherwise be
/// lost: the folder takes files, and the key signs.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    args: &'a ReportArgs,
    key: Option<SignKey>,
}

impl<'a> Delivery<'a> {
    /// Makes the folder of the reports and unlocks the key.
    pub(crate) fn prepare(args: &'a ReportArgs) -> Result<Self, Error> {
        let key = args.sign.unlock()?;
        match &args.out {
            Some(folder) => prepare_folder(folder)?,
            None if key.is_some() => {
                let need = "`--sign-key` signs the certificate.json that `--out DIR` writes";
                return Err(Error::Usage(need.to_owned()));
            }
            None => {}
        }
        Ok(Self { args, key })
    }

    /// Writes the files, prints the format asked for, and gives the exit code of the verdict. What
    /// lies in the folder of the reports is drawn in the page.
    pub(crate) fn deliver(
        &self,
        certificate: &Certificate,
        terminal: &Terminal,
    ) -> Result<Exit, Error> {
        let beside = self.args.out.as_deref().map(beside).unwrap_or_default();
        self.deliver_with(certificate, beside, Vec::new(), terminal)
    }

    /// The same with what was read elsewhere beside the certificate, and what a statement speaks about.
    pub(crate) fn deliver_with(
        &self,
        certificate: &Certificate,
        beside: Beside,
        subjects: Vec<Subject>,
        terminal: &Terminal,
    ) -> Result<Exit, Error> {
        let args = self.args;
        let written = match &args.out {
            Some(folder) => write_certificate(certificate, &beside, folder, self.key.as_ref())?,
            None => Written::default(),
        };
        if args.format == Format::Github {
            summarise(certificate)?;
        }
        let color = args.format == Format::Terminal && is_colored(terminal.color);
        let (verbose, reports) = (terminal.is_verbose, written.reports);
        let view = View { color, verbose, reports, beside, subjects };
        print(&certificate.render(args.format, &view))?;
        let open = |claim: &dbready::report::ClaimResult| {
            claim.status != Status::Proven && certificate.suppression(&claim.id).is_none()
        };
        let passed = certificate.accepted
            && !(args.strict && certificate.claims.iter().any(open))
            && !written.lacks_signature;
        Ok(if passed { Exit::Success } else { Exit::NotProven })
    }
}

/// What was written of a certificate.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Paths of the files.
    reports: Vec<String>,
    /// Whether a signature was wanted, and the certificate is in doubt.
    pub(crate) lacks_signature: bool,
}

/// Writes the files of a full report into a folder, and signs its certificate. A doubt that forbids
/// that is told.
pub(crate) fn write_certificate(
    certificate: &Certificate,
    beside: &Beside,
    folder: &Path,
    key: Option<&SignKey>,
) -> Result<Written, Error> {
    let mut written = Written::default();
    for (at, (name, text)) in certificate.files(beside).into_iter().enumerate() {
        let path = folder.join(name);
        write_whole(&path, &text)?;
        written.reports.push(path.display().to_string());
        // The certificate comes first; the others are rendered from it.
        let Some(key) = key.filter(|_| at == 0) else { continue };
        match key.sign(&path, &text)? {
            Ok(signature) => written.reports.push(signature.display().to_string()),
            Err(doubts) => {
                written.lacks_signature = true;
                let doubts = doubts.join("; ");
                complain(&format!("{}: not signed: {}", path.display(), doubts.escape_debug()));
            }
        }
    }
    Ok(written)
}

/// Files read beside a certificate at most.
const BESIDE_FILES: usize = 500;

/// What load tests, drills and nights wrote into a folder of reports. A file that cannot be read has
/// nothing to draw, and changes no verdict.
pub(crate) fn beside(folder: &Path) -> Beside {
    let mut paths: Vec<_> = [folder.to_owned(), folder.join("drills")]
        .into_iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    paths.sort();
    let mut beside = Beside::default();
    for path in paths.iter().take(BESIDE_FILES) {
        let is_short =
            fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MAX_BYTES as u64);
        if let Some(text) = is_short.then(|| fs::read_to_string(path).ok()).flatten() {
            beside.add(&text);
        }
    }
    beside
}

/// How a command without a certificate prints what it has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// Lines for people.
    Text,
    /// One JSON document.
    Json,
}

/// Writes files of these names into a folder, each whole or not at all.
pub(crate) fn write_reports(folder: &Path, files: &[(&str, &str)]) -> Result<(), Error> {
    files.iter().try_for_each(|(name, text)| write_whole(&folder.join(name), text))
}

/// Bytes that GitHub takes as the summary of a step.
const SUMMARY_BYTES: usize = 1024 * 1024;

/// Adds the Markdown report to the summary of the step, where a GitHub Actions run names its file.
fn summarise(certificate: &Certificate) -> Result<(), Error> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let path = Path::new(&path);
    let mut text = certificate.render(Format::Markdown, &View::default());
    let written = fs::metadata(path).map_or(0, |file| file.len());
    let room = SUMMARY_BYTES.saturating_sub(usize::try_from(written).unwrap_or(usize::MAX));
    if text.len() > room {
        // A summary that is too long is shown not at all; this one always fits in a fresh step.
        text = format!(
            "## {}\n\nThe report is too long for a summary; see the certificate.\n",
            if certificate.is_certified() { "Certified" } else { "Not certified" },
        );
    }
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(of_file(path))
}

/// Reads a file of bounded length; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    // One byte more than allowed, so that too much is noticed.
    let limit = MAX_BYTES as u64 + 1;
    let unusable = |error: std::io::Error| {
        Error::Usage(format!("{}: cannot be read: {error}", path.display()))
    };
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_string(&mut text).map_err(unusable)?;
    } else {
        let file = File::open(path).map_err(unusable)?;
        if file.metadata().map_err(of_file(path))?.is_dir() {
            return Err(Error::Usage(format!(
                "{}: expected a file, found a folder",
                path.display()
            )));
        }
        file.take(limit).read_to_string(&mut text).map_err(unusable)?;
    }
    Ok(text)
}

/// Prints text on standard output; a reader that has gone away is no error.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::File { path: "standard output".to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// Writes a file whole or not at all: beside it first, then renamed.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let beside = Path::new(&name);
    let written = fs::write(beside, text).and_then(|()| fs::rename(beside, path));
    if written.is_err() {
        // Nothing half written stays; the error that matters is the first one.
        let _ = fs::remove_file(beside);
    }
    written.map_err(of_file(path))
}

/// For `map_err` on file operations.
pub(crate) fn of_file(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::File { path, source }
}

/// Whether standard output takes colours: as asked, else on a terminal unless `NO_COLOR` is set.
fn is_colored(choice: clap::ColorChoice) -> bool {
    match choice {
        clap::ColorChoice::Always => true,
        clap::ColorChoice::Never => false,
        clap::ColorChoice::Auto => {
            let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            !forbidden && std::io::stdout().is_terminal()
        }
    }
}
