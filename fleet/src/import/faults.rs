//! What is wrong with the rows of a file.

use std::{collections::HashMap, fmt};

use crate::count::grouped;

/// Faults by line. Lines with the same fault are told together. No fault carries a secret.
#[derive(Debug, Default)]
pub struct Faults {
    by_message: HashMap<String, usize>,
    groups: Vec<(String, Vec<usize>)>,
    count: usize,
}

impl Faults {
    /// Adds what is wrong with a line.
    pub fn add(&mut self, line: usize, why: String) {
        self.count = self.count.saturating_add(1);
        let next = self.groups.len();
        let group = *self.by_message.entry(why.clone()).or_insert(next);
        match self.groups.get_mut(group) {
            Some((_, lines)) => lines.push(line),
            None => self.groups.push((why, vec![line])),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = if self.count == 1 { "row" } else { "rows" };
        write!(f, "{} bad {rows}", grouped(self.count))?;
        let mut groups = self.groups.iter().collect::<Vec<_>>();
        groups.sort_by_key(|(_, lines)| lines.first());
        groups.into_iter().try_for_each(|(why, lines)| {
            let word = if lines.len() == 1 { "line" } else { "lines" };
            write!(f, "\n  {word} {}: {why}", Runs(lines))
        })
    }
}

/// Ascending lines: `3, 7-9`.
struct Runs<'a>(&'a [usize]);

impl fmt::Display for Runs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|one, next| one.checked_add(1) == Some(*next));
        for (count, run) in runs.enumerate() {
            f.write_str(if count == 0 { "" } else { ", " })?;
            match run {
                [first, .., last] => write!(f, "{first}-{last}")?,
                [] | [_] => run.iter().try_for_each(|line| write!(f, "{line}"))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_told_once() {
        let mut faults = Faults::default();
        for (line, why) in [(3, "b"), (4, "b"), (5, "b"), (7, "b"), (2, "a"), (9, "a"), (10, "a")] {
            faults.add(line, why.to_owned());
        }
        assert_eq!(faults.to_string(), "7 bad rows\n  lines 2, 9-10: a\n  lines 3-5, 7: b");
        let mut one = Faults::default();
        assert!(one.is_empty());
        one.add(4, "c".to_owned());
        assert!(one.to_string() == "1 bad row\n  line 4: c" && !one.is_empty());
    }
}
