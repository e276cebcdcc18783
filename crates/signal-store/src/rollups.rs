//! Rollups of Greeks: looking after them. How they work and why they are right at
//! every moment is in `docs/ROLLUPS.md`.

use pg_session::{Pool, RetryPolicy};

use crate::error::Error;
use crate::patience::Patience;
use crate::range::BucketWidth;
use crate::statements::{PRUNE_ROLLUP, REFRESH_ROLLUP};

/// Buckets of one transaction at most: some tenths of a second of work.
const AT_ONCE: i32 = 2_000;
/// The width of a rollup, in microseconds.
const WIDTH: i64 = 5 * 60 * 1_000_000;

/// Whether buckets of that width are made of whole rollups.
pub(crate) fn serve(width: BucketWidth) -> bool {
    width.as_micros() % WIDTH == 0
}

/// Looks after the rollups. Whether anybody does changes how fast coarse histories
/// are, and never what they say. [`Store::maintained`](crate::Store::maintained) does.
#[derive(Clone)]
pub struct Rollups {
    pool: Pool,
}

impl Rollups {
    /// The rollups of a pool's database.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Computes the rollups that changes have overtaken, but for buckets that have
    /// not ended; gives how many these were. It works in transactions of some
    /// tenths of a second; several callers take turns.
    ///
    /// # Errors
    /// [`Error::Database`]; what was computed before stays.
    pub async fn refresh_rollups(&self) -> Result<u64, Error> {
        let (mut all, mut patience) = (0, Patience::new(RetryPolicy::default()));
        loop {
            match self.refresh_some().await {
                Ok(done) => {
                    all += u64::from(done.unsigned_abs());
                    if done < AT_ONCE {
                        return Ok(all);
                    }
                }
                Err(Error::Database(error)) if patience.again(&error).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn refresh_some(&self) -> Result<i32, Error> {
        let mut session = self.pool.acquire().await?;
        Ok(session.fetch_value(REFRESH_ROLLUP, &[&AT_ONCE]).await?)
    }

    /// Removes rollups of chunks that were dropped, which are no longer read, and
    /// gives their number.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn prune_rollups(&self) -> Result<u64, Error> {
        let mut patience = Patience::new(RetryPolicy::default());
        loop {
            match self.prune().await {
                Err(Error::Database(error)) if patience.again(&error).await => {}
                other => return other,
            }
        }
    }

    async fn prune(&self) -> Result<u64, Error> {
        let mut session = self.pool.acquire().await?;
        Ok(session.execute(PRUNE_ROLLUP, &[]).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::serve;
    use crate::range::BucketWidth;

    #[test]
    fn rollups_serve_multiples_of_five_minutes() {
        for (seconds, served) in
            [(300, true), (900, true), (86_400, true), (1, false), (299, false), (420, false)]
        {
            let width = BucketWidth::new(Duration::from_secs(seconds)).unwrap();
            assert_eq!(serve(width), served, "{seconds}");
        }
    }
}
