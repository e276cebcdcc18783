//! The dashboard of `dbready watch` in a real browser.
//!
//! A machine without Chromium fails these tests; they are ignored unless asked for, as CI does.

use std::collections::BTreeSet;

use crate::chromium::Page;
use crate::support::migrated;
use crate::watch::Watching;

/// Whether the page holds a text.
fn holds(text: &str) -> String {
    format!("document.getElementById('live').textContent.includes({text:?})")
}

#[test]
#[ignore = "needs Chromium"]
fn the_dashboard_shows_what_happens_without_being_asked() {
    let database = migrated();
    let watching = Watching::of(database.url());
    watching.is_certified();
    let mut page = Page::start();
    page.go(&format!("http://{}/", watching.address));
    let hostile = "<img src=x onerror=alert(1)>";
    assert_eq!(page.value(&holds(hostile)), false);
    page.click("#live details summary");
    let opened = "[...document.querySelectorAll('#live details[open]')].map(row => row.id).join()";
    let first = page.value("document.querySelector('#live details').id");
    assert_eq!(page.value(opened), first);

    database.run_sql(&format!("CREATE TABLE \"{hostile}\" (a int)")).unwrap();
    page.until(&holds(hostile), true);
    assert_eq!(page.value("document.images.length"), 0, "names stay text");
    assert_eq!(page.value(opened), first, "what was unfolded stays so");
    assert_eq!(page.value("document.activeElement.closest('details').id"), first);
    page.value("document.querySelector('#live nav a:nth-child(2)').focus()");
    database.run_sql(&format!("DROP TABLE \"{hostile}\"")).unwrap();
    page.until("document.querySelector('h1').textContent.includes('refuted')", true);
    page.until(&holds("resolved"), true);
    assert_eq!(page.value("document.activeElement.getAttribute('href')"), "#drift");

    let schemes = ["light", "dark"].map(|scheme| page.fits(scheme));
    assert_eq!(schemes.into_iter().collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(page.complaints(), [""; 0]);
    let lost = "document.getElementById('lost').checkVisibility()";
    assert_eq!(page.value(lost), false);
    watching.terminate();
    page.until(lost, true);
}
