//! Passwords in the wrong place: every run of this suite fails when one is shown.

use crate::support::{CANARY, dbready, open_folder, program_in, run};

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
