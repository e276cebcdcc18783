//! Contract directories as they lie on a disk.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use dbready::contract::source;
use tempfile::TempDir;

use crate::support::{files, misses};

/// The Signal Service contract in a folder of its own.
fn directory() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files() {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Changes the folder and demands exactly one problem, in that file, with those words.
#[track_caller]
fn refused(change: impl FnOnce(&Path), file: &str, words: &[&str]) {
    let folder = directory();
    change(folder.path());
    let error = source::load(Some(folder.path())).unwrap_err();
    let [problem] = error.problems() else { panic!("not one problem:\n{error}") };
    assert_eq!(problem.file, file, "{problem}");
    assert_eq!(misses(problem, words), None);
}

#[test]
fn a_folder_with_the_same_files_is_the_same_contract() {
    let folder = directory();
    fs::write(folder.path().join("README.md"), b"\xff no text").unwrap();
    fs::write(folder.path().join(".editorconfig"), "x").unwrap();
    fs::create_dir(folder.path().join("docs")).unwrap();
    fs::write(folder.path().join("docs/plan.pdf"), b"\xff").unwrap();
    let ours = source::load(Some(folder.path())).unwrap();
    let embedded = source::load(None).unwrap();
    assert_eq!(ours.digest, embedded.digest);
    assert_eq!(ours.migrations, embedded.migrations);
}

#[test]
fn a_changed_byte_is_another_contract() {
    let folder = directory();
    let path = folder.path().join("queries/health.sql");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + " ").unwrap();
    let embedded = source::load(None).unwrap();
    assert_ne!(source::load(Some(folder.path())).unwrap().digest, embedded.digest);
}

#[test]
fn what_is_no_folder_is_refused() {
    let folder = directory();
    let missing = folder.path().join("missing");
    let error = source::load(Some(&missing)).unwrap_err().to_string();
    assert!(error.contains("missing: expected a contract directory"), "{error}");
    let document = folder.path().join("contract.toml");
    let error = source::load(Some(&document)).unwrap_err().to_string();
    assert!(error.contains("contract.toml: ") && error.contains("found a file"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = source::load(Some(empty.path())).unwrap_err().to_string();
    assert_eq!(error, "contract.toml: expected this file in the contract directory, found none");
}

#[test]
fn bytes_that_are_no_text_are_refused_at_their_place() {
    let file = "queries/health.sql";
    for (bytes, offset) in [
        (&b"SELECT '\xff'"[..], "offset 8"),
        (b"SELECT '\xc3", "offset 8"),
        (b"\xff\xfeS\0E\0L\0", "offset 0"),
        (b"SELECT '\xed\xa0\x80'", "offset 8"),
        (b"SELECT '\xc0\x80'", "offset 8"),
    ] {
        let change = |folder: &Path| fs::write(folder.join(file), bytes).unwrap();
        refused(change, file, &["expected UTF-8", offset]);
    }
}

#[test]
fn a_name_that_is_no_text_is_refused() {
    let name = OsStr::from_bytes(b"queries/\xff.sql");
    refused(
        |folder| fs::write(folder.join(name), "SELECT 1").unwrap(),
        "queries/\u{fffd}.sql",
        &["expected a name in UTF-8"],
    );
    refused(
        |folder| fs::write(folder.join("queries/\u{1b}[2J\n.sql"), "SELECT 1").unwrap(),
        "queries/\\u{1b}[2J\\n.sql",
        &["no query of contract.toml names this file"],
    );
}

#[test]
fn links_are_refused_wherever_they_lead() {
    let link = ["symbolic link", "copy what it names"];
    let replaced = |target: &'static str| {
        move |folder: &Path| {
            fs::remove_file(folder.join("queries/health.sql")).unwrap();
            symlink(target, folder.join("queries/health.sql")).unwrap();
        }
    };
    for target in ["/etc/passwd", "../../../secret.sql", "latest_greeks.sql", "health.sql"] {
        refused(replaced(target), "queries/health.sql", &link);
    }
    refused(
        |folder| {
            let outside = folder.join(".queries");
            fs::rename(folder.join("queries"), &outside).unwrap();
            symlink(&outside, folder.join("queries")).unwrap();
        },
        "queries",
        &link,
    );
    refused(|folder| symlink("..", folder.join("queries/up")).unwrap(), "queries/up", &link);
    refused(
        |folder| symlink("/etc", folder.join("migrations/etc")).unwrap(),
        "migrations/etc",
        &link,
    );
}

#[test]
fn what_is_no_regular_file_is_refused() {
    refused(
        |folder| {
            let pipe = folder.join("queries/pipe.sql");
            let status = std::process::Command::new("mkfifo").arg(pipe).status().unwrap();
            assert!(status.success());
        },
        "queries/pipe.sql",
        &["expected a regular file"],
    );
    refused(
        |folder| fs::create_dir(folder.join("old")).unwrap(),
        "old",
        &["a contract directory holds"],
    );
    refused(
        |folder| fs::create_dir_all(folder.join("migrations/1.2.0_a.up.sql")).unwrap(),
        "migrations/1.2.0_a.up.sql",
        &["a contract directory holds"],
    );
    refused(
        |folder| {
            fs::remove_file(folder.join("contract.toml")).unwrap();
            fs::create_dir(folder.join("contract.toml")).unwrap();
        },
        "contract.toml",
        &["a contract directory holds"],
    );
}

#[test]
fn too_much_is_refused_without_reading_it() {
    let grow = |file: &'static str, bytes: u64| {
        move |folder: &Path| {
            let file = fs::OpenOptions::new().write(true).open(folder.join(file)).unwrap();
            file.set_len(bytes).unwrap();
        }
    };
    let mib = 1 << 20;
    // Sparse files: the last is far larger than any memory.
    for (file, bytes, limit) in [
        ("contract.toml", mib + 1, "1048576 bytes"),
        ("queries/health.sql", mib + 1, "1048576 bytes"),
        ("migrations/1.1.0_policies.up.sql", 4 * mib + 1, "4194304 bytes"),
        ("seed.sql", 16 * mib + 1, "16777216 bytes"),
        ("seed.sql", 1 << 40, "16777216 bytes"),
    ] {
        refused(grow(file, bytes), file, &["expected at most", limit]);
    }
}

#[test]
fn many_files_and_deep_folders_are_refused() {
    let folder = directory();
    for number in 0..2_000 {
        fs::write(folder.path().join(format!("queries/q{number}.sql")), "SELECT 1").unwrap();
    }
    let error = source::load(Some(folder.path())).unwrap_err();
    assert!(error.to_string().contains("queries/: expected at most 2000 files"), "{error}");

    refused(
        |folder| fs::create_dir_all(folder.join("queries/a/b/c/d/e/f/g")).unwrap(),
        "queries/a/b/c/d",
        &["at most 4 folders in each other"],
    );

    let folder = directory();
    for number in 0..20 {
        let path = folder.path().join(format!("migrations/1.0.{number}_a.up.sql"));
        fs::File::create(path).unwrap().set_len(4 << 20).unwrap();
    }
    let error = source::load(Some(folder.path())).unwrap_err();
    assert!(error.to_string().contains("expected at most 67108864 bytes in all files"), "{error}");
}
