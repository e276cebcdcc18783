//! The trend as SVG: score, coverage and latency over the nights.

use plotters::prelude::*;

use super::history::Night;
use crate::report::html::svg::Line;

/// A picture.
#[derive(Debug, Clone)]
pub struct Plot {
    /// File name without its ending.
    pub name: &'static str,
    /// Heading.
    pub title: &'static str,
    /// The SVG document.
    pub svg: String,
    /// Unit of its figures.
    pub(super) unit: &'static str,
    /// What it draws, over the nights.
    pub(super) lines: Vec<Line>,
}

/// Lines in one picture at most.
const MOST_LINES: usize = 12;

/// Pictures of the nights, the oldest first; those for which there is nothing to draw are left out.
#[must_use]
pub fn plots(nights: &[Night]) -> Vec<Plot> {
    let mut plots = Vec::new();
    let mut score = vec![line("score", points(nights, |night| Some(night.score.value())))];
    let last = nights.last();
    let areas = last.map(|night| night.areas.as_slice()).unwrap_or_default();
    for area in areas.iter().filter(|area| area.refinement == areas[0].refinement) {
        let of = |night: &Night| {
            let mine = night.areas.iter().find(|one| one.name == area.name)?;
            mine.score.map(crate::score::Percent::value)
        };
        score.push(line(&area.title, points(nights, of)));
    }
    let figures = |wanted: &dyn Fn(&str, &str) -> bool| -> Vec<Line> {
        let known = last.map(|night| night.figures.iter()).into_iter().flatten();
        let chosen = known.filter(|(id, figure)| wanted(id, &figure.unit)).take(MOST_LINES);
        chosen
            .map(|(id, figure)| {
                let of = |night: &Night| {
                    let mine = night.figures.get(id).filter(|one| one.unit == figure.unit)?;
                    Some(mine.value)
                };
                line(id, points(nights, of))
            })
            .collect()
    };
    let coverage = figures(&|id, unit| unit == "%" && id.starts_with("coverage."));
    let latency = figures(&|_, unit| unit == "ms");
    for (name, title, unit, lines, top) in [
        ("score", "Score in percent", "%", score, Some(100.0)),
        ("coverage", "Lines that tests run, in percent", "%", coverage, Some(100.0)),
        ("latency", "Latency in milliseconds", "ms", latency, None),
    ] {
        if lines.iter().any(|line| !line.points.is_empty())
            && let Some(svg) = draw(title, unit, &lines, nights.len(), top)
        {
            plots.push(Plot { name, title, svg, unit, lines });
        }
    }
    plots
}

fn line(name: &str, points: Vec<(f64, f64)>) -> Line {
    Line { name: name.to_owned(), points }
}

#[expect(clippy::cast_precision_loss, reason = "nights are few")]
fn points(nights: &[Night], of: impl Fn(&Night) -> Option<f64>) -> Vec<(f64, f64)> {
    let each = nights.iter().enumerate();
    each.filter_map(|(at, night)| Some((at as f64 + 1.0, of(night)?))).collect()
}

/// Draws lines over the nights; `None` when the drawing fails, which writing into memory does not.
#[expect(clippy::cast_precision_loss, reason = "nights are few")]
fn draw(
    title: &str,
    unit: &str,
    lines: &[Line],
    nights: usize,
    top: Option<f64>,
) -> Option<String> {
    let all = lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value);
    let top = top.unwrap_or_else(|| all.fold(0.0, f64::max) * 1.1).max(1e-9);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (860, 320)).into_drawing_area();
        area.fill(&WHITE).ok()?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 16))
            .margin(10)
            .x_label_area_size(28)
            .y_label_area_size(52)
            .build_cartesian_2d(0.5..nights as f64 + 0.5, 0.0..top)
            .ok()?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("night")
            .y_desc(unit)
            .x_label_formatter(&|value| format!("{value:.0}"))
            .draw()
            .ok()?;
        for (at, Line { name, points }) in lines.iter().enumerate() {
            let color = Palette99::pick(at).to_rgba();
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))
                .ok()?
                .label(name.as_str())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color));
            // One night alone makes no line.
            chart.draw_series(points.iter().map(|at| Circle::new(*at, 2, color.filled()))).ok()?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .background_style(WHITE.mix(0.8))
            .draw()
            .ok()?;
        area.present().ok()?;
    }
    Some(svg)
}
