//! The access rules that come with a file of users, and the grants that are made of them.

use std::{collections::BTreeMap, io::Read as _, path::Path};

use anyhow::Context as _;
use device_auth::grant::GrantDefinition;
use zeroize::Zeroizing;

use super::{
    acl::{Acl, dynsec, emqx, mosquitto},
    faults::{Faults, error_list},
    grants::{self, EachRow, GrantNames},
    input::Input,
    source::Source,
    text,
};

/// The access rules of a broker.
pub struct Rules {
    acl: Acl,
    path: String,
}

/// The grants of the rows of a file.
#[derive(Default)]
pub struct GrantsOfRules {
    /// Grants that the store does not have.
    pub grants: BTreeMap<String, GrantDefinition>,
    /// The name of each row's grant.
    pub(crate) of_rows: GrantNames,
    /// What is to be known about rules of which nothing is lost: the line, and the text.
    pub notes: Vec<(usize, String)>,
    /// Rules that a grant can't have, with their lines. The text begins with the path.
    pub losses: Option<String>,
    /// The number of those rules.
    pub lost: usize,
}

impl Rules {
    /// Reads the access rules that belong to users of this source: those of `path`, or of the file of the users itself. None
    /// if there are none.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or what is wrong in which line.
    pub(crate) fn read(path: Option<&Path>, source: Source, users: &Input) -> anyhow::Result<Option<Self>> {
        let (text, shown) = match (path, source) {
            (Some(path), _) => (text(path)?, path.display().to_string()),
            (None, Source::MosquittoDynsec) => {
                let mut text = Zeroizing::new(String::new());
                let read = users.reader()?.read_to_string(&mut text);
                read.with_context(|| format!("can't read `{}`", users.shown()))?;
                (text, users.shown().to_owned())
            }
            (None, _) => return Ok(None),
        };
        let acl = match source {
            Source::Mosquitto | Source::MosquittoGoAuth => {
                let file = mosquitto::AclFile::parse(&text, source == Source::MosquittoGoAuth);
                Acl::Mosquitto(file.map_err(|faults| {
                    error_list([faults.of_file(&shown).as_str(), "nothing was imported"])
                })?)
            }
            Source::MosquittoDynsec => {
                Acl::Dynsec(dynsec::Roles::parse(&text).with_context(|| format!("can't use `{shown}`"))?)
            }
            Source::Emqx => {
                Acl::Emqx(emqx::Rules::parse(&text).with_context(|| format!("can't use `{shown}`"))?)
            }
            other => anyhow::bail!(
                "`--acl` is for mosquitto, mosquitto-go-auth, mosquitto-dynsec and emqx, and not for {}: use `--grant`",
                other.as_str()
            ),
        };
        Ok(Some(Self { acl, path: shown }))
    }

    /// Makes the grants of rows. `known` are the store's own, and `base` is the name of what most rows get. `is_known` says
    /// whether there is a user of this name.
    ///
    /// # Errors
    ///
    /// When the rows can't be read, or a grant of the store has the name of a built-in one.
    pub(crate) fn grants(
        &self,
        rows: &EachRow<'_>,
        is_known: impl Fn(&str) -> bool,
        known: &BTreeMap<String, GrantDefinition>,
        base: &str,
    ) -> anyhow::Result<GrantsOfRules> {
        let assigned = grants::assign(&self.acl, rows, is_known, known, base)?;
        let mut losses = Faults::of("unusable rule");
        let (mut notes, mut lost) = (Vec::new(), 0_usize);
        for remark in assigned.remarks {
            if remark.is_loss {
                losses.add(remark.line, remark.text);
                lost = lost.saturating_add(1);
            } else {
                notes.push((remark.line, remark.text));
            }
        }
        let losses = (!losses.is_empty()).then(|| losses.of_file(&self.path));
        Ok(GrantsOfRules { grants: assigned.grants, of_rows: assigned.of_rows, notes, losses, lost })
    }
}
