//! Contracts out of git repositories, also hostile ones.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use dbready::contract::source::{self, load_revision};
use tempfile::TempDir;

use crate::support::files;

fn git(folder: &Path, arguments: &[&str], input: &[u8]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments);
    for (name, value) in [
        ("GIT_AUTHOR_NAME", "a"),
        ("GIT_AUTHOR_EMAIL", "a@example.com"),
        ("GIT_COMMITTER_NAME", "a"),
        ("GIT_COMMITTER_EMAIL", "a@example.com"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ] {
        command.env(name, value);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with the built-in contract in `db/contract`, committed and tagged `v1`.
fn repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q", "-b", "main"], b"");
    for (file, text) in files() {
        let path = folder.path().join("db/contract").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::write(folder.path().join("db/contract/README.md"), b"\xff").unwrap();
    git(folder.path(), &["add", "-A"], b"");
    git(folder.path(), &["commit", "-qm", "a"], b"");
    git(folder.path(), &["tag", "v1"], b"");
    folder
}

#[test]
fn a_revision_gives_the_contract_that_was_committed() {
    let repository = repository();
    let embedded = source::load(None).unwrap();
    // The work tree does not matter.
    fs::remove_dir_all(repository.path().join("db")).unwrap();
    for (revision, path) in
        [("v1", "db/contract"), ("main", "./db/contract/"), ("HEAD", "db/contract")]
    {
        let contract = load_revision(repository.path(), revision, path).unwrap();
        assert_eq!(contract.digest, embedded.digest);
    }
}

#[test]
fn what_git_does_not_know_is_told() {
    let repository = repository();
    for (revision, path) in [
        ("v2", "db/contract"),
        ("v1", "db/none"),
        ("", "db/contract"),
        ("v1", "db/contract/contract.toml"),
        ("--help", "db"),
        ("--output=/tmp/pwned", "db"),
        ("v1..main", "db/contract"),
        ("v1", "../../etc"),
        ("\u{1b}[2J", "db"),
        ("v1\nmain", "db/contract"),
    ] {
        let error = load_revision(repository.path(), revision, path).unwrap_err();
        let [problem] = error.problems() else { panic!("{error}") };
        assert!(!problem.to_string().contains(char::is_control), "{problem:?}");
    }
    assert!(!Path::new("/tmp/pwned").exists());
    let outside = tempfile::tempdir().unwrap();
    let error = load_revision(outside.path(), "v1", "db").unwrap_err().to_string();
    assert!(error.contains("git"), "{error}");
}

/// Commits a tree made by hand and demands one problem with those words.
#[track_caller]
fn refused(repository: &TempDir, entries: &[u8], words: &[&str]) {
    let folder = repository.path();
    let document = git(folder, &["rev-parse", "v1:db/contract/contract.toml"], b"");
    let mut listing = format!("100644 blob {document}\tcontract.toml\0").into_bytes();
    listing.extend_from_slice(entries);
    let tree = git(folder, &["mktree", "-z", "--missing"], &listing);
    let commit = git(folder, &["commit-tree", "-m", "x", &tree], b"");
    let error = load_revision(folder, &commit, ".").unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "expected `{word}`: {error}");
    }
    assert!(!error.replace('\n', "").contains(char::is_control), "{error:?}");
}

#[test]
fn hostile_trees_are_refused() {
    let repository = repository();
    let folder = repository.path();
    let link = git(folder, &["hash-object", "-w", "--stdin"], b"/etc/passwd");
    let bytes = git(folder, &["hash-object", "-w", "--stdin"], b"SELECT '\xff'");
    let large = git(folder, &["hash-object", "-w", "--stdin"], &vec![b' '; (1 << 20) + 1]);
    let commit = git(folder, &["rev-parse", "v1"], b"");
    let entry = |mode: &str, kind: &str, object: &str, name: &[u8]| {
        let mut entry = format!("{mode} {kind} {object}\t").into_bytes();
        entry.extend_from_slice(name);
        entry.push(0);
        entry
    };
    refused(
        &repository,
        &entry("120000", "blob", &link, b"seed.sql"),
        &["seed.sql", "symbolic link"],
    );
    refused(
        &repository,
        &entry("160000", "commit", &commit, b"queries"),
        &["queries", "regular file"],
    );
    refused(&repository, &entry("100644", "blob", &bytes, b"seed.sql"), &["offset 8"]);
    refused(&repository, &entry("100644", "blob", &bytes, b"\xff.sql"), &["a name in UTF-8"]);
    refused(
        &repository,
        &entry("100644", "blob", &link, b"\x1b[2J.sql"),
        &["\\u{1b}", "a contract directory holds"],
    );
    let queries = git(folder, &["mktree", "-z"], &entry("100644", "blob", &large, b"a.sql"));
    refused(
        &repository,
        &entry("040000", "tree", &queries, b"queries"),
        &["at most 1048576 bytes"],
    );
    let mut deep = git(folder, &["mktree", "-z"], &entry("100644", "blob", &link, b"a.sql"));
    for _ in 0..5 {
        deep = git(folder, &["mktree", "-z"], &entry("040000", "tree", &deep, b"d"));
    }
    refused(&repository, &entry("040000", "tree", &deep, b"queries"), &["at most 4 folders"]);
    let many: Vec<u8> = (0..2_001)
        .flat_map(|n| entry("100644", "blob", &link, format!("q{n}.sql").as_bytes()))
        .collect();
    let many = git(folder, &["mktree", "-z"], &many);
    refused(&repository, &entry("040000", "tree", &many, b"queries"), &["at most 2000 files"]);
}

#[test]
fn an_object_that_is_not_there_is_told() {
    let repository = repository();
    let missing = format!("100644 blob {}\tcontract.toml\0", "1".repeat(40));
    let tree = git(repository.path(), &["mktree", "-z", "--missing"], missing.as_bytes());
    let commit = git(repository.path(), &["commit-tree", "-m", "x", &tree], b"");
    let error = load_revision(repository.path(), &commit, ".").unwrap_err().to_string();
    assert!(error.contains("git"), "{error}");
}

#[test]
fn a_directory_knows_its_commit_and_whether_it_has_changed() {
    let repository = repository();
    let directory = repository.path().join("db/contract");
    // What a stranger's repository is configured to run is not run.
    let hook = format!("touch {}", repository.path().join("ran").display());
    git(repository.path(), &["config", "core.fsmonitor", &hook], b"");
    let commit = git(repository.path(), &["rev-parse", "HEAD"], b"");
    let revision = || source::load(Some(&directory)).unwrap().revision.unwrap();
    assert_eq!((revision().commit, revision().changed), (commit.clone(), false));
    let seed = directory.join("seed.sql");
    let text = fs::read_to_string(&seed).unwrap();
    fs::write(&seed, format!("{text}-- changed\n")).unwrap();
    assert_eq!((revision().commit, revision().changed), (commit, true));
    git(repository.path(), &["-c", "core.fsmonitor=false", "commit", "-qam", "b"], b"");
    assert!(!revision().changed);
    assert!(!repository.path().join("ran").exists());
    fs::remove_dir_all(repository.path().join(".git")).unwrap();
    assert_eq!(source::load(Some(&directory)).unwrap().revision, None);
    assert_eq!(source::load(None).unwrap().revision, None);
}
