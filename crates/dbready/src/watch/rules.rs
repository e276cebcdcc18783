//! What other monitors take from the contract: alert rules of Prometheus, and a dashboard of Grafana.

use std::fmt::Write;

use serde::Serialize;

use super::clause::KNOWN;
use crate::contract::{Alert, Contract};
use crate::markup::one_line;

/// A dashboard for Grafana over the figures of `/metrics`, as its import takes it.
pub const GRAFANA: &str = include_str!("grafana.json");

#[derive(Serialize)]
struct File {
    groups: [Group; 1],
}

#[derive(Serialize)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    hold: Option<&'static str>,
    labels: Labels,
    annotations: Annotations,
}

#[derive(Serialize)]
struct Labels {
    severity: &'static str,
    contract: String,
}

#[derive(Serialize)]
struct Annotations {
    summary: String,
}

/// The alert rules of a contract for Prometheus, which reads `/metrics`.
///
/// They say the same as the clauses that the watch judges itself, and that the watch is there at all.
/// A clause that has no figure has no rule; a comment names it.
#[must_use]
pub fn rules(contract: &Contract) -> String {
    let service = &contract.model.service;
    let name = one_line(&service.name);
    let rule = |alert: &str, expr: String, hold, severity, summary: String| Rule {
        alert: alert.to_owned(),
        expr,
        hold,
        labels: Labels { severity, contract: plain(&name) },
        annotations: Annotations { summary },
    };
    let mut all = vec![
        rule(
            "DbreadyWatchMissing",
            "absent(dbready_up)".to_owned(),
            Some("2m"),
            "critical",
            "dbready watch is not there, so that nothing is watched".to_owned(),
        ),
        rule(
            "DatabaseDoesNotAnswer",
            "dbready_up == 0".to_owned(),
            Some("30s"),
            "critical",
            "the database does not answer".to_owned(),
        ),
        rule(
            "DatabaseDrifted",
            "dbready_drift_claims > 0".to_owned(),
            None,
            "critical",
            "the catalog departs from the contract in {{ $value }} claims".to_owned(),
        ),
        rule(
            "BackgroundWorkersFail",
            "dbready_jobs_failed > 0 or dbready_background_workers_started == 0".to_owned(),
            Some("1m"),
            "warning",
            "background workers of TimescaleDB fail or are not started".to_owned(),
        ),
    ];
    let mut without = Vec::new();
    for alert in &contract.model.alerts {
        match expression(alert) {
            Some(expr) => {
                let metric = plain(&alert.metric);
                let summary =
                    format!("{metric} above {} {} over {}", alert.above, alert.unit, alert.over);
                all.push(rule(&camel(&alert.name), expr, None, "warning", summary));
            }
            None => without.push(alert.name.as_str()),
        }
    }
    let mut text = format!(
        "# Alert rules of the contract {name} {}, by `dbready watch rules`.\n",
        service.version
    );
    for name in without {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# No figure is known for `{name}`.");
    }
    let file = File { groups: [Group { name: format!("dbready {name}"), rules: all }] };
    // Strings and lists alone: there is nothing that YAML could not hold.
    text.push_str(&serde_saphyr::to_string(&file).unwrap_or_default());
    text
}

/// A text of the contract in which Prometheus finds no template to run.
fn plain(text: &str) -> String {
    one_line(text).replace("{{", "{ {")
}

fn expression(alert: &Alert) -> Option<String> {
    KNOWN.iter().find(|(name, unit)| *name == alert.name && *unit == alert.unit)?;
    let over = format!("{}s", alert.over.duration().as_secs());
    let figure = match alert.name.as_str() {
        "pool_utilisation" => {
            format!("100 * avg_over_time(dbready_pool_utilisation_ratio[{over}])")
        }
        // The watch looks back over the same time itself.
        "query_p95" => "1000 * dbready_query_p95_seconds".to_owned(),
        "table_growth" => format!("3600 * rate(dbready_table_rows_inserted_total[{over}])"),
        "failed_queries" => format!(
            "100 * sum by (instance) (rate(dbready_transactions_total{{end=\"rolled_back\"}}[{over}])) \
             / sum by (instance) (rate(dbready_transactions_total[{over}]))"
        ),
        "replication_lag" => format!("avg_over_time(dbready_replication_lag_seconds[{over}])"),
        _ => return None,
    };
    Some(format!("{figure} > {}", alert.above))
}

/// `pool_utilisation` as `PoolUtilisation`.
fn camel(name: &str) -> String {
    let mut out = String::new();
    for word in name.split(['_', '-', '.']) {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::contract::source;
    use crate::watch::metrics;

    /// The names of figures in an expression or a page of figures.
    fn names(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let is_figure =
            |word: &&str| word.starts_with("dbready_") || word.starts_with("process_resident");
        words.filter(is_figure).collect()
    }

    fn published() -> String {
        let page = metrics::tests::full();
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        samples.filter_map(|line| line.split(['{', ' ']).next()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_dashboard_asks_for_figures_that_are_published() {
        let dashboard: Value = serde_json::from_str(GRAFANA).unwrap();
        let published = published();
        let mut asked = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let here = names(target["expr"].as_str().unwrap());
                assert!(!here.is_empty(), "{target}");
                asked.extend(here);
            }
        }
        let missing: Vec<_> = asked.difference(&names(&published)).copied().collect();
        assert!(missing.is_empty(), "not published: {missing:?}");
    }

    #[test]
    fn every_clause_with_a_figure_has_its_rule_and_every_figure_of_a_rule_is_published() {
        let mut contract = source::load(None).unwrap();
        for (name, unit) in [("replication_lag", "s"), ("moon_phase", "%")] {
            contract.model.alerts.push(Alert {
                name: name.to_owned(),
                metric: "{{ evil }} \"lag\"\n- alert: x".to_owned(),
                above: 5.0,
                unit: unit.to_owned(),
                over: "1 minute".parse().unwrap(),
            });
        }
        let text = rules(&contract);
        assert!(text.contains("# No figure is known for `moon_phase`."), "{text}");
        let file: Value = serde_saphyr::from_str(&text).unwrap();
        let rules = file["groups"][0]["rules"].as_array().unwrap();
        assert_eq!(rules.len(), 4 + 5, "{text}");
        let published = published();
        for rule in rules {
            let here = names(rule["expr"].as_str().unwrap());
            assert!(!here.is_empty() && here.is_subset(&names(&published)), "{rule}");
            let summary = rule["annotations"]["summary"].as_str().unwrap();
            assert!(!summary.contains("{{ evil") && !summary.contains('\n'), "{summary}");
        }
    }
}
