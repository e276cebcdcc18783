//! What tests break on purpose, to see that a drill notices. A shipped build breaks nothing: outside
//! of tests every hook gives back what it was given.

use pg_session::{Config, PoolOptions};

use super::heard::Heard;

/// Where a drill can be broken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sabotage {
    /// The injector does nothing.
    #[cfg(test)]
    pub(crate) no_fault: bool,
    /// The layer's answers are twisted.
    #[cfg(test)]
    pub(crate) answer: Option<fn(Heard) -> Heard>,
    /// The pool has other limits.
    #[cfg(test)]
    pub(crate) limits: Option<fn(&mut PoolOptions)>,
    /// The layer's sessions have another setting.
    #[cfg(test)]
    pub(crate) setting: Option<(&'static str, &'static str)>,
    /// The database is spoilt before the drill begins.
    #[cfg(test)]
    pub(crate) sql: Option<&'static str>,
}

#[cfg_attr(not(test), expect(clippy::unused_self, reason = "the hooks are empty outside of tests"))]
impl Sabotage {
    /// Whether faults are injected.
    pub(crate) fn injects(&self) -> bool {
        #[cfg(test)]
        return !self.no_fault;
        #[cfg(not(test))]
        true
    }

    pub(crate) fn answer(&self, heard: Heard) -> Heard {
        #[cfg(test)]
        if let Some(twist) = self.answer {
            return twist(heard);
        }
        heard
    }

    pub(crate) fn limits(&self, options: PoolOptions) -> PoolOptions {
        #[cfg(test)]
        if let Some(change) = self.limits {
            let mut options = options;
            change(&mut options);
            return options;
        }
        options
    }

    pub(crate) fn config(&self, config: Config) -> Config {
        #[cfg(test)]
        if let Some((name, value)) = self.setting {
            return config.with_parameter(name, value);
        }
        config
    }

    pub(crate) fn sql(&self) -> Option<&'static str> {
        #[cfg(test)]
        return self.sql;
        #[cfg(not(test))]
        None
    }
}
