//! Certificates that are signed as they are written.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::local::Stopped;
use crate::processes::processes_of;
use crate::report::{keys, stored};
use crate::support::{CANARY, Ran, dbready, migrated, open_folder, program, program_in, run};

/// The variable with the password of a key.
const PASSWORD: &str = "DBREADY_SIGN_PASSWORD";

/// Runs a command that writes a certificate into a new folder, and signs it; gives the folder, too.
fn signed(folder: &Path, args: &[&str], key: &str) -> (Ran, String) {
    let out = folder.join(args[0]).to_str().unwrap().to_owned();
    (dbready(&[args, &["--out", &out, "--sign-key", key]].concat()), out)
}

#[track_caller]
fn verified(out: &str, key: &str) {
    let file = format!("{out}/certificate.json");
    let ran = dbready(&["report", "verify", &file, "--key", key]).exits(0);
    ran.prints(&["signed by the key", "dbready certificate sealed"]);
}

#[test]
fn each_command_signs_what_it_writes() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let (secret, public) = keys(folder, "ours");
    let database = migrated();
    let url = database.url();
    let run = folder.join("run.json");
    fs::write(&run, stored()).unwrap();
    let (run, history) = (run.to_str().unwrap(), folder.join("history"));
    fs::write(folder.join("a.info"), "SF:src/db.rs\nDA:1,1\nend_of_record\n").unwrap();
    let lines = folder.join("a.info");
    for args in [
        &["check", "--url", url][..],
        &["load", "failure_modes.schema_drift_detection", "--url", url],
        &["coverage", "report", lines.to_str().unwrap()],
        &["report", run],
        &["nightly", "--certificate", run, "--history", history.to_str().unwrap()],
    ] {
        let (ran, out) = signed(folder, args, &secret);
        assert!(matches!(ran.code, Some(0 | 1)), "{ran:#?}");
        verified(&out, &public);
        let (_, other) = keys(folder, "other");
        let file = format!("{out}/certificate.json");
        dbready(&["report", "verify", &file, "--key", &other]).exits(1);
    }
    let (ran, out) = signed(folder, &["check", "--url", url], &secret);
    ran.exits(1).prints(&[&format!("{out}/certificate.json.minisig")]);
}

/// A run that has begun would end otherwise here: there is no server, and none can be had.
#[test]
fn a_key_that_cannot_be_used_is_refused_before_the_work() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let out = folder.join("out");
    let out = out.to_str().unwrap();
    let (_, public) = keys(folder, "ours");
    let history = folder.join("history");
    let refused = |args: &[&str], parts: &[&str]| {
        let mut command = program();
        command.env("DBREADY_PG_BIN", "/nonexistent").args(args);
        run(&mut command).exits(2).says_in_one_line(parts);
        assert!(!Path::new(out).exists() && !history.exists(), "{args:?}");
    };
    for command in [
        &["certify"][..],
        &["check", "--url", "postgres://u@127.0.0.1:1/d"],
        &["drill"],
        &["load"],
        &["coverage", "report", "/nonexistent"],
        &["nightly", "--history", history.to_str().unwrap()],
    ] {
        let with = |key: &'static str| [command, &["--out", out, "--sign-key", key]].concat();
        refused(&with("/nonexistent/key"), &["/nonexistent/key", "No such file"]);
        refused(&with("/tmp"), &["/tmp", "found a folder"]);
        let of_public = [command, &["--out", out, "--sign-key", &public]].concat();
        refused(&of_public, &["ours.pub", "expected a secret key"]);
    }
}

#[test]
fn there_is_nothing_to_sign_without_a_file() {
    let folder = TempDir::new().unwrap();
    let (secret, _) = keys(folder.path(), "ours");
    for command in [&["check", "--url", "postgres://u@127.0.0.1:1/d"][..], &["load"], &["drill"]] {
        let ran = dbready(&[command, &["--sign-key", &secret]].concat());
        ran.exits(2).says_in_one_line(&["--sign-key", "--out DIR"]);
    }
}

/// The password stands in the environment, and no output holds it, which [`run`] sees to.
#[test]
fn a_key_with_a_password_signs_with_it_and_with_no_other() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let pair = minisign::KeyPair::generate_encrypted_keypair(Some(CANARY.to_owned())).unwrap();
    let (secret, public) = (folder.join("ours.key"), folder.join("ours.pub"));
    fs::write(&secret, pair.sk.to_box(None).unwrap().into_string()).unwrap();
    fs::write(&public, pair.pk.to_box().unwrap().into_string()).unwrap();
    let (file, out) = (folder.join("run.json"), folder.join("out"));
    fs::write(&file, stored()).unwrap();
    let sign = |password: Option<&str>| {
        let mut as_written = program();
        as_written.arg("report").arg(&file).arg("--out").arg(&out);
        let mut afterwards = program();
        afterwards.args(["report", "sign"]).arg(&file);
        [as_written, afterwards].map(|mut command| {
            command.arg("--sign-key").arg(&secret).envs(password.map(|word| (PASSWORD, word)));
            run(&mut command)
        })
    };
    for (password, why) in [(None, "encrypted"), (Some("another"), "Wrong password")] {
        for ran in sign(password) {
            ran.exits(2).says_in_one_line(&["ours.key", why, PASSWORD]);
        }
        assert!(!out.exists());
    }
    let [as_written, afterwards] = sign(Some(CANARY));
    as_written.exits(1);
    afterwards.exits(0);
    verified(out.to_str().unwrap(), public.to_str().unwrap());
    let key = public.to_str().unwrap();
    dbready(&["report", "verify", file.to_str().unwrap(), "--key", key]).exits(0);
}

#[test]
fn what_is_in_doubt_is_written_and_not_signed() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let (secret, _) = keys(folder, "ours");
    let mut old = dbready::report::Certificate::from_json(stored()).unwrap();
    old.finished_at = "2001-02-03T04:05:06Z".to_owned();
    let (file, out) = (folder.join("run.json"), folder.join("out"));
    fs::write(&file, old.suppress(Vec::new()).to_json()).unwrap();
    let mut command = program();
    command.arg("report").arg(&file).arg("--out").arg(&out).args(["--sign-key", &secret]);
    // It is why the command fails, and told where only errors are wanted.
    let ran =
        run(command.arg("--quiet")).exits(1).says(&["certificate.json: not signed: ", "hours old"]);
    assert!(ran.stderr.starts_with("error: "), "{ran:?}");
    let written: Value =
        serde_json::from_str(&fs::read_to_string(out.join("certificate.json")).unwrap()).unwrap();
    assert_eq!(written["finished_at"], "2001-02-03T04:05:06Z");
    assert!(!out.join("certificate.json.minisig").exists());
}

/// SQL on a managed server, such as that of a contract, reads whatever its processes hold.
#[test]
fn a_managed_server_gets_no_secret_of_who_starts_it() {
    let folder = open_folder();
    let _stopped = Stopped(&folder);
    let url = format!("postgres://u:{CANARY}@127.0.0.1:1/d");
    let mut start = program_in(folder.path());
    start.args(["local", "start", "--profile", "fast"]);
    start.env(PASSWORD, CANARY).env("DATABASE_URL", url).env("PGPASSWORD", CANARY);
    run(&mut start).exits(0);
    let mut looked_into = 0;
    for (id, words) in processes_of(folder.path()) {
        // A process may end between two looks.
        let Ok(held) = fs::read(format!("/proc/{id}/environ")) else { continue };
        looked_into += usize::from(!held.is_empty());
        assert!(!String::from_utf8_lossy(&held).contains(CANARY), "{words}");
    }
    assert!(looked_into > 0, "no process was looked into");
}
