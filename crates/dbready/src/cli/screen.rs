//! What the user sees while work goes on: a moving line on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pg_local::Step;

/// The screen of one command. It writes to standard error only.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    bar: Option<ProgressBar>,
    is_quiet: bool,
    last: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Screen {
    /// A screen that moves on a terminal, and says nothing when `is_quiet`.
    pub(crate) fn new(is_quiet: bool) -> Self {
        let moves = !is_quiet && std::io::stderr().is_terminal();
        let bar = moves.then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, is_quiet, last: std::sync::Arc::default() }
    }

    /// Says what is being done now.
    pub(crate) fn doing(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => self.plain(what),
        }
    }

    /// Says what is being done now, where it is soon over: only a terminal shows it.
    pub(crate) fn passing(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    /// A step of the local server's long work, with its share where there is one.
    pub(crate) fn step(&self, step: &Step) {
        let Some(bar) = &self.bar else { return self.plain(&with_tenths(step)) };
        let style = match step.share {
            // Large numbers are bytes, small ones things.
            Some((done, total)) => {
                bar.set_length(total);
                bar.set_position(done);
                if total > 100_000 { BYTES } else { THINGS }
            }
            None => SPINNER,
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(step.doing.clone());
    }

    /// Says what has been done; it stays on the screen.
    pub(crate) fn done(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.println(what),
            None => self.plain(what),
        }
    }

    /// Clears the moving line.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// A plain line, once for each thing.
    fn plain(&self, line: &str) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !self.is_quiet && *last != line {
            line.clone_into(&mut last);
            say(line);
        }
    }
}

/// What is being done, and off a terminal how far it is, in tenths so that lines are few.
fn with_tenths(step: &Step) -> String {
    let tenths = step.share.map_or(0, |(done, total)| done.saturating_mul(10) / total.max(1));
    match tenths {
        0 => step.doing.clone(),
        tenths => format!("{}: {} %", step.doing, tenths * 10),
    }
}

/// Says what went wrong, however quiet the program is to be.
pub(crate) fn complain(what: &str) {
    say(&format!("error: {what}"));
}

/// A line on standard error. Where that takes nothing, nobody is left to tell.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

const SPINNER: &str = "{spinner} {msg}";
const BYTES: &str = "{spinner} {msg} [{bar:30}] {bytes} of {total_bytes}, {eta} left";
const THINGS: &str = "{spinner} {msg} [{bar:30}] {pos} of {len}";
