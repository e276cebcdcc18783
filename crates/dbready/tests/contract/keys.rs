//! Keys of `contract.toml`: unknown, missing, stated twice, or of a wrong type, at every level.

use crate::support::At::{LastLine, Line};
use crate::support::{DOCUMENT, each, files, replace};

/// A text that stands in a section, and the text with an unknown key beside it: one for each kind of
/// table in the format.
const SECTIONS: &[(&str, &str)] = &[
    ("contract = 1", "contract = 1\nsurprise = 1"),
    ("[service]", "[service]\nsurprise = 1"),
    ("[server]", "[server]\nsurprise = 1"),
    ("[[server.extension]]", "[[server.extension]]\nsurprise = 1"),
    ("[[server.setting]]", "[[server.setting]]\nsurprise = 1"),
    ("[[table]]", "[[table]]\nsurprise = 1"),
    ("{ name = \"id\", type", "{ surprise = 1, name = \"id\", type"),
    ("{ name = \"signal_greeks_pkey\",", "{ surprise = 1, name = \"signal_greeks_pkey\","),
    (
        "{ name = \"idx_signal_greeks_signal_id\",",
        "{ surprise = 1, name = \"idx_signal_greeks_signal_id\",",
    ),
    (
        "{ name = \"signal_greeks_rollup_delete\",",
        "{ surprise = 1, name = \"signal_greeks_rollup_delete\",",
    ),
    ("[table.hypertable]", "[table.hypertable]\nsurprise = 1"),
    ("[table.retention]", "[table.retention]\nsurprise = 1"),
    ("[table.compression]", "[table.compression]\nsurprise = 1"),
    ("[[continuous_aggregate]]", "[[continuous_aggregate]]\nsurprise = 1"),
    ("[[rollup]]", "[[rollup]]\nsurprise = 1"),
    ("[known]", "[known]\nsurprise = 1"),
    ("[[role]]", "[[role]]\nsurprise = 1"),
    (
        "{ name = \"signal_greeks\", privileges",
        "{ name = \"signal_greeks\", surprise = 1, privileges",
    ),
    ("[[query]]", "[[query]]\nsurprise = 1"),
    (
        "    { name = \"instrument_key\", type = \"text\" }",
        "    { name = \"instrument_key\", surprise = 1, type = \"text\" }",
    ),
    ("{ name = \"bucket\", type", "{ name = \"bucket\", surprise = 1, type"),
    ("[query.sla]", "[query.sla]\nsurprise = 1"),
    ("[query.plan]", "[query.plan]\nsurprise = 1"),
    ("[pool]", "[pool]\nsurprise = 1"),
    ("[transactions]", "[transactions]\nsurprise = 1"),
    ("[[format]]", "[[format]]\nsurprise = 1"),
    ("[[range]]", "[[range]]\nsurprise = 1"),
    ("[[precision]]", "[[precision]]\nsurprise = 1"),
    ("[timestamps]", "[timestamps]\nsurprise = 1"),
    ("[json_objects]", "[json_objects]\nsurprise = 1"),
    ("[versioning]", "[versioning]\nsurprise = 1"),
    ("[[alert]]", "[[alert]]\nsurprise = 1"),
    ("[score]", "[score]\nsurprise = 1"),
    ("{ name = \"zero_gap\", title", "{ name = \"zero_gap\", surprise = 1, title"),
    ("{ name = \"server\", title", "{ name = \"server\", surprise = 1, title"),
    ("[[figure]]", "[[figure]]\nsurprise = 1"),
    ("[[drill]]", "[[drill]]\nsurprise = 1"),
    ("[coverage]", "[coverage]\nsurprise = 1"),
    ("{ name = \"history\", statement", "{ name = \"history\", surprise = 1, statement"),
    (
        "[[deviation]]",
        "[[waiver]]\nclaim = \"a\"\nreason = \"b\"\nexpires = \"2026-12-31\"\nsurprise = 1\n[[deviation]]",
    ),
    ("[[deviation]]", "[[deviation]]\nsurprise = 1"),
];

#[test]
fn an_unknown_key_is_refused_at_every_level() {
    let words: &[&str] = &["unknown field `surprise`", "expected"];
    let cases: Vec<_> =
        SECTIONS.iter().map(|(from, to)| (*from, *to, Line("surprise = 1"), words)).collect();
    each(&cases);
}

#[test]
fn every_unknown_key_is_reported_at_once() {
    let mut files = files();
    for (from, to) in &SECTIONS[1..15] {
        replace(&mut files, DOCUMENT, from, to);
    }
    let error = dbready::contract::parse(&files).unwrap_err();
    assert_eq!(error.problems().len(), 14, "{error}");
    assert!(error.to_string().lines().all(|line| line.starts_with("contract.toml:")), "{error}");
}

#[test]
fn a_missing_key_is_named_where_its_table_begins() {
    each(&[
        ("contract = 1\n", "", Line("# The database contract"), &["missing field `contract`"]),
        ("name = \"signal-service\"\n", "", Line("[service]"), &["missing field `name`"]),
        ("postgresql = \">=16, <19\"\n", "", Line("[server]"), &["missing field `postgresql`"]),
        (
            "type = \"bigint\", identity",
            "identity",
            Line("{ name = \"id\", identity"),
            &["missing field `type`"],
        ),
        (
            "chunk_interval = \"1 day\"\n",
            "",
            Line("[table.hypertable]"),
            &["missing field `chunk_interval`"],
        ),
        ("max = 10\n", "", Line("[pool]"), &["missing field `max`"]),
        (
            "isolation = \"read committed\"\n",
            "",
            Line("[transactions]"),
            &["missing field `isolation`"],
        ),
        (
            "counterexamples = [\"\", \"NSE@RELIANCE\"",
            "# = [\"\", \"NSE@RELIANCE\"",
            Line("[[format]]"),
            &["missing field `counterexamples`"],
        ),
        ("notice_days = 30\n", "", Line("[versioning]"), &["missing field `notice_days`"]),
        ("percent = 100.0\n", "", Line("[coverage]"), &["missing field `percent`"]),
    ]);
}

#[test]
fn a_key_or_table_stated_twice_is_refused() {
    each(&[
        (
            "contract = 1",
            "contract = 1\ncontract = 1",
            LastLine("contract = 1"),
            &["duplicate key"],
        ),
        ("[pool]", "[pool]\nmin = 3", Line("min = 2"), &["duplicate key"]),
        ("[transactions]", "[pool]\n[transactions]", LastLine("[pool]"), &["duplicate key"]),
        (
            "{ name = \"id\", type",
            "{ name = \"id\", name = \"id\", type",
            Line("name = \"id\", name"),
            &["duplicate key"],
        ),
        (
            "[table.retention]",
            "[table.hypertable] # again\n[table.retention]",
            Line("# again"),
            &["duplicate key"],
        ),
    ]);
}

#[test]
fn a_value_of_another_type_is_refused_with_its_key() {
    let wrong = "invalid type";
    each(&[
        (
            "contract = 1",
            "contract = \"1\"",
            Line("contract = \"1\""),
            &["`contract`", wrong, "u32"],
        ),
        (
            "[[server.extension]]",
            "[server.extension]",
            Line("[server.extension]"),
            &[wrong, "sequence"],
        ),
        ("[pool]", "[[pool]]", Line("[[pool]]"), &[wrong]),
        ("name = \"signal-service\"", "name = 5", Line("name = 5"), &["`name`", wrong, "string"]),
        ("min = 2", "min = 2.5", Line("min = 2.5"), &["`min`", wrong, "u32"]),
        ("min = 2", "min = -2", Line("min = -2"), &["`min`", "invalid value", "-2", "u32"]),
        (
            "max = 10",
            "max = 4294967296",
            Line("max = 4294967296"),
            &["`max`", "invalid value", "u32"],
        ),
        ("max = 10", "max = 1e1", Line("max = 1e1"), &["`max`", wrong, "floating point"]),
        ("jit = false", "jit = 0", Line("jit = 0"), &["`jit`", wrong, "boolean"]),
        ("jit = false", "jit = \"off\"", Line("jit = \"off\""), &["`jit`", wrong, "boolean"]),
        ("scale = 6", "scale = 6.0", Line("scale = 6.0"), &["`scale`", wrong]),
        ("min = -5.0", "min = \"-5\"", Line("min = \"-5\""), &["`min`", wrong, "f64"]),
        (
            "modules = [\"pg-session\"",
            "modules = [7, \"pg-session\"",
            Line("modules = [7"),
            &["`modules`", wrong, "string"],
        ),
        (
            "modules = [\"pg-session\", \"signal-store\"]",
            "modules = \"pg-session\"",
            Line("modules = \"pg-session\""),
            &["`modules`", wrong, "sequence"],
        ),
        (
            "identity = \"always\"",
            "identity = \"sometimes\"",
            Line("\"sometimes\""),
            &["unknown variant `sometimes`", "`always`", "`by default`"],
        ),
        (
            "edition = \"community\"",
            "edition = \"enterprise\"",
            Line("\"enterprise\""),
            &["unknown variant `enterprise`", "`any`", "`community`"],
        ),
        (
            "source = \"load\"",
            "source = \"guess\"",
            Line("\"guess\""),
            &["unknown variant `guess`", "`load`", "`drill`"],
        ),
        (
            "version = \"1.5.0\"",
            "version = \"1.1\"",
            Line("version = \"1.1\""),
            &["`version`", "expected"],
        ),
        (
            "version = \"1.5.0\"",
            "version = \"v1.5.0\"",
            Line("version = \"v1.5.0\""),
            &["`version`", "unexpected character 'v'"],
        ),
        (
            "version = \"1.5.0\"",
            "version = \"01.5.0\"",
            Line("version = \"01.5.0\""),
            &["`version`", "leading zero"],
        ),
        (
            "version = \"1.5.0\"",
            "version = \"1.99999999999999999999.0\"",
            Line("9999.0\""),
            &["`version`", "exceeds"],
        ),
        ("version = \"1.5.0\"", "version = \"\"", Line("version = \"\""), &["`version`", "empty"]),
        (
            "postgresql = \">=16, <19\"",
            "postgresql = \"sixteen\"",
            Line("\"sixteen\""),
            &["`postgresql`", "unexpected character"],
        ),
        (
            "postgresql = \">=16, <19\"",
            "postgresql = \">=16 <19\"",
            Line("\">=16 <19\""),
            &["`postgresql`", "expected comma"],
        ),
        (
            "keep = \"90 days\"",
            "keep = \"90\"",
            Line("keep = \"90\""),
            &["`keep`", "a whole number and a unit", "`90`"],
        ),
        (
            "keep = \"90 days\"",
            "keep = \"-90 days\"",
            Line("keep = \"-90"),
            &["`keep`", "a whole number and a unit"],
        ),
        (
            "keep = \"90 days\"",
            "keep = \"0 days\"",
            Line("keep = \"0 days\""),
            &["`keep`", "above zero"],
        ),
        (
            "keep = \"90 days\"",
            "keep = \"3 months\"",
            Line("keep = \"3 months\""),
            &["`keep`", "a whole number and a unit", "months"],
        ),
        (
            "keep = \"90 days\"",
            "keep = \"1 dayss\"",
            Line("keep = \"1 dayss\""),
            &["`keep`", "a whole number and a unit"],
        ),
        (
            "keep = \"90 days\"",
            "keep = \"99999999999999999 days\"",
            Line("keep = \"9999"),
            &["`keep`", "a whole number and a unit"],
        ),
        ("keep = \"90 days\"", "keep = 90", Line("keep = 90"), &["`keep`", wrong, "string"]),
        (
            "over = \"1 minute\"",
            "over = \"one minute\"",
            Line("over = \"one"),
            &["`over`", "a whole number and a unit"],
        ),
    ]);
}

#[test]
fn a_document_of_another_format_is_told_apart() {
    each(&[
        ("contract = 1", "contract = 2", Line("contract = 2"), &["expected format 1", "found 2"]),
        ("contract = 1", "contract = 0", Line("contract = 0"), &["expected format 1", "found 0"]),
        (
            "contract = 1",
            "contract = 0x2\nnew_key = 1",
            Line("contract = 0x2"),
            &["expected format 1"],
        ),
        (
            "contract = 1",
            "contract = 9223372036854775807",
            Line("contract = 9"),
            &["expected format 1"],
        ),
        (
            "contract = 1",
            "contract = 99999999999999999999",
            Line("contract = 9"),
            &["expected format 1"],
        ),
    ]);
}

#[test]
fn what_is_no_toml_is_refused_at_its_line() {
    let syntax = "not valid TOML";
    each(&[
        ("[pool]", "[pool", Line("[pool"), &[syntax]),
        ("min = 2", "min = ", Line("min = "), &[syntax]),
        ("min = 2", "min 2", Line("min 2"), &[syntax]),
        ("min = 2", "min = 2 max = 3", Line("min = 2 max"), &[syntax]),
        ("min = 2", "min = 02", Line("min = 02"), &[syntax]),
        (
            "name = \"signal-service\"",
            "name = \"signal-service",
            Line("name = \"signal-service"),
            &[syntax],
        ),
        (
            "name = \"signal-service\"",
            "name = \"signal\\qservice\"",
            Line("signal\\qservice"),
            &[syntax],
        ),
        (
            "name = \"signal-service\"",
            "name = \"signal\u{0}service\"",
            Line("signal\u{0}service"),
            &[syntax],
        ),
        (
            "name = \"signal-service\"",
            "name = \"signal\u{7f}service\"",
            Line("signal\u{7f}service"),
            &[syntax],
        ),
        ("contract = 1", "\u{0}contract = 1", Line("contract = 1"), &[syntax]),
        ("jit = false", "jit = False", Line("jit = False"), &[syntax]),
    ]);
}

#[test]
fn a_waiver_has_a_claim_a_reason_and_a_day() {
    let at = "[[deviation]]";
    let waiver = |lines: &str| format!("[[waiver]] # here\n{lines}\n[[deviation]]");
    let (claim, reason, day) = ("claim = \"a\"", "reason = \"b\"", "expires = \"2026-12-31\"");
    let here = Line("[[waiver]] # here");
    let without = |one: &str| {
        let rest: Vec<&str> = [claim, reason, day].into_iter().filter(|it| *it != one).collect();
        waiver(&rest.join("\n"))
    };
    let whole = without("");
    let twice = format!("{}{}", whole.replace(at, ""), whole.replace("# here", "# again"));
    each(&[
        (at, &without(claim), here, &["missing field `claim`"]),
        (at, &without(reason), here, &["missing field `reason`"]),
        (at, &without(day), here, &["missing field `expires`"]),
        (at, &whole.replace("\"b\"", "\" \""), Line("reason = \" \""), &["expected a text"]),
        (at, &whole.replace("\"a\"", "\" \""), Line("claim = \" \""), &["claim", "expected"]),
        (at, &whole.replace("2026-12-31", "soon"), Line("\"soon\""), &["`expires`"]),
        (at, &whole.replace("2026-12-31", "2026-02-30"), Line("2026-02-30"), &["`expires`"]),
        (at, &twice, LastLine("claim = \"a\""), &["claim `a` is stated twice"]),
    ]);
    let mut files = files();
    replace(&mut files, DOCUMENT, at, &whole);
    let contract = dbready::contract::parse(&files).unwrap();
    assert_eq!(contract.model.waivers.len(), 1);
}

#[test]
fn a_control_character_that_an_escape_brings_in_is_refused() {
    let refused: &[&str] = &["expected no control characters", "\\u{1b}"];
    each(&[
        (
            "description = \"",
            "description = \"\\u001b[2J",
            Line("u001b"),
            &["`description`", refused[0], "new lines and tabs", refused[1]],
        ),
        ("title = \"", "title = \"a\\nb", Line("a\\nb"), &["`title`", refused[0], "\\n"]),
        ("metric = \"", "metric = \"\\u001b", Line("u001b"), &["`metric`", refused[0]]),
        ("consumers = [\"", "consumers = [\"\\u001b", Line("u001b"), &["consumer"]),
        ("statement = \"", "statement = \"\\u0085", Line("u0085"), &["`statement`", refused[0]]),
    ]);
    let mut files = files();
    replace(&mut files, DOCUMENT, "description = \"", "description = \"a\\n\\tb");
    replace(&mut files, DOCUMENT, "counterexamples = [\"\"", "counterexamples = [\"\\u001b\"");
    dbready::contract::parse(&files).unwrap();
    let up = "migrations/1.5.0_";
    let file = files.keys().find(|file| file.starts_with(up) && file.contains(".up.")).cloned();
    let file = file.unwrap();
    replace(&mut files, &file, "-- description: ", "-- description: \u{1b}[2J");
    let error = dbready::contract::parse(&files).unwrap_err();
    let [problem] = error.problems() else { panic!("{error}") };
    assert_eq!((problem.file.as_str(), problem.position), (file.as_str(), Some((2, 1))));
    assert!(problem.message.contains("`description`: expected no control"), "{problem}");
}
