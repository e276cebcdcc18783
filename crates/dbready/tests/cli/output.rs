//! Standard output, standard error and `--out` that take nothing.

use std::fs::{self, File};
use std::io::Read;
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::{dbready, entries, migrated, program, run};

fn full() -> Stdio {
    Stdio::from(File::options().write(true).open("/dev/full").unwrap())
}

#[test]
fn a_full_disk_behind_standard_output_is_told() {
    let database = migrated();
    let url = database.url();
    let commands: [&[&str]; 6] = [
        &["check", "--url", url],
        &["check", "--format", "json", "--url", url],
        &["migrate", "status", "--url", url],
        &["contract", "lint"],
        &["--help"],
        &["--version"],
    ];
    for args in commands {
        let mut command = program();
        let child = command.args(args).stdout(full()).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {said}");
        assert_eq!(said, "error: standard output: No space left on device (os error 28)\n");
    }
}

#[test]
fn a_standard_error_that_takes_nothing_changes_no_exit_code() {
    let database = migrated();
    let url = database.url();
    let commands: [(&[&str], i32); 6] = [
        (&["check", "--url", url], 1),
        (&["-vvvv", "check", "--url", url], 1),
        (&["check", "--url", "postgres://127.0.0.1:1/d"], 3),
        (&["migrate", "up", "--url", url], 0),
        (&["contract", "lint", "/nonexistent"], 2),
        (&["chekc"], 2),
    ];
    for (args, code) in commands {
        let output = program().args(args).stderr(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}");
    }
}

#[test]
fn a_reader_that_goes_away_early_is_no_error() {
    let database = migrated();
    let mut command = program();
    command.args(["check", "--format", "html", "--url", database.url()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Longer than a pipe holds, so that the program is still writing when the reader goes.
    let mut start = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.as_str()), (Some(1), ""));
}

/// The server named here does not exist: the folder must be refused before anybody looks for it.
#[test]
fn a_folder_that_takes_no_files_is_told_before_the_work() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "kept").unwrap();
    let below = file.join("report");
    for out in [file.to_str().unwrap(), below.to_str().unwrap(), "/proc/self", "/proc/report"] {
        for command in ["check", "certify"] {
            let url = "postgres://127.0.0.1:1/d";
            dbready(&[command, "--url", url, "--out", out]).exits(3).says_in_one_line(&[
                "--out",
                out,
                "expected a folder that takes files",
            ]);
        }
    }
    dbready(&["certify", "--out", "/proc/self"]).exits(3).says_in_one_line(&["--out /proc/self"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    assert_eq!(entries(folder.path()), ["file"]);
}

#[test]
fn a_report_folder_is_made_and_written_over() {
    let database = migrated();
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("a/b");
    for _ in 0..2 {
        let mut command = program();
        command.args(["check", "--url", database.url(), "--out"]).arg(&out);
        run(&mut command).exits(1);
        assert_eq!(entries(&out).len(), 4, "{:?}", entries(&out));
    }
}
