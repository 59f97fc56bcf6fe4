//! One `[[authorizer]]` of the settings file.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::function;
use crate::{
    custom_auth::{
        authorizer::{AuthorizerName, AuthorizerStatus},
        parameters::TokenKeyName,
        signing::{Signing, SigningKey, SigningKeys},
    },
    lambda::program::Program,
    settings::AuthorizerSettings,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) name: String,
    #[serde(default)]
    status: StatusName,
    #[serde(default)]
    signing: bool,
    token_key_name: Option<String>,
    #[serde(default)]
    enable_caching_for_http: bool,
    /// Names and the files of public keys.
    #[serde(default)]
    keys: BTreeMap<String, PathBuf>,
    pub(super) program: Option<PathBuf>,
    pub(super) arguments: Option<Vec<String>>,
    pub(super) working_folder: Option<PathBuf>,
    pub(super) handler: Option<String>,
    pub(super) runtime_api_path: Option<bool>,
    pub(super) env: Option<BTreeMap<String, String>>,
    pub(super) invoke_url: Option<String>,
    pub(super) function_arn: Option<String>,
    pub(super) instances: Option<NonZeroUsize>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "UPPERCASE")]
enum StatusName {
    #[default]
    Active,
    Inactive,
}

impl Table {
    pub(super) fn settings(self, folder: &Path, own: &Program) -> anyhow::Result<AuthorizerSettings> {
        let name = AuthorizerName::try_from(self.name.as_str())?;
        let token_key_name = self.token_key_name.as_deref().map(TokenKeyName::try_from).transpose()?;
        let signing = match (self.signing, token_key_name) {
            (true, None) => bail!("`signing = true` needs a `token_key_name`"),
            (true, Some(key)) => Signing::Enabled(key, keys(&self.keys, folder)?),
            (false, _) if !self.keys.is_empty() => {
                bail!("`keys` without `signing = true` would check nothing")
            }
            (false, key) => Signing::Disabled(key),
        };
        let status = match self.status {
            StatusName::Active => AuthorizerStatus::Active,
            StatusName::Inactive => AuthorizerStatus::Inactive,
        };
        let caching_for_http = self.enable_caching_for_http;
        let function = function::settings(self, folder, own)?;
        Ok(AuthorizerSettings { name, status, signing, caching_for_http, function })
    }
}

fn keys(files: &BTreeMap<String, PathBuf>, folder: &Path) -> anyhow::Result<SigningKeys> {
    let read = |(name, file): (&String, &PathBuf)| {
        let path = folder.join(file);
        let about = || format!("the key `{name}` in `{}`", path.display());
        let pem = std::fs::read_to_string(&path).with_context(about)?;
        anyhow::Ok((name.clone(), SigningKey::from_pem(&pem).with_context(about)?))
    };
    Ok(SigningKeys::new(files.iter().map(read).collect::<Result<_, _>>()?)?)
}
