//! Twins: databases with the contract's schema and a little of its data, on a server of our own.

use pg_local::Cluster;
use pg_session::Config;
use tokio_postgres::Client;

use crate::contract::{Contract, Rollup, Table};
use crate::scratch::{Scratch, build};
use crate::sql::quote_ident;
use crate::{Error, catalog, seed};

/// Rows that a table of a twin keeps, give or take: enough for the planner to prefer an index, few
/// enough to be rewritten hundreds of times.
const ROWS: i64 = 6_000;

/// Rows that a source of rollups keeps where these cannot be brought up to date: more, since they lie at
/// few instants, and a short range must stay a small part of a chunk.
const SOURCE_ROWS: i64 = 16_000;

/// The twins of one run, all copies of one database.
#[derive(Debug)]
pub(super) struct Twins {
    scratch: Scratch,
    template: Config,
}

impl Twins {
    /// Makes the database that is copied: extensions, migrations, the contract's data, thinned out.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`] and [`Error::Database`], as migrations and the seed give them.
    pub(super) async fn prepare(
        cluster: &Cluster,
        contract: &Contract,
        said: &dyn Fn(&str),
    ) -> Result<Self, Error> {
        let admin = Config::from_url(&cluster.url("postgres"))?;
        let mut scratch = Scratch::on(admin.default_application_name("dbready prove"));
        let template = scratch.create("template", contract).await?;
        said("migrating the twin and filling it with data");
        build(&template, contract, seed::Profile::Quick).await?;
        thin_out(&template, contract).await?;
        Ok(Self { scratch, template })
    }

    /// Makes a copy and connects to it.
    pub(super) async fn copy(&mut self, number: usize) -> Result<Twin, Error> {
        let config = self.scratch.copy(&self.template, &format!("twin_{number}")).await?;
        Ok(Twin { client: pg_session::connect(&config).await?, config })
    }

    /// Drops them.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub(super) async fn close(self) -> Result<(), Error> {
        self.scratch.close().await
    }
}

/// One copy with a session of its own.
#[derive(Debug)]
pub(super) struct Twin {
    config: Config,
    pub(super) client: Client,
}

impl Twin {
    /// Connects again, when a sabotage has ended the session.
    pub(super) async fn revive(&mut self) -> Result<(), Error> {
        if self.client.is_closed() {
            self.client = pg_session::connect(&self.config).await?;
        }
        Ok(())
    }
}

/// Leaves a share of the rows of each large table, the same in every run. A table whose rows others
/// point at keeps them all. What rollups hold is brought up to date where the contract says how; otherwise
/// it stays as it was, and its source loses whole buckets.
async fn thin_out(config: &Config, contract: &Contract) -> Result<(), Error> {
    let mut client = pg_session::connect(config).await?;
    let mut transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL search_path = public, pg_temp").await?;
    let held = catalog::reach_of_rollups(&mut transaction, contract).await?.unwrap_or_default();
    transaction.rollback().await?;
    let mut thinned = false;
    for table in contract.tables() {
        thinned |= thin_out_table(&client, contract, table, &held).await?;
    }
    let refreshes = contract.model.rollups.iter().filter_map(|one| one.refresh.as_ref());
    for refresh in refreshes.filter(|_| thinned) {
        client.batch_execute(refresh).await?;
    }
    for name in contract.tables().map(Table::qualified) {
        if thinned {
            client.batch_execute(&format!("VACUUM (FULL) {name}")).await?;
        }
        client.batch_execute(&format!("ANALYZE {name}")).await?;
    }
    Ok(())
}

/// The same for one table; whether rows were removed.
async fn thin_out_table(
    client: &Client,
    contract: &Contract,
    table: &Table,
    held: &catalog::Relations,
) -> Result<bool, Error> {
    let name = table.qualified();
    let number = "SELECT to_regclass($1)::oid";
    let number: Option<u32> = client.query_one(number, &[&name]).await?.try_get(0)?;
    let count = format!("SELECT count(*) FROM {name}");
    let rows: i64 = client.query_one(&count, &[]).await?.try_get(0)?;
    let rollups = contract.model.rollups.iter();
    let own: Vec<&Rollup> = rollups.filter(|one| contract.is_named(&one.source, table)).collect();
    let refreshed = !own.is_empty() && own.iter().all(|one| one.refresh.is_some());
    let bucket = if refreshed { None } else { bucket_of(&own, table) };
    let keeps = if bucket.is_some() { SOURCE_ROWS } else { ROWS };
    let is_held = bucket.is_none() && !refreshed && number.is_some_and(|one| held.contains(&one));
    if rows <= keeps || is_held {
        return Ok(false);
    }
    client.batch_execute("SELECT setseed(0.5)").await?;
    let goes = bucket.map_or_else(
        || format!("random() * {rows} > {keeps}"),
        |bucket| {
            // One in so many, counted along time: each chunk keeps its share.
            format!(
                "{bucket} NOT IN (SELECT bucket FROM (SELECT bucket, row_number() OVER \
                 (ORDER BY bucket) AS place FROM (SELECT DISTINCT {bucket} AS bucket \
                 FROM {name}) AS held) AS counted WHERE place % {} = 0)",
                rows / keeps + 1
            )
        },
    );
    match client.batch_execute(&format!("DELETE FROM {name} WHERE {goes}")).await {
        Ok(()) => Ok(true),
        Err(error) if error.as_db_error().is_some() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The number of a row's bucket in the source of these rollups: of the widest, into which the others
/// fit.
fn bucket_of(rollups: &[&Rollup], table: &Table) -> Option<String> {
    let time = table.hypertable.as_ref()?;
    let width = rollups.iter().map(|one| one.bucket.duration().as_secs()).max()?;
    let time = quote_ident(&time.time_column);
    Some(format!("floor(extract(epoch FROM {time}) / {width})::bigint"))
}
