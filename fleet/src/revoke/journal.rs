//! The file that says which records a revocation changed, so that it can be undone.
//!
//! A line is written before a record is changed and another one after it. So the file is complete whenever the program is
//! killed; only a power cut can lose lines.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context as _;
use device_auth::device_name::DeviceName;
use serde::{Deserialize, Serialize};

/// The form of the file.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    revocation: u32,
    /// The store, as `--store` names it.
    store: String,
    time: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    device: DeviceName,
    record: Step,
}

/// What happens with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Step {
    /// It is enabled, and about to be disabled.
    Disabling,
    /// It was disabled.
    Disabled,
    /// Somebody else had disabled it meanwhile.
    Unchanged,
    /// It was enabled again.
    Enabled,
}

impl Step {
    /// Whether undoing the revocation enables the record. One that was about to be disabled may have been.
    pub(super) fn is_to_be_undone(self) -> bool {
        matches!(self, Self::Disabling | Self::Disabled)
    }
}

/// A file to which lines are added.
pub(super) struct Journal {
    file: File,
    pub(super) path: PathBuf,
}

impl Journal {
    /// Makes a file. Without a path it is a new one in `.latchkey`, named by the time.
    pub(super) fn create(path: Option<&Path>, store: &str, now: SystemTime) -> anyhow::Result<Self> {
        let time = humantime::format_rfc3339_seconds(now).to_string();
        let path = path.map_or_else(
            || {
                let stem = format!("revoked-{}", time.replace(':', ""));
                let names = (1..).map(|n| if n == 1 { stem.clone() } else { format!("{stem}-{n}") });
                let mut paths = names.map(|name| Path::new(".latchkey").join(name + ".jsonl"));
                paths.find(|path| !path.exists()).unwrap_or_default()
            },
            Path::to_owned,
        );
        let unwritable = || {
            format!(
                "can't make `{}`, with which a revocation is undone; no record was changed",
                path.display()
            )
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(unwritable)?;
        }
        let file = OpenOptions::new().append(true).create_new(true).open(&path).with_context(unwritable)?;
        let mut journal = Self { file, path: path.clone() };
        let head = Head { revocation: VERSION, store: store.to_owned(), time };
        journal.write(&head).with_context(unwritable)?;
        Ok(journal)
    }

    /// Opens a file to which more lines are added. They begin after what a killed program may have left.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let unwritable = || format!("can't write `{}`", path.display());
        let mut file = OpenOptions::new().read(true).append(true).open(path).with_context(unwritable)?;
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(-1)).is_ok() {
            file.read_exact(&mut last).with_context(unwritable)?;
        }
        if last != [b'\n'] {
            file.write_all(b"\n").with_context(unwritable)?;
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// Adds a line.
    pub(super) fn note(&mut self, device: &DeviceName, record: Step) -> anyhow::Result<()> {
        let line = Line { device: device.clone(), record };
        self.write(&line).with_context(|| format!("can't write `{}`", self.path.display()))
    }

    /// Waits until all lines are on the disk.
    pub(super) fn sync(&self) -> anyhow::Result<()> {
        self.file.sync_data().with_context(|| format!("can't write `{}`", self.path.display()))
    }

    /// One write for each line: a killed program leaves at most a part of the last one.
    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text)
    }
}

/// The store of a file, and the last line of each device.
///
/// # Errors
///
/// When it can't be read, or is not a revocation's.
pub(super) fn read(path: &Path) -> anyhow::Result<(String, BTreeMap<DeviceName, Step>)> {
    let unreadable = || format!("can't read `{}`", path.display());
    let mut lines = BufReader::new(File::open(path).with_context(unreadable)?).lines();
    let head = lines.next().transpose().with_context(unreadable)?.unwrap_or_default();
    let head = serde_json::from_str::<Head>(&head).ok().filter(|head| head.revocation == VERSION);
    let head = head.with_context(|| {
        format!(
            "`{}` is not the file of a revocation: `latchkey fleet revoke` names it at its end",
            path.display()
        )
    })?;
    let (mut steps, mut broken) = (BTreeMap::new(), None);
    for (number, line) in (2_u64..).zip(lines) {
        // A killed program may have left a part of a line.
        match serde_json::from_str::<Line>(&line.with_context(unreadable)?) {
            Ok(Line { device, record }) => _ = steps.insert(device, record),
            Err(_) if broken.is_none() => broken = Some(number),
            Err(_) => anyhow::bail!("`{}`: line {number} is not a revocation's", path.display()),
        }
    }
    Ok((head.store, steps))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DeviceName {
        text.try_into().unwrap()
    }

    #[test]
    fn the_last_line_of_a_device_counts_and_half_a_line_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("revoked.jsonl");
        let mut journal = Journal::create(Some(&path), "dynamodb:devices", SystemTime::UNIX_EPOCH).unwrap();
        for (device, step) in [
            ("a", Step::Disabling),
            ("b", Step::Disabling),
            ("a", Step::Disabled),
            ("c", Step::Disabling),
            ("c", Step::Unchanged),
            ("d", Step::Disabled),
            ("d", Step::Enabled),
        ] {
            journal.note(&name(device), step).unwrap();
        }
        journal.file.write_all(b"{\"device\":\"e\",\"rec").unwrap();
        let (store, steps) = read(&path).unwrap();
        assert_eq!(store, "dynamodb:devices");
        let undone = steps.iter().filter(|(_, step)| step.is_to_be_undone()).map(|(name, _)| name.as_str());
        assert_eq!(undone.collect::<Vec<_>>(), ["a", "b"]);
        Journal::open(&path).unwrap().note(&name("b"), Step::Enabled).unwrap();
        assert_eq!(read(&path).unwrap().1[&name("b")], Step::Enabled);

        let again = Journal::create(Some(&path), "x", SystemTime::UNIX_EPOCH).map(|_| ());
        assert!(again.unwrap_err().to_string().contains("no record was changed"));
        for text in ["", "{}\n", "a\nb\n", "{\"revocation\":2,\"store\":\"x\",\"time\":\"\"}\n"] {
            fs::write(&path, text).unwrap();
            assert!(
                read(&path).unwrap_err().to_string().contains("is not the file of a revocation"),
                "{text}"
            );
        }
    }
}
