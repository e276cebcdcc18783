//! Ending a command in order at the first signal.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Lets a command that measures for long end early with what it has.
#[derive(Debug)]
pub(crate) struct Stop {
    is_heeded: AtomicBool,
    sender: watch::Sender<bool>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { is_heeded: AtomicBool::new(false), sender: watch::channel(false).0 }
    }
}

impl Stop {
    /// From here on the command ends in order when the receiver turns true.
    pub(crate) fn heed(&self) -> watch::Receiver<bool> {
        self.is_heeded.store(true, Ordering::Release);
        self.sender.subscribe()
    }

    /// From here on the command is dropped by a signal, as others are.
    pub(crate) fn ignore(&self) {
        self.is_heeded.store(false, Ordering::Release);
    }

    /// Whether a signal was heeded.
    pub(crate) fn is_requested(&self) -> bool {
        *self.sender.borrow()
    }

    /// Asks the command to end; false when it does not heed that now.
    pub(crate) fn request(&self) -> bool {
        let is_heeded = self.is_heeded.load(Ordering::Acquire);
        if is_heeded {
            self.sender.send_replace(true);
        }
        is_heeded
    }
}
