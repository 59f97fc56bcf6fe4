//! What `make deploy` made in an AWS account, as it wrote it to `cdk-outputs.json`. docs/deploy.md lists the outputs.
//!
//! The simulator reads the file, and so does the operator's tool, which depends on this crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use crate::endpoint::Address;
use crate::login::{Authorizer, AuthorizerError};

/// The file to which `make deploy` writes its outputs.
pub const DEFAULT_FILE: &str = "cdk-outputs.json";
/// Only the stack `latchkey-STAGE` has this output. The other stack's outputs are CDK's own.
const STAGE: &str = "Stage";

/// One deployed stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The file from which it was read.
    pub file: PathBuf,
    /// The stage's name.
    pub stage: String,
    /// Its region.
    pub region: String,
    /// The account's number.
    pub account: String,
    /// The server that devices connect to. AWS's port for MQTT with custom authentication is 443 (AWS IoT Core developer
    /// guide, "Device communication protocols").
    pub endpoint: Address,
    /// The authorizer that devices name.
    pub authorizer: Authorizer,
    /// The authorizer's log group.
    pub log_group: String,
    /// The store of the records.
    pub records: Records,
    /// The type of the fleet's Things.
    pub thing_type: String,
    /// The group of the fleet's Things.
    pub thing_group: String,
}

/// The store of a deployment's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// A table of DynamoDB, by its name.
    Table(String),
    /// A secret of Secrets Manager, by its ARN.
    Secret(String),
    /// An indexed file in the function's package, by its digest.
    Indexed(String),
}

/// The options that name a deployment.
#[derive(Debug, Clone, Default, Args)]
pub struct DeploymentArgs {
    /// The outputs of `make deploy` [default: cdk-outputs.json]
    ///
    /// The file that `make deploy` wrote. The default is `cdk-outputs.json` in this folder, if it exists.
    #[arg(long, value_name = "FILE")]
    pub outputs: Option<PathBuf>,

    /// The stage in that file [default: the only one]
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
}

impl DeploymentArgs {
    /// Whether the command line names a deployment.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.outputs.is_some() || self.stage.is_some()
    }

    /// Reads the deployment. Relative paths begin in `folder`. There is none if the command line names none and the
    /// default file does not exist.
    ///
    /// # Errors
    ///
    /// If the file is named and does not exist, if it can't be read or has another form, or if it has several stages and
    /// none is named.
    pub fn find(&self, folder: &Path) -> Result<Option<Deployment>, DeploymentError> {
        let file = self.outputs.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        match read(&folder.join(&file), &file, self.stage.as_deref()) {
            Err(DeploymentError::Missing(_)) if !self.is_given() => Ok(None),
            found => found.map(Some),
        }
    }
}

impl Deployment {
    /// The file of its devices' passwords. Each stage has its own, so that the passwords of two stages are never mixed up.
    #[must_use]
    pub fn credentials_file(&self) -> PathBuf {
        Path::new(".latchkey").join(format!("credentials-{}.csv", self.stage))
    }
}

impl fmt::Display for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, stage, region, account, endpoint, authorizer, .. } = self;
        let file = file.display();
        write!(f, "the stage `{stage}` of `{file}`: {endpoint}, authorizer `{authorizer}`, ")?;
        write!(f, "account {account}, region {region}")
    }
}

/// Why a deployment can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// The file does not exist.
    #[error("there is no `{}`: `make deploy` writes it, or name another with `--outputs`", .0.display())]
    Missing(PathBuf),
    /// The operating system refuses.
    #[error("cannot read `{file}`: {1}", file = .0.display())]
    Unreadable(PathBuf, io::Error),
    /// The file is not JSON, or has another form.
    #[error("`{file}` is not what `make deploy` writes ({1}): deploy again, or name another with `--outputs`", file = .0.display())]
    Malformed(PathBuf, serde_json::Error),
    /// The file has no stage.
    #[error("`{}` has no stage: `make deploy` writes it, or name another with `--outputs`", .0.display())]
    NoStage(PathBuf),
    /// The file has several stages, and none is named.
    #[error("`{file}` has the stages {stages}: name one with `--stage`", file = .0.display(), stages = listed(.1))]
    Several(PathBuf, Vec<String>),
    /// The file has other stages than the named one.
    #[error("`{file}` has no stage `{1}` but {stages}: `make deploy STAGE={1}` adds it", file = .0.display(), stages = listed(.2))]
    NoSuchStage(PathBuf, String, Vec<String>),
    /// An output is absent or has another form.
    #[error("the stage `{stage}` of `{}`: {error}: deploy it again", file.display())]
    Output {
        /// The file.
        file: PathBuf,
        /// The stage.
        stage: String,
        /// What is wrong. It is not the error's source, because the message has it already.
        error: OutputError,
    },
}

/// What is wrong with the outputs of a stage.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// An output is absent, or is not text.
    #[error(transparent)]
    Form(#[from] serde_json::Error),
    /// There is no store, or there are several.
    #[error("it needs one of `TableName`, `SecretArn` and `RecordsDigest`")]
    Records,
    /// The endpoint is not a host.
    #[error("`Endpoint` is `{0}`")]
    Endpoint(String),
    /// The authorizer's name is not one.
    #[error("`AuthorizerName`: {0}")]
    Authorizer(#[from] AuthorizerError),
    /// The stage's name can't be part of a file's name.
    #[error("`Stage` is `{0}`")]
    Stage(String),
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The outputs that are read. A stack has others.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outputs {
    stage: String,
    region: String,
    account: String,
    endpoint: String,
    authorizer_name: String,
    log_group_name: String,
    table_name: Option<String>,
    secret_arn: Option<String>,
    records_digest: Option<String>,
    thing_type_name: String,
    thing_group_name: String,
}

/// Reads a stage from `path`. Messages call the file `file`.
fn read(path: &Path, file: &Path, wanted: Option<&str>) -> Result<Deployment, DeploymentError> {
    let text = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => DeploymentError::Missing(file.to_owned()),
        _ => DeploymentError::Unreadable(file.to_owned(), error),
    })?;
    let stacks = serde_json::from_slice::<BTreeMap<String, Stack>>(&text)
        .map_err(|error| DeploymentError::Malformed(file.to_owned(), error))?;
    let stages =
        stacks.into_values().filter_map(|stack| Some((stack.get(STAGE)?.as_str()?.to_owned(), stack)));
    let (stage, outputs) = choose(stages.collect(), file, wanted)?;
    deployment(outputs, file).map_err(|error| DeploymentError::Output { file: file.to_owned(), stage, error })
}

type Stack = BTreeMap<String, Value>;

fn choose(
    mut stages: BTreeMap<String, Stack>,
    file: &Path,
    wanted: Option<&str>,
) -> Result<(String, Stack), DeploymentError> {
    let names = stages.keys().cloned().collect::<Vec<_>>();
    match (wanted, names.as_slice()) {
        (_, []) => Err(DeploymentError::NoStage(file.to_owned())),
        (Some(wanted), _) => stages
            .remove_entry(wanted)
            .ok_or_else(|| DeploymentError::NoSuchStage(file.to_owned(), wanted.to_owned(), names)),
        (None, [_]) => stages.pop_first().ok_or_else(|| DeploymentError::NoStage(file.to_owned())),
        (None, _) => Err(DeploymentError::Several(file.to_owned(), names)),
    }
}

fn deployment(stack: Stack, file: &Path) -> Result<Deployment, OutputError> {
    let outputs = serde_json::from_value::<Outputs>(stack.into_iter().collect())?;
    let records = match (outputs.table_name, outputs.secret_arn, outputs.records_digest) {
        (Some(table), None, None) => Records::Table(table),
        (None, Some(secret), None) => Records::Secret(secret),
        (None, None, Some(digest)) => Records::Indexed(digest),
        _ => return Err(OutputError::Records),
    };
    // The stage's name becomes part of a file's name.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if outputs.stage.is_empty() || !outputs.stage.bytes().all(is_plain) {
        return Err(OutputError::Stage(outputs.stage));
    }
    let endpoint = format!("{}:443", outputs.endpoint);
    Ok(Deployment {
        stage: outputs.stage,
        file: file.to_owned(),
        endpoint: endpoint.parse().map_err(|_| OutputError::Endpoint(outputs.endpoint))?,
        authorizer: outputs.authorizer_name.parse()?,
        region: outputs.region,
        account: outputs.account,
        log_group: outputs.log_group_name,
        records,
        thing_type: outputs.thing_type_name,
        thing_group: outputs.thing_group_name,
    })
}

#[cfg(test)]
mod tests;
