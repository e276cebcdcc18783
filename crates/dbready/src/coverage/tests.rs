//! The formats, whole and damaged, and hostile ones.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{FailUnder, Modules, Report, Share, read};

fn lines(report: &Report, path: &str) -> BTreeMap<u32, u64> {
    report.files[path].lines.clone()
}

fn good(text: &str) -> Report {
    read(text.as_bytes()).unwrap()
}

fn refusal(text: &str) -> String {
    read(text.as_bytes()).unwrap_err().to_string()
}

const LCOV: &str = "\
TN:unit
SF:/build/src/db.rs
FN:3,_ZN3app2db4save17h0123456789abcdefE
FN:9,12,app::db::load
FNDA:2,_ZN3app2db4save17h0123456789abcdefE
FNDA:0,app::db::load
FNF:2
FNH:1
BRDA:4,0,0,1
BRDA:4,0,1,-
BRDA:5,e0,a == 1, b,3
DA:3,2
DA:4,2,md5
DA:9,0
LF:3
LH:2
end_of_record
";

#[test]
fn lcov_of_version_1() {
    let report = good(LCOV);
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    assert_eq!(lines(&report, "/build/src/db.rs"), BTreeMap::from([(3, 2), (4, 2), (9, 0)]));
    let file = &report.files["/build/src/db.rs"];
    assert_eq!(file.function_share(), Share::new(1, 2));
    assert_eq!(file.branch_share(), Share::new(2, 3));
    assert_eq!(file.method_share("save"), Some(Share::new(2, 2)));
    assert_eq!(file.method_share("load"), Some(Share::new(0, 1)));
}

#[test]
fn lcov_of_version_2() {
    let report = good(
        "SF:a.c\nFNL:0,2,5\nFNA:0,7,save(int, int)\nFNA:0,0,alias\nDA:2,7\nDA:5,0\nVER:x\n\
         MCDC:2,2,t,1,0,a\nend_of_record\n",
    );
    let file = &report.files["a.c"];
    assert_eq!(file.method_share("save"), Some(Share::new(1, 2)));
    assert_eq!(file.function_share(), Share::new(1, 2));
}

#[test]
fn lcov_of_windows_and_with_a_mark_at_its_beginning() {
    let report = good("\u{feff}SF:C:\\build\\a.cs\r\nDA:1,1\r\nend_of_record\r\n");
    assert_eq!(report.files.keys().collect::<Vec<_>>(), [r"C:\build\a.cs"]);
}

#[test]
fn a_file_twice_in_one_report_is_one_file() {
    let section = "SF:a\nDA:1,0\nDA:2,1\nend_of_record\n";
    let report = good(&format!("{section}{}", section.replace("DA:1,0", "DA:1,5")));
    assert_eq!(lines(&report, "a"), BTreeMap::from([(1, 5), (2, 2)]));
}

#[test]
fn a_summary_that_disagrees_is_noted_and_not_believed() {
    let report = good("SF:a\nDA:1,1\nLF:10\nLH:10\nend_of_record\n");
    assert_eq!(report.files["a"].line_share(), Share::new(1, 1));
    assert!(report.notes[0].contains("counts 10 lines, the records hold 1"), "{:?}", report.notes);
    let summary_only = good("SF:a\nLF:10\nLH:10\nend_of_record\n");
    assert!(summary_only.is_empty());
}

#[test]
fn damaged_lcov_is_refused_with_the_line() {
    for (text, words) in [
        ("SF:a\nDA:1,1\n", "cut off: the record of a has no end"),
        ("SF:a\nDA:1,1\nSF:b\nend_of_record\n", "line 3: the record of a has no end"),
        ("DA:1,1\n", "line 1: `DA` outside a file"),
        ("SF:a\nDA:0,1\nend_of_record", "line 2: expected a line number from 1"),
        ("SF:a\nDA:4000000000,1\nend_of_record", "expected a line number"),
        ("SF:a\nDA:1,-1\nend_of_record", "line 2: expected a count, found `-1`"),
        ("SF:a\nDA:1,1e9\nend_of_record", "expected a count, found `1e9`"),
        ("SF:a\nDA:1\nend_of_record", "expected a count, found ``"),
        ("SF:a\nXY:1\nend_of_record", "line 2: `XY` is no record"),
        ("SF:a\nFNDA:1,none\nend_of_record", "calls of `none`, which has no place"),
        ("SF:a\nFNA:7,1,none\nend_of_record", "function 7 has no place"),
        ("SF:a\nBRDA:1,2\nend_of_record", "expected four parts"),
        ("SF:\nend_of_record", "line 1: a file without a path"),
        ("end_of_record", "without a file before it"),
        ("hello world", "line 1: expected a record"),
        ("", "an empty file"),
        (" \n ", "an empty file"),
        ("TN:nothing\n", "speaks of no file"),
        ("[]", "found a JSON list"),
    ] {
        let refused = refusal(text);
        assert!(refused.contains(words), "{text:?}: {refused}");
    }
}

#[test]
fn counts_beyond_any_number_are_the_largest() {
    let report = good("SF:a\nDA:1,99999999999999999999999\nDA:1,5\nend_of_record\n");
    assert_eq!(lines(&report, "a")[&1], u64::MAX);
}

const COBERTURA: &str = r#"<?xml version="1.0" ?>
<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
<coverage line-rate="1.0" lines-covered="99" lines-valid="99" version="7">
  <sources><source>/home/ci/project/app</source></sources>
  <packages><package name="app"><classes>
    <class name="database.py" filename="storage/database.py" line-rate="3.95">
      <methods>
        <method name="connect" signature="()"><lines><line number="2" hits="4"/></lines></method>
        <method name="close"><lines><line number="5" hits="0"/><line number="6" hits="0"/></lines></method>
      </methods>
      <lines>
        <line number="2" hits="4"/>
        <line number="3" hits="4" branch="true" condition-coverage="50% (1/2)"/>
        <line number="5" hits="0"/>
        <line number="6" hits="0"/>
      </lines>
    </class>
    <class name="none" filename="storage/&lt;odd&gt;.py"><methods/><lines/></class>
  </classes></package></packages>
</coverage>
"#;

#[test]
fn cobertura() {
    let report = good(COBERTURA);
    let path = "/home/ci/project/app/storage/database.py";
    assert_eq!(lines(&report, path), BTreeMap::from([(2, 4), (3, 4), (5, 0), (6, 0)]));
    let file = &report.files[path];
    assert_eq!(file.method_share("close"), Some(Share::new(0, 2)));
    assert_eq!(file.method_share("connect"), Some(Share::new(1, 1)));
    assert_eq!(file.branch_share(), Share::new(1, 2));
    assert!(report.files.contains_key("/home/ci/project/app/storage/<odd>.py"));
}

#[test]
fn damaged_cobertura_is_refused() {
    let cut = COBERTURA.split("</classes>").next().unwrap();
    for (text, words) in [
        (cut, "cut off"),
        ("<html></html>", "found `html`"),
        ("<coverage></coverage>", "without a class"),
        ("<coverage><class filename=''/></coverage>", "a class without `filename`"),
        ("<coverage><line number='1' hits='1'/></coverage>", "a line outside a class"),
        ("<coverage><class filename='a'><line number='0' hits='1'/></class></coverage>", "line 1:"),
        ("<coverage><class filename='a'><line number='1'/></class></coverage>", "without `hits`"),
        (
            "<coverage><class filename='a'><line number='1' hits='-1'/></class></coverage>",
            "expected a count of hits",
        ),
        (
            "<coverage><class filename='a'><line number='1' hits='1' \
             condition-coverage='395% (9/2)'/></class></coverage>",
            "expected a share",
        ),
        ("<coverage><a></coverage>", "line 1:"),
        (
            "<!DOCTYPE c [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>\
             <coverage><class filename='&x;'/></coverage>",
            "line 1:",
        ),
    ] {
        let refused = refusal(text);
        assert!(refused.contains(words), "{text:?}: {refused}");
    }
}

const LLVM: &str = r#"{"type":"llvm.coverage.json.export","version":"3.0.1","data":[{
  "files":[{"filename":"/build/src/db.rs","segments":[
    [3,1,2,true,true,false],[4,9,0,true,true,false],[5,6,2,true,false,false],[7,2,0,false,false,false],
    [9,1,0,true,true,false],[10,2,0,false,false,false]],
    "branches":[[4,5,4,8,2,0,0,0,4]],
    "summary":{"lines":{"count":1,"covered":1,"percent":395.0}}}],
  "functions":[
    {"name":"_RNvNtCs1234_3app2db4save","count":2,"filenames":["/build/src/db.rs"],
     "regions":[[3,1,7,2,2,0,0,0],[4,9,5,6,0,0,0,0]]},
    {"name":"load","count":0,"filenames":["/build/src/db.rs"],"regions":[[9,1,10,2,0,0,0,0]]},
    {"name":"elsewhere","count":0,"filenames":["/rust/core.rs"],"regions":[[1,1,2,2,0,0,0,0]]}],
  "totals":{}}]}"#;

#[test]
fn llvm_cov() {
    let report = good(LLVM);
    let counted = lines(&report, "/build/src/db.rs");
    let expected = [(3, 2), (4, 2), (5, 0), (6, 2), (7, 2), (9, 0), (10, 0)];
    assert_eq!(counted, BTreeMap::from(expected));
    let file = &report.files["/build/src/db.rs"];
    assert_eq!(file.branch_share(), Share::new(1, 2));
    assert_eq!(file.function_share(), Share::new(1, 2));
    assert_eq!(file.method_share("save"), Some(Share::new(4, 5)));
    assert_eq!(file.method_share("load"), Some(Share::new(0, 2)));
    assert_eq!(report.files.len(), 1);
}

#[test]
fn damaged_llvm_cov_is_refused() {
    let file = |inner: &str| {
        format!(
            "{{\"type\":\"llvm.coverage.json.export\",\"data\":[{{\"files\":[{{\"filename\":\"a\"{inner}}}]}}]}}"
        )
    };
    for (text, words) in [
        ("{}".to_owned(), "expected the JSON of `llvm-cov export`"),
        (LLVM[..LLVM.len() / 2].to_owned(), "line "),
        ("{\"type\":\"other\",\"data\":[]}".to_owned(), "found `other`"),
        (file(""), "without `--summary-only`"),
        (file(",\"segments\":[[0,1,1,true,true]]"), "a line that no file has"),
        (file(",\"segments\":[[1,1,1,true,true],[4000000000,1,0,false,false]]"), "no file has"),
        (file(",\"segments\":[[5,1,1,true,true],[2,1,1,true,true]]"), "out of order"),
        (file(",\"segments\":[],\"branches\":[[1]]"), "a branch of another form"),
        (file(",\"segments\":[[1,1,-1,true,true]]"), "line 1"),
    ] {
        let refused = refusal(&text);
        assert!(refused.contains(words), "{text}: {refused}");
    }
}

fn figures(report: &Report) -> impl Iterator<Item = Share> {
    report
        .files
        .values()
        .flat_map(|file| [file.line_share(), file.function_share(), file.branch_share()])
}

fn check(report: &Report) -> Result<(), TestCaseError> {
    for share in figures(report) {
        prop_assert!(share.covered() <= share.total());
        prop_assert!(share.percent().is_none_or(|percent| (0.0..=100.0).contains(&percent)));
        prop_assert_eq!(share.percent().is_some_and(|percent| percent >= 100.0), share.is_whole());
    }
    Ok(())
}

/// A piece of some format, often well-formed.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        (0_u32..12, any::<u64>()).prop_map(|(line, count)| format!("DA:{line},{count}\n")),
        (0_u32..12, 0_u8..4).prop_map(|(line, count)| format!("BRDA:{line},0,{count},-\n")),
        (1_u32..12).prop_map(|line| format!("FN:{line},save\nFNDA:{line},save\n")),
        (0_u64..99).prop_map(|all| format!("LF:{all}\nLH:{}\n", all * 4)),
        Just("SF:a/b.rs\n".to_owned()),
        Just("end_of_record\n".to_owned()),
        "\\PC{0,12}\n",
    ]
}

proptest! {
    #[test]
    fn no_input_breaks_a_figure(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(report) = read(&bytes) {
            check(&report)?;
        }
    }

    #[test]
    fn no_lcov_breaks_a_figure(pieces in prop::collection::vec(piece(), 0..30)) {
        let body = pieces.concat();
        for text in [body.clone(), format!("SF:x\n{body}end_of_record\n")] {
            if let Ok(report) = read(text.as_bytes()) {
                check(&report)?;
                let modules = Modules::of(&report, &["x".to_owned()]).unwrap();
                let whole = modules.modules[0].lines.is_whole();
                prop_assert_eq!(modules.pass(FailUnder::FULL), whole);
                prop_assert_eq!(whole && modules.modules[0].uncovered.is_empty(), whole);
            }
        }
    }

    #[test]
    fn no_xml_or_json_breaks_a_figure(
        hits in any::<i128>(), line in any::<i64>(), taken in any::<u64>(), total in any::<u64>(),
        segments in prop::collection::vec((0_u32..9, 0_u32..9, any::<u64>(), any::<bool>(), any::<bool>()), 0..9),
    ) {
        let xml = format!(
            "<coverage><class filename='a'><line number='{line}' hits='{hits}' \
             condition-coverage='1% ({taken}/{total})'/><line number='1' hits='1'/></class></coverage>"
        );
        let segments = serde_json::to_string(&segments).unwrap();
        let json = format!(
            "{{\"type\":\"llvm.coverage.json.export\",\"data\":[{{\"files\":[{{\"filename\":\"a\",\
             \"segments\":{segments}}}]}}]}}"
        );
        for text in [xml, json] {
            if let Ok(report) = read(text.as_bytes()) {
                check(&report)?;
            }
        }
    }

    #[test]
    fn merging_in_any_order_gives_the_same_lines(
        reports in prop::collection::vec(prop::collection::vec((1_u32..9, 0_u64..3), 1..9), 1..5)
    ) {
        let read_all = |order: Vec<&Vec<(u32, u64)>>| {
            let mut merged = Report::default();
            for lines in order {
                let records: Vec<String> =
                    lines.iter().map(|(line, count)| format!("DA:{line},{count}\n")).collect();
                let records = records.concat();
                merged.merge(read(format!("SF:a\n{records}end_of_record\n").as_bytes()).unwrap());
            }
            merged
        };
        let forward = read_all(reports.iter().collect());
        let backward = read_all(reports.iter().rev().collect());
        prop_assert_eq!(&forward, &backward);
        let run = |line| reports.iter().flatten().any(|(l, count)| *l == line && *count > 0);
        for (line, count) in &forward.files["a"].lines {
            prop_assert_eq!(*count > 0, run(*line));
        }
    }
}
