//! Measured figures and the table of them.

use std::fmt::Write as _;

/// One line of the table.
pub(crate) struct Figure {
    pub(crate) what: &'static str,
    pub(crate) ours: String,
    pub(crate) beside: String,
    /// What was measured of what it is held against.
    pub(crate) ratio: Option<f64>,
    pub(crate) target: Target,
}

pub(crate) enum Target {
    /// The ratio is to be at least this.
    Ratio(f64),
    /// A limit that is met or not, in words.
    Limit(&'static str, bool),
}

/// The median of the rounds; zero of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The rounds of one peer as they are printed.
pub(crate) fn rate(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("{:.0}/s ({least:.0}–{most:.0})", median(values))
}

/// Ours against a peer, both as rounds.
pub(crate) fn against(
    what: &'static str,
    ours: &[f64],
    (name, peer): (&str, &[f64]),
    target: Target,
) -> Figure {
    Figure {
        what,
        ours: rate(ours),
        beside: format!("{name} {}", rate(peer)),
        ratio: Some(median(ours) / median(peer)),
        target,
    }
}

pub(crate) fn table(figures: &[Figure]) -> String {
    let mut table =
        String::from("| what | ours | beside | ratio | target | |\n|---|---|---|---|---|---|\n");
    for Figure { what, ours, beside, ratio, target } in figures {
        let shown = ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        let (wanted, verdict) = match target {
            Target::Ratio(least) => {
                let met = ratio.is_some_and(|ratio| ratio >= *least);
                (format!("≥ {least}"), word(met))
            }
            Target::Limit(limit, met) => ((*limit).to_owned(), word(*met)),
        };
        let _ = writeln!(table, "| {what} | {ours} | {beside} | {shown} | {wanted} | {verdict} |");
    }
    table
}

fn word(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}
