//! The file itself: an object of texts for each stack. docs/deploy.md lists them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{Deployment, DeploymentError, Records};

/// Only the stack `latchkey-STAGE` has it; the other one's outputs are CDK's own.
const STAGE: &str = "Stage";

/// The outputs that are read; there are others.
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
    thing_type_name: String,
    thing_group_name: String,
}

/// Reads `path`, which is called `file` where a person reads it.
pub(super) fn read(path: &Path, file: &Path, wanted: Option<&str>) -> Result<Deployment, DeploymentError> {
    let text = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => DeploymentError::Missing(file.to_owned()),
        _ => DeploymentError::Unreadable(file.to_owned(), error),
    })?;
    let stacks = serde_json::from_slice::<BTreeMap<String, BTreeMap<String, Value>>>(&text)
        .map_err(|error| DeploymentError::Malformed(file.to_owned(), error.to_string()))?;
    let stages =
        stacks.into_values().filter_map(|stack| Some((stack.get(STAGE)?.as_str()?.to_owned(), stack)));
    let (stage, outputs) = choose(stages.collect(), file, wanted)?;
    deployment(outputs, file).map_err(|why| DeploymentError::Output { file: file.to_owned(), stage, why })
}

type Stack = BTreeMap<String, Value>;

fn choose(
    mut stages: BTreeMap<String, Stack>,
    file: &Path,
    wanted: Option<&str>,
) -> Result<(String, Stack), DeploymentError> {
    let names = || stages.keys().cloned().collect::<Vec<_>>();
    if stages.is_empty() {
        return Err(DeploymentError::NoStage(file.to_owned()));
    }
    if let Some(wanted) = wanted {
        let missing = DeploymentError::NoSuchStage(file.to_owned(), wanted.to_owned(), names());
        return stages.remove_entry(wanted).ok_or(missing);
    }
    if stages.len() > 1 {
        return Err(DeploymentError::Several(file.to_owned(), names()));
    }
    stages.pop_first().ok_or_else(|| DeploymentError::NoStage(file.to_owned()))
}

fn deployment(stack: Stack, file: &Path) -> Result<Deployment, String> {
    let outputs = serde_json::from_value::<Outputs>(stack.into_iter().collect());
    let outputs = outputs.map_err(|error| error.to_string())?;
    let records = match (outputs.table_name, outputs.secret_arn) {
        (Some(table), None) => Records::Table(table),
        (None, Some(secret)) => Records::Secret(secret),
        _ => return Err("it needs one of `TableName` and `SecretArn`".to_owned()),
    };
    let endpoint = format!("{}:443", outputs.endpoint);
    Ok(Deployment {
        stage: plain(outputs.stage)?,
        file: file.to_owned(),
        endpoint: endpoint.parse().map_err(|_| format!("`Endpoint` is `{}`", outputs.endpoint))?,
        authorizer: outputs.authorizer_name.parse().map_err(|error| format!("`AuthorizerName`: {error}"))?,
        region: outputs.region,
        account: outputs.account,
        log_group: outputs.log_group_name,
        records,
        thing_type: outputs.thing_type_name,
        thing_group: outputs.thing_group_name,
    })
}

/// A stage's name becomes part of a file's name.
fn plain(stage: String) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !stage.is_empty() && stage.bytes().all(is_plain) {
        Ok(stage)
    } else {
        Err(format!("`Stage` is `{stage}`"))
    }
}
