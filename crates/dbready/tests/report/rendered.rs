//! The rendered formats.

use std::fs;
use std::path::Path;

use dbready::evidence::{Evidence, Outcome};
use dbready::report::{Beside, Certificate, Format, View};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixture::{self, HOSTILE, claim, compared, finding, hostile, inputs, large, small};

/// Compares with a stored file; `UPDATE_GOLDEN=1` writes it anew.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(stored, text, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
}

/// The report without the version of the program, which changes with every release.
fn render(certificate: &Certificate, format: Format) -> String {
    let mut certificate = certificate.clone();
    "0.0.0".clone_into(&mut certificate.tool_version);
    let reports = vec!["dbready-report/certificate.html".to_owned()];
    certificate.render(format, &View { reports, ..View::default() })
}

fn verbose() -> View {
    View { verbose: true, ..View::default() }
}

#[test]
fn small_report_in_terminal() {
    golden("small.txt", &render(&small(), Format::Terminal));
    golden("small-verbose.txt", &small().render(Format::Terminal, &verbose()));
}

#[test]
fn small_report_in_markdown() {
    golden("small.md", &render(&small(), Format::Markdown));
}

#[test]
fn small_report_in_junit() {
    golden("small.xml", &render(&small(), Format::Junit));
}

#[test]
fn a_statement_stands_under_its_claims_and_once_for_all_when_it_is_long() {
    let mut certificate = small();
    let short = render(&certificate, Format::Html);
    let runs = certificate.claims.iter().filter(|claim| {
        claim.evidence.iter().any(|one| one.statements.contains(&fixture::SNAPSHOT.to_owned()))
    });
    assert_eq!(short.matches("FROM pg_class c").count(), runs.count() + 1);
    let long = "SELECT 1 /* marked */\n".to_owned() + &"  -- and on\n".repeat(100);
    certificate.statements.insert(fixture::SNAPSHOT.to_owned(), long);
    assert_eq!(render(&certificate, Format::Html).matches("/* marked */").count(), 1);
}

#[test]
fn large_page_for_the_eye() {
    let page = render(&large(), Format::Html);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::write(folder.join("large.html"), &page).unwrap();
    fs::write(folder.join("hostile.html"), render(&hostile(), Format::Html)).unwrap();
    assert!(large().counts.expected > 200);
    // Each claim has a row of its own, beside one for each reason.
    assert!(page.matches("<details").count() as u64 > large().counts.expected);
}

#[test]
fn terminal_is_short_narrow_and_plain_whatever_the_run_holds() {
    let briefs = [small(), large(), hostile()].map(|one| render(&one, Format::Terminal));
    let long = [small(), large(), hostile()].map(|one| one.render(Format::Terminal, &verbose()));
    for (text, most) in briefs.iter().map(|one| (one, 80)).chain(long.iter().map(|one| (one, 250)))
    {
        assert!(text.lines().count() < most, "{}", text.lines().count());
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert!(line.chars().all(|character| !character.is_control()), "{line:?}");
        }
        assert!(!text.contains('\u{202e}'));
    }
}

#[test]
fn terminal_shows_what_is_wrong_first() {
    let text = render(&small(), Format::Terminal);
    let at = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("{needle}: {text}"));
    assert!(text.starts_with("NOT CERTIFIED"));
    assert!(at("REFUTED (3)") < at("UNPROVEN (2)"));
    assert!(at("schema.signal_greeks.column.delta") < at("drift.tables"), "gravest first");
    for needle in ["numeric(10,6)", "double precision", "ALTER TABLE", "certificate.html"] {
        at(needle);
    }
}

#[test]
fn terminal_colours_only_when_asked() {
    let certificate = small();
    let colored = certificate.render(Format::Terminal, &View { color: true, ..View::default() });
    assert!(colored.contains("\u{1b}["));
    assert!(!certificate.render(Format::Terminal, &View::default()).contains('\u{1b}'));
}

#[test]
fn many_refuted_claims_are_cut_in_the_terminal() {
    let many = (0..5_000).map(|at| format!("schema.t{at}"));
    let (claims, evidence): (Vec<_>, Vec<_>) = many
        .map(|id| {
            let target = dbready::claim::Target::NoDifference;
            let wrong = vec![finding(&id, "a", "b", Some("DO IT;")); 50];
            (claim(&id, "schema_integrity", "It holds.", target), compared(&id, "", wrong))
        })
        .unzip();
    let certificate = Certificate::assemble(inputs(claims, evidence));
    let text = render(&certificate, Format::Terminal);
    assert!(text.lines().count() < 60 && text.contains("and 4996 more refuted claims"), "{text}");
    let text = certificate.render(Format::Terminal, &verbose());
    assert!(text.lines().count() < 250 && text.contains("and 4988 more refuted claims"));
}

#[test]
fn html_escapes_everything_and_allows_nothing() {
    let page = render(&hostile(), Format::Html);
    let opened: std::collections::BTreeSet<&str> = page
        .split('<')
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '!').next().unwrap_or(""))
        .collect();
    for tag in ["img", "!", "a href=https", "iframe", "link", "base", "form"] {
        assert!(!opened.contains(tag), "{tag}");
    }
    assert_eq!(page.matches("<script").count(), 1, "its own");
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"));
    assert!(page.contains("default-src 'none'; style-src 'sha256-"));
    assert!(page.contains("; script-src 'sha256-") && !page.contains("unsafe-"));
    assert!(!page.contains(" style="), "inline styles are forbidden by the policy");
    assert!(!page.contains(" onerror=\"") && !page.contains("javascript:"));
    for hidden in ['\u{1b}', '\u{202e}', '\u{0}', '\u{7}', '\u{9b}'] {
        assert!(!page.contains(hidden), "{hidden:?}");
    }
    // Anchors lead inside the page only.
    assert!(page.split("href=\"").skip(1).all(|rest| rest.starts_with('#')));
    assert!(!page.contains("src=\""));
}

/// What a load test, a drill and a night would write beside [`small`], with names that are hostile.
fn beside_small() -> [Value; 3] {
    let small = small();
    let figure = small.claims.iter().find(|one| one.id == "load.queries.latest_greeks").unwrap();
    let second = |second: u32| json!({ "second": second, "due": 9, "failed": second / 2, "p50": 1.0, "p95": 4.5, "max": 9.0 });
    let step = |rate: f64| json!({ "offered_per_second": rate, "achieved_per_second": rate, "p50": 1.0, "p95": rate, "p99": 9.0 });
    let point = |at: f64| json!({ "at": at, "per_second": 9.0, "p50": 1.0, "p95": 2.0 });
    let load = json!({
        "format": "dbready-load",
        "figures": { "queries.latest_greeks": figure.evidence[0].outcome },
        "phases": [{
            "name": format!("course {HOSTILE}"),
            "workload": HOSTILE,
            "streams": { HOSTILE: { "timeline": [second(0), second(1), second(2)] } },
        }],
        "curve": [step(10.0), step(20.0)],
        "scaling": [{
            "axis": "batch", "unit": format!("rows {HOSTILE}"), "said": HOSTILE,
            "points": [point(1.0), point(1_000.0)],
        }],
    });
    let trial = json!({
        "name": HOSTILE, "proof": ["seen"], "invalid": null, "violations": [],
        "timeline": { "first_error_ms": 12.5, "first_success_ms": 340.0, "full_recovery_ms": 780.0, "cleared_ms": null },
    });
    let drill = json!({
        "format": "dbready-drill", "drill": "crash", "injects": "kill -9", "faults_injected": 1, "trials": [trial],
    });
    let nights = json!({
        "night": { "format": "dbready-night", "at": small.finished_at },
        "trend": [["2025-01-14T09:30:00Z", 10.0], [small.finished_at, small.score.value()]],
    });
    [load, drill, nights]
}

/// The small run with a drill that was run.
fn drilled() -> Certificate {
    let small = small();
    let target = small.claims[6].goal.clone();
    let mut drill = claim("drill.crash", "failure_modes", "No write is lost.", target);
    drill.producer = dbready::claim::Producer::Drill;
    let load = &small.claims[7];
    let mut figure = claim(&load.id, &load.area, &load.statement, load.goal.clone());
    figure.producer = dbready::claim::Producer::Load;
    let counted = Evidence {
        claim: drill.id.clone(),
        method: "kill -9".to_owned(),
        statements: Vec::new(),
        outcome: Outcome::Counted { trials: 1, population: None, wrong: 0, findings: Vec::new() },
    };
    Certificate::assemble(inputs(vec![drill, figure], vec![counted, load.evidence[0].clone()]))
}

fn page_with(certificate: &Certificate, documents: &[Value]) -> String {
    let mut beside = Beside::default();
    for document in documents {
        assert!(beside.add(&document.to_string()), "{document}");
    }
    certificate.render(Format::Html, &View { beside, ..View::default() })
}

#[test]
fn what_lies_beside_a_certificate_is_drawn_where_it_agrees() {
    let [load, drill, mut nights] = beside_small();
    let certificate = drilled();
    nights["trend"][1][1] = json!(certificate.score.value());
    let drawn = [
        "Second by second: course",
        "Response time against throughput",
        "Response time against rows",
        "first error after 12.5 ms",
        "The score of 2 nights",
    ];
    let page = page_with(&certificate, &[load.clone(), drill.clone(), nights.clone()]);
    for part in drawn {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<img") && !page.contains(" style="));
    let elsewhere = |change: &dyn Fn(&mut [Value; 3])| {
        let mut documents = [load.clone(), drill.clone(), nights.clone()];
        change(&mut documents);
        let page = page_with(&certificate, &documents);
        drawn.map(|part| page.contains(part))
    };
    assert_eq!(elsewhere(&|_| ()), [true; 5]);
    let figure = &certificate.claims[1].evidence[0].outcome;
    assert!(matches!(figure, Outcome::Measured { .. }));
    let other_load = elsewhere(&|all| all[0]["figures"]["queries.latest_greeks"]["n"] = json!(1));
    assert_eq!(other_load, [false, false, false, true, true]);
    let other_drill = elsewhere(&|all| all[1]["faults_injected"] = json!(7));
    assert_eq!(other_drill, [true, true, true, false, true]);
    let other_night = elsewhere(&|all| all[2]["night"]["at"] = json!("2025-01-13T09:30:00Z"));
    assert_eq!(other_night, [true, true, true, true, false]);
    let mut beside = Beside::default();
    for foreign in ["", "{}", "[]", "{\"format\": \"dbready-load\"}"] {
        assert!(!beside.add(foreign), "{foreign}");
    }
}

#[test]
fn a_load_test_without_figures_is_drawn_where_it_began_with_the_certificate() {
    let certificate = Certificate::assemble(inputs(Vec::new(), Vec::new()));
    let [mut load, ..] = beside_small();
    load["figures"] = json!({});
    let drawn = |load: &Value| {
        let page = page_with(&certificate, std::slice::from_ref(load));
        ["Response time against throughput", "Response time against rows", "id=\"figures\""]
            .map(|part| page.contains(part))
    };
    assert_eq!(drawn(&load), [false; 3], "it does not say of which run it is");
    load["started_at"] = json!("2025-01-15T09:29:59Z");
    assert_eq!(drawn(&load), [false; 3]);
    load["started_at"] = json!(certificate.started_at);
    assert_eq!(drawn(&load), [true; 3]);
    load["scaling"] = json!([]);
    assert_eq!(drawn(&load), [true, false, true]);
    // One step is no curve, and where nothing is drawn there is no heading.
    load["curve"].as_array_mut().unwrap().truncate(1);
    load["phases"] = json!([]);
    assert_eq!(drawn(&load), [false; 3]);
    // Figures that are another run's are never overruled by the time.
    load = beside_small()[0].clone();
    load["started_at"] = json!(certificate.started_at);
    assert_eq!(drawn(&load), [false; 3]);
}

#[test]
fn markdown_opens_no_markup_of_the_run() {
    let text = render(&hostile(), Format::Markdown);
    for hidden in ['\u{1b}', '\u{202e}', '\u{0}', '\u{7}'] {
        assert!(!text.contains(hidden), "{hidden:?}");
    }
    // A line of a fenced block is text, unless it closes the block.
    let mut fence = None;
    let prose: Vec<&str> = text
        .lines()
        .filter(|line| match fence {
            None => {
                let ticks = line.len() - line.trim_start_matches('`').len();
                fence = (ticks >= 3).then_some(ticks);
                fence.is_none()
            }
            Some(ticks) => {
                let closes = line.len() >= ticks && line.chars().all(|c| c == '`');
                fence = if closes { None } else { fence };
                false
            }
        })
        .collect();
    assert_eq!(fence, None, "every block is closed");
    assert!(prose.iter().any(|line| line.starts_with("## The run")), "{text}");
    for line in &prose {
        assert!(!line.starts_with("# heading") && !line.starts_with("- item"), "{line}");
    }
    // Every row of a table has the cells of its head.
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    let mut head = None;
    for line in prose {
        match (line.starts_with('|'), head) {
            (true, None) => head = Some(bars(line)),
            (true, Some(expected)) => assert_eq!(bars(line), expected, "{line}"),
            (false, _) => head = None,
        }
    }
}

#[test]
fn junit_is_xml_whatever_the_run_holds() {
    for certificate in [small(), large(), hostile()] {
        let text = render(&certificate, Format::Junit);
        let allowed = |character: char| matches!(character, '\n' | '\t' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        assert!(text.chars().all(allowed));
        assert!(!text.contains("<img") && !text.contains("]]>"));
        // Balanced: what is opened is closed or closes itself.
        let opened =
            text.matches('<').count() - text.matches("</").count() - text.matches("<?").count();
        let closed = text.matches("</").count() + text.matches("/>").count();
        assert_eq!(opened, closed);
    }
}

#[test]
fn junit_is_red_exactly_when_not_certified() {
    let text = render(&small(), Format::Junit);
    assert!(text.contains("failures=\"2\""), "required and refuted");
    assert!(text.contains("type=\"unproven\""));
    assert!(text.contains("<skipped message=\"refuted, optional"), "{text}");
    let text = render(&hostile(), Format::Junit);
    assert!(text.contains("<testsuite name=\"run\""), "problems of the run are errors");
}

#[test]
fn the_files_of_a_report() {
    let certificate = small();
    let files = certificate.files(&Beside::default());
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["certificate.json", "certificate.md", "certificate.html", "junit.xml"]);
    assert_eq!(files[0].1, certificate.to_json());
    assert!(files.iter().all(|(_, text)| text.ends_with('\n') || text.ends_with("</html>")));
}

#[test]
fn formats_have_names() {
    for format in Format::ALL {
        assert_eq!(format.name().parse::<Format>().unwrap(), format);
    }
    assert!(
        "pdf"
            .parse::<Format>()
            .unwrap_err()
            .contains("terminal, markdown, json, html, junit, sarif, csv, github, in-toto")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_is_rendered_safely(text in "\\PC{0,40}|[\\x00-\\x7f\u{200e}\u{202e}\u{2066}]{0,40}") {
        let target = dbready::claim::Target::NoDifference;
        let wrong = finding(&text, &text, &text, Some(&text));
        let mut run = inputs(
            vec![claim(&text, "schema_integrity", &text, target)],
            vec![compared(&text, &text, vec![wrong])],
        );
        run.notes = vec![text.clone()];
        let certificate = Certificate::assemble(run);
        prop_assert_eq!(&Certificate::from_json(&certificate.to_json()).unwrap(), &certificate);
        let terminal = render(&certificate, Format::Terminal);
        for line in terminal.lines() {
            prop_assert!(line.chars().count() <= 80);
            let plain = |c: char| !c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c);
            let all_plain = line.chars().all(plain);
            prop_assert!(all_plain);
        }
        // Text between backticks is set as code; a text can make no other tag.
        let tags = |page: &str| {
            let plain = page.replace("<code>", "").replace("</code>", "");
            plain.matches('<').count()
        };
        let plain = fixture::claim("x", "schema_integrity", "x", dbready::claim::Target::NoDifference);
        let harmless = finding("x", "x", "x", Some("x"));
        let mut run = inputs(vec![plain], vec![compared("x", "x", vec![harmless])]);
        run.notes = vec!["x".to_owned()];
        let expected = render(&Certificate::assemble(run), Format::Html);
        prop_assert_eq!(tags(&render(&certificate, Format::Html)), tags(&expected));
    }
}
