//! Policies: rows are dropped and chunks compressed at the agreed age, by jobs that run.

use super::hypertables::seconds;
use super::stage::{Stage, claimed};
use super::{Check, SCHEMA, compared, ddl, finding, of_snapshot};
use crate::catalog::{CompressionSettings, Observation, Policy};
use crate::claim::{Claim, Severity};
use crate::contract::{Compression, Contract, Period, Retention, Table};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::sql::quote_literal;

pub(super) const CHECK: Check = Check {
    id: "policies",
    summary: "retention and compression policies have the agreed ages and settings and are running",
    needs_rows: false,
    plan,
    examine,
};

/// The two kinds of policy, with what TimescaleDB calls them.
struct Kind {
    word: &'static str,
    procedure: &'static str,
    add: &'static str,
    remove: &'static str,
}

const RETENTION: Kind = Kind {
    word: "retention",
    procedure: "policy_retention",
    add: "add_retention_policy",
    remove: "remove_retention_policy",
};

const COMPRESSION: Kind = Kind {
    word: "compression",
    procedure: "policy_compression",
    add: "add_compression_policy",
    remove: "remove_compression_policy",
};

fn retentions(contract: &Contract) -> impl Iterator<Item = (&Table, &Retention)> {
    contract
        .tables()
        .filter_map(|table| Some((table, table.retention.as_ref()?)))
        .filter(|(_, policy)| claimed(contract, policy.since.as_ref(), None))
}

fn compressions(contract: &Contract) -> impl Iterator<Item = (&Table, &Compression)> {
    contract
        .tables()
        .filter_map(|table| Some((table, table.compression.as_ref()?)))
        .filter(|(_, policy)| claimed(contract, policy.since.as_ref(), None))
}

fn id(table: &Table, kind: &Kind) -> String {
    format!("schema.{}.policy.{}", table.spoken_name(), kind.word)
}

fn claim(table: &Table, kind: &Kind, statement: String) -> Claim {
    Claim::new(id(table, kind), SCHEMA, Severity::Major, statement)
}

fn plan(contract: &Contract) -> Vec<Claim> {
    let retentions = retentions(contract).map(|(table, policy)| {
        let name = table.spoken_name();
        let statement = format!("a running policy drops rows of `{name}` after {}", policy.keep);
        claim(table, &RETENTION, statement)
    });
    let compressions = compressions(contract).map(|(table, policy)| {
        let name = table.spoken_name();
        let statement =
            format!("a running policy compresses chunks of `{name}` after {}", policy.after);
        claim(table, &COMPRESSION, statement)
    });
    retentions.chain(compressions).collect()
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    let retentions = retentions(contract).map(|(table, policy)| {
        of_snapshot(id(table, &RETENTION), look_at_retention(&stage, table, policy))
    });
    let compressions = compressions(contract).map(|(table, policy)| {
        of_snapshot(id(table, &COMPRESSION), look_at_compression(&stage, table, policy))
    });
    retentions.chain(compressions).collect()
}

/// Why a hypertable's policy cannot be looked at.
fn hypertable(stage: &Stage<'_>, table: &Table) -> Result<(), String> {
    stage.table(table)?;
    match stage.observation().snapshot.hypertable(&table.schema, &table.name) {
        Some(_) => Ok(()),
        None => {
            Err(format!("`{}` is not a hypertable and can have no policy", table.spoken_name()))
        }
    }
}

fn look_at_retention(
    stage: &Stage<'_>,
    table: &Table,
    expected: &Retention,
) -> Result<Outcome, String> {
    stage.expects(expected.since.as_ref(), None)?;
    stage.edition(expected.edition)?;
    hypertable(stage, table)?;
    let (found, findings) = job(stage, table, &RETENTION, expected.keep);
    Ok(compared(2, found, findings))
}

fn look_at_compression(
    stage: &Stage<'_>,
    table: &Table,
    expected: &Compression,
) -> Result<Outcome, String> {
    stage.expects(expected.since.as_ref(), None)?;
    stage.edition(expected.edition)?;
    hypertable(stage, table)?;
    let snapshot = &stage.observation().snapshot;
    let found = snapshot.hypertable(&table.schema, &table.name);
    let settings = found.and_then(|hypertable| hypertable.compression.as_ref());
    let mut findings: Vec<Finding> =
        compression_settings(table, expected, settings).into_iter().collect();
    let (found, more) = job(stage, table, &COMPRESSION, expected.after);
    findings.extend(more);
    Ok(compared(4, found, findings))
}

fn compression_settings(
    table: &Table,
    expected: &Compression,
    found: Option<&CompressionSettings>,
) -> Option<Finding> {
    let plain = |columns: &[String]| {
        columns.iter().map(|column| column.replace('"', "")).collect::<Vec<_>>().join(", ")
    };
    let segment_by = plain(&expected.segment_by);
    let order_by = plain(&expected.order_by);
    let words = |segment_by: &str, order_by: &str| {
        let order = if order_by.is_empty() { "the server's choice" } else { order_by };
        let segment = if segment_by.is_empty() { "nothing" } else { segment_by };
        format!("compressed, segmented by {segment}, ordered by {order}")
    };
    let same = found.is_some_and(|found| {
        plain(&found.segment_by) == segment_by
            && (order_by.is_empty() || plain(&found.order_by) == order_by)
    });
    let mut options = format!(
        "SET (timescaledb.compress, timescaledb.compress_segmentby = {}",
        quote_literal(&segment_by)
    );
    if !order_by.is_empty() {
        options.extend([", timescaledb.compress_orderby = ", &quote_literal(&order_by)]);
    }
    options.push(')');
    (!same).then(|| {
        finding(
            format!("{}.{}", table.schema, table.name),
            words(&segment_by, &order_by),
            found.map_or_else(
                || "compression is not switched on".to_owned(),
                |found| words(&plain(&found.segment_by), &plain(&found.order_by)),
            ),
            ddl::alter_table(table, &options),
        )
    })
}

/// Compares the job behind a policy: it exists, acts at that age, and is not paused.
fn job(stage: &Stage<'_>, table: &Table, kind: &Kind, age: Period) -> (String, Vec<Finding>) {
    let snapshot = &stage.observation().snapshot;
    let object = format!("{}.{}", table.schema, table.name);
    let relation = quote_literal(&table.qualified());
    let add =
        format!("SELECT {}({relation}, INTERVAL {})", kind.add, quote_literal(&age.to_string()));
    let wanted = format!("a {} policy at {age}", kind.word);
    let found: Vec<&Policy> =
        snapshot.policies(kind.procedure, &table.schema, &table.name).collect();
    let Some(policy) = found.first() else {
        let missing = finding(object, wanted, "no such policy", add);
        return ("nothing".to_owned(), vec![missing]);
    };
    let mut findings = Vec::new();
    let after = policy.after_seconds.and_then(|count| u64::try_from(count).ok());
    let described = after.map_or_else(|| "no age".to_owned(), seconds);
    if after != Some(age.duration().as_secs()) {
        let mend = format!("SELECT {}({relation}); {add}", kind.remove);
        findings.push(finding(&object, wanted, format!("a policy at {described}"), mend));
    } else if !policy.scheduled {
        let mend = format!("SELECT alter_job({}, scheduled => true)", policy.job);
        let paused = format!("job {} is paused", policy.job);
        findings.push(finding(&object, "a policy that runs", paused, mend));
    }
    (format!("job {} at {described}", policy.job), findings)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{refuted, remedies};
    use super::*;
    use crate::catalog::Timescale;

    fn change(with: impl Fn(&mut Timescale)) -> impl Fn(&mut Observation) {
        move |seen| with(seen.snapshot.timescaledb.as_mut().unwrap())
    }

    #[test]
    fn a_missing_late_or_paused_policy_is_refuted() {
        for (n, kind) in [RETENTION, COMPRESSION].into_iter().enumerate() {
            let id = format!("schema.readings.policy.{}", kind.word);
            let gone = change(|known| drop(known.policies.remove(n)));
            assert_eq!(refuted(gone), [id.as_str()]);
            let late = change(|known| known.policies[n].after_seconds = Some(31 * 86_400));
            assert_eq!(refuted(&late), [id.as_str()]);
            let mend = remedies(&id, late).join("");
            assert!(mend.contains(kind.remove) && mend.contains(kind.add), "{mend}");
            let paused = change(|known| known.policies[n].scheduled = false);
            assert_eq!(refuted(&paused), [id.as_str()]);
            let mend = format!("SELECT alter_job({}, scheduled => true)", 1000 + n);
            assert_eq!(remedies(&id, paused), [mend]);
        }
    }

    #[test]
    fn compression_settings_are_compared_whatever_their_quotes() {
        let id = "schema.readings.policy.compression";
        let quoted = change(|known| {
            let settings = known.hypertables[0].compression.as_mut().unwrap();
            settings.order_by = vec!["\"at\" DESC".to_owned()];
        });
        assert_eq!(refuted(quoted), [""; 0]);
        let other = change(|known| {
            known.hypertables[0].compression.as_mut().unwrap().segment_by.clear();
        });
        assert_eq!(refuted(&other), [id]);
        assert_eq!(
            remedies(id, other),
            ["ALTER TABLE \"public\".\"readings\" SET (timescaledb.compress, \
              timescaledb.compress_segmentby = 'sensor', timescaledb.compress_orderby = 'at DESC')"]
        );
        let off = change(|known| known.hypertables[0].compression = None);
        assert_eq!(refuted(off), [id]);
    }
}
