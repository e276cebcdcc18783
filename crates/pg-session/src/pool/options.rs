//! The limits of a pool.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::random;

/// The limits of a pool and of the commands that run through it. The defaults
/// are those of the Signal Service contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    /// Connections kept open even when idle. Default 2.
    pub min: u32,
    /// Connections open at most. Default 10.
    pub max: u32,
    /// The time for a whole [`acquire`](crate::Pool::acquire): waiting for a free
    /// connection, name look-up, connecting, TLS and authentication. Default 5 s.
    pub acquire_timeout: Duration,
    /// The time for one command. The server stops the command then; should it not
    /// answer, the caller gets [`Error::Deadline`] shortly after. Default 30 s.
    pub command_timeout: Duration,
    /// A connection older than this, or than nine tenths of it by chance, is
    /// replaced when it is returned. Default 30 min.
    pub max_lifetime: Duration,
    /// Connections beyond `min` that are idle for longer are closed. Default 10 min.
    pub max_idle: Duration,
    /// A connection idle for longer is asked whether it is alive before it is
    /// handed out. Default 30 s.
    pub check_after: Duration,
    /// A session held for longer is reported with the place that took it. Default 60 s.
    pub leak_after: Duration,
    /// Prepared statements kept for each connection. Texts of more than 64 KiB are
    /// prepared anew each time. Default 256.
    pub statements: usize,
    /// The name under which the running times of a statement are published, by its
    /// text. Statements without a name share the name `other`. Default: none.
    pub statement_names: Arc<BTreeMap<String, String>>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            min: 2,
            max: 10,
            acquire_timeout: Duration::from_secs(5),
            command_timeout: Duration::from_secs(30),
            max_lifetime: Duration::from_mins(30),
            max_idle: Duration::from_mins(10),
            check_after: Duration::from_secs(30),
            leak_after: Duration::from_mins(1),
            statements: 256,
            statement_names: Arc::default(),
        }
    }
}

impl PoolOptions {
    /// Refuses limits that cannot work.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |reason: String| Err(Error::Config(format!("pool: {reason}")));
        if self.max == 0 || self.max > 10_000 {
            return refuse(format!("max is {}, expected 1 to 10000 connections", self.max));
        }
        if self.min > self.max {
            return refuse(format!("min is {} and max only {}", self.min, self.max));
        }
        for (name, limit) in [
            ("acquire_timeout", self.acquire_timeout),
            ("command_timeout", self.command_timeout),
            ("max_lifetime", self.max_lifetime),
            ("max_idle", self.max_idle),
            ("leak_after", self.leak_after),
        ] {
            if limit < Duration::from_millis(1) || limit > Duration::from_hours(7 * 24) {
                return refuse(format!("{name} is {limit:?}, expected 1 ms to 7 days"));
            }
        }
        Ok(())
    }
}

/// How long a connection lives: those opened together do not end together.
pub(crate) fn lifetime(options: &PoolOptions) -> Duration {
    options.max_lifetime / 10 * 9 + random::up_to(options.max_lifetime / 10)
}

#[cfg(test)]
mod tests {
    use super::{PoolOptions, lifetime};
    use std::time::Duration;

    #[test]
    fn the_defaults_are_the_contracts() {
        let options = PoolOptions::default();
        assert_eq!((options.min, options.max), (2, 10));
        assert_eq!(options.acquire_timeout, Duration::from_secs(5));
        assert_eq!(options.command_timeout, Duration::from_secs(30));
        assert!(options.check().is_ok());
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        let refusal = |change: fn(&mut PoolOptions)| {
            let mut options = PoolOptions::default();
            change(&mut options);
            options.check().unwrap_err().to_string()
        };
        assert!(refusal(|o| o.max = 0).contains("max is 0"));
        assert!(refusal(|o| o.min = 11).contains("min is 11 and max only 10"));
        assert!(refusal(|o| o.acquire_timeout = Duration::ZERO).contains("acquire_timeout is 0ns"));
        assert!(refusal(|o| o.command_timeout = Duration::MAX).contains("command_timeout"));
    }

    #[test]
    fn limits_are_taken_up_to_their_bounds() {
        let (short, long) = (Duration::from_millis(1), Duration::from_hours(24 * 7));
        let limits: [fn(&mut PoolOptions) -> &mut Duration; 5] = [
            |o| &mut o.acquire_timeout,
            |o| &mut o.command_timeout,
            |o| &mut o.max_lifetime,
            |o| &mut o.max_idle,
            |o| &mut o.leak_after,
        ];
        for limit in limits {
            let check = |value| {
                let mut options = PoolOptions::default();
                *limit(&mut options) = value;
                options.check()
            };
            for taken in [short, long] {
                check(taken).unwrap();
            }
            let step = Duration::from_nanos(1);
            for refused in [short.saturating_sub(step), long + step] {
                let shown = check(refused).unwrap_err().to_string();
                assert!(shown.contains("expected 1 ms to 7 days"), "{shown}");
            }
        }
        let connections = |min, max| PoolOptions { min, max, ..PoolOptions::default() }.check();
        for (min, max) in [(0, 1), (1, 1), (10_000, 10_000)] {
            connections(min, max).unwrap();
        }
        let shown = connections(1, 10_001).unwrap_err().to_string();
        assert!(shown.contains("max is 10001"), "{shown}");
    }

    #[test]
    fn connections_live_nine_tenths_of_the_limit_and_the_rest_by_chance() {
        let limit = Duration::from_secs(1000);
        let options = PoolOptions { max_lifetime: limit, ..PoolOptions::default() };
        let lives: Vec<Duration> = (0..500).map(|_| lifetime(&options)).collect();
        assert!(lives.iter().all(|life| (limit / 10 * 9..=limit).contains(life)), "{lives:?}");
        assert!(lives.iter().any(|life| *life > limit / 20 * 19), "{lives:?}");
    }
}
