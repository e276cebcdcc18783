//! Batches: one transaction each, which holds its row in the ledger.

use std::collections::BTreeSet;

use bytes::{BufMut, BytesMut};
use pg_session::{
    Executor, Params, Session, Transaction, TransactionOptions, tokio_postgres::types::ToSql,
};
use sha2::{Digest, Sha256};

use super::attempts::{Attempts, is_refusal};
use super::record::IngestRecord;
use super::{BatchId, Ingest};
use crate::error::Error;
use crate::models::{now, oldest_writable};
use crate::statements::{INGEST_BATCH, INGEST_CLAIM, INGEST_CLOSE};
use crate::violation::Violation;

/// Bytes that are sent at once.
const PIECE: usize = 64 * 1024;
/// Records of one statement where COPY is of no use, since one of them is refused.
const PART: usize = 1_000;

/// What became of a record of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is stored, and only once.
    Stored,
    /// It breaks the contract; it was not sent.
    Invalid(Violation),
    /// The server refused it, which is said in its words.
    Refused(String),
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "records may have been refused"]
pub struct BatchReport {
    /// What became of each record, in the order of the batch.
    pub verdicts: Vec<Verdict>,
    /// Whether the batch was stored already, so that this call changed nothing.
    pub replayed: bool,
}

impl BatchReport {
    /// Records that are stored.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.verdicts.iter().filter(|verdict| **verdict == Verdict::Stored).count()
    }
}

/// Records with what is known of them before they are sent.
struct Batch<'a, R> {
    id: BatchId,
    records: &'a [R],
    invalid: Vec<Option<Violation>>,
    options: TransactionOptions,
}

/// What a transaction achieved.
enum Done {
    /// Stored, but for the records at these places.
    Stored(Vec<(usize, String)>),
    /// The ledger knew the batch.
    Known(Known),
}

/// What the ledger says of a batch.
struct Known {
    table: String,
    digest: Vec<u8>,
    refused: BTreeSet<usize>,
}

impl Ingest {
    /// Stores a batch in one transaction, once: a batch that is sent again under
    /// the same id, also at the same time, changes nothing and gets the same
    /// answer. Records that break the contract, and those that the server refuses,
    /// are not stored and do not keep the others back.
    ///
    /// A future that is dropped leaves a batch that is stored whole or not at all;
    /// sending it again under the same id finds out.
    ///
    /// # Errors
    /// [`Error::TooMany`] for more than [`MOST_RECORDS`](Self::MOST_RECORDS) records;
    /// [`Error::BatchReused`] if other records were stored under the id;
    /// [`Error::Database`] if the work could not be done within the limits of the
    /// [retry policy](Ingest::retry). Nothing is stored then, unless the outcome is
    /// unknown; sending the batch again is right in either case.
    pub async fn batch<R: IngestRecord>(
        &self,
        id: BatchId,
        records: &[R],
    ) -> Result<BatchReport, Error> {
        if records.len() > Self::MOST_RECORDS {
            let (found, limit) = (records.len() as u64, Self::MOST_RECORDS as u64);
            return Err(Error::TooMany { what: "records", found, limit });
        }
        let oldest = oldest_writable(now());
        let invalid = records.iter().map(|record| record.check(oldest).err()).collect();
        let batch = Batch { id, records, invalid, options: TransactionOptions::default() };
        let mut attempts = Attempts::new(self.retry);
        let mut one_by_one = false;
        loop {
            match self.attempt(&batch, one_by_one).await {
                Ok(done) => return batch.report(done),
                Err(error) if !one_by_one && is_refusal(&error) => one_by_one = true,
                Err(error) => attempts.again(error).await?,
            }
        }
    }

    async fn attempt<R: IngestRecord>(
        &self,
        batch: &Batch<'_, R>,
        one_by_one: bool,
    ) -> Result<Done, pg_session::Error> {
        let mut session = self.pool.acquire().await.map_err(Box::new)?;
        if let Some(known) = batch.known(&mut session).await? {
            return Ok(Done::Known(known));
        }
        let mut transaction = session.begin(&batch.options).await?;
        let claim: Params<'_> = &[&batch.id, &R::TABLE];
        // Waits for a transaction that is storing the same batch.
        if transaction.execute(INGEST_CLAIM, claim).await? == 0 {
            transaction.rollback().await?;
            let known = batch.known(&mut session).await?;
            return known.map(Done::Known).ok_or_else(lost_claim);
        }
        let (refused, digest) = if one_by_one {
            (batch.insert(&mut transaction).await?, batch.digest()?)
        } else {
            (Vec::new(), batch.copy(&mut transaction).await?)
        };
        batch.close(&mut transaction, &refused, &digest).await?;
        transaction.commit().await?;
        Ok(Done::Stored(refused))
    }
}

/// The other transaction forgot the batch between two questions of ours: it was
/// pruned, or removed by hand.
fn lost_claim() -> pg_session::Error {
    pg_session::Error::Client("the batch is neither free nor known — send it again".to_owned())
}

impl<R: IngestRecord> Batch<'_, R> {
    /// The records to be sent, with their places.
    fn valid(&self) -> impl Iterator<Item = (usize, &R)> {
        let all = self.records.iter().zip(&self.invalid).enumerate();
        all.filter(|(_, (_, invalid))| invalid.is_none()).map(|(at, (record, _))| (at, record))
    }

    async fn known(&self, session: &mut Session) -> Result<Option<Known>, pg_session::Error> {
        let Some(row) = session.fetch_opt(INGEST_BATCH, &[&self.id]).await? else {
            return Ok(None);
        };
        let refused: Vec<i32> = row.try_get("refused")?;
        let refused = refused.into_iter().filter_map(|at| usize::try_from(at).ok()).collect();
        let (table, digest) = (row.try_get("table_name")?, row.try_get("digest")?);
        Ok(Some(Known { table, digest, refused }))
    }

    /// Sends the valid records by COPY, and gives the digest of all.
    async fn copy(&self, transaction: &mut Transaction<'_>) -> Result<Vec<u8>, pg_session::Error> {
        let mut digest = Sha256::new();
        let mut copy = transaction.copy_in(R::COPY).await?;
        let mut out = BytesMut::with_capacity(PIECE + 4_096);
        out.put_slice(b"PGCOPY\n\xff\r\n\0");
        out.put_i32(0);
        out.put_i32(0);
        for (record, invalid) in self.records.iter().zip(&self.invalid) {
            let start = out.len();
            record.encode(&mut out).map_err(pg_session::Error::Client)?;
            digest.update(&out[start..]);
            if invalid.is_some() {
                out.truncate(start);
            }
            if out.len() >= PIECE {
                copy.send(out.split().freeze()).await?;
                out.reserve(PIECE + 4_096);
            }
        }
        out.put_i16(-1);
        copy.send(out.freeze()).await?;
        copy.finish().await?;
        Ok(digest.finalize().to_vec())
    }

    fn digest(&self) -> Result<Vec<u8>, pg_session::Error> {
        let mut digest = Sha256::new();
        let mut out = BytesMut::new();
        for record in self.records {
            out.clear();
            record.encode(&mut out).map_err(pg_session::Error::Client)?;
            digest.update(&out);
        }
        Ok(digest.finalize().to_vec())
    }

    /// Stores the valid records in parts, and halves a part that is refused until
    /// the records are found that the server does not take.
    async fn insert(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<(usize, String)>, pg_session::Error> {
        let all: Vec<(usize, &R)> = self.valid().collect();
        let mut left: Vec<&[(usize, &R)]> = all.chunks(PART).rev().collect();
        let mut refused = Vec::new();
        while let Some(part) = left.pop() {
            let records: Vec<&R> = part.iter().map(|(_, record)| *record).collect();
            let mut savepoint = transaction.savepoint().await?;
            match insert(&mut savepoint, None, &records).await {
                Ok(()) => {
                    savepoint.commit().await?;
                }
                Err(error) if is_refusal(&error) => {
                    savepoint.rollback().await?;
                    if let [(at, _)] = part {
                        refused.push((*at, error.to_string()));
                    } else {
                        let (first, second) = part.split_at(part.len() / 2);
                        left.extend([second, first]);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(refused)
    }

    async fn close(
        &self,
        transaction: &mut Transaction<'_>,
        refused: &[(usize, String)],
        digest: &[u8],
    ) -> Result<(), pg_session::Error> {
        let place = |at: usize| i32::try_from(at).unwrap_or(i32::MAX);
        let invalid = self.invalid.iter().enumerate();
        let invalid = invalid.filter(|(_, one)| one.is_some()).map(|(at, _)| place(at));
        let mut places: Vec<i32> = invalid.collect();
        places.extend(refused.iter().map(|(at, _)| place(*at)));
        let rows = place(self.records.len() - places.len());
        transaction.execute(INGEST_CLOSE, &[&self.id, &rows, &digest, &places]).await?;
        Ok(())
    }

    fn report(&self, done: Done) -> Result<BatchReport, Error> {
        let invalid = self.invalid.iter();
        let mut verdicts: Vec<Verdict> =
            invalid.map(|one| one.map_or(Verdict::Stored, Verdict::Invalid)).collect();
        match done {
            Done::Stored(refused) => {
                for (at, words) in refused {
                    verdicts[at] = Verdict::Refused(words);
                }
                Ok(BatchReport { verdicts, replayed: false })
            }
            Done::Known(known) => {
                if known.table != R::TABLE || known.digest != self.digest()? {
                    return Err(Error::BatchReused { id: self.id });
                }
                // What was stored then is stored, whatever the contract says of it now.
                for (at, verdict) in verdicts.iter_mut().enumerate() {
                    match (known.refused.contains(&at), &verdict) {
                        (false, _) => *verdict = Verdict::Stored,
                        (true, Verdict::Stored) => {
                            let words = "refused when the batch was stored";
                            *verdict = Verdict::Refused(words.to_owned());
                        }
                        (true, _) => {}
                    }
                }
                Ok(BatchReport { verdicts, replayed: true })
            }
        }
    }
}

/// Stores some records by one statement: with a batch id once, and with its row in
/// the ledger.
pub(super) async fn insert<R: IngestRecord>(
    executor: &mut Executor,
    batch: Option<BatchId>,
    records: &[&R],
) -> Result<(), pg_session::Error> {
    let columns = R::columns(records);
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&batch];
    params.extend(columns.iter().map(|column| &**column as &(dyn ToSql + Sync)));
    executor.execute(R::INSERT, &params).await?;
    Ok(())
}
