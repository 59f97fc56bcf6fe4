//! Checks all rows of a file before one is written, with what of a row has to be remembered: some 30 bytes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use cli::console::status;
use device_auth::{
    device_name::DeviceName,
    grant::{GrantDefinition, Grants},
    record::{FunctionSettings, Record},
    store::{
        claims::{ManyClaims, check_pair},
        document::StoreDocument,
        loader::RecordLoader,
    },
    verifier::{LiveVerifier, Verifier, budget::FunctionMemory},
};
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use super::users::{Draft, Users};
#[cfg(feature = "aws")]
use crate::record_store::{Stored, table::Table};
use crate::{
    import::{self, Claimed, Cost, Faults, GrantNames, GrantsOfRules},
    progress::Progress,
    store_file::any_function,
};

/// After this many rows other tasks have their turn: that of Ctrl-C for example.
const ROWS_A_TURN: u32 = 256;
/// How many pairs of records are compared with one reading of the file.
const PAIRS_A_READING: usize = 1_000;
/// How many records of a table are read with one call (API reference, `BatchGetItem`).
#[cfg(feature = "aws")]
const RECORDS_A_CALL: usize = 100;

/// Ctrl-C was pressed before anything was written.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: nothing was imported")]
pub(super) struct Interrupted;

/// The store before the import.
pub(super) struct Before<'a> {
    /// The grants, and the devices of a file or a secret.
    pub(super) document: &'a StoreDocument,
    /// The table, if it is one.
    #[cfg(feature = "aws")]
    pub(super) table: Option<&'a Table>,
}

/// A file without a row that can't be imported, apart from those that are left out.
pub(super) struct Checked {
    left_out: Numbers,
    /// How many devices are imported.
    pub(super) devices: u64,
    /// How many rows `--skip-existing` leaves out.
    pub(super) skipped: u64,
    /// What is wrong with the others that are left out.
    pub(super) faults: Faults,
    /// What became of the access rules, if there are any.
    pub(super) rules: Option<RulesReport>,
    of_rows: GrantNames,
}

/// What became of the access rules.
pub(super) struct RulesReport {
    /// The grants that the store does not have.
    pub(super) grants: BTreeMap<String, GrantDefinition>,
    /// How many devices have each grant.
    pub(super) devices: BTreeMap<String, u64>,
    /// Things to know, with their lines.
    pub(super) notes: Vec<(usize, String)>,
    /// The rules that were left out.
    pub(super) losses: Option<String>,
    pub(super) lost: usize,
}

impl Checked {
    /// Whether a row is not imported.
    pub(super) fn is_left_out(&self, number: u32) -> bool {
        self.left_out.has(number)
    }

    /// The grant that the access rules make for a row.
    pub(super) fn grant(&self, number: u32) -> Option<&str> {
        self.of_rows.get(number)
    }

    /// The grants of the access rules that the store does not have.
    pub(super) fn new_grants(&self) -> BTreeMap<String, GrantDefinition> {
        self.rules.as_ref().map(|rules| rules.grants.clone()).unwrap_or_default()
    }
}

/// Checks everything. Without `--keep-going`, a bad row is an error.
pub(super) async fn check(
    users: &Users<'_>,
    before: Before<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<Checked> {
    let mut check = Check::new(users, before, stop)?;
    check.read_names().await?;
    let document = check.before.document;
    let GrantsOfRules { grants, of_rows, notes, losses, lost } = check.grants()?;
    let has_rules = users.rules.is_some();
    let all = document.grants.iter().chain(&grants).map(|(name, grant)| (name.clone(), grant.clone()));
    let checker = Checker::new(all.collect(), users.args.source.memory)?;
    let mut cost = Cost::default();
    check.check_rows(&checker, &of_rows, &mut cost).await?;
    let shown_losses = losses.as_deref().filter(|_| !users.args.source.skip_rules);
    if shown_losses.is_some() || (!check.faults.is_empty() && !users.args.keep_going) {
        let faults = (!check.faults.is_empty()).then(|| check.faults.of_file(users.input.shown()));
        let skip = shown_losses.map(|_| "`--skip-rules` imports without the unusable rules");
        let keep =
            (faults.is_some() && !users.args.keep_going).then_some("`--keep-going` imports the good rows");
        let parts = [faults.as_deref(), shown_losses, skip, keep, Some("nothing was imported")];
        return Err(import::error_list(parts.into_iter().flatten()).into());
    }
    check.compare(&checker, &of_rows).await?;
    if let Some(cost) = cost.shown(users.args.source.memory) {
        status(&cost.to_string());
    }
    let Check { left_out, skipped, faults, lines, .. } = check;
    let mut devices = BTreeMap::<String, u64>::new();
    let rows = u32::try_from(lines.len())?;
    if has_rules {
        for name in (0..rows).filter(|number| !left_out.has(*number)).filter_map(|number| of_rows.get(number))
        {
            match devices.get_mut(name) {
                Some(count) => *count = count.saturating_add(1),
                None => _ = devices.insert(name.to_owned(), 1),
            }
        }
    }
    Ok(Checked {
        devices: u64::from(rows).saturating_sub(left_out.count),
        left_out,
        skipped,
        faults,
        rules: has_rules.then_some(RulesReport { grants, devices, notes, losses, lost }),
        of_rows,
    })
}

/// What is known about the rows so far. Records are known by their numbers: those of the store come first, then the rows.
struct Check<'a> {
    users: &'a Users<'a>,
    before: Before<'a>,
    stop: &'a CancellationToken,
    /// How many records the store has.
    base: u32,
    claimed: Claimed,
    /// The line of each row.
    lines: Vec<u32>,
    left_out: Numbers,
    skipped: u64,
    faults: Faults,
}

impl<'a> Check<'a> {
    fn new(users: &'a Users<'a>, before: Before<'a>, stop: &'a CancellationToken) -> anyhow::Result<Self> {
        let mut claimed = Claimed::default();
        for (name, number) in before.document.devices.keys().zip(0_u32..) {
            claimed.name(name.as_str(), number);
        }
        let base = u32::try_from(before.document.devices.len())?;
        let (lines, left_out) = (Vec::new(), Numbers::default());
        Ok(Self {
            users,
            before,
            stop,
            base,
            claimed,
            lines,
            left_out,
            skipped: 0,
            faults: Faults::default(),
        })
    }

    /// Waits for other tasks now and then.
    async fn turn(&self, number: u32) -> anyhow::Result<()> {
        if number.is_multiple_of(ROWS_A_TURN) {
            yield_now().await;
            anyhow::ensure!(!self.stop.is_cancelled(), Interrupted);
        }
        Ok(())
    }

    /// A row that is not imported, and why.
    fn leave_out(&mut self, number: u32, line: usize, why: String) {
        if self.left_out.insert(number) {
            self.faults.add(line, why);
        }
    }

    /// The same for a row whose device is there already.
    fn leave_known_out(&mut self, number: u32, line: usize, why: String) {
        if self.users.args.skip_existing {
            self.left_out.insert(number);
            self.skipped = self.skipped.saturating_add(1);
        } else {
            self.leave_out(number, line, why);
        }
    }

    fn line(&self, number: u32) -> usize {
        let index = usize::try_from(number).ok();
        index
            .and_then(|index| self.lines.get(index))
            .and_then(|line| usize::try_from(*line).ok())
            .unwrap_or(0)
    }

    /// Reads each row by itself, and looks for names that are there already.
    async fn read_names(&mut self) -> anyhow::Result<()> {
        let users = self.users;
        let mut progress = Progress::of_file("read", users.input.length());
        for row in users.rows()? {
            let (number, line, row) = row?;
            self.turn(number).await?;
            self.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
            match row {
                Err(error) => self.leave_out(number, line, error),
                Ok(row) => match self.claimed.name(row.name.as_str(), self.base.saturating_add(number)) {
                    None => {}
                    Some(known) => {
                        let why = match known.checked_sub(self.base) {
                            Some(first) => {
                                let first = self.line(first);
                                format!("a duplicate of line {first}; `--skip-existing` uses the first")
                            }
                            None => "the device has a record already; `--skip-existing` leaves it unchanged"
                                .to_owned(),
                        };
                        self.leave_known_out(number, line, why);
                    }
                },
            }
            progress.set(users.input.position());
        }
        anyhow::ensure!(!self.lines.is_empty(), import::no_devices(&users.input));
        Ok(())
    }

    /// The grants of the access rules.
    fn grants(&self) -> anyhow::Result<GrantsOfRules> {
        let Some(rules) = &self.users.rules else { return Ok(GrantsOfRules::default()) };
        let rows = |each: &mut dyn FnMut(u32, &import::Row)| {
            for row in self.users.rows()? {
                let (number, _, row) = row?;
                if number.is_multiple_of(ROWS_A_TURN) {
                    anyhow::ensure!(!self.stop.is_cancelled(), Interrupted);
                }
                if let (Ok(row), false) = (row, self.left_out.has(number)) {
                    each(number, &row);
                }
            }
            Ok(())
        };
        let is_known = |name: &str| self.claimed.owner(name).is_some_and(|owner| owner >= self.base);
        let source = self.users.format.source().as_str();
        rules.grants(&rows, is_known, &self.before.document.grants, source)
    }

    /// Checks the record of each row, and collects what it claims.
    async fn check_rows(
        &mut self,
        checker: &Checker,
        of_rows: &GrantNames,
        cost: &mut Cost,
    ) -> anyhow::Result<()> {
        let users = self.users;
        let mut claims = ManyClaims::new(checker.loader.grants());
        for ((name, document), number) in self.before.document.devices.iter().zip(0_u32..) {
            // What is wrong with a record of the store is found when it is written.
            if let Ok(record) = checker.loader.load(name, document.clone()) {
                self.claimed.add(&claims.of(name, &record), number);
            }
        }
        #[cfg(feature = "aws")]
        let mut unknown = Vec::new();
        let mut progress = Progress::of_file("checked", users.input.length());
        for row in users.rows()? {
            let (number, line, row) = row?;
            self.turn(number).await?;
            let Ok(row) = row else { continue };
            if self.left_out.has(number) {
                continue;
            }
            let draft = users.draft(row, of_rows.get(number).unwrap_or(users.grant));
            match draft.and_then(|draft| Ok((checker.record(&draft)?, draft))) {
                Ok((record, draft)) => {
                    draft.record.verifiers.iter().for_each(|live| cost.add(&live.verifier));
                    self.claimed.add(&claims.of(&draft.name, &record), self.base.saturating_add(number));
                    #[cfg(feature = "aws")]
                    if self.before.table.is_some() {
                        unknown.push((number, line, draft.name, draft.record));
                        if unknown.len() >= RECORDS_A_CALL {
                            self.compare_with_table(std::mem::take(&mut unknown)).await?;
                        }
                    }
                }
                Err(error) => self.leave_out(number, line, cli::error_text(error.as_ref())),
            }
            progress.set(users.input.position());
        }
        #[cfg(feature = "aws")]
        self.compare_with_table(unknown).await?;
        Ok(())
    }

    /// Looks for devices that have another record in the table.
    #[cfg(feature = "aws")]
    async fn compare_with_table(
        &mut self,
        rows: Vec<(u32, usize, DeviceName, device_auth::store::document::RecordDocument)>,
    ) -> anyhow::Result<()> {
        let Some(table) = self.before.table else { return Ok(()) };
        let found = table.compare_all(rows.iter().map(|(_, _, name, record)| (name, record))).await?;
        for ((number, line, ..), stored) in rows.into_iter().zip(found) {
            if stored == Stored::Different {
                let why = "the device has another record already; `--skip-existing` leaves it unchanged";
                self.leave_known_out(number, line, why.to_owned());
            }
        }
        Ok(())
    }

    /// Compares the records that could contradict each other.
    async fn compare(&mut self, checker: &Checker, of_rows: &GrantNames) -> anyhow::Result<()> {
        let users = self.users;
        if self.claimed.is_more_than_ids() {
            let mut claims = ManyClaims::new(checker.loader.grants());
            for ((name, document), number) in self.before.document.devices.iter().zip(0_u32..) {
                if let Ok(record) = checker.loader.load(name, document.clone()) {
                    self.claimed.meet(&claims.of(name, &record), number);
                }
            }
            let mut progress = Progress::of_file("compared", users.input.length());
            for row in users.rows()? {
                let (number, _, row) = row?;
                self.turn(number).await?;
                if let Some((name, record)) = self.record(checker, of_rows, number, row) {
                    self.claimed.meet(&claims.of(&name, &record), self.base.saturating_add(number));
                }
                progress.set(users.input.position());
            }
        }
        for pairs in self.claimed.take_pairs().chunks(PAIRS_A_READING) {
            self.compare_pairs(checker, of_rows, pairs).await?;
        }
        Ok(())
    }

    /// The record of a row, if it is imported.
    fn record(
        &self,
        checker: &Checker,
        of_rows: &GrantNames,
        number: u32,
        row: Result<import::Row, String>,
    ) -> Option<(DeviceName, Record)> {
        let row = row.ok().filter(|_| !self.left_out.has(number))?;
        let draft = self.users.draft(row, of_rows.get(number).unwrap_or(self.users.grant)).ok()?;
        let record = checker.record(&draft).ok()?;
        Some((draft.name, record))
    }

    async fn compare_pairs(
        &mut self,
        checker: &Checker,
        of_rows: &GrantNames,
        pairs: &[[u32; 2]],
    ) -> anyhow::Result<()> {
        let wanted = pairs.iter().flatten().copied().collect::<BTreeSet<_>>();
        let mut records = BTreeMap::new();
        for ((name, document), number) in self.before.document.devices.iter().zip(0_u32..) {
            if wanted.contains(&number)
                && let Ok(record) = checker.loader.load(name, document.clone())
            {
                records.insert(number, (name.clone(), record));
            }
        }
        for row in self.users.rows()? {
            let (number, _, row) = row?;
            self.turn(number).await?;
            let owner = self.base.saturating_add(number);
            if wanted.contains(&owner)
                && let Some(record) = self.record(checker, of_rows, number, row)
            {
                records.insert(owner, record);
            }
        }
        for [one, other] in pairs {
            let (Some(first), Some(second)) = (records.get(one), records.get(other)) else { continue };
            let Err(conflict) = check_pair((&first.0, &first.1), (&second.0, &second.1)) else { continue };
            let Some(number) = other.checked_sub(self.base) else { continue };
            if !self.users.args.keep_going {
                return Err(anyhow::Error::new(conflict)).context("nothing was imported");
            }
            self.leave_out(number, self.line(number), conflict.to_string());
        }
        Ok(())
    }
}

/// Checks each record as the authorizer would, before the passwords are hashed.
struct Checker {
    loader: RecordLoader,
    /// Stands for a hash that is not computed yet.
    placeholder: Verifier,
}

impl Checker {
    fn new(
        grants: BTreeMap<String, GrantDefinition>,
        memory: Option<FunctionMemory>,
    ) -> anyhow::Result<Self> {
        let grants = Grants::new(grants)?;
        let placeholder = Verifier::of_generated(&[], [0; 16]);
        let any = any_function()?;
        let function = FunctionSettings { memory: memory.unwrap_or(any.memory), ..any };
        Ok(Self { loader: RecordLoader::new(grants, function), placeholder })
    }

    /// The error does not name the device: its line does.
    fn record(&self, draft: &Draft) -> anyhow::Result<Record> {
        let Draft { name, record, password } = draft;
        let mut record = record.clone();
        if password.is_some() {
            record.verifiers.push(LiveVerifier { verifier: self.placeholder.clone(), expires_at: None });
        }
        self.loader.load(name, record).map_err(|invalid| invalid.error.into())
    }
}

/// A set of numbers: one bit for each up to the largest.
#[derive(Default)]
struct Numbers {
    words: Vec<u64>,
    count: u64,
}

impl Numbers {
    /// Adds a number, and returns whether it is new.
    fn insert(&mut self, number: u32) -> bool {
        let Ok(index) = usize::try_from(number / u64::BITS) else { return false };
        if self.words.len() <= index {
            self.words.resize(index.saturating_add(1), 0);
        }
        let bit = 1_u64 << (number % u64::BITS);
        let is_new = self.words.get(index).is_some_and(|word| word & bit == 0);
        if let Some(word) = self.words.get_mut(index) {
            *word |= bit;
        }
        self.count = self.count.saturating_add(u64::from(is_new));
        is_new
    }

    fn has(&self, number: u32) -> bool {
        let word = usize::try_from(number / u64::BITS).ok().and_then(|index| self.words.get(index));
        word.is_some_and(|word| word & (1_u64 << (number % u64::BITS)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_numbers_counts_each_once() {
        let mut numbers = Numbers::default();
        assert_eq!(
            [0, 63, 64, 200, 64].map(|number| numbers.insert(number)),
            [true, true, true, true, false]
        );
        assert_eq!(
            [0, 1, 63, 64, 65, 200, 9_999].map(|it| numbers.has(it)),
            [true, false, true, true, false, true, false]
        );
        assert_eq!(numbers.count, 4);
    }
}
