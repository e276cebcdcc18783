//! Signatures: those of minisign's own program and ours are one.

use std::fs;
use std::process::Command;

use dbready::report::{SignatureError, Signer, verify_signature};
use minisign::KeyPair;

/// Made by minisign 0.11: a key, and its signature of a certificate.
const KEY: &str = include_str!("minisign.pub");
const TEXT: &str = include_str!("certificate-v6.json");
const SIGNATURE: &str = include_str!("certificate-v6.json.minisig");

/// The texts of the files of a new pair without a password: secret, public.
fn pair() -> (String, String) {
    let KeyPair { pk, sk } = KeyPair::generate_unencrypted_keypair().unwrap();
    (sk.to_box(None).unwrap().into_string(), pk.to_box().unwrap().into_string())
}

#[test]
fn a_signature_of_minisign_holds() {
    assert_eq!(verify_signature(TEXT, SIGNATURE, KEY).unwrap(), "signed by minisign 0.11");
}

#[test]
fn a_changed_byte_breaks_it_wherever_it_is() {
    for at in [0, TEXT.len() / 2, TEXT.len() - 1] {
        let mut other = TEXT.as_bytes().to_vec();
        other[at] ^= 1;
        let other = String::from_utf8(other).unwrap();
        assert!(matches!(verify_signature(&other, SIGNATURE, KEY), Err(SignatureError::Broken)));
    }
    let comment = SIGNATURE.replace("signed by minisign", "signed by somebody");
    assert!(matches!(verify_signature(TEXT, &comment, KEY), Err(SignatureError::Broken)));
}

#[test]
fn another_key_is_named() {
    let (_, public) = pair();
    let error = verify_signature(TEXT, SIGNATURE, &public).unwrap_err();
    let SignatureError::OtherKey { found, expected } = &error else { panic!("{error}") };
    assert!(KEY.len() > found.len() && found != expected, "{error}");
}

/// Whatever stands in a signature's file, it is refused and nothing panics.
#[test]
fn a_signature_that_is_none_is_refused() {
    for lines in 0..4 {
        let some: String = SIGNATURE.split_inclusive('\n').take(lines).collect();
        let verified = verify_signature(TEXT, &some, KEY);
        assert!(matches!(verified, Err(SignatureError::Malformed(_))), "{lines} lines");
    }
    for length in 0..SIGNATURE.len() - 1 {
        assert!(verify_signature(TEXT, &SIGNATURE[..length], KEY).is_err(), "{length}");
    }
    for at in 0..SIGNATURE.len() {
        let mut other = SIGNATURE.as_bytes().to_vec();
        other[at] = b'!';
        let other = String::from_utf8(other).unwrap();
        // The untrusted comment is not signed.
        let unsigned = at < SIGNATURE.find('\n').unwrap();
        let verified = verify_signature(TEXT, &other, KEY);
        assert!(verified.is_err() || unsigned, "{at}");
    }
}

#[test]
fn what_we_sign_we_verify_and_a_secret_key_stays_unsaid() {
    let (secret, public) = pair();
    let signature = Signer::unlock(&secret, None).unwrap().sign(TEXT, "a comment").unwrap();
    assert_eq!(verify_signature(TEXT, &signature, &public).unwrap(), "a comment");
    for key in ["", "no key", &public, &secret[..secret.len() / 2]] {
        let error = Signer::unlock(key, None).unwrap_err();
        assert!(matches!(error, SignatureError::SecretKey(_)), "{error}");
        let line = secret.lines().nth(1).unwrap();
        assert!(!error.to_string().contains(&line[..20]), "{error}");
    }
    let error = verify_signature(TEXT, &signature, "no key").unwrap_err();
    assert!(matches!(error, SignatureError::PublicKey(_)), "{error}");
}

/// Neither formatting nor an error tells anything of a key, or of the password that opens it.
#[test]
fn a_key_with_a_password_opens_with_it_alone() {
    let KeyPair { pk, sk } = KeyPair::generate_encrypted_keypair(Some("open".to_owned())).unwrap();
    let (secret, public) = (sk.to_box(None).unwrap().into_string(), pk.to_box().unwrap());
    for (password, why) in [(None, "encrypted"), (Some("shut"), "Wrong password")] {
        let error = Signer::unlock(&secret, password).unwrap_err();
        assert!(error.to_string().contains(why) && !error.to_string().contains("shut"), "{error}");
    }
    let signer = Signer::unlock(&secret, Some("open")).unwrap();
    assert_eq!(format!("{signer:?}").len(), "Signer(\"0123456789ABCDEF\")".len(), "{signer:?}");
    let signature = signer.sign(TEXT, "a comment").unwrap();
    let public = public.into_string();
    assert_eq!(verify_signature(TEXT, &signature, &public).unwrap(), "a comment");
}

#[test]
#[ignore = "needs minisign"]
fn minisign_verifies_what_we_sign() {
    let (secret, public) = pair();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let signature = Signer::unlock(&secret, None).unwrap().sign(TEXT, "a comment").unwrap();
    fs::write(at("certificate.json"), TEXT).unwrap();
    fs::write(at("certificate.json.minisig"), signature).unwrap();
    fs::write(at("key.pub"), public).unwrap();
    let verifies = || {
        let mut minisign = Command::new("minisign");
        let args = ["-V", "-m", "certificate.json", "-p", "key.pub"];
        let ran = minisign.args(args).current_dir(folder.path()).output().unwrap();
        (ran.status.success(), String::from_utf8_lossy(&ran.stdout).into_owned())
    };
    let (holds, told) = verifies();
    assert!(holds && told.contains("a comment"), "{told}");
    fs::write(at("certificate.json"), format!("{TEXT} ")).unwrap();
    assert!(!verifies().0);
}
