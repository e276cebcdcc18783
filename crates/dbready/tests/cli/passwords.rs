//! Passwords in the wrong place: every run of this suite fails when one is shown.

use std::fs;
use std::path::Path;

use crate::support::{
    CANARY, dbready, migrated, open_folder, program, program_in, role, run, with_credentials,
};

#[test]
fn a_url_in_the_wrong_place_is_shown_without_its_password() {
    let url = format!("postgres://u:{CANARY}@127.0.0.1:1/d");
    let url = url.as_str();
    let wrong: [&[&str]; 9] = [
        &["check", url],
        &["certify", url],
        &["check", "--format", url],
        &["migrate", url],
        &["migrate", "up", url],
        &["migrate", "up", "--to", url],
        &["migrate", "down", "--to", url],
        &["local", "psql", url],
        &[url],
    ];
    for args in wrong {
        dbready(args).exits(2).says(&["postgres://u:***@127.0.0.1:1/d"]);
    }
    dbready(&["report", url]).exits(2).says_in_one_line(&["u:***@"]);
    dbready(&["contract", "lint", url]).exits(2).says(&["u:***@"]);
    dbready(&["check", "--contract", url]).exits(2).says(&["u:***@"]);
    let pairs = format!("host=h password={CANARY} user=u");
    dbready(&["check", &pairs]).exits(2).says(&["password=*** user=u"]);
    let query = format!("postgres://h/d?user=u&password={CANARY}");
    dbready(&["check", &query]).exits(2).says(&["password=***"]);
    let folder = open_folder();
    let mut command = program_in(folder.path());
    run(command.args(["local", "start", "--name", url])).exits(2).says_in_one_line(&["u:***@"]);
}

#[test]
fn saying_more_does_not_say_the_password() {
    let url = format!("postgres://u:{CANARY}@127.0.0.1:1/d");
    for more in ["-v", "-vv", "-vvvv", "-q"] {
        dbready(&[more, "check", "--url", &url]).exits(3).says(&["127.0.0.1:1"]);
    }
}

/// Files below a folder that hold the password, as it is or encoded as in URLs or Base64.
fn files_with_the_password(folder: &Path) -> Vec<String> {
    // Base64 of "canary-Xq7-password" at each of the three places in a group.
    let shapes = [CANARY, "canary%2DXq7", "Y2FuYXJ5LVhxNy", "NhbmFyeS1YcTct", "jYW5hcnktWHE3L"];
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with_the_password(&path));
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            if shapes.iter().any(|shape| text.contains(shape)) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn no_log_evidence_or_report_holds_the_password() {
    let database = migrated();
    let reader = role(&database, "canary");
    database.run_sql(&format!("GRANT pg_read_all_data TO {reader}")).unwrap();
    let url = with_credentials(database.url(), &format!("{reader}:{CANARY}"));
    let bare = with_credentials(database.url(), &reader);
    let (address, name) = bare.split_once('@').unwrap().1.split_once('/').unwrap();
    let (host, port) = address.split_once(':').unwrap();
    let folder = open_folder();
    let passfile = folder.path().join("pgpass");
    fs::write(&passfile, format!("*:*:*:*:{CANARY}\n")).unwrap();
    fs::set_permissions(&passfile, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let passfile = passfile.to_str().unwrap();
    let out = folder.path().join("out");

    // Each way that a password comes in, with everything that can be said about it.
    let place = [("PGHOST", host), ("PGPORT", port), ("PGDATABASE", name), ("PGUSER", &reader)];
    let with = |last: (&'static str, &'static str)| [&place[..], &[last]].concat();
    let ways: [(&str, Vec<(&str, &str)>); 4] = [
        ("url", vec![("DATABASE_URL", &url)]),
        ("password", with(("PGPASSWORD", CANARY))),
        ("passfile", [&place[..], &[("PGPASSFILE", passfile)]].concat()),
        ("bare", vec![("DATABASE_URL", &bare), ("PGPASSFILE", passfile)]),
    ];
    for (way, environment) in ways {
        let mut command = program();
        command.envs(environment).args(["-vvvv", "check", "--out"]).arg(out.join(way));
        run(&mut command).exits(1);
    }
    let in_folder = |name: &str| out.join(name).display().to_string();
    for format in ["html", "sarif", "csv", "github", "in-toto"] {
        let mut command = program();
        command.args(["check", "--format", format, "--url", &url]);
        let printed = run(&mut command).exits(1).stdout;
        fs::write(out.join(format), printed).unwrap();
    }
    dbready(&["-vvvv", "certify", "--url", &url, "--out", &in_folder("certify")]).exits(1);
    dbready(&["-vvvv", "load", "queries", "--url", &url, "--out", &in_folder("load")]).exits(1);
    dbready(&["-vvvv", "contract", "init", "--url", &url, "--out", &in_folder("init")]).exits(0);
    dbready(&["-vvvv", "migrate", "status", "--url", &url]);
    // What goes wrong while the password is known.
    database.run_sql(&format!("REVOKE pg_read_all_data FROM {reader}")).unwrap();
    dbready(&["-vvvv", "check", "--url", &url, "--out", &in_folder("revoked")]);
    assert_eq!(files_with_the_password(&out), [""; 0]);

    fs::write(out.join("certify/planted.md"), format!("x{CANARY}x")).unwrap();
    assert_eq!(files_with_the_password(&out).len(), 1, "a password that is there is found");
}
