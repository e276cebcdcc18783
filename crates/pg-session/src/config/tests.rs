//! Reading configurations from URLs and environments.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A password with every character that a URL treats specially.
const ODD: &str = "p@s:s/w?o#r%d&=[]\\ü'\"";
const ODD_ENCODED: &str = "p%40s%3As%2Fw%3Fo%23r%25d%26%3D%5B%5D%5C%C3%BC%27%22";

fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
}

fn refusal(url: &str) -> String {
    Config::from_url(url).unwrap_err().to_string()
}

#[test]
fn a_full_url_is_read() {
    let config = Config::from_url(&format!(
        "postgresql://al%20ice:{ODD_ENCODED}@db.example:5433/my%20db?sslmode=require&application_name=a%20b\
         &connect_timeout=7&options=-c%20jit%3Doff&target_session_attrs=read-write&keepalives_idle=9"
    ))
    .unwrap();
    assert_eq!(config.user(), "al ice");
    assert_eq!(config.password.as_ref().unwrap().expose(), ODD);
    assert_eq!(config.address(), "db.example:5433/my db");
    assert_eq!(config.ssl_mode, SslMode::Require);
    assert_eq!(config.session_name(), "a b");
    assert_eq!(config.connect_timeout, Duration::from_secs(7));
    assert_eq!(config.options.as_deref(), Some("-c jit=off"));
    assert_eq!(config.target_session, TargetSession::ReadWrite);
    assert_eq!(config.keepalive.idle, Duration::from_secs(9));
}

#[test]
fn several_hosts_keep_their_ports() {
    let config = Config::from_url("postgres://u@a:1,b,[::1]:3/d").unwrap();
    assert_eq!(config.address(), "a:1,b:5432,[::1]:3/d");
    let config = Config::from_url("postgres://u@[::1]/d").unwrap();
    assert_eq!(config.address(), "[::1]:5432/d");
    let config = Config::from_url("postgres://u@a,b/d?port=6000").unwrap();
    assert_eq!(config.address(), "a:6000,b:6000/d");
}

#[test]
fn sockets_are_named_in_the_host_or_the_query() {
    for url in ["postgres://u@%2Frun%2Fpg:5433/d", "postgres:///d?host=/run/pg&port=5433&user=u"] {
        let config = Config::from_url(url).unwrap();
        assert_eq!(config.servers[0].host, Host::Unix("/run/pg".into()));
        assert_eq!(config.address(), "/run/pg:5433/d");
    }
}

#[test]
fn defaults_are_those_of_libpq() {
    let config = Config::from_url("postgres://bob@h").unwrap();
    assert_eq!(config.address(), "h:5432/bob");
    assert_eq!(config.ssl_mode, SslMode::Prefer);
    let config = Config::resolve_from(None, &env(&[("PGUSER", "bob")])).unwrap();
    assert!(matches!(&config.servers[0].host, Host::Unix(dir) if dir.is_absolute()));
    assert_eq!(config.dbname(), "bob");
    // The password file of the system user's home, where HOME does not name another.
    assert!(config.passfile.unwrap().is_absolute());
    // What a program gives is not mixed with what its user has at home.
    assert_eq!(Config::from_url("postgres://bob@h").unwrap().passfile, None);
    let id = std::process::Command::new("id").arg("-un").output().unwrap();
    let config = Config::from_url("postgres://h/d?client_encoding=UTF8").unwrap();
    assert_eq!(config.user(), String::from_utf8(id.stdout).unwrap().trim());
}

#[test]
fn kinds_of_servers_have_libpqs_names() {
    for (name, target) in [
        ("any", TargetSession::Any),
        ("read-write", TargetSession::ReadWrite),
        ("read-only", TargetSession::ReadOnly),
        ("primary", TargetSession::Primary),
        ("standby", TargetSession::Standby),
        ("prefer-standby", TargetSession::PreferStandby),
    ] {
        let url = format!("postgres://u@h/d?target_session_attrs={name}");
        assert_eq!(Config::from_url(&url).unwrap().target_session, target);
        assert_eq!(target.name(), name);
    }
}

#[test]
fn no_form_of_printing_shows_the_password() {
    let config = Config::from_url(&format!("postgres://u:{ODD_ENCODED}@h/d")).unwrap();
    for text in [format!("{config:?}"), format!("{config:#?}"), format!("{config}")] {
        assert!(!text.contains(ODD) && !text.contains(ODD_ENCODED) && !text.contains("p@s"));
    }
    assert!(format!("{config:?}").contains("[redacted]"));
}

#[test]
fn a_mistyped_url_is_refused_without_repeating_it() {
    for url in [
        "postgres://u:hunter@2@h/d",
        "postgres://u:hun/ter2@h/d",
        "postgres://u:12/hunter2@h/d",
        "postgres://u:hunter2?x@h/d",
        "postgres://u:1?hunter2@h/d",
        "postgres://u:1?hunter2=x@h/d",
        "postgres://u:hunter2%@h/d",
        "postgres://u:hunter2%ff@h/d",
        "postgres://u:hunter2%00@h/d",
        "postgres://u:a:hunter2@h:1:2/d",
        "postgres://u:hunter2",
        "postgres://u:p@h:hunter2/d",
        "postgres://u@[hunter2/d",
        "postgres://u@[::1]hunter2/d",
        "postgres://u@a%2Chunter2/d",
        "postgres://u@hunter2!/d",
        "postgres://u@h/d?sslmode=hunter2@h",
        "mysql://u:hunter2@h/d",
        "hunter2",
    ] {
        let shown = refusal(url);
        // A parameter's name is shown, so that a misspelling can be found.
        let is_name = url.contains("?hunter2=");
        assert!(is_name || !shown.contains("hunter2"), "{url}: {shown}");
    }
}

#[test]
fn each_mistake_in_a_url_has_its_words() {
    for (url, words) in [
        ("mysql://u@h/d", "expected postgres://user:password@host:port/database"),
        ("postgres://u:a@b@h/d", "there is an @ or / too many"),
        ("postgres://u:a/b@h/d", "there is an @ or / too many"),
        ("postgres://u@h/d/e", "there is an @ or / too many"),
        ("postgres://u@h:1:2/d", "there is a colon too many"),
        ("postgres://u@[::1/d", "an IPv6 address lacks its closing ]"),
        ("postgres://u@[::1]x/d", "there is text between an IPv6 address and its port"),
        ("postgres://u@a%2Cb/d", "a host name holds a comma"),
        ("postgres://u@h/d?sslmode", "a parameter after ? lacks its =value"),
        ("postgres://u%4@h/d", "the user name holds a % that two hexadecimal digits do not follow"),
        ("postgres://u:%00@h/d", "the password holds a zero byte"),
        ("postgres://u@h/%ff", "the database name is not valid UTF-8"),
    ] {
        let shown = refusal(url);
        assert!(shown.starts_with(&format!("database URL: {words}")), "{url}: {shown}");
    }
}

#[test]
fn unknown_and_senseless_settings_are_refused_by_name() {
    for (query, expected) in [
        ("sslmod=require", "unknown parameter \"sslmod\""),
        ("sslmode=allow", "sslmode: \"allow\" is none of disable, prefer"),
        ("sslmode=verify-full&sslmode=disable", "sslmode is given twice"),
        ("sslmode=require&sslrootcert=system", "too weak for sslrootcert=system"),
        ("sslnegotiation=direct", "needs sslmode=require"),
        ("connect_timeout=0", "connect_timeout: \"0\" is not a whole number of seconds"),
        ("connect_timeout=-1", "is not a whole number of seconds"),
        ("keepalives=maybe", "keepalives: \"maybe\""),
        ("target_session_attrs=master", "target_session_attrs: \"master\""),
        ("sslcert=/x", "sslcert: is given without sslkey"),
        ("sslkey=/x", "sslkey: is given without sslcert"),
        ("client_encoding=latin1", "\"latin1\" is not UTF8"),
        ("hostaddr=1.2.3.4,1.2.3.5", "as many addresses as there are hosts"),
        ("hostaddr=nowhere", "is not an IP address"),
        ("port=0", "port: is not a number from 1 to 65535"),
        ("port=1,2", "one for each host"),
        ("channel_binding=yes", "channel_binding: \"yes\""),
        ("gssencmode=require", "gssencmode: \"require\""),
    ] {
        let shown = refusal(&format!("postgres://u@h/d?{query}"));
        assert!(shown.contains(expected), "{query}: {shown}");
        assert!(shown.len() < 260, "{shown}");
    }
}

#[test]
fn a_root_certificate_means_full_verification() {
    let mode = |query: &str| {
        let config = Config::from_url(&format!("postgres://u@h/d?{query}")).unwrap();
        (config.ssl_mode, config.ssl_root)
    };
    let file = Some(RootCert::File("/ca.pem".into()));
    assert_eq!(mode("sslrootcert=/ca.pem"), (SslMode::VerifyFull, file.clone()));
    assert_eq!(mode("sslrootcert=/ca.pem&sslmode=require"), (SslMode::VerifyCa, file.clone()));
    assert_eq!(mode("sslrootcert=/ca.pem&sslmode=disable"), (SslMode::Disable, file));
    let system = (SslMode::VerifyFull, Some(RootCert::System));
    assert_eq!(mode("sslrootcert=system"), system);
    assert_eq!(mode("sslrootcert=system&sslmode=verify-full"), system);
    assert_eq!(mode("ssl=true"), (SslMode::Require, None));
}

#[test]
fn verification_without_authorities_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let vars = [("HOME", home.path().to_str().unwrap()), ("PGUSER", "u")];
    let url = Some("postgres://h/d?sslmode=verify-full");
    let shown = Config::resolve_from(url, &env(&vars)).unwrap_err().to_string();
    assert!(shown.contains("give sslrootcert=FILE or sslrootcert=system"), "{shown}");
    fs::create_dir(home.path().join(".postgresql")).unwrap();
    let root = home.path().join(".postgresql/root.crt");
    fs::write(&root, "").unwrap();
    let config = Config::resolve_from(url, &env(&vars)).unwrap();
    assert_eq!(config.ssl_root, Some(RootCert::File(root)));
}

#[test]
fn the_url_goes_before_database_url_and_that_before_the_variables() {
    let vars = [
        ("DATABASE_URL", "postgres://env@envhost/envdb"),
        ("PGHOST", "var"),
        ("PGPORT", "7000"),
        ("PGUSER", "varuser"),
        ("PGDATABASE", "vardb"),
        ("PGPASSWORD", "varpass"),
        ("PGAPPNAME", "varapp"),
        ("PGCONNECT_TIMEOUT", "3"),
        ("PGHOSTADDR", "10.0.0.1"),
        ("PGSSLMODE", "disable"),
    ];
    let given = Config::resolve_from(Some("postgres://u@h:1/d"), &env(&vars)).unwrap();
    assert_eq!((given.address().as_str(), given.user()), ("h:1/d", "u"));
    assert_eq!(given.servers[0].hostaddr, None, "PGHOSTADDR would lead away from the host named");
    assert_eq!(given.session_name(), "varapp");
    let from_url = Config::resolve_from(None, &env(&vars)).unwrap();
    assert_eq!((from_url.address().as_str(), from_url.user()), ("envhost:7000/envdb", "env"));
    let plain = Config::resolve_from(None, &env(&vars[1..])).unwrap();
    assert_eq!((plain.address().as_str(), plain.user()), ("var:7000/vardb", "varuser"));
    assert_eq!(plain.password.as_ref().unwrap().expose(), "varpass");
    assert_eq!(plain.servers[0].hostaddr, Some("10.0.0.1".parse().unwrap()));
    assert_eq!(plain.connect_timeout, Duration::from_secs(3));
    assert_eq!(plain.ssl_mode, SslMode::Disable);
}

#[test]
fn a_bad_variable_is_named() {
    let refuse = |vars: &[(&str, &str)]| {
        Config::resolve_from(Some("postgres://u@h/d"), &env(vars)).unwrap_err().to_string()
    };
    assert!(refuse(&[("PGPORT", "x")]).starts_with("PGPORT: \"x\" is not a number"));
    assert!(refuse(&[("PGSSLMODE", "x")]).starts_with("PGSSLMODE: \"x\" is none of"));
    assert!(refuse(&[("PGSERVICE", "x")]).starts_with("PGSERVICE is set and not supported"));
    assert!(refuse(&[("PGREQUIREAUTH", "x")]).starts_with("PGREQUIREAUTH is set"));
}

#[test]
fn the_password_file_serves_where_no_password_is_given() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".pgpass");
    fs::write(&file, "a:5432:d:u:one\nb:5432:d:u:two\nlocalhost:5432:d:u:socket\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let vars = [("HOME", home.path().to_str().unwrap())];
    let password = |url: &str, at: usize| {
        let config = Config::resolve_from(Some(url), &env(&vars)).unwrap();
        let found = config.credentials(None).password_for(&config, &config.servers[at]);
        found.map(|secret| secret.expose().to_owned())
    };
    assert_eq!(password("postgres://u@a,b/d", 0).as_deref(), Some("one"));
    assert_eq!(password("postgres://u@a,b/d", 1).as_deref(), Some("two"));
    assert_eq!(password("postgres://u:mine@a/d", 0).as_deref(), Some("mine"));
    assert_eq!(password("postgres://u@%2Fvar%2Frun%2Fpostgresql/d", 0).as_deref(), Some("socket"));
    assert_eq!(password("postgres://u@%2Felsewhere/d", 0), None);
    assert_eq!(password("postgres://other@a/d", 0), None);
    let other = home.path().join("other");
    fs::write(&other, "*:*:*:*:elsewhere\n").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
    let url = format!("postgres://u@a/d?passfile={}", other.display());
    assert_eq!(password(&url, 0).as_deref(), Some("elsewhere"));
}

#[test]
fn parameters_reach_the_options_escaped() {
    let config = Config::from_url("postgres://u@h/d?options=-c%20a%3D1").unwrap();
    let config = config.with_parameter("search_path", r"a b\c");
    assert_eq!(config.options.as_deref(), Some(r"-c a=1 -c search_path=a\ b\\c"));
}

#[test]
fn changing_the_role_forgets_the_password() {
    let config = Config::from_url("postgres://u:p@h/d").unwrap().with_user("v", None);
    assert_eq!(config.user(), "v");
    assert_eq!(config.credentials(None).password_for(&config, &config.servers[0]), None);
}

#[test]
fn settings_of_the_program_mean_what_the_url_means() {
    let url = Config::from_url("postgres://u:p@a,b:5433/d?sslmode=disable").unwrap();
    let given = [
        ("host", "a,b"),
        ("port", "5432,5433"),
        ("user", "u"),
        ("password", "p"),
        ("dbname", "d"),
        ("sslmode", "disable"),
    ];
    assert_eq!(Config::from_settings(given).unwrap(), url);
    let refusal = |given: &[(&str, &str)]| {
        Config::from_settings(given.iter().copied()).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(&[("hots", "a")]),
        "database settings: unknown parameter \"hots\" — correct its spelling or remove it"
    );
    assert_eq!(refusal(&[("host", "a"), ("host", "b")]), "database settings: host is given twice");
    assert!(
        refusal(&[("user", "u"), ("port", "0")])
            .starts_with("database settings: port: \"0\" is not a number"),
    );
}

#[test]
fn a_command_takes_what_the_url_says_before_its_environment() {
    let config = Config::resolve(Some("postgres://u:p@h:1/d?application_name=")).unwrap();
    assert_eq!((config.address().as_str(), config.user()), ("h:1/d", "u"));
    assert_eq!(config.default_application_name("mine").session_name(), "mine");
}
