//! Drawings as SVG inside the page: coloured by its style sheet, as wide as the page, with labels that
//! stay as large as its text.

use maud::{Markup, html as markup};

/// One direction of a drawing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Axis {
    /// From the first to the second figure.
    Linear(f64, f64),
    /// The same by powers of ten; both are above zero.
    Log(f64, f64),
}

impl Axis {
    /// A logarithmic axis that shows these figures, between round ones; `None` without any above zero.
    pub(crate) fn log(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = span(figures.filter(|figure| *figure > 0.0))?;
        let round = round_figures();
        let low = round.iter().rev().find(|round| **round <= low).unwrap_or(&round[0]);
        let above = round.iter().find(|round| **round >= high && *round > low);
        let high = above.or(round.last())?;
        Some(Self::Log(*low, *high))
    }

    /// A linear axis that shows these figures; `None` without any.
    pub(crate) fn linear(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = span(figures)?;
        Some(Self::Linear(low, if high > low { high } else { low + 1.0 }))
    }

    /// Where a figure lies, from 0 to 1; what is outside lies at the end.
    pub(crate) fn at(self, figure: f64) -> f64 {
        let share = match self {
            Self::Linear(low, high) => (figure - low) / (high - low),
            Self::Log(low, high) => {
                (figure.max(f64::MIN_POSITIVE).log10() - low.log10()) / (high.log10() - low.log10())
            }
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Where lines are drawn across: at round figures, no more than are told apart, or at quarters.
    pub(crate) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear(low, high) => {
                [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| low + share * (high - low)).to_vec()
            }
            Self::Log(low, high) => {
                let mut ticks = round_figures();
                ticks.retain(|tick| (low..=high).contains(tick));
                if ticks.len() > MOST_TICKS {
                    // Powers of ten alone.
                    ticks.retain(|tick| (tick.log10() - tick.log10().round()).abs() < 1e-9);
                }
                ticks
            }
        }
    }
}

/// Lines across at most, so that their figures do not touch.
const MOST_TICKS: usize = 6;

/// Ones, twos and fives, from a nanosecond to weeks in milliseconds.
fn round_figures() -> Vec<f64> {
    (-6..=9).flat_map(|power| [1.0, 2.0, 5.0].map(|one| one * 10_f64.powi(power))).collect()
}

fn span(figures: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = figures.filter(|figure| figure.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), figure| {
        (low.min(figure), high.max(figure))
    });
    (low <= high).then_some((low, high))
}

/// A share as SVG takes it: `12.5%`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// One named line of a drawing.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Colours that the style sheet has for lines.
pub(crate) const COLOURS: usize = 6;

/// The class of a line: its colour, and that it is dashed where the colour stands for another one, too.
fn colour(at: usize) -> String {
    format!("c{}{}", at % COLOURS, if at < COLOURS { "" } else { " again" })
}

/// Lines over an area; `marks` are places across where something went wrong.
pub(crate) fn chart(
    label: &str,
    (across, up): (Axis, Axis),
    write: impl Fn(f64) -> String,
    lines: &[Line],
    marks: &[f64],
) -> Markup {
    const SIDE: f64 = 1_000.0;
    let path = |line: &Line| {
        let places = line
            .points
            .iter()
            .map(|(x, y)| format!("{:.1},{:.1}", across.at(*x) * SIDE, (1.0 - up.at(*y)) * SIDE));
        places.collect::<Vec<_>>().join(" ")
    };
    markup! {
        svg.chart role="img" aria-label=(label) {
            @for tick in up.ticks() {
                @let height = percent(1.0 - up.at(tick));
                line.grid x1="0" x2="100%" y1=(height) y2=(height) {}
            }
            @for mark in marks {
                @let place = percent(across.at(*mark));
                line.mark x1=(place) x2=(place) y1="92%" y2="100%" {}
            }
            svg viewBox="0 0 1000 1000" preserveAspectRatio="none" {
                @for (at, line) in lines.iter().enumerate() {
                    polyline class=(format!("line {}", colour(at))) points=(path(line)) {}
                }
            }
            @for (at, line) in lines.iter().enumerate() {
                @if let [(x, y)] = line.points.as_slice() {
                    circle class=(format!("dot {}", colour(at))) r="3.5"
                        cx=(percent(across.at(*x))) cy=(percent(1.0 - up.at(*y))) {}
                }
            }
            // Above the lines, so that they do not strike them out.
            @for tick in up.ticks() {
                text.tick x="0" y=(percent(1.0 - up.at(tick))) dy="-4" { (write(tick)) }
            }
        }
    }
}

/// The names of lines beside their colours.
pub(crate) fn names(lines: &[Line]) -> Markup {
    markup! {
        @for (at, line) in lines.iter().enumerate() {
            span { i class=(colour(at)) {} (line.name) }
        }
    }
}

/// A figure with as many digits as it needs: `0.04`, `1.4`, `250`, `12,000`.
pub(crate) fn short(figure: f64) -> String {
    let digits = match figure.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 1.0 => 1,
        size if size >= 0.1 => 2,
        _ => 3,
    };
    let text = format!("{figure:.digits$}");
    match text.split_once('.') {
        Some((whole, part)) if part.bytes().all(|digit| digit == b'0') => whole.to_owned(),
        _ => text,
    }
}

/// Milliseconds on an axis: `5 µs`, `10 ms`, `2 s`.
pub(crate) fn duration(ms: f64) -> String {
    if ms >= 1_000.0 {
        format!("{} s", short(ms / 1_000.0))
    } else if ms >= 0.1 || ms <= 0.0 {
        format!("{} ms", short(ms))
    } else {
        format!("{} µs", short(ms * 1_000.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_place_figures_and_hold_what_is_no_figure() {
        let axis = Axis::log([0.4, 90.0].into_iter()).unwrap();
        assert_eq!(axis.ticks(), [1.0, 10.0, 100.0], "{axis:?}");
        let near = Axis::log([12.0, 44.0].into_iter()).unwrap();
        assert_eq!(near.ticks(), [10.0, 20.0, 50.0], "{near:?}");
        assert!((Axis::Log(1.0, 1_000.0).at(10.0) - 1.0 / 3.0).abs() < 1e-9);
        for odd in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!((0.0..=1.0).contains(&axis.at(odd)), "{odd}");
        }
        assert!(Axis::log([0.0, -3.0, f64::NAN].into_iter()).is_none());
        assert!(Axis::linear(std::iter::empty()).is_none());
        let same = Axis::linear([5.0].into_iter()).unwrap();
        assert!(same.at(5.0).abs() < 1e-9);
        let wide = Axis::log([1e-300, 1e300].into_iter()).unwrap();
        assert!(wide.ticks().len() <= 20 && wide.at(1.0) > 0.0);
    }

    #[test]
    fn figures_are_short() {
        let shown = [0.0, 0.04, 1.0, 1.44, 250.4, 12_000.0].map(short);
        assert_eq!(shown, ["0", "0.040", "1", "1.4", "250", "12000"]);
        assert_eq!([0.05, 10.0, 2_000.0].map(duration), ["50 µs", "10 ms", "2 s"]);
    }

    #[test]
    fn a_chart_escapes_its_names() {
        let line = Line { name: "<b>&".to_owned(), points: vec![(0.0, 1.0)] };
        let axis = Axis::Linear(0.0, 1.0);
        let lines = [line];
        let drawn = chart("<i>", (axis, axis), short, &lines, &[0.5]).into_string();
        assert!(drawn.contains("aria-label=\"&lt;i&gt;\"") && drawn.contains("<circle"), "{drawn}");
        assert!(names(&lines).into_string().contains("&lt;b&gt;&amp;"));
    }

    #[test]
    fn no_two_lines_look_the_same() {
        let looks: std::collections::BTreeSet<String> = (0..2 * COLOURS).map(colour).collect();
        assert_eq!(looks.len(), 2 * COLOURS);
    }
}
