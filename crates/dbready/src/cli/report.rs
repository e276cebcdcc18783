//! `dbready report`: a stored run, judged and rendered again.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use dbready::Error;
use dbready::report::{self, Certificate, Format, SignatureError, StoredError, Subject};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::options::ReportArgs;
use super::output::{Delivery, beside, print, read};
use super::signing::{SignKey, signature_of, unusable};
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready report dbready-report/certificate.json
  dbready report certificate.json --format markdown > summary.md
  dbready report - --format html --out report < certificate.json
  dbready report certificate.json --format in-toto --commit $(git rev-parse HEAD) --artifact app
  dbready report verify dbready-report/certificate.json
  dbready report sign dbready-report/certificate.json --sign-key release.key

Every claim is judged again by the evidence in the file; no database is needed. Exit codes: 0 all \
required claims proven, 1 some refuted or unproven, 2 the file cannot be used.";

/// Render a stored run in any format.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct StoredArgs {
    #[command(subcommand)]
    command: Option<StoredCommand>,
    /// A certificate.json; `-` for standard input.
    #[arg(required = true)]
    file: Option<PathBuf>,
    /// The git commit that was tested, for `--format in-toto`.
    #[arg(long, value_name = "SHA", value_parser = commit)]
    commit: Option<String>,
    /// A file that was tested, such as the binary, for `--format in-toto`; may be repeated.
    #[arg(long, value_name = "FILE")]
    artifact: Vec<PathBuf>,
    #[command(flatten)]
    report: ReportArgs,
}

/// The name of a commit, in full: a short one may come to mean another.
fn commit(text: &str) -> Result<String, String> {
    let is_whole = matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if is_whole {
        Ok(text.to_owned())
    } else {
        Err("expected a whole commit name of 40 or 64 hexadecimal digits".to_owned())
    }
}

#[derive(Debug, Subcommand)]
enum StoredCommand {
    Verify(VerifyArgs),
    Sign(SignArgs),
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  dbready report verify dbready-report/certificate.json
  dbready report verify dbready-report/certificate.json --key release.pub

Exit codes: 0 the file is as it was written, its evidence leads to what it states and still counts, \
and with `--key` its signature holds; 1 it is not, each reason is named; 2 the file cannot be read \
as a certificate, or the key as a key. \
Verifying says nothing about the verdict: a sound certificate may say `not certified`.";

/// Say whether a stored run is as it was written, and recent enough to count.
///
/// Its seal is a chain of SHA-256 digests over every claim, so that one changed byte is noticed. It
/// shows damage, not who made the file; with `--key` a signature shows that. Evidence of checks
/// counts for a day, that of drills, load tests and coverage for a week.
#[derive(Debug, Args)]
#[command(after_help = VERIFY_EXAMPLES)]
struct VerifyArgs {
    /// A certificate.json; `-` for standard input.
    file: PathBuf,
    /// A public key of minisign by which the file must be signed.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The signature [default: FILE.minisig].
    #[arg(long, value_name = "FILE", requires = "key")]
    signature: Option<PathBuf>,
}

const SIGN_EXAMPLES: &str = "\
Examples:
  minisign -G -W -s release.key -p release.pub
  dbready report sign dbready-report/certificate.json --sign-key release.key
  dbready report verify dbready-report/certificate.json --key release.pub
  minisign -Vm dbready-report/certificate.json -p release.pub

Exit codes: 0 the signature is written; 1 the file is not to be relied on, each reason is named, and \
it is not signed; 2 the file or the key cannot be used.";

/// Sign a stored run with an Ed25519 key of minisign.
///
/// What `verify` doubts is not signed. The signature is written beside the file, as FILE.minisig; it
/// vouches for every byte of the file. A key with a password takes it from `DBREADY_SIGN_PASSWORD`.
#[derive(Debug, Args)]
#[command(after_help = SIGN_EXAMPLES)]
struct SignArgs {
    /// A certificate.json.
    file: PathBuf,
    /// A secret key of minisign.
    #[arg(long, value_name = "FILE")]
    sign_key: PathBuf,
}

pub(crate) fn run(args: &StoredArgs, terminal: &Terminal) -> Result<Exit, Error> {
    match &args.command {
        Some(StoredCommand::Verify(args)) => return verify(args),
        Some(StoredCommand::Sign(args)) => return sign(args),
        None => {}
    }
    // Clap demands the file where there is no command.
    let file = args.file.as_deref().unwrap_or(Path::new("-"));
    let certificate = Certificate::from_json(&read(file)?).map_err(unreadable(file))?;
    let subjects = subjects(args)?;
    let is_file = file.as_os_str() != "-";
    let folder = is_file.then(|| file.parent().filter(|folder| !folder.as_os_str().is_empty()));
    let beside = folder.map(|folder| beside(folder.unwrap_or(Path::new(".")))).unwrap_or_default();
    Delivery::prepare(&args.report)?.deliver_with(&certificate, beside, subjects, terminal)
}

/// What the statement speaks about, as the arguments name it.
fn subjects(args: &StoredArgs) -> Result<Vec<Subject>, Error> {
    let commit = args.commit.iter().cloned().map(|commit| Ok(Subject::Commit(commit)));
    let artifacts = args.artifact.iter().map(|path| {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Subject::Artifact { name, sha256: digest_of(path)? })
    });
    let subjects: Vec<Subject> = commit.chain(artifacts).collect::<Result<_, Error>>()?;
    if !subjects.is_empty() && args.report.format != Format::InToto {
        return Err(Error::Usage(
            "`--commit` and `--artifact` belong to `--format in-toto`".to_owned(),
        ));
    }
    Ok(subjects)
}

/// SHA-256 of a file.
fn digest_of(path: &Path) -> Result<[u8; 32], Error> {
    let unusable = |error: std::io::Error| {
        Error::Usage(format!("--artifact {}: cannot be read: {error}", path.display()))
    };
    let mut file = File::open(path).map_err(unusable)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(unusable)? {
            0 => return Ok(digest.finalize().into()),
            n => digest.update(&buffer[..n]),
        }
    }
}

fn verify(args: &VerifyArgs) -> Result<Exit, Error> {
    let file = &args.file;
    let text = read(file)?;
    let mut verification = report::verify(&text, Timestamp::now()).map_err(unreadable(file))?;
    let mut signed = String::new();
    if let Some(key) = &args.key {
        match signed_comment(args, &text, key)? {
            Ok(comment) => {
                let key = key.display();
                signed = format!("  signed by the key of {key}: {}\n", comment.escape_debug());
            }
            Err(doubt) => verification.doubts.push(doubt),
        }
    }
    if !verification.doubts.is_empty() {
        return tell_doubts(file, &verification.doubts);
    }
    let certificate = &verification.certificate;
    print(&format!(
        "{}: as it was written on {}, sealed {}\n{signed}",
        file.display(),
        certificate.finished_at.escape_debug(),
        certificate.digest
    ))?;
    Ok(Exit::Success)
}

fn tell_doubts(file: &Path, doubts: &[String]) -> Result<Exit, Error> {
    let verdict = format!("{}: not to be relied on\n", file.display());
    let told = doubts.iter().map(|doubt| format!("  {}\n", doubt.escape_debug()));
    print(&std::iter::once(verdict).chain(told).collect::<String>())?;
    Ok(Exit::NotProven)
}

/// The comment that was signed with a file, or why its signature does not hold.
fn signed_comment(
    args: &VerifyArgs,
    text: &str,
    key: &Path,
) -> Result<Result<String, String>, Error> {
    let public = read(key)?;
    let path = match (&args.signature, args.file.as_os_str() == "-") {
        (Some(path), _) => path.clone(),
        (None, false) => signature_of(&args.file),
        (None, true) => {
            let need = "the signature of standard input is named by `--signature FILE`";
            return Err(Error::Usage(need.to_owned()));
        }
    };
    if !path.exists() {
        return Ok(Err(format!("it is not signed: there is no {}", path.display())));
    }
    match report::verify_signature(text, &read(&path)?, &public) {
        Err(error @ SignatureError::PublicKey(_)) => Err(unusable(key, &error)),
        verified => Ok(verified.map_err(|error| error.to_string())),
    }
}

fn sign(args: &SignArgs) -> Result<Exit, Error> {
    let file = &args.file;
    let text = read(file)?;
    match SignKey::unlock(&args.sign_key)?.sign(file, &text)? {
        Err(doubts) => tell_doubts(file, &doubts),
        Ok(path) => {
            print(&format!("{}: signed, {}\n", file.display(), path.display()))?;
            Ok(Exit::Success)
        }
    }
}

/// For `map_err`: a file that is no certificate.
fn unreadable(file: &Path) -> impl FnOnce(StoredError) -> Error {
    let file = file.display().to_string();
    move |error| Error::Usage(format!("{file}: {error}"))
}
