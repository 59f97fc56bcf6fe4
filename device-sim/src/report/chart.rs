//! Charts as SVG that fit every width: shapes are stretched, text and the width of lines are not.
//!
//! Everything is styled by classes, because the page's policy allows no `style` attribute.

use std::fmt::Write as _;

use super::html::{clock, float, grouped, text};

/// A chart with its caption, its legend and its values as a table.
pub(super) struct Chart {
    /// The figure's id, and the beginning of the ids in it.
    pub(super) id: &'static str,
    /// What it shows.
    pub(super) title: String,
    /// What it says, in a sentence.
    pub(super) note: String,
    /// The time that it covers.
    pub(super) span: Span,
    /// The values that it covers.
    pub(super) scale: Scale,
    /// Whether one series alone has its name in a legend.
    pub(super) names_one: bool,
    /// What is drawn, from back to front.
    pub(super) series: Vec<Series>,
    /// What a pointer reads: from, to, and the text.
    pub(super) hints: Vec<(f64, f64, String)>,
    /// The values.
    pub(super) table: Table,
}

/// A time, in milliseconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
}

/// A table's heads and rows, as text.
pub(super) struct Table {
    pub(super) heads: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// Something that is drawn, with its name in the legend.
pub(super) struct Series {
    pub(super) name: String,
    /// Its colour, from 1 to 6.
    pub(super) color: usize,
    pub(super) shape: Shape,
}

/// How a series is drawn. Places are parts of the chart's time, from 0 to 1.
pub(super) enum Shape {
    /// A line, with gaps.
    Line { points: Vec<Option<(f64, f64)>>, dashed: bool },
    /// A line and the area below it.
    Area(Vec<(f64, f64)>),
    /// Bars from one value to another: begin, end, low, high.
    Bars(Vec<[f64; 4]>),
    /// A dashed line at one value.
    Level(f64),
}

/// A value's height.
pub(super) enum Scale {
    /// From low to high, with a line at each step.
    Linear { low: f64, high: f64, step: f64, unit: &'static str },
    /// Decades of milliseconds, from 10 to the power of the first to 10 to the power of the second.
    Decades { low: i32, high: i32 },
}

impl Span {
    /// The place of a moment, from 0 to 1.
    pub(super) fn place(self, at_ms: u64) -> f64 {
        let length = self.to_ms.saturating_sub(self.from_ms).max(1);
        (float(at_ms.saturating_sub(self.from_ms)) / float(length)).min(1.0)
    }

    /// Times since the start that are labelled.
    fn ticks(self) -> Vec<u64> {
        let length = self.to_ms.saturating_sub(self.from_ms).max(1);
        let step = STEPS_MS.into_iter().find(|step| length / step <= MAX_TICKS);
        let step = step.unwrap_or_else(|| (length / (MAX_TICKS * DAY_MS) + 1) * DAY_MS);
        (0..=length / step).map(|number| number * step).collect()
    }
}

impl Scale {
    /// From 0 to a round number that is not below `max`.
    pub(super) fn from_zero(max: f64, unit: &'static str) -> Self {
        Self::between(0.0, max.max(1.0), unit)
    }

    /// From 0 to a round number that is not below `max`, in whole steps.
    pub(super) fn counts(max: f64) -> Self {
        Self::between(0.0, max.max(4.0), "")
    }

    /// Round numbers around `min` and `max`.
    pub(super) fn between(min: f64, max: f64, unit: &'static str) -> Self {
        let rough = ((max - min) / 4.0).max(LEAST_STEP);
        let power = 10_f64.powi(exponent(rough, f64::floor));
        let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0);
        let step = factor * power;
        let low = (min / step).floor() * step;
        let high = ((max / step).ceil() * step).max(low + step);
        Self::Linear { low, high, step, unit }
    }

    /// Whole decades around the latencies in milliseconds.
    pub(super) fn decades(min: f64, max: f64) -> Self {
        let low = exponent(min.max(0.001), f64::floor);
        Self::Decades { low, high: exponent(max.max(0.001), f64::ceil).max(low + 1) }
    }

    /// The height of a value, from 0 to 1.
    fn height(&self, value: f64) -> f64 {
        let height = match self {
            Self::Linear { low, high, .. } => (value - low) / (high - low),
            Self::Decades { low, high } => {
                (value.max(f64::MIN_POSITIVE).log10() - f64::from(*low)) / f64::from(high - low)
            }
        };
        height.clamp(0.0, 1.0)
    }

    /// Values that are labelled.
    fn ticks(&self) -> Vec<(f64, String)> {
        match self {
            Self::Linear { low, high, step, unit } => {
                let is_whole = |number: f64| (number - number.round()).abs() < 1e-6;
                let decimals = match step {
                    step if is_whole(*step) => 0,
                    step if is_whole(step * 10.0) => 1,
                    _ => 2,
                };
                let mut ticks = Vec::new();
                let mut value = *low;
                while value <= high + step / 2.0 && ticks.len() < 12 {
                    let number =
                        if value.abs() < step / 2.0 { "0".to_owned() } else { format!("{value:.decimals$}") };
                    let number = number.parse().map_or(number, grouped);
                    ticks.push((value, format!("{number}{unit}")));
                    value += step;
                }
                ticks
            }
            Self::Decades { low, high } => {
                let factors: &[f64] = if high - low == 1 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let each =
                    (*low..*high).flat_map(|power| factors.iter().map(move |it| it * 10_f64.powi(power)));
                each.chain([10_f64.powi(*high)]).map(|ms| (ms, round_latency(ms))).collect()
            }
        }
    }
}

impl Chart {
    /// The figure.
    pub(super) fn html(&self) -> String {
        let Self { id, title, note, .. } = self;
        let (title, note) = (text(title), text(note));
        let mut html = format!(
            "<figure class=\"chart\" id=\"{id}\">\n<figcaption><h3>{title}</h3><p>{note}</p></figcaption>\n"
        );
        if self.series.iter().all(Series::is_empty) {
            html.push_str("<p class=\"nothing\">Nothing to show.</p>\n</figure>\n");
            return html;
        }
        self.legend(&mut html);
        self.plot(&mut html, &title, &note);
        html.push_str("<details><summary>Values</summary>\n");
        html.push_str(&self.table.html(&format!("{title}: values")));
        html.push_str("</details>\n</figure>\n");
        html
    }

    fn legend(&self, html: &mut String) {
        if self.series.len() < 2 && !self.names_one {
            return;
        }
        html.push_str("<ul class=\"legend\">");
        for series in &self.series {
            let (color, name) = (series.color, text(&series.name));
            let sample = match &series.shape {
                Shape::Bars(_) => format!("<path class=\"bar c{color}\" d=\"M2 1h16v8h-16z\"/>"),
                Shape::Area(_) | Shape::Line { dashed: false, .. } => {
                    format!("<path class=\"line c{color}\" d=\"M1 5h18\"/>")
                }
                Shape::Line { dashed: true, .. } | Shape::Level(_) => {
                    format!("<path class=\"line dashed c{color}\" d=\"M1 5h18\"/>")
                }
            };
            let swatch = format!("<svg width=\"20\" height=\"10\" aria-hidden=\"true\">{sample}</svg>");
            // Writing to a string never fails.
            _ = write!(html, "<li>{swatch}{name}</li>");
        }
        html.push_str("</ul>\n");
    }

    fn plot(&self, html: &mut String, title: &str, note: &str) {
        let id = self.id;
        let ticks = self.scale.ticks();
        _ = writeln!(
            html,
            "<svg class=\"plot\" height=\"{HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-title {id}-note\">\
             <title id=\"{id}-title\">{title}</title><desc id=\"{id}-note\">{note}</desc>"
        );
        _ = write!(
            html,
            "<svg y=\"{TOP}\" width=\"100%\" height=\"{PLOT}\" viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\">\
             <path class=\"grid\" d=\""
        );
        for (value, _) in &ticks {
            _ = write!(html, "M0 {:.1}H1000", self.y(*value));
        }
        html.push_str("\"/>");
        for series in &self.series {
            self.shape(html, series);
        }
        for (from, to, hint) in &self.hints {
            let (x, width, hint) = (from * 1000.0, (to - from) * 1000.0, text(hint));
            _ = write!(
                html,
                "<rect class=\"hint\" x=\"{x:.1}\" width=\"{width:.1}\" height=\"1000\"><title>{hint}</title></rect>"
            );
        }
        html.push_str("</svg>\n");
        for (value, label) in &ticks {
            let y = f64::from(TOP) + self.y(*value) * f64::from(PLOT) / 1000.0 + 4.0;
            _ = write!(html, "<text x=\"-8\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>", text(label));
        }
        for tick in self.span.ticks() {
            let place = self.span.place(self.span.from_ms + tick);
            let anchor = match place {
                place if place < 0.05 => "start",
                place if place > 0.95 => "end",
                _ => "middle",
            };
            let (x, y) = (place * 100.0, HEIGHT - 4);
            _ = write!(html, "<text x=\"{x:.2}%\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>", clock(tick));
        }
        html.push_str("</svg>\n");
    }

    fn shape(&self, html: &mut String, series: &Series) {
        let color = series.color;
        let mut path = String::new();
        let class = match &series.shape {
            Shape::Line { points, dashed } => {
                let mut after_gap = true;
                for (place, next) in points.iter().zip(points.iter().skip(1).chain([&None])) {
                    let Some((x, y)) = place else {
                        after_gap = true;
                        continue;
                    };
                    let (command, x, y) = (if after_gap { 'M' } else { 'L' }, x * 1000.0, self.y(*y));
                    _ = write!(path, "{command}{x:.1} {y:.1}");
                    // A value alone is a dot, which the round ends of the line make.
                    if after_gap && next.is_none() {
                        path.push_str("h0");
                    }
                    after_gap = false;
                }
                if *dashed { "line dashed" } else { "line" }
            }
            Shape::Area(points) => {
                let mut line = String::new();
                for (number, (x, y)) in points.iter().enumerate() {
                    let command = if number == 0 { 'M' } else { 'L' };
                    _ = write!(line, "{command}{:.1} {:.1}", x * 1000.0, self.y(*y));
                }
                if let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) {
                    let (first, last) = (first * 1000.0, last * 1000.0);
                    _ = write!(
                        html,
                        "<path class=\"fill c{color}\" d=\"{line}L{last:.1} 1000L{first:.1} 1000z\"/>"
                    );
                }
                path = line;
                "line"
            }
            Shape::Bars(bars) => {
                for [from, to, low, high] in bars {
                    let (low, high) = (self.y(*low), self.y(*high));
                    let (x, width) = (from * 1000.0, (to - from) * 1000.0);
                    // A hair's breadth between two bars.
                    let (x, width) = (x + width * 0.06, width * 0.88);
                    _ = write!(path, "M{x:.2} {low:.1}V{high:.1}h{width:.2}V{low:.1}z");
                }
                "bar"
            }
            Shape::Level(value) => {
                _ = write!(path, "M0 {:.1}H1000", self.y(*value));
                "line dashed"
            }
        };
        _ = write!(html, "<path class=\"{class} c{color}\" d=\"{path}\"/>");
    }

    fn y(&self, value: f64) -> f64 {
        (1.0 - self.scale.height(value)) * 1000.0
    }
}

impl Series {
    fn is_empty(&self) -> bool {
        match &self.shape {
            Shape::Line { points, .. } => points.iter().all(Option::is_none),
            Shape::Area(points) => points.is_empty(),
            Shape::Bars(bars) => bars.is_empty(),
            Shape::Level(_) => true,
        }
    }
}

impl Table {
    /// The table, in a part that scrolls. The label is HTML.
    pub(super) fn html(&self, label: &str) -> String {
        let mut html = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\"><table>\n<thead><tr>"
        );
        for head in &self.heads {
            _ = write!(html, "<th scope=\"col\">{}</th>", text(head));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for cell in row {
                _ = write!(html, "<td>{}</td>", text(cell));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n</table></div>\n");
        html
    }
}

/// The least step that a sensor's values need.
const LEAST_STEP: f64 = 0.05;
const HEIGHT: u16 = 224;
const TOP: u16 = 8;
const PLOT: u16 = 190;
/// The number of labels that fit a phone.
const MAX_TICKS: u64 = 5;
const DAY_MS: u64 = 86_400_000;
const STEPS_MS: [u64; 20] = [
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    14_400_000,
    21_600_000,
    43_200_000,
    DAY_MS,
    7 * DAY_MS,
];

/// The power of ten of a positive number, rounded to a whole one.
fn exponent(value: f64, round: fn(f64) -> f64) -> i32 {
    // There are fewer powers of ten than an `i16` counts.
    format!("{:.0}", round(value.log10())).parse().unwrap_or(0)
}

fn round_latency(ms: f64) -> String {
    match ms {
        ms if ms < 0.01 => format!("{:.0} µs", ms * 1_000.0),
        ms if ms < 0.1 => format!("{ms:.2} ms"),
        ms if ms < 1.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.0} s", ms / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_include_every_value() {
        assert_eq!(
            labels(&Scale::from_zero(1_960.0, "/s")),
            ["0/s", "500/s", "1,000/s", "1,500/s", "2,000/s"]
        );
        assert_eq!(labels(&Scale::from_zero(0.0, "")), ["0", "0.5", "1.0"]);
        assert_eq!(
            labels(&Scale::between(18.2, 26.1, " °C")),
            ["18 °C", "20 °C", "22 °C", "24 °C", "26 °C", "28 °C"]
        );
        assert_eq!(labels(&Scale::between(21.0, 21.0, "")), ["21.00", "21.05"]);
        assert_eq!(labels(&Scale::between(-1.0, 1.0, "")), ["-1.0", "-0.5", "0", "0.5", "1.0"]);
        assert_eq!(labels(&Scale::decades(0.3, 950.0)), ["0.1 ms", "1 ms", "10 ms", "100 ms", "1 s"]);
        assert_eq!(labels(&Scale::decades(1.2, 8.0)), ["1 ms", "2 ms", "5 ms", "10 ms"]);
        assert_eq!(labels(&Scale::decades(0.0, 0.0)), ["1 µs", "2 µs", "5 µs", "0.01 ms"]);
        let scale = Scale::decades(0.1, 1_000.0);
        for (ms, height) in [(0.1, 0.0), (10.0, 0.5), (1_000.0, 1.0), (60_000.0, 1.0)] {
            assert!((scale.height(ms) - height).abs() < 1e-9, "{ms}");
        }
    }

    #[test]
    fn times_have_a_few_labels() {
        for length in [0, 250, 2_000, 59_750, 3_600_000, 86_400_000, 100 * DAY_MS] {
            let ticks = Span { from_ms: 7, to_ms: 7 + length }.ticks();
            assert!((1..=6).contains(&ticks.len()) && ticks[0] == 0, "{length}: {ticks:?}");
        }
        let ticks = Span { from_ms: 0, to_ms: 60_000 }.ticks();
        assert_eq!(ticks, [0, 15_000, 30_000, 45_000, 60_000]);
    }
}
