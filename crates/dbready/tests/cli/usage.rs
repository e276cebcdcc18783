//! Help for every command, and mistakes on the command line.

use crate::support::{dbready, program, run};

/// Every command that help names, as its words; found by asking, so that none is forgotten.
fn commands() -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    let mut next = 0;
    while let Some(words) = found.get(next).cloned() {
        next += 1;
        let help = help(&words);
        let Some((_, list)) = help.split_once("Commands:\n") else { continue };
        let names = list.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
            let name = line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?;
            name.split(' ').next().filter(|name| *name != "help")
        });
        found.extend(names.map(|name| [words.clone(), vec![name.to_owned()]].concat()));
    }
    found
}

fn help(words: &[String]) -> String {
    let ran = run(program().args(words).arg("--help")).exits(0);
    assert_eq!(ran.stderr, "", "{words:?}");
    ran.stdout
}

#[test]
fn every_command_has_help_with_examples() {
    let commands = commands();
    for expected in ["certify", "check", "migrate up", "local psql", "contract lint", "report"] {
        assert!(commands.iter().any(|words| words.join(" ") == expected), "{commands:?}");
    }
    for words in commands {
        let help = help(&words);
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{words:?}"));
        let example = format!("  dbready {}", words.join(" "));
        assert!(examples.contains(example.trim_end()), "{words:?} is in none of its examples");
    }
}

#[test]
fn mistakes_exit_with_2_and_say_what_is_expected() {
    let cases: [(&[&str], &str); 12] = [
        (&[], "Usage: dbready"),
        (&["chekc"], "unrecognized subcommand"),
        (&["check", "--ulr", "x"], "--ulr"),
        (&["check", "--format", "yaml"], "terminal, markdown, json, html, junit"),
        (&["check", "--url"], "--url"),
        (&["certify", "--profile", "tiny"], "quick, standard, soak"),
        (&["certify", "--url", "postgres://h/d", "--profile", "quick"], "cannot be used with"),
        (&["certify", "--seed", "one"], "--seed"),
        (&["migrate"], "Usage: dbready migrate"),
        (&["migrate", "down"], "--to"),
        (&["local", "stop", "--all", "--name", "x"], "cannot be used with"),
        (&["report"], "<FILE>"),
    ];
    for (args, part) in cases {
        let ran = dbready(args).exits(2).says(&[part]);
        assert_eq!(ran.stdout, "", "{args:?}");
    }
}

#[test]
fn the_version_is_printed() {
    let ran = dbready(&["--version"]).exits(0);
    assert_eq!(ran.stdout, format!("dbready {}\n", env!("CARGO_PKG_VERSION")));
}
