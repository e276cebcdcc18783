//! What runs on this machine in a folder.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The processes that name a folder in their arguments or work in it: a server's main process does
/// the first, its children the second. Each with its command line.
pub(crate) fn processes_of(folder: &Path) -> Vec<(u32, String)> {
    let needle = folder.as_os_str().as_bytes();
    let holds = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end between two looks.
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let place = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if holds(&arguments) || place.starts_with(folder) {
            let words = String::from_utf8_lossy(&arguments).replace('\0', " ");
            found.push((pid, words));
        }
    }
    found
}

/// Waits until the condition holds, and fails with the words of `what` when it never does.
#[track_caller]
pub(crate) fn wait_until(what: impl Fn() -> String, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "not within 30 s: {}", what());
        sleep(Duration::from_millis(100));
    }
}
