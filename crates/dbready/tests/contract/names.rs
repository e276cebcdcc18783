//! Names of the right type that clash, refer to nothing, or can be no names.

use crate::support::At::{LastLine, Line};
use crate::support::{DOCUMENT, each, files, replace};

#[test]
fn what_stands_twice_is_refused() {
    let twice = "is stated twice";
    each(&[
        (
            "[[continuous_aggregate]]",
            "[[table]]\nname = \"schema_version\" # again\nmeaning = \"again\"\n\
             column = [{ name = \"version\", type = \"text\", meaning = \"again\" }]\n\n\
             [[continuous_aggregate]]",
            Line("# again"),
            &["table `schema_version`", twice],
        ),
        (
            "{ name = \"gamma\", type",
            "{ name = \"delta\", type = \"numeric(10,6)\", meaning = \"again\" },\n{ name = \"gamma\", type",
            Line("meaning = \"again\""),
            &["column `delta`", twice, "`since` and `until`"],
        ),
        (
            "name = \"signal_greeks_delta_check\"",
            "name = \"signal_greeks_pkey\"",
            Line("CHECK (delta"),
            &["constraint `signal_greeks_pkey`", twice],
        ),
        (
            "name = \"idx_signal_greeks_signal_id\"",
            "name = \"idx_signal_greeks_instrument_timestamp\"",
            Line("columns = [\"signal_id\"]"),
            &["index", twice],
        ),
        (
            "name = \"idx_signal_indicators_signal_id\"",
            "name = \"idx_signal_greeks_signal_id\"",
            LastLine("idx_signal_greeks_signal_id"),
            &["already the name of another index"],
        ),
        (
            "name = \"idx_signal_indicators_signal_id\"",
            "name = \"schema_version\"",
            Line("name = \"schema_version\", columns"),
            &["already the name of another index, table or view"],
        ),
        (
            "[[rollup]]",
            "[[continuous_aggregate]]\nname = \"signal_greeks\" # again\nsource = \"signal_greeks\"\n\
             meaning = \"again\"\nbucket = \"1 hour\"\nmaterialized_only = true\n\
             columns = [\"bucket\"]\n\n[[rollup]]",
            Line("# again"),
            &["table or aggregate `signal_greeks`", twice],
        ),
        (
            "name = \"standard_conforming_strings\"",
            "name = \"server_encoding\"",
            LastLine("name = \"server_encoding\""),
            &["setting `server_encoding`", twice],
        ),
        (
            "[[server.setting]]",
            "[[server.extension]]\nname = \"timescaledb\"\nversion = \"*\"\n[[server.setting]]",
            LastLine("name = \"timescaledb\""),
            &["extension `timescaledb`", twice],
        ),
        (
            "name = \"historical_greeks\"",
            "name = \"latest_greeks\"",
            LastLine("name = \"latest_greeks\""),
            &["query `latest_greeks`", twice],
        ),
        (
            "{ name = \"to\", type = \"timestamp with time zone\" },",
            "{ name = \"from\", type = \"timestamp with time zone\" }, # again",
            Line("# again"),
            &["parameter `from`", twice],
        ),
        (
            "\"avg_gamma\"",
            "\"avg_delta\"",
            Line("\"bucket\", \"avg_delta\""),
            &["column `avg_delta`", twice],
        ),
        (
            "name = \"signal_id\"\nmeaning = \"signal_YYYY",
            "name = \"instrument_key\"\nmeaning = \"signal_YYYY",
            LastLine("name = \"instrument_key\""),
            &["format `instrument_key`", twice],
        ),
        (
            "[\"signal_greeks.delta\", \"signal_moneyness",
            "[\"signal_greeks.delta\", \"signal_greeks.delta\", \"signal_moneyness",
            Line("[\"signal_greeks.delta\", \"signal_greeks.delta\""),
            &["column `signal_greeks.delta`", twice],
        ),
        (
            "name = \"query_p95\"",
            "name = \"pool_utilisation\"",
            LastLine("name = \"pool_utilisation\""),
            &["alert `pool_utilisation`", twice],
        ),
        (
            "{ name = \"load_queries\"",
            "{ name = \"load_pool\", title = \"Again\", refinement = \"load\", weight = 0.001 },\n\
             { name = \"load_queries\"",
            Line("title = \"Again\""),
            &["area `load_pool`", twice],
        ),
        (
            "name = \"pool.leaks\"",
            "name = \"pool.acquire\"",
            LastLine("name = \"pool.acquire\""),
            &["figure `pool.acquire`", twice],
        ),
        (
            "name = \"pool_overload\"",
            "name = \"pool_exhaustion\"",
            LastLine("name = \"pool_exhaustion\""),
            &["drill `pool_exhaustion`", twice],
        ),
        (
            "\"pg-session\", \"signal-store\"",
            "\"pg-session\", \"pg-session\"",
            Line("modules ="),
            &["module `pg-session`", twice],
        ),
        (
            "\"connect\", \"disconnect\"",
            "\"connect\", \"connect\"",
            Line("\"connect\", \"connect\""),
            &["method `connect`", twice],
        ),
        (
            "methods = [\"cleanup_old_data\"]",
            "methods = [\"cleanup\"]",
            Line("methods = [\"cleanup\"]"),
            &["expected one of the methods of `coverage`, found `cleanup`"],
        ),
        (
            "{ name = \"cleanup\",",
            "{ name = \"history\",",
            LastLine("name = \"history\""),
            &["critical path `history`", twice],
        ),
        (
            "about = \"age of a row\"",
            "about = \"keys of hypertables\"",
            LastLine("about = \"keys of hypertables\""),
            &["deviation", twice],
        ),
        (
            "\"an index is added\"",
            "\"a table is added\"",
            LastLine("\"a table is added\""),
            &["change `a table is added`", twice],
        ),
        (
            "consumers = [\"Dashboard\", \"Alert\"]",
            "consumers = [\"Alert\", \"Alert\"]",
            Line("consumers = [\"Alert\""),
            &["consumer `Alert`", twice],
        ),
        (
            "segment_by = [\"instrument_key\"]",
            "segment_by = [\"instrument_key\", \"instrument_key\"]",
            Line("segment_by = [\"instrument_key\""),
            &["`instrument_key` is named twice"],
        ),
        (
            "order_by = [\"timestamp DESC\"]",
            "order_by = [\"timestamp DESC\", \"timestamp\"]",
            Line("order_by = ["),
            &["`timestamp` is named twice"],
        ),
        (
            "[pool]",
            "[[query]]\nname = \"again\"\nmethod = \"again\"\nmeaning = \"again\"\n\
             file = \"queries/latest_greeks.sql\"\n[pool]",
            LastLine("file = \"queries/latest_greeks.sql\""),
            &["already the file of query `latest_greeks`"],
        ),
        (
            "method = \"health\"",
            "method = \"health\"\nsample = \"queries/latest_greeks.sql\"",
            Line("sample = \"queries/latest_greeks.sql\""),
            &["expected a file of its own", "`latest_greeks`"],
        ),
    ]);
}

#[test]
fn names_that_refer_to_nothing_are_refused() {
    each(&[
        (
            "time_column = \"timestamp\"",
            "time_column = \"time\"",
            Line("time_column = \"time\""),
            &["expected a column of table `signal_greeks`", "`time`"],
        ),
        (
            "segment_by = [\"instrument_key\"]",
            "segment_by = [\"instrument\"]",
            Line("segment_by = [\"instrument\"]"),
            &["expected a column of table `signal_greeks`", "`instrument`"],
        ),
        (
            "order_by = [\"timestamp DESC\"]",
            "order_by = [\"stamp DESC\"]",
            Line("order_by = [\"stamp"),
            &["expected a column", "`stamp`"],
        ),
        (
            "source = \"signal_greeks\"",
            "source = \"greeks\"",
            Line("source = \"greeks\""),
            &["expected a hypertable", "`greeks`"],
        ),
        (
            "source = \"signal_greeks\"",
            "source = \"schema_version\"",
            Line("source = \"schema"),
            &["expected a hypertable", "`schema_version`"],
        ),
        (
            "indexes = [\"idx_signal_greeks_instrument_timestamp\"]",
            "indexes = [\"idx_greeks\"]",
            Line("indexes = [\"idx_greeks\"]"),
            &["expected an index of this contract", "`idx_greeks`"],
        ),
        (
            "columns = [\"signal_indicators.indicator_name\"]",
            "columns = [\"signal_indicators.name\"]",
            Line("columns = [\"signal_indicators.name\"]"),
            &["expected a column of this contract", "`signal_indicators.name`"],
        ),
        (
            "columns = [\"signal_indicators.indicator_name\"]",
            "columns = [\"indicator_name\"]",
            Line("columns = [\"indicator_name\"]"),
            &["`table.column`", "`indicator_name`"],
        ),
        (
            "columns = [\"signal_indicators.indicator_name\"]",
            "columns = [\"audit.signal_indicators.indicator_name\"]",
            Line("audit.signal_indicators"),
            &["expected a column of this contract"],
        ),
        (
            "table = \"schema_version\"",
            "table = \"versions\"",
            Line("table = \"versions\""),
            &["expected a table of this contract", "`versions`"],
        ),
        (
            "table = \"schema_version\"",
            "table = \"signal_greeks\"",
            Line("table = \"signal_greeks\""),
            &["expected a column `version`"],
        ),
        (
            "refinement = \"zero_gap\", weight = 0.15",
            "refinement = \"no_gap\", weight = 0.15",
            Line("no_gap"),
            &["expected a refinement of this score", "`no_gap`"],
        ),
        (
            "area = \"load_pool\"",
            "area = \"pool\"",
            Line("area = \"pool\""),
            &["expected an area of the score", "`pool`"],
        ),
        (
            "since = \"1.1.0\"",
            "since = \"1.0.1\"",
            Line("since = \"1.0.1\""),
            &["expected the version of a migration", "1.0.1"],
        ),
        (
            "version = \"1.5.0\"",
            "version = \"1.9.0\"",
            Line("version = \"1.9.0\""),
            &["expected 1.5.0", "last migration", "1.9.0"],
        ),
        (
            "version = \"1.5.0\"",
            "version = \"1.5.0-beta.1\"",
            Line("1.5.0-beta.1"),
            &["expected three numbers", "1.5.0-beta.1"],
        ),
        (
            "name = \"signal_greeks_rollup\"\nsource = \"signal_greeks\"",
            "name = \"signal_greeks_rollup\"\nsource = \"schema_version\"",
            Line("source = \"schema_version\""),
            &["expected a hypertable of this contract", "`schema_version`"],
        ),
        (
            "[known]",
            "[known]\ntables = [\"schema_version\"]",
            Line("tables = [\"schema_version\"]"),
            &["described above"],
        ),
    ]);
}

#[test]
fn roles_have_rights_on_what_the_contract_has() {
    let twice = "is stated twice";
    each(&[
        (
            "name = \"signal_reader\"",
            "name = \"signal_writer\"",
            LastLine("name = \"signal_writer\""),
            &["role `signal_writer`", twice],
        ),
        (
            "name = \"signal_reader\"",
            "name = \"pg_reader\"",
            Line("pg_reader"),
            &["`pg_reader` is a name of the server's own"],
        ),
        (
            "create = [\"public\"]",
            "create = [\"elsewhere\"]",
            Line("elsewhere"),
            &["expected a schema of this contract", "`elsewhere`"],
        ),
        (
            "execute = [\"drop_signal_chunks\",",
            "execute = [\"drop_everything\",",
            Line("drop_everything"),
            &["expected a function of [known]", "`drop_everything`"],
        ),
        (
            "{ name = \"signal_greeks_rollup\", privileges = [\"SELECT\", \"DELETE\"] }",
            "{ name = \"nowhere\", privileges = [\"SELECT\"] }",
            Line("nowhere"),
            &["expected a table, continuous aggregate or known view", "`nowhere`"],
        ),
        (
            "{ name = \"signal_greeks_rollup\", privileges = [\"SELECT\", \"DELETE\"] }",
            "{ name = \"signal_greeks\", privileges = [\"SELECT\", \"DELETE\"] } ",
            Line("privileges = [\"SELECT\", \"DELETE\"] } "),
            &["table `signal_greeks`", twice],
        ),
        (
            "privileges = [\"SELECT\", \"DELETE\"]",
            "privileges = [\"SELECT\", \"READ\"]",
            Line("READ"),
            &["privilege", "expected one of SELECT", "`READ`"],
        ),
        (
            "privileges = [\"SELECT\", \"DELETE\"]",
            "privileges = []",
            Line("privileges = []"),
            &["at least one privilege"],
        ),
    ]);
}

#[test]
fn names_that_cannot_be_names_are_refused() {
    let name = "expected a name";
    each(&[
        (
            "name = \"description\", type",
            "name = \"\", type",
            Line("name = \"\""),
            &["column", name],
        ),
        (
            "name = \"description\", type",
            "name = \"  \", type",
            Line("name = \"  \""),
            &["column", name, "`  `"],
        ),
        (
            "name = \"description\", type",
            "name = \"public.gamma\", type",
            Line("public.gamma"),
            &["column", name],
        ),
        (
            "name = \"description\", type",
            "name = 'ga\".mma', type",
            Line("ga\".mma"),
            &["column", name],
        ),
        (
            "name = \"description\", type",
            "name = \"ga\\u0000mma\", type",
            Line("ga\\u0000mma"),
            &["column", name, "\\0"],
        ),
        (
            "name = \"description\", type",
            "name = \"ga\\u001b[31mmma\", type",
            Line("ga\\u001b"),
            &["column", name, "\\u{1b}"],
        ),
        (
            "name = \"description\", type",
            "name = \"a234567890123456789012345678901234567890123456789012345678901234\", type",
            Line("a23456"),
            &["column", name, "63 bytes"],
        ),
        (
            "name = \"pool_overload\"",
            "name = \"pool overload\"",
            Line("pool overload"),
            &["drill", name, "letters, digits"],
        ),
        (
            "name = \"pool.leaks\"",
            "name = \"../leaks\"",
            Line("../leaks"),
            &["figure", name, "`../leaks`"],
        ),
        ("method = \"get_latest_greeks\"", "method = \"get latest\"", Line("get latest"), &[name]),
        (
            "application_name = \"signal_service\"",
            "application_name = \"\"",
            Line("application_name"),
            &[name],
        ),
        (
            "functions = [\n    \"drop",
            "functions = [\n    \"a.b.c\", \"drop",
            Line("a.b.c"),
            &["function", name],
        ),
        (
            "description = \"Stores",
            "description = \" \"\n#",
            Line("description = \" \""),
            &["expected a text, found none"],
        ),
        (
            "meaning = \"gamma lies in [0, 10]\"",
            "meaning = \"\"",
            Line("meaning = \"\""),
            &["expected a text"],
        ),
    ]);
}

#[test]
fn paths_that_leave_the_directory_are_refused() {
    let file = "file = \"queries/latest_greeks.sql\"";
    for path in [
        "/etc/passwd",
        "/etc/passwd.sql",
        "../latest_greeks.sql",
        "queries/../../latest_greeks.sql",
        "queries/../seed.sql",
        "./queries/latest_greeks.sql",
        "queries//latest_greeks.sql",
        "queries/./latest_greeks.sql",
        "queries\\\\latest_greeks.sql",
        "queries/..\\\\latest_greeks.sql",
        "C:/queries/latest_greeks.sql",
        "file:///queries/latest_greeks.sql",
        "queries/.hidden.sql",
        "queries/latest_greeks",
        "queries/latest_greeks.sql\\u0000",
        "queries/latest\\ngreeks.sql",
        "migrations/1.0.0_initial.up.sql",
        "seed.sql",
        "contract.toml",
        "",
    ] {
        let mut files = files();
        let to = format!("file = \"{path}\"");
        replace(&mut files, DOCUMENT, file, &to);
        let error = dbready::contract::parse(&files).unwrap_err();
        let line = 1 + files[DOCUMENT].lines().position(|line| line == to).unwrap();
        let named = error.problems().iter().find(|one| one.file == DOCUMENT).unwrap();
        assert_eq!(named.position.map(|(line, _)| line), Some(line), "{path}: {error}");
        assert!(named.message.contains("expected a path inside queries/"), "{path}: {error}");
        // The file that the query named before is now named by none.
        let rest: Vec<_> = error.problems().iter().filter(|one| *one != named).collect();
        assert!(matches!(rest[..], [one] if one.message.contains("no query")), "{path}: {error}");
    }
}
