//! Which primary may follow another, so that a pool of several servers does not write
//! to one that a failover has left behind.

use std::fmt;
use std::sync::{Arc, Mutex};

use tokio_postgres::SimpleQueryRow;

use crate::pool::lock;
use crate::text::one_line;

/// Asks a primary who it is; a standby answers with no row. Every role may ask, unless
/// the right was taken from it.
pub(crate) const QUESTION: &str = "SELECT system_identifier, \
     pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) \
     FROM pg_catalog.pg_control_system() WHERE NOT pg_catalog.pg_is_in_recovery()";

/// Why a primary may not follow the one that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Divergence {
    /// It is no copy of the known one: `system_identifier` differs.
    OtherSystem {
        /// The identifier of the primary that the pool began with.
        known: String,
        /// The identifier of this one.
        found: String,
    },
    /// It was left behind by a failover: each promotion begins a new timeline.
    OlderTimeline {
        /// The newest timeline that the pool has seen.
        newest: u32,
        /// The timeline of this one.
        found: u32,
    },
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherSystem { known, found } => write!(
                f,
                "it holds another system's data, identifier {} instead of {} — correct the list of hosts",
                one_line(found, 24),
                one_line(known, 24)
            ),
            Self::OlderTimeline { newest, found } => write!(
                f,
                "it was left behind by a failover, on timeline {found} while another is on {newest} — stop it, or make it follow"
            ),
        }
    }
}

/// Who a primary says that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Primary {
    system: String,
    timeline: u32,
}

impl Primary {
    /// Reads the answer to [`QUESTION`].
    pub(crate) fn read(row: &SimpleQueryRow) -> Option<Self> {
        // The first eight digits of the name of a WAL file are its timeline.
        let timeline = row.get(1)?.get(..8)?;
        let timeline = u32::from_str_radix(timeline, 16).ok()?;
        Some(Self { system: row.get(0)?.to_owned(), timeline })
    }
}

/// What a pool knows of its primaries: the system of the first, and the newest timeline.
#[derive(Default)]
pub(crate) struct Lineage(Mutex<Option<Primary>>);

/// A connection's primary, seen from the newest that is known.
pub(crate) struct Descent {
    lineage: Arc<Lineage>,
    timeline: u32,
}

impl Lineage {
    /// Accepts a primary that is the known one or has followed it.
    pub(crate) fn accept(self: &Arc<Self>, found: Primary) -> Result<Descent, Divergence> {
        let timeline = found.timeline;
        let mut known = lock(&self.0);
        match &*known {
            Some(known) if known.system != found.system => {
                let known = known.system.clone();
                return Err(Divergence::OtherSystem { known, found: found.system });
            }
            Some(known) if known.timeline > timeline => {
                return Err(Divergence::OlderTimeline { newest: known.timeline, found: timeline });
            }
            _ => *known = Some(found),
        }
        Ok(Descent { lineage: Arc::clone(self), timeline })
    }
}

impl Descent {
    /// Whether no newer primary was seen since.
    pub(crate) fn is_current(&self) -> bool {
        lock(&self.lineage.0).as_ref().is_none_or(|known| known.timeline <= self.timeline)
    }
}
