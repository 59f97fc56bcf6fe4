//! The tables `[[thing]]`, `[[certificate]]` and `[[policy]]` of the settings file: the registry.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use cli::output::escaped;
use iot_policy::{PolicyDocument, limits::MAX_POLICY_DOCUMENTS};
use serde::Deserialize;
use toml::Spanned;

use super::Mistakes;
use crate::registry::{Certificate, CertificateStatus, FixedRegistry, Thing};

/// A table `[[thing]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThingTable {
    name: String,
    #[serde(rename = "type")]
    type_name: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

/// A table `[[certificate]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateTable {
    file: PathBuf,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    things: BTreeSet<String>,
}

/// A table `[[policy]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyTable {
    name: String,
    file: PathBuf,
}

/// AWS's names of a certificate's status.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    #[default]
    Active,
    Inactive,
    Revoked,
}

/// The registry that the tables describe; mistakes go to `mistakes`. Paths are relative to `folder`.
pub(super) fn read(
    things: Vec<Spanned<ThingTable>>,
    certificates: Vec<Spanned<CertificateTable>>,
    policies: Vec<Spanned<PolicyTable>>,
    folder: &Path,
    mistakes: &mut Mistakes,
) -> FixedRegistry {
    let policies = read_policies(policies, folder, mistakes);
    let mut attached = BTreeMap::new();
    let things = things.into_iter().filter_map(|table| {
        let offset = table.span().start;
        mistakes.note(offset, Thing::try_from(table.into_inner()))
    });
    let things = things.collect();
    let certificates = certificates.into_iter().filter_map(|table| {
        let (offset, table) = (table.span().start, table.into_inner());
        let path = folder.join(&table.file);
        let names = table.policies.clone();
        let certificate = certificate(table, &path, &policies);
        if let Ok(certificate) = &certificate {
            attached.insert(certificate.id().clone(), names);
        }
        mistakes.note(offset, certificate.with_context(|| format!("the certificate `{}`", path.display())))
    });
    let certificates = certificates.collect();
    let registry = mistakes.note(None, FixedRegistry::new(things, certificates)).unwrap_or_default();
    let texts = policies.into_iter().filter_map(|(name, policy)| Some((name, policy?.0)));
    registry.with_policies(texts.collect(), attached)
}

/// The policies by their names, each with its text; a policy that can't be used is there without a document.
fn read_policies(
    tables: Vec<Spanned<PolicyTable>>,
    folder: &Path,
    mistakes: &mut Mistakes,
) -> BTreeMap<String, Option<(String, PolicyDocument)>> {
    let mut policies = BTreeMap::new();
    for table in tables {
        let (offset, PolicyTable { name, file }) = (table.span().start, table.into_inner());
        let path = folder.join(file);
        let document = std::fs::read_to_string(&path)
            .map_err(anyhow::Error::from)
            .and_then(|text| {
                let document = PolicyDocument::parse(&text)?;
                Ok((text, document))
            })
            .with_context(|| format!("the policy `{name}` in `{}`", path.display()));
        let document = mistakes.note(offset, document);
        if !iot_policy::limits::is_policy_name(&name) {
            mistakes.add(
                offset,
                format!(
                    "the policy `{}`: a policy's name has 1 to 128 of `A-Z a-z 0-9 _ + = , . @ -`",
                    name.escape_debug()
                ),
            );
        }
        if policies.contains_key(&name) {
            mistakes.add(offset, format!("there are two policies with the name `{name}`"));
        }
        policies.insert(name, document);
    }
    policies
}

fn certificate(
    table: CertificateTable,
    path: &Path,
    policies: &BTreeMap<String, Option<(String, PolicyDocument)>>,
) -> anyhow::Result<Certificate> {
    if table.policies.len() > MAX_POLICY_DOCUMENTS {
        bail!("it has {} policies; AWS accepts at most {MAX_POLICY_DOCUMENTS}", table.policies.len());
    }
    let mut attached = Vec::new();
    for name in &table.policies {
        let document =
            policies.get(name).with_context(|| format!("there is no policy with the name `{name}`"))?;
        attached.extend(document.as_ref().map(|(_, document)| document.clone()));
    }
    let status = match table.status {
        Status::Active => CertificateStatus::Active,
        Status::Inactive => CertificateStatus::Inactive,
        Status::Revoked => CertificateStatus::Revoked,
    };
    let mut certificate = Certificate::from_pem(&std::fs::read_to_string(path)?)?;
    (certificate.status, certificate.policies, certificate.things) = (status, attached.into(), table.things);
    Ok(certificate)
}

impl TryFrom<ThingTable> for Thing {
    type Error = anyhow::Error;

    fn try_from(table: ThingTable) -> anyhow::Result<Self> {
        let ThingTable { name, type_name, attributes } = table;
        if !iot_policy::limits::is_thing_name(&name) {
            bail!("the thing `{}`: a thing's name has 1 to 128 of `A-Z a-z 0-9 : _ -`", escaped(name));
        }
        Ok(Self { name, type_name, attributes })
    }
}
