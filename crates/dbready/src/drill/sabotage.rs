//! What is broken on purpose, to see that a drill notices. Drills as they are run for a verdict have the
//! default, which breaks nothing; only [`super::prove`] has another.

use pg_session::{Config, Isolation, PoolOptions};

use super::heard::Heard;

/// Makes another answer of one.
pub(crate) type Twist = fn(Heard) -> Heard;
/// Changes the limits of a pool.
pub(crate) type Change = fn(&mut PoolOptions);

/// Where a drill can be broken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sabotage {
    /// The injector does nothing.
    pub(crate) no_fault: bool,
    /// The layer's answers are twisted.
    pub(crate) answer: Option<Twist>,
    /// The pool has other limits.
    pub(crate) limits: Option<Change>,
    /// The layer's sessions have another setting.
    pub(crate) setting: Option<(&'static str, &'static str)>,
    /// Transactions of one level run at another.
    pub(crate) isolation: Option<(Isolation, Isolation)>,
    /// The database is spoilt before the drill begins.
    pub(crate) sql: Option<&'static str>,
}

impl Sabotage {
    /// Whether faults are injected.
    pub(crate) fn injects(&self) -> bool {
        !self.no_fault
    }

    /// What is heard of an answer.
    pub(crate) fn answer(&self, heard: Heard) -> Heard {
        match self.answer {
            Some(twist) => twist(heard),
            None => heard,
        }
    }

    /// The limits of a pool.
    pub(crate) fn limits(&self, mut options: PoolOptions) -> PoolOptions {
        if let Some(change) = self.limits {
            change(&mut options);
        }
        options
    }

    /// The configuration of a pool.
    pub(crate) fn config(&self, config: Config) -> Config {
        match self.setting {
            Some((name, value)) => config.with_parameter(name, value),
            None => config,
        }
    }

    /// At which level a transaction runs that asks for one.
    pub(crate) fn isolation(&self, asked: Isolation) -> Isolation {
        match self.isolation {
            Some((level, other)) if level == asked => other,
            _ => asked,
        }
    }

    /// What spoils the database.
    pub(crate) fn sql(&self) -> Option<&'static str> {
        self.sql
    }
}
