//! The report: a table for people, JSON for scripts.

use std::{fmt::Write as _, fs, thread};

use serde::Serialize;

/// All figures of a run.
#[derive(Serialize)]
pub(crate) struct Report {
    /// The machine on which they were measured.
    pub(crate) machine: String,
    /// Whether the figures are compared with their targets.
    pub(crate) judged: bool,
    /// The comparisons.
    pub(crate) sections: Vec<Section>,
}

/// The figures of one comparison.
#[derive(Serialize)]
pub(crate) struct Section {
    /// The comparison's name.
    pub(crate) name: &'static str,
    /// The figures that it measured.
    pub(crate) figures: Vec<Figure>,
}

/// One measured number.
#[derive(Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: String,
    /// The measured value.
    pub(crate) value: f64,
    /// The unit of the value.
    pub(crate) unit: &'static str,
    /// The quartiles of several measurements, of which the value is the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quartiles: Option<[f64; 2]>,
    /// The target, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<Target>,
}

/// Several measurements of one number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    /// Half of the measurements are between these.
    pub(crate) quartiles: [f64; 2],
}

impl Spread {
    /// The spread of these measurements.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values = values.collect::<Vec<_>>();
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| {
            let last = values.len().saturating_sub(1);
            values.get((last * quarter + 2) / 4).copied().unwrap_or(f64::NAN)
        };
        Self { median: at(2), quartiles: [at(1), at(3)] }
    }
}

/// The target of a number.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// This value or less.
    AtMost(f64),
    /// This value or more.
    AtLeast(f64),
}

impl Figure {
    /// A number without a target.
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, quartiles: None, target: None }
    }

    /// A number that was measured several times.
    pub(crate) fn spread(
        name: impl Into<String>,
        spread: Spread,
        unit: &'static str,
        target: Option<Target>,
    ) -> Self {
        let Spread { median, quartiles } = spread;
        Self { name: name.into(), value: median, unit, quartiles: Some(quartiles), target }
    }

    /// A number with a target.
    pub(crate) fn with_target(
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: Target,
    ) -> Self {
        Self { target: Some(target), ..Self::new(name, value, unit) }
    }

    fn is_met(&self) -> bool {
        match self.target {
            Some(Target::AtMost(most)) => self.value <= most,
            Some(Target::AtLeast(least)) => self.value >= least,
            None => true,
        }
    }
}

impl Report {
    /// Whether no target is missed.
    pub(crate) fn is_met(&self) -> bool {
        !self.judged || self.sections.iter().flat_map(|section| &section.figures).all(Figure::is_met)
    }

    /// The report for scripts.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    /// The report for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.machine);
        for section in &self.sections {
            // Text can always be written.
            _ = writeln!(text, "\n{}", section.name);
            for figure in &section.figures {
                let Figure { name, value, unit, quartiles, .. } = figure;
                let spread = quartiles.map(|[low, high]| format!(" ({} to {})", rounded(low), rounded(high)));
                let (value, spread) = (rounded(*value), spread.unwrap_or_default());
                _ = writeln!(text, "  {name:<42} {value:>9} {unit:<6}{spread}{}", self.verdict(figure));
            }
        }
        text
    }

    fn verdict(&self, figure: &Figure) -> String {
        let Some(target) = figure.target.filter(|_| self.judged) else { return String::new() };
        let target = match target {
            Target::AtMost(most) => format!("at most {}", rounded(most)),
            Target::AtLeast(least) => format!("at least {}", rounded(least)),
        };
        format!("  {target}: {}", if figure.is_met() { "met" } else { "MISSED" })
    }
}

/// Rounds to three figures. A measurement is not more precise.
fn rounded(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The median.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Describes this machine: processor, cores, memory, system, and the load before the run.
pub(crate) fn machine() -> String {
    let field = |path: &str, name: &str| {
        let text = fs::read_to_string(path).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
        value.map(|(_, value)| value.trim().to_owned())
    };
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get);
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let system = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    format!(
        "{processor}, {cores} cores, {memory}, {} {}; load before {load}",
        std::env::consts::OS,
        system.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_is_reported_unless_nothing_is_judged() {
        let figures = |ratio| {
            let least = Target::AtLeast(0.6);
            vec![
                Figure::with_target("errors", 0.0, "", Target::AtMost(0.0)),
                Figure::with_target("ratio", ratio, "", least),
            ]
        };
        let report = |ratio, judged| Report {
            machine: "m".to_owned(),
            judged,
            sections: vec![Section { name: "s", figures: figures(ratio) }],
        };
        assert!(report(0.6, true).is_met() && report(0.59, false).is_met());
        let missed = report(0.59, true);
        assert!(!missed.is_met());
        assert!(missed.text().contains("0.59") && missed.text().contains("at least 0.60: MISSED"));
        assert!(!report(f64::NAN, true).is_met(), "no measurement meets no target");
    }

    #[test]
    fn a_spread_is_the_median_and_the_quartiles() {
        let Spread { median, quartiles } = Spread::of([5.0, 1.0, 4.0, 2.0, 3.0].into_iter());
        assert_eq!([median, quartiles[0], quartiles[1]].map(rounded), ["3.00", "2.00", "4.00"]);
        assert!(Spread::of(std::iter::empty()).median.is_nan());
        let one = Spread::of([7.0].into_iter());
        assert_eq!([one.median, one.quartiles[0], one.quartiles[1]].map(rounded), ["7.00", "7.00", "7.00"]);
    }

    #[test]
    fn an_outlier_does_not_change_the_median() {
        assert!((median(vec![3.0, 900.0, 1.0]) - 3.0).abs() < f64::EPSILON);
    }
}
