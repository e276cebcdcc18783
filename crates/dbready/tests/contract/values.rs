//! Values of the right type that mean nothing: types, patterns that their examples contradict, limits
//! that contradict each other.

use crate::support::At::Line;
use crate::support::each;

#[test]
fn types_are_written_as_the_server_prints_them() {
    let printed = "as PostgreSQL prints it";
    each(&[
        (
            "type = \"bigint\", identity",
            "type = \"int8\", identity",
            Line("int8"),
            &[printed, "`bigint`", "`int8`"],
        ),
        (
            "\"signal_id\", type = \"character varying(255)\"",
            "\"signal_id\", type = \"varchar(255)\"",
            Line("varchar(255)"),
            &[printed, "`character varying(255)`"],
        ),
        (
            "type = \"timestamp with time zone\"",
            "type = \"timestamptz\"",
            Line("timestamptz"),
            &[printed, "`timestamp with time zone`"],
        ),
        ("type = \"jsonb\"", "type = \"JSONB\"", Line("JSONB"), &[printed, "`jsonb`"]),
        (
            "name = \"delta\", type = \"numeric(10,6)\"",
            "name = \"delta\", type = \"numeric(10, 6)\"",
            Line("numeric(10, 6)"),
            &[printed, "`numeric(10,6)`"],
        ),
        (
            "name = \"delta\", type = \"numeric(10,6)\"",
            "name = \"delta\", type = \"numeric(10,6\"",
            Line("\"numeric(10,6\""),
            &["expected a type", "`numeric(10,6`"],
        ),
        (
            "name = \"description\", type = \"text\"",
            "name = \"rho\", type = \"numeric; DROP TABLE a\"",
            Line("DROP TABLE"),
            &["expected a type"],
        ),
        (
            "name = \"description\", type = \"text\"",
            "name = \"rho\", type = \"\"",
            Line("type = \"\""),
            &["expected a type"],
        ),
        (
            "{ name = \"bucket_width\", type = \"interval\" }",
            "{ name = \"bucket_width\", type = \"a(b(c))\" }",
            Line("a(b(c))"),
            &["expected a type"],
        ),
        (
            "{ name = \"data_points\", type = \"bigint\" }",
            "{ name = \"data_points\", type = \"int\" }",
            Line("type = \"int\""),
            &[printed, "`integer`"],
        ),
        (
            "identity = \"always\"",
            "identity = \"always\", default = \"1\"",
            Line("default = \"1\""),
            &["identity column has no other default"],
        ),
        (
            "identity = \"always\"",
            "identity = \"always\", nullable = true",
            Line("identity = \"always\", nullable"),
            &["identity column is never null"],
        ),
        (
            "type = \"bigint\", identity",
            "type = \"text\", identity",
            Line("type = \"text\", identity"),
            &["smallint, integer or bigint", "`text`"],
        ),
        (
            "columns = [\"signal_indicators.parameters\"",
            "columns = [\"signal_indicators.signal_id\"",
            Line("columns = [\"signal_indicators.signal_id\""),
            &["expected a column of type jsonb", "character varying"],
        ),
        (
            "columns = [\"signal_greeks.time_to_expiry\"]",
            "columns = [\"signal_greeks.signal_id\"]",
            Line("columns = [\"signal_greeks.signal_id\"]"),
            &["expected a column that holds numbers", "`signal_greeks.signal_id`"],
        ),
        (
            "columns = [\"signal_indicators.indicator_name\"]",
            "columns = [\"signal_indicators.parameters\"]",
            Line("columns = [\"signal_indicators.parameters\"]"),
            &["expected a column that holds text", "jsonb"],
        ),
        (
            "\"signal_greeks.timestamp\", \"signal_greeks.created_at\"",
            "\"signal_greeks.delta\", \"signal_greeks.created_at\"",
            Line("\"signal_greeks.delta\", \"signal_greeks.created_at\""),
            &["timestamp with time zone", "numeric"],
        ),
        (
            "\"signal_greeks.theoretical_value\", \"signal_greeks.underlying",
            "\"signal_greeks.id\", \"signal_greeks.underlying",
            Line("\"signal_greeks.id\""),
            &["expected a column of type numeric", "bigint"],
        ),
    ]);
}

#[test]
fn patterns_are_sound_and_agree_with_their_examples() {
    let pattern = "pattern = '^[A-Z][A-Z0-9_]*$'";
    let examples = "examples = [\"RSI\", \"MACD\", \"BBANDS\", \"T3\"]";
    let counterexamples = "counterexamples = [\"\", \"rsi\"";
    each(&[
        (
            pattern,
            "pattern = '^[A-Z$'",
            Line("pattern = '^[A-Z$'"),
            &["expected a regular expression", "unclosed character class"],
        ),
        (
            pattern,
            "pattern = '^(?=R)[A-Z][A-Z0-9_]*$'",
            Line("(?=R)"),
            &["expected a regular expression"],
        ),
        (
            "pattern = '^(greeks|indicators|moneyness_greeks)$'",
            "pattern = '(^(greeks|indicators|moneyness_greeks)$)'",
            Line("pattern = '(^"),
            &["from ^ to $"],
        ),
        (
            "pattern = '^(greeks|indicators|moneyness_greeks)$'",
            "pattern = '^greeks$|^indicators$|^moneyness_greeks$'",
            Line("pattern = '^greeks$"),
            &["one alternative each"],
        ),
        (pattern, "pattern = '^(?x)[A-Z][A-Z0-9_]*$'", Line("(?x)"), &["PostgreSQL shares only"]),
        (
            pattern,
            "pattern = '^[A-Z][A-Z0-9_]{0,300}$'",
            Line("{0,300}"),
            &["at most 255 repetitions"],
        ),
        (
            pattern,
            "pattern = '^(((a{1,200}){1,200}){1,200})$'",
            Line("{1,200}"),
            &["expected a regular expression", "size"],
        ),
        (
            examples,
            "examples = [\"RSI\", \"macd\"]",
            Line("examples = [\"RSI\", \"macd\"]"),
            &["`macd` does not match the pattern"],
        ),
        (examples, "examples = []", Line("examples = []"), &["expected at least one value"]),
        (
            counterexamples,
            "counterexamples = [\"RSI\", \"rsi\"",
            Line("counterexamples = [\"RSI\""),
            &["`RSI` matches the pattern"],
        ),
        (
            counterexamples,
            "counterexamples = [] # [\"\", \"rsi\"",
            Line("counterexamples = [] #"),
            &["expected at least one value"],
        ),
        (
            "columns = [\"signal_indicators.indicator_name\"]",
            "columns = []",
            Line("columns = []"),
            &["expected at least one column"],
        ),
    ]);
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    each(&[
        (
            "min = -5.0\nmax = 5.0",
            "min = 5.0\nmax = -5.0",
            Line("min = 5.0"),
            &["lower bound below the upper -5", "found 5"],
        ),
        (
            "min = -5.0\nmax = 5.0",
            "min = 5.0\nmax = 5.0",
            Line("min = 5.0"),
            &["lower bound below the upper 5"],
        ),
        ("min = -5.0\nmax = 5.0\n", "", Line("[[range]]"), &["expected a bound"]),
        (
            "min = -5.0",
            "min = -5.0\nabove = -5.0",
            Line("above = -5.0"),
            &["`min` or `above`", "both"],
        ),
        ("min = -5.0", "min = nan", Line("min = nan"), &["finite number", "NaN"]),
        ("max = 5.0", "max = inf", Line("max = inf"), &["finite number", "inf"]),
        ("max = 5.0", "max = 1e999", Line("max = 1e999"), &["overflowed"]),
        ("min = 2\n", "min = 11\n", Line("min = 11"), &["at most max = 10", "11"]),
        ("max = 10\n", "max = 0\n", Line("max = 0"), &["at least one connection"]),
        (
            "acquire_timeout_ms = 5000",
            "acquire_timeout_ms = 0",
            Line("acquire_timeout_ms = 0"),
            &["time above zero"],
        ),
        (
            "command_timeout_ms = 30000",
            "command_timeout_ms = 0",
            Line("command_timeout_ms = 0"),
            &["time above zero"],
        ),
        (
            "reuse_percent = 95.0",
            "reuse_percent = 950.0",
            Line("reuse_percent"),
            &["percentage from 0 to 100", "950"],
        ),
        (
            "alert_percent = 80.0",
            "alert_percent = nan",
            Line("alert_percent"),
            &["percentage from 0 to 100", "NaN"],
        ),
        ("percent = 100.0", "percent = -1", Line("percent = -1"), &["percentage from 0 to 100"]),
        (
            "isolation = \"read committed\"",
            "isolation = \"snapshot\"",
            Line("isolation ="),
            &["read committed", "serializable", "`snapshot`"],
        ),
        ("p95_ms = 50.0", "p95_ms = 0", Line("p95_ms = 0"), &["above zero"]),
        (
            "per_second = 1000.0",
            "per_second = -inf",
            Line("per_second = -inf"),
            &["above zero", "-inf"],
        ),
        (
            "refinement = \"zero_gap\", weight = 0.15",
            "refinement = \"zero_gap\", weight = 0.25",
            Line("{ name = \"zero_gap\", title"),
            &["areas of `zero_gap`", "add up to 1", "1.100"],
        ),
        (
            "refinement = \"coverage\", weight = 1.0",
            "refinement = \"coverage\", weight = 0.5",
            Line("{ name = \"coverage\", title"),
            &["areas of `coverage`", "add up to 1", "0.500"],
        ),
        (
            "title = \"Load tests\", weight = 1.0",
            "title = \"Load tests\", weight = 0",
            Line("title = \"Load tests\""),
            &["above zero", "0"],
        ),
        (
            "title = \"Load tests\", weight = 1.0",
            "title = \"Load tests\", weight = nan",
            Line("title = \"Load tests\""),
            &["above zero", "NaN"],
        ),
        (
            "\n]\narea = [",
            "    { name = \"x\", title = \"X\", weight = 1.0 },\n]\narea = [",
            Line("name = \"x\""),
            &["refinement `x` has no area"],
        ),
        ("above = 80.0", "above = inf", Line("above = inf"), &["finite number"]),
        (
            "at_most = 5.0\nsaid = \"2.3 ms\"",
            "said = \"2.3 ms\"",
            Line("[[figure]]"),
            &["`at_most` or `at_least`", "none"],
        ),
        (
            "at_most = 5.0\nsaid = \"2.3 ms\"",
            "at_most = 5.0\nat_least = 5.0",
            Line("at_least = 5.0"),
            &["`at_most` or `at_least`", "both"],
        ),
        (
            "at_most = 5.0\nsaid = \"2.3 ms\"",
            "at_most = nan",
            Line("at_most = nan"),
            &["finite number", "NaN"],
        ),
        (
            "indexes = [\"idx_signal_greeks_instrument_timestamp\"]",
            "indexes = []",
            Line("indexes = []"),
            &["expected an index, or chunk_exclusion"],
        ),
        ("since = \"1.1.0\"", "since = \"1.1.0\"\nuntil = \"1.0.0\"", Line("until"), &["until"]),
        (
            "name = \"gamma\", type",
            "since = \"1.1.0\", until = \"1.0.0\", name = \"gamma\", type",
            Line("until = \"1.0.0\""),
            &["a version after since = 1.1.0", "1.0.0"],
        ),
        (
            "name = \"description\", type",
            "until = \"1.1.0\", name = \"applied_at\", type",
            Line("until = \"1.1.0\""),
            &["column `applied_at`", "twice"],
        ),
        (
            "[table.hypertable]\ntime_column = \"timestamp\"\nchunk_interval = \"1 day\"\n\n[table.compression]\n",
            "[table.compression] # no hypertable\n",
            Line("# no hypertable"),
            &["only a hypertable"],
        ),
    ]);
}
