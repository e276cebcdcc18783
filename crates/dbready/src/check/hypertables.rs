//! Hypertables: each is partitioned by its time column into chunks of the agreed length.

use std::time::Duration;

use super::stage::Stage;
use super::{Check, SCHEMA, compared, ddl, finding, of_snapshot};
use crate::catalog::{Dimension, Observation};
use crate::claim::{Claim, Severity};
use crate::contract::{Contract, Hypertable, Table};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::sql::quote_literal;

pub(super) const CHECK: Check = Check {
    id: "hypertables",
    summary: "every hypertable is partitioned by its time column with the agreed chunk interval",
    needs_rows: false,
    plan,
    examine,
};

fn all(contract: &Contract) -> impl Iterator<Item = (&Table, &Hypertable)> {
    contract.tables().filter_map(|table| Some((table, table.hypertable.as_ref()?)))
}

fn id(table: &Table) -> String {
    format!("schema.{}.hypertable", table.spoken_name())
}

fn plan(contract: &Contract) -> Vec<Claim> {
    all(contract)
        .map(|(table, hypertable)| {
            let statement = format!(
                "`{}` is a hypertable on `{}` with chunks of {}",
                table.spoken_name(),
                hypertable.time_column,
                hypertable.chunk_interval
            );
            Claim { weight: 2.0, ..Claim::new(id(table), SCHEMA, Severity::Critical, statement) }
        })
        .collect()
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    all(contract)
        .map(|(table, hypertable)| of_snapshot(id(table), look(&stage, table, hypertable)))
        .collect()
}

fn look(stage: &Stage<'_>, table: &Table, expected: &Hypertable) -> Result<Outcome, String> {
    stage.table(table)?;
    let object = format!("{}.{}", table.schema, table.name);
    let wanted = format!("a hypertable on `{}`", expected.time_column);
    let snapshot = &stage.observation().snapshot;
    let Some(found) = snapshot.hypertable(&table.schema, &table.name) else {
        let why = match snapshot.timescaledb {
            Some(_) => "a plain table",
            None => "a plain table; the timescaledb extension is not installed",
        };
        let mend = ddl::create_hypertable(table, expected);
        return Ok(compared(1, why, vec![finding(object, wanted, why, mend)]));
    };
    let mut findings = Vec::new();
    let (time, further) = match found.dimensions.split_first() {
        Some((time, further)) => (Some(time), further),
        None => (None, &[][..]),
    };
    if let Some(time) = time.filter(|time| time.column == expected.time_column) {
        findings.extend(interval(table, expected, time));
    } else {
        findings.push(Finding {
            object: object.clone(),
            expected: wanted,
            found: time.map_or_else(
                || "a hypertable without dimensions".to_owned(),
                |time| format!("a hypertable on `{}`", time.column),
            ),
            remedy: Some("copy its rows into a hypertable on that column and rename it".to_owned()),
        });
    }
    for dimension in further {
        findings.push(Finding {
            object: object.clone(),
            expected: "no further dimension".to_owned(),
            found: format!("partitioned by `{}` too", dimension.column),
            remedy: Some("copy its rows into a hypertable without it and rename that".to_owned()),
        });
    }
    let described = time.map_or_else(String::new, |time| {
        format!("on `{}`, chunks of {}", time.column, length(time.interval))
    });
    Ok(compared(3, described, findings))
}

fn interval(table: &Table, expected: &Hypertable, found: &Dimension) -> Option<Finding> {
    let wanted = i64::try_from(expected.chunk_interval.duration().as_micros()).ok();
    (found.interval != wanted).then(|| {
        finding(
            format!("{}.{}", table.schema, table.name),
            format!("chunks of {}", expected.chunk_interval),
            format!("new chunks of {}", length(found.interval)),
            format!(
                "SELECT set_chunk_time_interval({}, INTERVAL {})",
                quote_literal(&table.qualified()),
                quote_literal(&expected.chunk_interval.to_string()),
            ),
        )
    })
}

/// A chunk length for people.
fn length(microseconds: Option<i64>) -> String {
    match microseconds.and_then(|count| u64::try_from(count).ok()) {
        Some(count) => seconds(Duration::from_micros(count).as_secs()),
        None => "unknown length".to_owned(),
    }
}

/// Whole seconds in the largest unit that divides them.
pub(super) fn seconds(count: u64) -> String {
    let (size, unit) = [(86_400, "days"), (3_600, "hours"), (60, "minutes")]
        .into_iter()
        .find(|(size, _)| count >= *size && count.is_multiple_of(*size))
        .unwrap_or((1, "seconds"));
    let n = count / size;
    if n == 1 { format!("1 {}", &unit[..unit.len() - 1]) } else { format!("{n} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{refuted, remedies, unproven};
    use super::*;
    use crate::catalog;

    const CLAIM: &str = "schema.readings.hypertable";

    fn found(seen: &mut Observation) -> &mut Vec<catalog::Hypertable> {
        &mut seen.snapshot.timescaledb.as_mut().unwrap().hypertables
    }

    #[test]
    fn a_plain_table_in_its_place_is_refuted_and_its_policies_are_unproven() {
        let plain = |seen: &mut Observation| {
            found(seen).clear();
            // The index on time alone is the hypertable's own; on a plain table it would be drift.
            seen.snapshot.relations[0].indexes.remove(0);
        };
        assert_eq!(refuted(plain), [CLAIM]);
        let left = ["schema.readings.policy.retention", "schema.readings.policy.compression"];
        assert_eq!(unproven(plain), left);
    }

    #[test]
    fn another_chunk_interval_is_refuted() {
        let weekly = |seen: &mut Observation| {
            found(seen)[0].dimensions[0].interval = Some(7 * 86_400_000_000);
        };
        assert_eq!(refuted(weekly), [CLAIM]);
        assert_eq!(
            remedies(CLAIM, weekly),
            ["SELECT set_chunk_time_interval('\"public\".\"readings\"', INTERVAL '1 day')"]
        );
    }

    #[test]
    fn another_or_a_further_dimension_is_refuted() {
        let other = |seen: &mut Observation| {
            found(seen)[0].dimensions[0].column = "created_at".to_owned();
            seen.snapshot.relations[0].indexes.remove(0);
        };
        assert_eq!(refuted(other), [CLAIM]);
        let further = |seen: &mut Observation| {
            let hashed =
                Dimension { column: "sensor".to_owned(), interval: None, partitions: Some(4) };
            found(seen)[0].dimensions.push(hashed);
        };
        assert_eq!(refuted(further), [CLAIM]);
    }

    #[test]
    fn lengths_are_told_in_whole_units() {
        assert_eq!(length(Some(86_400_000_000)), "1 day");
        assert_eq!(seconds(5_400), "90 minutes");
        assert_eq!(seconds(61), "61 seconds");
        assert_eq!(length(None), "unknown length");
    }
}
