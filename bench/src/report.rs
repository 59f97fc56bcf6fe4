//! What was measured, as a table and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    /// On what.
    pub(crate) machine: String,
    /// Whether the figures are to be held against their targets.
    pub(crate) judged: bool,
    /// By comparison.
    pub(crate) sections: Vec<Section>,
}

/// One comparison.
#[derive(Serialize)]
pub(crate) struct Section {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it found.
    pub(crate) figures: Vec<Figure>,
}

/// One number.
#[derive(Serialize)]
pub(crate) struct Figure {
    /// What it says.
    pub(crate) name: &'static str,
    /// The number.
    pub(crate) value: f64,
    /// Of what.
    pub(crate) unit: &'static str,
    /// What it has to be, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<Target>,
}

/// What a number has to be.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// So much or less.
    AtMost(f64),
    /// So much or more.
    AtLeast(f64),
}

impl Figure {
    /// A number that is only told.
    pub(crate) fn told(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, target: None }
    }

    /// A number that is held against a target.
    pub(crate) fn held(name: &'static str, value: f64, unit: &'static str, target: Target) -> Self {
        Self { name, value, unit, target: Some(target) }
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

    /// For a script.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    /// For a person.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.machine);
        for section in &self.sections {
            // Text can always be written.
            _ = writeln!(text, "\n{}", section.name);
            for figure in &section.figures {
                let Figure { name, value, unit, .. } = figure;
                _ = writeln!(text, "  {name:<42} {:>9} {unit:<6}{}", rounded(*value), self.verdict(figure));
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

/// Three figures are all that a measurement is good for.
fn rounded(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missed_target_is_told_and_judged() {
        let figures = |ratio| {
            let least = Target::AtLeast(0.6);
            vec![
                Figure::held("errors", 0.0, "", Target::AtMost(0.0)),
                Figure::held("ratio", ratio, "", least),
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
        assert!(!report(f64::NAN, true).is_met(), "nothing measured is nothing met");
    }

    #[test]
    fn the_median_is_not_moved_by_one_that_is_far_off() {
        assert!((median(vec![3.0, 900.0, 1.0]) - 3.0).abs() < f64::EPSILON);
    }
}
