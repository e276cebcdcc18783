//! The rendered formats.

use std::fs;
use std::path::Path;

use dbready::report::{Certificate, Format};
use proptest::prelude::*;

use crate::fixture::{self, claim, compared, finding, hostile, inputs, large, small};

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
    certificate.render(format, false, &["dbready-report/certificate.html".to_owned()])
}

#[test]
fn small_report_in_terminal() {
    golden("small.txt", &render(&small(), Format::Terminal));
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
fn large_page_for_the_eye() {
    let page = render(&large(), Format::Html);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::write(folder.join("large.html"), &page).unwrap();
    fs::write(folder.join("hostile.html"), render(&hostile(), Format::Html)).unwrap();
    assert!(large().counts.expected > 200);
    // Each claim has a row of its own, beside one for each reason.
    assert!(page.matches("<details>").count() as u64 > large().counts.expected);
}

#[test]
fn terminal_is_short_narrow_and_plain_whatever_the_run_holds() {
    for certificate in [small(), large(), hostile()] {
        let text = render(&certificate, Format::Terminal);
        assert!(text.lines().count() < 250, "{}", text.lines().count());
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
    let colored = certificate.render(Format::Terminal, true, &[]);
    assert!(colored.contains("\u{1b}["));
    assert!(!certificate.render(Format::Terminal, false, &[]).contains('\u{1b}'));
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
    let text = render(&Certificate::assemble(inputs(claims, evidence)), Format::Terminal);
    assert!(text.lines().count() < 250);
    assert!(text.contains("and 4988 more refuted claims"));
}

#[test]
fn html_escapes_everything_and_allows_nothing() {
    let page = render(&hostile(), Format::Html);
    let opened: std::collections::BTreeSet<&str> = page
        .split('<')
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '!').next().unwrap_or(""))
        .collect();
    for tag in ["img", "script", "!", "a href=https", "iframe", "link", "base", "form"] {
        assert!(!opened.contains(tag), "{tag}");
    }
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"));
    assert!(page.contains("default-src 'none'; style-src 'sha256-"));
    assert!(!page.contains(" style="), "inline styles are forbidden by the policy");
    assert!(!page.contains(" onerror=\"") && !page.contains("javascript:"));
    for hidden in ['\u{1b}', '\u{202e}', '\u{0}', '\u{7}', '\u{9b}'] {
        assert!(!page.contains(hidden), "{hidden:?}");
    }
    // Anchors lead inside the page only.
    assert!(page.split("href=\"").skip(1).all(|rest| rest.starts_with('#')));
    assert!(!page.contains("src=\""));
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
    let files = certificate.files();
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
            .contains("terminal, markdown, json, html, junit, sarif, csv, github")
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
