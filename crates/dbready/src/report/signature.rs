//! Signatures of stored certificates, in the format of minisign: Ed25519 over `BLAKE2b` of the file.
//!
//! A seal shows damage; a signature says who vouches for the file. Keys and signatures are those of
//! minisign, whose own program makes and verifies them too.

use std::fmt;
use std::io::Cursor;

use minisign::{PublicKey, PublicKeyBox, SecretKey, SecretKeyBox, SignatureBox};

use crate::contract::hexadecimal;

/// What is appended to a file's name for the name of its signature.
pub const SIGNATURE_ENDING: &str = ".minisig";

/// Characters of the signature of the trusted comment, in base 64.
const COMMENT_SIGNATURE: usize = 88;

/// Why a file cannot be signed, or a signature does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The secret key is none, has a password that was not given, or another one.
    #[error("expected a secret key of minisign, and its password if it has one: {0}")]
    SecretKey(String),
    /// The public key is none.
    #[error("expected a public key of minisign: {0}")]
    PublicKey(String),
    /// The signature is none.
    #[error("the signature is none of minisign: {0}")]
    Malformed(String),
    /// It was made with another key.
    #[error("the signature was made with the key {found}, not with {expected}")]
    OtherKey {
        /// Id of the key that made it.
        found: String,
        /// Id of the key given.
        expected: String,
    },
    /// The file, the signature or its comment are not as they were signed.
    #[error("the signature does not hold: the file or the signature was changed")]
    Broken,
    /// The system gave no random numbers.
    #[error("the file cannot be signed: {0}")]
    Signing(String),
}

/// A secret key that is ready to sign.
pub struct Signer {
    secret: SecretKey,
    public: PublicKey,
}

impl Signer {
    /// Takes a secret key from the text of its file, and unlocks it if it has a password.
    ///
    /// # Errors
    ///
    /// [`SignatureError::SecretKey`], which holds nothing of the key or the password.
    pub fn unlock(key: &str, password: Option<&str>) -> Result<Self, SignatureError> {
        let of = |text: &str| SecretKeyBox::from(text.to_owned());
        let unusable = |error: minisign::PError| SignatureError::SecretKey(error.to_string());
        // With a password first, the library would ask the terminal for one.
        let secret = of(key)
            .into_unencrypted_secret_key()
            .or_else(|error| match password {
                Some(password) => of(key).into_secret_key(Some(password.to_owned())),
                None => Err(error),
            })
            .map_err(unusable)?;
        let public = PublicKey::from_secret_key(&secret).map_err(unusable)?;
        Ok(Self { secret, public })
    }

    /// Signs a file's text; gives the text of the signature. `comment` is signed too and shown by
    /// who verifies.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Signing`], where the system gives no random numbers.
    pub fn sign(&self, text: &str, comment: &str) -> Result<String, SignatureError> {
        let name = "signature of a certificate of dbready";
        let text = Cursor::new(text);
        minisign::sign(Some(&self.public), &self.secret, text, Some(comment), Some(name))
            .map(SignatureBox::into_string)
            .map_err(|error| SignatureError::Signing(error.to_string()))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&key_id(self.public.keynum())).finish()
    }
}

/// Verifies the signature of a file's text by a public key, both given as the texts of their files;
/// gives the comment that was signed with it.
///
/// # Errors
///
/// [`SignatureError::PublicKey`] for a key that is none; [`SignatureError::Malformed`],
/// [`SignatureError::OtherKey`] and [`SignatureError::Broken`] for a signature that does not hold.
pub fn verify_signature(text: &str, signature: &str, key: &str) -> Result<String, SignatureError> {
    let key = PublicKeyBox::from(key.to_owned())
        .into_public_key()
        .map_err(|error| SignatureError::PublicKey(error.to_string()))?;
    let malformed = |error: minisign::PError| SignatureError::Malformed(error.to_string());
    let signed = SignatureBox::from_string(signature).map_err(malformed)?;
    // The library takes for granted that it is whole.
    let last = signature.lines().nth(3).map_or(0, |line| line.trim().len());
    if last != COMMENT_SIGNATURE {
        return Err(SignatureError::Malformed(format!(
            "the signature of its comment has {last} characters, not {COMMENT_SIGNATURE}"
        )));
    }
    if signed.keynum() != key.keynum() {
        return Err(SignatureError::OtherKey {
            found: key_id(signed.keynum()),
            expected: key_id(key.keynum()),
        });
    }
    minisign::verify(&key, &signed, Cursor::new(text), true, false, false)
        .map_err(|_| SignatureError::Broken)?;
    signed.trusted_comment().map_err(malformed)
}

/// The id of a key as minisign prints it.
fn key_id(number: &[u8]) -> String {
    let digits: Vec<u8> = number.iter().rev().copied().collect();
    hexadecimal(&digits).to_uppercase()
}
