//! The rows of docs/fidelity.md, which the cases settle.

use std::collections::BTreeMap;

use anyhow::Context as _;

const PAGE: &str = include_str!("../../docs/fidelity.md");
/// The header of the tables with behaviours of AWS.
const HEADER: &str = "| case | behaviour | evidence | setting | test | how to settle it |";

/// A behaviour of AWS, as the page has it.
#[derive(Clone, Debug)]
pub struct Row {
    /// What happens.
    pub behaviour: String,
    /// `measured: SOURCE`, `documented: PAGE` or `guess`.
    pub evidence: String,
}

impl Row {
    /// Whether neither a measurement nor a page says it.
    #[must_use]
    pub fn is_guess(&self) -> bool {
        self.evidence == "guess"
    }
}

/// The rows with a case, by the ids of the cases.
///
/// # Errors
///
/// When a row has another form.
pub fn rows() -> anyhow::Result<BTreeMap<String, Row>> {
    let mut rows = BTreeMap::new();
    for table in PAGE.split(HEADER).skip(1) {
        for line in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
            let line = line.replace("\\|", "\u{0}");
            let cells = line.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect::<Vec<_>>();
            let [_, case, behaviour, evidence, ..] = cells.as_slice() else {
                anyhow::bail!("docs/fidelity.md has a row of another form: {line}");
            };
            let Some(id) = case.strip_prefix('`').and_then(|case| case.strip_suffix('`')) else { continue };
            let row = Row { behaviour: behaviour.clone(), evidence: evidence.clone() };
            anyhow::ensure!(rows.insert(id.to_owned(), row).is_none(), "two rows have the id `{id}`");
        }
    }
    Ok(rows)
}

/// The row of a case.
///
/// # Errors
///
/// When there is none.
pub fn row_of<'a>(rows: &'a BTreeMap<String, Row>, id: &str) -> anyhow::Result<&'a Row> {
    rows.get(id).with_context(|| format!("docs/fidelity.md has no row `{id}`"))
}
