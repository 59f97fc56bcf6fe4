//! `[[thing]]`, `[[certificate]]` and `[[policy]]` of the settings file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use iot_policy::{PolicyDocument, limits::MAX_POLICY_DOCUMENTS};
use serde::Deserialize;

use crate::registry::{Certificate, CertificateStatus, FixedRegistry, Thing};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThingTable {
    name: String,
    #[serde(rename = "type")]
    type_name: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificateTable {
    file: PathBuf,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    things: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyTable {
    name: String,
    file: PathBuf,
}

/// AWS's names.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    #[default]
    Active,
    Inactive,
    Revoked,
}

pub(super) fn read(
    things: Vec<ThingTable>,
    certificates: Vec<CertificateTable>,
    policies: Vec<PolicyTable>,
    folder: &Path,
) -> anyhow::Result<FixedRegistry> {
    let policies = read_policies(policies, folder)?;
    let things = things.into_iter().map(Thing::try_from).collect::<Result<_, _>>()?;
    let certificates = certificates.into_iter().map(|table| {
        let path = folder.join(&table.file);
        certificate(table, &path, &policies).with_context(|| format!("the certificate `{}`", path.display()))
    });
    Ok(FixedRegistry::new(things, certificates.collect::<Result<_, _>>()?)?)
}

fn read_policies(
    tables: Vec<PolicyTable>,
    folder: &Path,
) -> anyhow::Result<BTreeMap<String, PolicyDocument>> {
    let mut policies = BTreeMap::new();
    for table in tables {
        let path = folder.join(&table.file);
        let about = || format!("the policy `{}` in `{}`", table.name, path.display());
        let text = std::fs::read_to_string(&path).with_context(about)?;
        let document = PolicyDocument::parse(&text).with_context(about)?;
        if policies.insert(table.name.clone(), document).is_some() {
            bail!("there are two policies with the name `{}`", table.name);
        }
    }
    Ok(policies)
}

fn certificate(
    table: CertificateTable,
    path: &Path,
    policies: &BTreeMap<String, PolicyDocument>,
) -> anyhow::Result<Certificate> {
    if table.policies.len() > MAX_POLICY_DOCUMENTS {
        bail!("it has {} policies; AWS takes at most {MAX_POLICY_DOCUMENTS}", table.policies.len());
    }
    let find = |name: &String| {
        policies.get(name).cloned().with_context(|| format!("there is no policy with the name `{name}`"))
    };
    let attached = table.policies.iter().map(find).collect::<Result<Arc<[_]>, _>>()?;
    let status = match table.status {
        Status::Active => CertificateStatus::Active,
        Status::Inactive => CertificateStatus::Inactive,
        Status::Revoked => CertificateStatus::Revoked,
    };
    let mut certificate = Certificate::from_pem(&std::fs::read_to_string(path)?)?;
    (certificate.status, certificate.policies, certificate.things) = (status, attached, table.things);
    Ok(certificate)
}

impl TryFrom<ThingTable> for Thing {
    type Error = anyhow::Error;

    fn try_from(table: ThingTable) -> anyhow::Result<Self> {
        let ThingTable { name, type_name, attributes } = table;
        if !iot_policy::limits::is_thing_name(&name) {
            bail!("the thing `{}`: AWS takes names of 1 to 128 of `A-Z a-z 0-9 : _ -`", name.escape_debug());
        }
        Ok(Self { name, type_name, attributes })
    }
}
