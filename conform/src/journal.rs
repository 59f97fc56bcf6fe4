//! What a run makes, written down before it is made, so that it can be taken away after a kill or a crash too.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The journal's name in the folder of a run.
const FILE: &str = "journal.jsonl";

/// Something that a run makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// The role of the function.
    Role(String),
    /// The log group of the function.
    LogGroup(String),
    /// The function.
    Function(String),
    /// A policy of AWS IoT.
    Policy(String),
    /// A client certificate, by its id.
    Certificate(String),
    /// A Thing.
    Thing(String),
    /// An authorizer.
    Authorizer(String),
    /// A domain configuration.
    DomainConfiguration(String),
    /// A retained message, by its topic.
    Retained(String),
    /// A device shadow.
    Shadow {
        /// The Thing, which need not exist.
        thing: String,
        /// The name of a named shadow.
        name: Option<String>,
    },
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Entry {
    Planned(Resource),
    Removed(Resource),
}

/// The journal of one run.
pub struct Journal {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: File,
    /// What is there, or may be, in the order in which it was planned.
    present: Vec<Resource>,
}

impl Resource {
    /// The shadow that a message on this topic may make.
    #[must_use]
    pub fn shadow_of(topic: &str) -> Option<Self> {
        let (thing, rest) = topic.strip_prefix("$aws/things/")?.split_once("/shadow/")?;
        let name = match rest.strip_prefix("name/") {
            Some(rest) => Some(rest.strip_suffix("/update")?.to_owned()),
            None if rest == "update" => None,
            None => return None,
        };
        Some(Self::Shadow { thing: thing.to_owned(), name })
    }

    /// What a person calls it.
    #[must_use]
    pub fn description(&self) -> String {
        match self {
            Self::Role(name) => format!("the role `{name}`"),
            Self::LogGroup(name) => format!("the log group `{name}`"),
            Self::Function(name) => format!("the function `{name}`"),
            Self::Policy(name) => format!("the policy `{name}`"),
            Self::Certificate(id) => format!("the certificate `{id}`"),
            Self::Thing(name) => format!("the Thing `{name}`"),
            Self::Authorizer(name) => format!("the authorizer `{name}`"),
            Self::DomainConfiguration(name) => format!("the domain configuration `{name}`"),
            Self::Retained(topic) => format!("the retained message of `{topic}`"),
            Self::Shadow { thing, name: None } => format!("the shadow of `{thing}`"),
            Self::Shadow { thing, name: Some(name) } => format!("the shadow `{name}` of `{thing}`"),
        }
    }
}

impl Journal {
    /// Opens the journal of a run, or begins it.
    ///
    /// # Errors
    ///
    /// When the file can't be read or written.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let about = || format!("the journal `{}`", path.display());
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).with_context(about)?;
        let mut present = Vec::new();
        let mut ends_with_a_line = true;
        for line in BufReader::new(&file).split(b'\n') {
            let line = line.with_context(about)?;
            // A process that was killed may have left half a line; what it was about was not made yet.
            ends_with_a_line = serde_json::from_slice::<Entry>(&line).is_ok();
            match serde_json::from_slice(&line) {
                Ok(Entry::Planned(resource)) => present.push(resource),
                Ok(Entry::Removed(resource)) => present.retain(|it| *it != resource),
                Err(_) => {}
            }
        }
        if !ends_with_a_line {
            file.write_all(b"\n").with_context(about)?;
        }
        Ok(Self { path, state: Mutex::new(State { file, present }) })
    }

    /// Whether the folder has a journal of something that may still be there.
    #[must_use]
    pub fn has_left(folder: &Path) -> bool {
        folder.join(FILE).exists() && Self::open(folder).is_ok_and(|journal| !journal.present().is_empty())
    }

    /// Writes down that this is about to be made.
    ///
    /// # Errors
    ///
    /// When the journal can't be written. Nothing may be made then.
    pub fn plan(&self, resource: &Resource) -> anyhow::Result<()> {
        let mut state = self.lock();
        if state.present.contains(resource) {
            return Ok(());
        }
        self.append(&mut state.file, &Entry::Planned(resource.clone()))?;
        state.present.push(resource.clone());
        Ok(())
    }

    /// Writes down that this does not exist any more.
    ///
    /// # Errors
    ///
    /// When the journal can't be written.
    pub fn removed(&self, resource: &Resource) -> anyhow::Result<()> {
        let mut state = self.lock();
        self.append(&mut state.file, &Entry::Removed(resource.clone()))?;
        state.present.retain(|it| it != resource);
        Ok(())
    }

    /// What is there, or may be: the last thing first, which is the order in which it can be taken away.
    pub fn present(&self) -> Vec<Resource> {
        self.lock().present.iter().rev().cloned().collect()
    }

    fn append(&self, file: &mut File, entry: &Entry) -> anyhow::Result<()> {
        let about = || format!("can't write the journal `{}`", self.path.display());
        let mut line = serde_json::to_vec(entry).with_context(about)?;
        line.push(b'\n');
        file.write_all(&line).with_context(about)?;
        file.sync_data().with_context(about)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic elsewhere leaves a whole state: the file is written before the list changes.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_planned_and_not_removed_is_there_the_last_one_first() {
        let folder = tempfile::tempdir().unwrap();
        let [policy, function, thing] =
            [Resource::Policy("p".into()), Resource::Function("f".into()), Resource::Thing("t".into())];
        let journal = Journal::open(folder.path()).unwrap();
        for resource in [&policy, &function, &policy, &thing] {
            journal.plan(resource).unwrap();
        }
        journal.removed(&function).unwrap();
        assert_eq!(journal.present(), [thing.clone(), policy.clone()]);
        drop(journal);
        // A process that was killed while it wrote.
        let mut file = OpenOptions::new().append(true).open(folder.path().join(FILE)).unwrap();
        file.write_all(br#"{"planned":{"pol"#).unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        assert_eq!(journal.present(), [thing.clone(), policy.clone()]);
        journal.removed(&policy).unwrap();
        journal.removed(&thing).unwrap();
        assert!(!Journal::has_left(folder.path()));
        assert!(Journal::open(folder.path()).unwrap().present().is_empty());
    }

    #[test]
    fn a_message_to_a_shadow_makes_it() {
        let shadow = |thing: &str, name: Option<&str>| {
            Some(Resource::Shadow { thing: thing.into(), name: name.map(Into::into) })
        };
        let cases = [
            ("$aws/things/t/shadow/update", shadow("t", None)),
            ("$aws/things/t/shadow/name/n/update", shadow("t", Some("n"))),
            ("$aws/things/t/shadow/get", None),
            ("t/shadow/update", None),
        ];
        for (topic, resource) in cases {
            assert_eq!(Resource::shadow_of(topic), resource, "{topic}");
        }
    }
}
