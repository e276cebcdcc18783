//! Signatures of certificates, made as they are written or afterwards.

use std::path::{Path, PathBuf};

use clap::Args;
use dbready::Error;
use dbready::report::{self, SIGNATURE_ENDING, SignatureError, Signer};
use jiff::Timestamp;
use pg_session::Secret;

use super::output::{read, write_whole};

/// The variable with the password of a secret key.
const PASSWORD: &str = "DBREADY_SIGN_PASSWORD";

/// Who vouches for the certificate that a command writes.
#[derive(Debug, Default, Args)]
pub(crate) struct SignKeyArgs {
    /// Sign certificate.json as it is written, with a secret key of minisign. A key with a password
    /// takes it from `DBREADY_SIGN_PASSWORD`.
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
}

impl SignKeyArgs {
    /// Reads the key, before the work whose result is to be signed.
    pub(crate) fn unlock(&self) -> Result<Option<SignKey>, Error> {
        self.sign_key.as_deref().map(SignKey::unlock).transpose()
    }
}

/// A secret key, ready to sign.
#[derive(Debug)]
pub(crate) struct SignKey {
    path: PathBuf,
    signer: Signer,
}

impl SignKey {
    /// Reads a key's file, and unlocks it by the password of the environment if it has one.
    pub(crate) fn unlock(path: &Path) -> Result<Self, Error> {
        let text = Secret::new(read(path)?);
        let password = match std::env::var(PASSWORD) {
            Ok(password) => Some(Secret::new(password)),
            Err(std::env::VarError::NotPresent) => None,
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(Error::Usage(format!("{PASSWORD}: expected a password in UTF-8")));
            }
        };
        let signer = Signer::unlock(text.expose(), password.as_ref().map(Secret::expose))
            .map_err(|error| unusable(path, &error))?;
        Ok(Self { path: path.to_owned(), signer })
    }

    /// Writes the signature of a certificate beside its file and gives where it lies, or why the file
    /// is not to be relied on and thus not signed.
    pub(crate) fn sign(
        &self,
        file: &Path,
        text: &str,
    ) -> Result<Result<PathBuf, Vec<String>>, Error> {
        let verification = report::verify(text, Timestamp::now())
            .map_err(|error| Error::Usage(format!("{}: {error}", file.display())))?;
        if !verification.doubts.is_empty() {
            return Ok(Err(verification.doubts));
        }
        let comment = format!("dbready certificate sealed {}", verification.certificate.digest);
        let signature =
            self.signer.sign(text, &comment).map_err(|error| unusable(&self.path, &error))?;
        let path = signature_of(file);
        write_whole(&path, &signature)?;
        Ok(Ok(path))
    }
}

/// Where the signature of a file lies.
pub(crate) fn signature_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(SIGNATURE_ENDING);
    PathBuf::from(name)
}

/// A key that cannot be used.
pub(crate) fn unusable(key: &Path, error: &SignatureError) -> Error {
    let what = match error {
        SignatureError::SecretKey(_) => format!("{error}; {PASSWORD} holds the password"),
        _ => error.to_string(),
    };
    Error::Usage(format!("{}: {what}", key.display()))
}
