//! Filling a database with the contract's seed data.

use tokio_postgres::Client;

use crate::Error;
use crate::contract::Contract;
use crate::sql::qualified;

/// How much data there is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Enough to see every claim: for Signal Service about 200 thousand rows.
    Quick,
    /// Enough to measure: for Signal Service more than 2 million rows.
    Standard,
    /// Enough to see what becomes of the data of months: for Signal Service more than 10 million rows.
    Large,
}

impl Profile {
    /// The word for it, which the seed script reads.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Large => "large",
        }
    }
}

/// Runs the contract's seed script in one transaction, with the profile and the seed number as the
/// settings `signal.seed_profile` and `signal.seed`. Then it vacuums and analyses the contract's tables,
/// so that autovacuum does not take up fresh rows while something is measured on them.
///
/// Dropping the future ends the session, and with it the transaction; rows that are committed stay.
///
/// # Errors
///
/// [`Error::Usage`] when the contract has no seed script; [`Error::Database`] when the script fails,
/// as it does on a database that has rows.
pub async fn seed(
    client: &mut Client,
    contract: &Contract,
    profile: Profile,
    seed: i64,
) -> Result<(), Error> {
    let Some(script) = &contract.seed_sql else {
        return Err(Error::Usage("the contract directory has no seed.sql".to_owned()));
    };
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL search_path = public, pg_temp").await?;
    let set =
        "SELECT set_config('signal.seed_profile', $1, true), set_config('signal.seed', $2, true)";
    transaction.query_one(set, &[&profile.word(), &seed.to_string()]).await?;
    transaction.batch_execute(script).await?;
    transaction.commit().await?;
    let tables = contract.tables();
    let named: Vec<String> = tables.map(|table| qualified(&table.schema, &table.name)).collect();
    let there = "SELECT string_agg(name, ', ') FROM unnest($1::text[]) name
                 WHERE to_regclass(name) IS NOT NULL";
    let there: Option<String> = client.query_one(there, &[&named]).await?.try_get(0)?;
    if let Some(tables) = there {
        client.batch_execute(&format!("VACUUM (ANALYZE) {tables}")).await?;
    }
    Ok(())
}
