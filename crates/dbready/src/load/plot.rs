//! Plots as SVG, for reports without a network.

use plotters::prelude::*;

use super::curve::Step;
use super::found::Phase;
use super::scaling::{Point, Scale};

const SIZE: (u32, u32) = (720, 360);
const COLOURS: [RGBColor; 6] = [
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0xd6, 0x27, 0x28),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0x94, 0x67, 0xbd),
    RGBColor(0xff, 0x7f, 0x0e),
    RGBColor(0x8c, 0x56, 0x4b),
];

/// One named line of a plot.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// The plots of one phase with the names of their files.
#[must_use]
pub(super) fn of_phase(phase: &Phase) -> Vec<(String, String)> {
    let lines = |points: fn(&super::summary::Summary) -> Vec<(f64, f64)>| -> Vec<Line> {
        let streams = phase.streams.iter();
        streams
            .map(|(name, summary)| Line { name: name.clone(), points: points(summary) })
            .collect()
    };
    let timeline = lines(|summary| {
        #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
        let point = |second: &super::summary::Second| (second.second as f64, second.p95);
        summary.timeline.iter().map(point).collect()
    });
    let percentiles = phase
        .histograms
        .iter()
        .map(|(name, histogram)| Line {
            name: name.clone(),
            points: NINES
                .into_iter()
                .map(|nines: f64| {
                    let quantile = 1.0 - 10_f64.powf(-nines);
                    let micros = u32::try_from(histogram.value_at_quantile(quantile));
                    (nines, f64::from(micros.unwrap_or(u32::MAX)) / 1_000.0)
                })
                .collect(),
        })
        .collect::<Vec<_>>();
    [
        (
            "timeline",
            plot("p95 of the response time, second by second", ("second", "ms"), &timeline),
        ),
        (
            "percentiles",
            plot("response time by percentile", ("nines: 1 is p90, 2 is p99", "ms"), &percentiles),
        ),
    ]
    .into_iter()
    .filter_map(|(kind, svg)| Some((format!("{}_{kind}.svg", phase.name), svg?)))
    .collect()
}

/// Percentiles by their number of nines.
const NINES: [f64; 13] = [0.0, 0.3, 0.6, 1.0, 1.3, 1.6, 2.0, 2.3, 2.6, 3.0, 3.3, 3.6, 4.0];

/// Response times against throughput, up to the knee.
#[must_use]
pub(super) fn of_curve(steps: &[Step]) -> Option<String> {
    let line = |name: &str, of: fn(&Step) -> f64| Line {
        name: name.to_owned(),
        points: steps.iter().map(|step| (step.achieved_per_second, of(step))).collect(),
    };
    let lines =
        [line("p50", |step| step.p50), line("p95", |step| step.p95), line("p99", |step| step.p99)];
    plot("response time against throughput", ("answers a second", "ms"), &lines)
}

/// Response times along one axis, by powers of ten; of single points nothing is drawn.
#[must_use]
pub(super) fn of_scale(scale: &Scale) -> Option<String> {
    if scale.points.len() < 2 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "sizes stay far below 2^52")]
    let line = |name: &str, of: fn(&Point) -> f64| Line {
        name: name.to_owned(),
        points: scale.points.iter().map(|point| ((point.at as f64).log10(), of(point))).collect(),
    };
    let lines = [line("p50", |point| point.p50), line("p95", |point| point.p95)];
    let title = format!("response time against {}", scale.unit);
    plot(&title, (&format!("{}, as powers of ten", scale.unit), "ms"), &lines)
}

/// A plot of lines with a logarithmic scale upwards; `None` when there is nothing to draw.
fn plot(title: &str, (across, up): (&str, &str), lines: &[Line]) -> Option<String> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let least = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::NEG_INFINITY, f64::max);
    let (left, right) = (least(|point| point.0), most(|point| point.0));
    let (low, high) =
        (least(|point| point.1).max(0.01) / 1.5, most(|point| point.1).max(0.02) * 1.5);
    if ![left, right, low, high].into_iter().all(f64::is_finite) {
        return None;
    }
    let right = if right > left { right } else { left + 1.0 };
    let mut svg = String::new();
    draw(&mut svg, title, (across, up), (left..right, low..high), lines).ok()?;
    Some(svg)
}

fn draw(
    svg: &mut String,
    title: &str,
    (across, up): (&str, &str),
    (horizontal, vertical): (std::ops::Range<f64>, std::ops::Range<f64>),
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(horizontal, vertical.log_scale())?;
    chart.configure_mesh().x_desc(across).y_desc(up).light_line_style(WHITE).draw()?;
    for (line, colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        let points = line.points.iter().map(|(x, y)| (*x, y.max(0.01)));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(&line.name)
            .legend(move |(x, y)| {
                PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2))
            });
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(RGBColor(0xcc, 0xcc, 0xcc))
        .draw()?;
    area.present()?;
    drop(chart);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_holds_its_lines_and_escapes_their_names() {
        let lines = [Line { name: "<b>&".to_owned(), points: vec![(0.0, 1.0), (1.0, 120_000.0)] }];
        let svg = plot("title", ("x", "y"), &lines).unwrap();
        assert!(
            svg.starts_with("<svg") && svg.contains("polyline") && svg.contains("title"),
            "{svg}"
        );
        assert!(svg.contains("&lt;b&gt;&amp;") && !svg.contains("<b>"), "{svg}");
        assert!(plot("title", ("x", "y"), &[]).is_none());
    }
}
