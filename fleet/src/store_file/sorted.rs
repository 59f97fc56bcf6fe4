//! Records in the order of their names, however many they are: what does not fit in memory is in temporary files, sorted in
//! parts, which are merged when they are read.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use device_auth::{device_name::DeviceName, store::document::RecordDocument};

/// The records of one part. In memory they are 16 MB and more.
const PART: usize = 16_384;

/// Records that are collected. A temporary file has no name, and only its owner can read it.
pub(crate) struct SortedRecords {
    folder: PathBuf,
    part: BTreeMap<DeviceName, RecordDocument>,
    parts: Vec<File>,
    most: usize,
}

type Entry = (DeviceName, RecordDocument);
type Entries<'a> = Box<dyn Iterator<Item = anyhow::Result<Entry>> + 'a>;

impl SortedRecords {
    /// No records. Temporary files are in this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), part: BTreeMap::new(), parts: Vec::new(), most: PART }
    }

    /// Adds a record. No two may have the same name.
    pub(crate) fn add(&mut self, name: DeviceName, record: RecordDocument) -> anyhow::Result<()> {
        self.part.insert(name, record);
        if self.part.len() < self.most {
            return Ok(());
        }
        let mut file = tempfile::tempfile_in(&self.folder)
            .with_context(|| format!("can't make a temporary file in `{}`", self.folder.display()))?;
        let mut writer = BufWriter::new(&mut file);
        for entry in std::mem::take(&mut self.part) {
            serde_json::to_writer(&mut writer, &entry).context("can't write a temporary file")?;
            writer.write_all(b"\n").context("can't write a temporary file")?;
        }
        writer.flush().context("can't write a temporary file")?;
        drop(writer);
        self.parts.push(file);
        Ok(())
    }

    /// All records with those of a store, in the order of their names.
    pub(crate) fn merged_with(
        self,
        others: &BTreeMap<DeviceName, RecordDocument>,
    ) -> anyhow::Result<Merged<'_>> {
        let others = others.iter().map(|(name, record)| Ok((name.clone(), record.clone())));
        let mut parts: Vec<Entries<'_>> = vec![Box::new(others), Box::new(self.part.into_iter().map(Ok))];
        for mut file in self.parts {
            file.rewind().context("can't read a temporary file")?;
            let lines = BufReader::new(file).lines();
            parts.push(Box::new(lines.map(|line| {
                let line = line.context("can't read a temporary file")?;
                Ok(serde_json::from_str(&line)?)
            })));
        }
        let mut merged = Merged { parts: Vec::new(), next: BinaryHeap::new() };
        for mut entries in parts {
            let number = merged.parts.len();
            let first = entries.next().transpose()?;
            merged.next.extend(first.as_ref().map(|(name, _)| Reverse((name.clone(), number))));
            merged.parts.push((entries, first.map(|(_, record)| record)));
        }
        Ok(merged)
    }
}

/// Records of several parts in one order.
pub(crate) struct Merged<'a> {
    /// What follows in each part, and the record that is next.
    parts: Vec<(Entries<'a>, Option<RecordDocument>)>,
    /// The names of the records that are next, each with the number of its part.
    next: BinaryHeap<Reverse<(DeviceName, usize)>>,
}

impl Iterator for Merged<'_> {
    type Item = anyhow::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((name, number)) = self.next.pop()?;
        let (entries, record) = self.parts.get_mut(number)?;
        let current = record.take()?;
        match entries.next() {
            None => {}
            Some(Ok((next, following))) => {
                *record = Some(following);
                self.next.push(Reverse((next, number)));
            }
            Some(Err(error)) => return Some(Err(error)),
        }
        Some(Ok((name, current)))
    }
}

#[cfg(test)]
mod tests {
    use device_auth::scheme::Scheme;

    use super::*;

    #[test]
    fn parts_are_merged_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let entry = |number: usize| {
            let name = DeviceName::try_from(format!("d{}", number * 7_919 % 1_000)).unwrap();
            (name, RecordDocument::new(Scheme::Jwt, format!("g{number}")))
        };
        let others = (0..100).map(entry).collect::<BTreeMap<_, _>>();
        let mut sorted = SortedRecords { most: 64, ..SortedRecords::new(folder.path()) };
        for number in 100..1_000 {
            let (name, record) = entry(number);
            sorted.add(name, record).unwrap();
        }
        assert_eq!(sorted.parts.len(), 14);
        let merged = sorted.merged_with(&others).unwrap().collect::<anyhow::Result<Vec<_>>>().unwrap();
        let expected = (0..1_000).map(entry).collect::<BTreeMap<_, _>>();
        assert!(merged.iter().map(|(name, _)| name).eq(expected.keys()));
        assert!(merged.iter().all(|(name, record)| expected[name].grant == record.grant));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
