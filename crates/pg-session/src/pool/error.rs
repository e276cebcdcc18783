//! Why a session could not be had.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;

/// What kept a caller from a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AcquireFailure {
    /// Every connection was in use until the deadline.
    Exhausted,
    /// No connection could be made.
    Connect,
    /// The pool is closed.
    Closed,
}

/// No session could be had within the acquire deadline, and why.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AcquireError {
    /// What kept the caller from a session.
    pub failure: AcquireFailure,
    /// Callers still waiting, without this one.
    pub waiting: usize,
    /// Sessions that callers hold.
    pub out: usize,
    /// The most connections that the pool may open.
    pub max: u32,
    /// The acquire deadline.
    pub after: Duration,
    /// The last failure to connect since the last success; where the acquire deadline cut the last
    /// attempt short, what the server refused before in the same wait.
    pub last_connect_error: Option<Arc<Error>>,
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waiting, out, max, after, .. } = self;
        match (self.failure, &self.last_connect_error) {
            (AcquireFailure::Closed, _) => f.write_str("no session: the pool is closed"),
            (AcquireFailure::Connect, Some(error)) => write!(f, "no session: {error}"),
            (AcquireFailure::Connect, None) => {
                write!(f, "no session within {after:?}: the connection was not ready in time")
            }
            (AcquireFailure::Exhausted, error) => {
                write!(
                    f,
                    "no session within {after:?}: {out} of {max} are in use and {waiting} more callers wait"
                )?;
                match error {
                    Some(error) => write!(f, "; last connect error: {error}"),
                    None => f.write_str(" — hold sessions for less time or raise max"),
                }
            }
        }
    }
}

impl std::error::Error for AcquireError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_says_what_it_is() {
        let shown = |failure, last_connect_error: Option<Error>| {
            let last_connect_error = last_connect_error.map(Arc::new);
            let after = Duration::from_secs(5);
            AcquireError { failure, waiting: 3, out: 2, max: 2, after, last_connect_error }
                .to_string()
        };
        let cause = || Some(Error::Config("no such thing".to_owned()));
        for (shown, expected) in [
            (shown(AcquireFailure::Closed, None), "no session: the pool is closed"),
            (shown(AcquireFailure::Connect, cause()), "no session: no such thing"),
            (
                shown(AcquireFailure::Connect, None),
                "no session within 5s: the connection was not ready in time",
            ),
            (
                shown(AcquireFailure::Exhausted, None),
                "no session within 5s: 2 of 2 are in use and 3 more callers wait \
                 — hold sessions for less time or raise max",
            ),
            (
                shown(AcquireFailure::Exhausted, cause()),
                "no session within 5s: 2 of 2 are in use and 3 more callers wait; \
                 last connect error: no such thing",
            ),
        ] {
            assert_eq!(shown, expected);
        }
    }
}
