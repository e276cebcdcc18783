//! The page in a real browser.
//!
//! A machine without Chromium fails these tests; they are ignored unless asked for, as CI does.

use std::collections::BTreeSet;
use std::fs;

use dbready::report::{Certificate, Format, View};
use dbready::verdict::Status;
use serde_json::json;

use crate::chromium::Page;
use crate::fixture::{HOSTILE, hostile, large};

impl Page {
    fn open(certificate: &Certificate) -> Self {
        let mut page = Self::start();
        page.show(&certificate.render(Format::Html, &View::default()));
        page
    }

    /// Loads a document, and waits until it is there.
    fn show(&mut self, html: &str) {
        let file = self.folder.as_ref().unwrap().path().join("certificate.html");
        fs::write(&file, html).unwrap();
        self.go(&format!("file://{}", file.display()));
    }

    fn press(&mut self, key: &str, text: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_empty() {
                params["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", &params);
        }
    }

    fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Statements of the claims that are shown.
    fn rows(&mut self) -> Vec<String> {
        let rows = self.value(
            "[...document.querySelectorAll('#list details')].filter(row => row.checkVisibility()) \
             .map(row => row.querySelector('.id').textContent)",
        );
        serde_json::from_value(rows).unwrap()
    }
}

fn ids(certificate: &Certificate, fits: impl Fn(&str, Status) -> bool) -> BTreeSet<String> {
    let claims = certificate.claims.iter().filter(|claim| fits(&claim.id, claim.status));
    claims.map(|claim| claim.id.clone()).collect()
}

fn shown(page: &mut Page) -> BTreeSet<String> {
    page.rows().into_iter().collect()
}

#[test]
#[ignore = "needs Chromium"]
fn claims_are_searched_filtered_and_unfolded_by_keys_and_mouse() {
    let certificate = large();
    let mut page = Page::open(&certificate);
    assert_eq!(shown(&mut page), ids(&certificate, |_, _| true));

    page.press("/", "/", 191);
    assert_eq!(page.value("document.activeElement.id"), "search");
    page.write("LATEST_greeks prepares");
    let of_query = ids(&certificate, |id, _| id == "query.latest_greeks.prepares");
    assert_eq!(of_query.len(), 1);
    assert_eq!(shown(&mut page), of_query);
    let all = certificate.counts.expected;
    assert_eq!(page.value("document.getElementById('told').value"), format!("1 of {all} claims"));
    page.write(" no such thing");
    assert_eq!(page.rows(), [""; 0]);
    assert_eq!(page.value("document.getElementById('none').checkVisibility()"), true);
    page.press("Escape", "", 27);
    assert_eq!(shown(&mut page), ids(&certificate, |_, _| true));

    page.click("#tools input[value=refuted] + span");
    let refuted = ids(&certificate, |_, status| status == Status::Refuted);
    assert!(!refuted.is_empty());
    assert_eq!(shown(&mut page), refuted);
    page.press("ArrowRight", "", 39);
    assert_eq!(shown(&mut page), ids(&certificate, |_, status| status == Status::Unproven));

    page.click("#tools input[value=''] + span");
    page.value("area.selectedIndex = 1; area.dispatchEvent(new Event('change'))");
    let first = &certificate.refinements[0].areas[0].name;
    let of_area = certificate.claims.iter().filter(|claim| claim.area == *first);
    assert_eq!(shown(&mut page), of_area.map(|claim| claim.id.clone()).collect());

    let is_open = "document.querySelectorAll('#list details[open]').length";
    assert_eq!(page.value(is_open), 0);
    page.click("#list details:not([hidden]) summary");
    assert_eq!(page.value(is_open), 1);
    let body = page.value("document.querySelector('#list details[open] .body').innerText");
    for part in ["Target", "Observed", "Method", "catalog snapshot", "127.0.0.1:5432/signals"] {
        assert!(body.as_str().unwrap().contains(part), "{part}: {body}");
    }
    page.press("Enter", "\r", 13);
    assert_eq!(page.value(is_open), 0, "the summary has the focus, and Enter folds it");
    page.click("#open");
    assert_eq!(page.value(is_open), page.rows().len());
    page.click("#open");
    assert_eq!(page.value(is_open), 0);

    // A link to a claim that is filtered out shows it. A browser follows it after the click.
    page.click("#tools input[value=proven] + span");
    page.click("article.wrong .more a");
    page.until(is_open, 1);
    assert_eq!(
        page.value("document.querySelector('#list details[open]').dataset.status"),
        "refuted"
    );
    assert_eq!(page.complaints(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium"]
fn hostile_names_stay_text() {
    let mut page = Page::open(&hostile());
    let text = page.value("document.body.textContent");
    let visible = HOSTILE.split('\u{1b}').next().unwrap();
    assert!(text.as_str().unwrap().contains(visible), "{visible}");
    assert!(!page.rows().is_empty());
    assert_eq!(page.value("document.images.length"), 0);
    assert_eq!(page.value("document.scripts.length"), 1);
    assert_eq!(
        page.value("document.querySelectorAll('iframe, object, link, form, base').length"),
        0
    );
    let handlers = "[...document.querySelectorAll('*')].flatMap(one => one.getAttributeNames()) \
                    .filter(name => name.startsWith('on')).length";
    assert_eq!(page.value(handlers), 0);
    assert_eq!(page.complaints(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium"]
fn what_is_injected_is_dead_and_noticed() {
    let html = large().render(Format::Html, &View::default());
    let injected = "<h2 id=\"score\"><img src=x onerror=\"document.title='hacked'\">\
                    <script>document.title='hacked'</script><b style=\"color:red\">b</b>";
    let html = html.replacen("<h2 id=\"score\">", injected, 1);
    let mut page = Page::start();
    page.show(&html);
    assert_eq!(page.value("document.images.length"), 1);
    let title = page.value("document.title");
    assert!(title.as_str().unwrap().starts_with("NOT CERTIFIED"), "{title}");
    let complaints = page.complaints().join("\n");
    for directive in ["img-src", "script-src", "style-src"] {
        let spoken = complaints.contains(directive) || complaints.contains("default-src");
        assert!(spoken, "{directive}: {complaints}");
    }
    assert!(page.complaints().len() >= 3, "{complaints}");
}

#[test]
#[ignore = "needs Chromium"]
fn the_page_fits_every_width_and_both_schemes() {
    for certificate in [large(), hostile()] {
        let mut page = Page::open(&certificate);
        let mut grounds = BTreeSet::new();
        for scheme in ["light", "dark"] {
            grounds.insert(page.fits(scheme));
        }
        assert_eq!(grounds.len(), 2, "{grounds:?}");
        // On paper the tools are gone, and what is unproven is named.
        page.emulate(&[], "print");
        assert_eq!(page.value("document.getElementById('tools').checkVisibility()"), false);
        let named =
            "document.querySelector('.reason li').checkVisibility({ contentVisibilityAuto: true })";
        assert_eq!(page.value(named), true);
    }
}

#[test]
#[ignore = "needs Chromium"]
fn everything_is_there_without_scripts() {
    let certificate = large();
    let mut page = Page::start();
    page.call("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    page.show(&certificate.render(Format::Html, &View::default()));
    assert_eq!(page.value("document.getElementById('tools').checkVisibility()"), false);
    assert_eq!(shown(&mut page), ids(&certificate, |_, _| true));
    page.click("#list details summary");
    assert_eq!(page.value("document.querySelectorAll('#list details[open]').length"), 1);
}

#[test]
#[ignore = "needs Chromium"]
fn whatever_can_be_used_has_a_name() {
    let mut page = Page::open(&large());
    page.click("#open");
    let tree = page.call("Accessibility.getFullAXTree", &json!({}));
    let mut named: BTreeSet<String> = BTreeSet::new();
    for node in tree["nodes"].as_array().unwrap() {
        if node["ignored"] == true {
            continue;
        }
        let role = node["role"]["value"].as_str().unwrap_or_default();
        let used =
            ["button", "link", "searchbox", "combobox", "radio", "image", "DisclosureTriangle"];
        if used.contains(&role) {
            let name = node["name"]["value"].as_str().unwrap_or_default();
            assert!(!name.trim().is_empty(), "{node}");
            named.insert(role.to_owned());
        }
    }
    for role in ["button", "link", "searchbox", "combobox", "radio", "image"] {
        assert!(named.contains(role), "{role}: {named:?}");
    }
    let levels = page
        .value("[...document.querySelectorAll('h1, h2, h3')].map(one => Number(one.tagName[1]))");
    let levels: Vec<u64> = serde_json::from_value(levels).unwrap();
    assert_eq!(levels[0], 1);
    assert!(levels.windows(2).all(|two| two[1] <= two[0] + 1), "{levels:?}");
    assert_eq!(page.value("document.documentElement.lang"), "en");
}
