//! The tables `[[authorizer]]` and `[[function]]` of the settings file.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use iot_policy::arn::FunctionArn;
use serde::Deserialize;

use crate::{
    custom_auth::{
        authorizer::{AuthorizerName, AuthorizerStatus},
        parameters::TokenKeyName,
        signing::{Signing, SigningKey, SigningKeys},
    },
    lambda::{
        function::{FunctionConfiguration, FunctionSource},
        functions::{NamedFunction, beginning},
        program::{Program, RuntimeApiAddress},
    },
    settings::AuthorizerSettings,
};

/// A table `[[authorizer]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizerTable {
    pub(super) name: String,
    status: Option<AuthorizerStatus>,
    #[serde(default)]
    signing: bool,
    token_key_name: Option<String>,
    #[serde(default)]
    enable_caching_for_http: bool,
    /// The files of public keys, by the keys' names.
    #[serde(default)]
    keys: BTreeMap<String, PathBuf>,
    program: Option<PathBuf>,
    arguments: Option<Vec<String>>,
    working_folder: Option<PathBuf>,
    handler: Option<String>,
    runtime_api_path: Option<bool>,
    env: Option<BTreeMap<String, String>>,
    invoke_url: Option<String>,
    function_arn: Option<String>,
    instances: Option<NonZeroUsize>,
}

/// A table `[[function]]`: what runs in the place of a function that API calls name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionTable {
    /// The function's name or ARN, or the beginning of names with a `*`.
    pub(super) name: String,
    program: Option<PathBuf>,
    arguments: Option<Vec<String>>,
    working_folder: Option<PathBuf>,
    handler: Option<String>,
    runtime_api_path: Option<bool>,
    env: Option<BTreeMap<String, String>>,
    invoke_url: Option<String>,
    function_arn: Option<String>,
    instances: Option<NonZeroUsize>,
}

/// The keys about a function, which both tables have. serde refuses unknown keys only in a table that has all keys itself.
struct FunctionKeys {
    program: Option<PathBuf>,
    arguments: Option<Vec<String>>,
    working_folder: Option<PathBuf>,
    handler: Option<String>,
    runtime_api_path: Option<bool>,
    env: Option<BTreeMap<String, String>>,
    invoke_url: Option<String>,
    function_arn: Option<String>,
    instances: Option<NonZeroUsize>,
}

macro_rules! function_keys_of {
    ($table:expr) => {
        FunctionKeys {
            program: $table.program,
            arguments: $table.arguments,
            working_folder: $table.working_folder,
            handler: $table.handler,
            runtime_api_path: $table.runtime_api_path,
            env: $table.env,
            invoke_url: $table.invoke_url,
            function_arn: $table.function_arn,
            instances: $table.instances,
        }
    };
}

impl AuthorizerTable {
    /// The authorizer that the table describes. Paths are relative to `folder`; what the table leaves out is as in `own`.
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
        let status = self.status.unwrap_or(AuthorizerStatus::Active);
        let caching_for_http = self.enable_caching_for_http;
        let function = function(function_keys_of!(self), folder, own)?;
        Ok(AuthorizerSettings { name, status, signing, caching_for_http, function })
    }
}

impl FunctionTable {
    /// The function that the table describes. Paths are relative to `folder`; what the table leaves out is as in `own`.
    pub(super) fn settings(self, folder: &Path, own: &Program) -> anyhow::Result<NamedFunction> {
        let is_arn = self.name.contains(':');
        if is_arn {
            self.name.parse::<FunctionArn>().with_context(|| format!("`name = \"{}\"`", self.name))?;
        } else if self.name.is_empty() {
            bail!("`name` is a function's name or its ARN");
        }
        let stem = if is_arn { None } else { beginning(&self.name) };
        if stem.unwrap_or(&self.name).contains('*') {
            bail!(
                "`name = \"{}\"`: a `*` is at the end of a name only, for all functions whose names begin so",
                self.name
            );
        }
        if self.program.is_none() && self.invoke_url.is_none() && self.function_arn.is_none() {
            bail!("a function has one of `program`, `invoke_url` and `function_arn`");
        }
        let configuration = function(function_keys_of!(self), folder, own)?;
        Ok(NamedFunction { name: self.name, configuration })
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

/// The function that the table describes; what the table leaves out is as in the gateway's own authorizer.
fn function(table: FunctionKeys, folder: &Path, own: &Program) -> anyhow::Result<FunctionConfiguration> {
    let instances = table.instances.map_or(FunctionConfiguration::DEFAULT_INSTANCES, NonZeroUsize::get);
    let only_a_program_has = [
        ("arguments", table.arguments.is_some()),
        ("working_folder", table.working_folder.is_some()),
        ("handler", table.handler.is_some()),
        ("runtime_api_path", table.runtime_api_path.is_some()),
        ("env", table.env.is_some()),
    ];
    let source = match (&table.program, &table.invoke_url, &table.function_arn) {
        (_, None, None) => FunctionSource::Program(program(table, folder, own)),
        (None, Some(url), None) => {
            // The error does not repeat the URL, as there may be a secret in it.
            FunctionSource::InvokeUrl(url.parse().context("`invoke_url`")?)
        }
        (None, None, Some(arn)) => {
            FunctionSource::FunctionArn(arn.parse().with_context(|| format!("`function_arn = \"{arn}\"`"))?)
        }
        _ => bail!("a function has one of `program`, `invoke_url` and `function_arn`"),
    };
    match only_a_program_has.iter().find(|(_, there)| *there) {
        Some((key, _)) if !matches!(source, FunctionSource::Program(_)) => {
            bail!("`{key}` is for a `program`; a function that runs elsewhere has its own")
        }
        _ => Ok(FunctionConfiguration { source, instances }),
    }
}

fn program(table: FunctionKeys, folder: &Path, own: &Program) -> Program {
    let runtime_api = match table.runtime_api_path {
        None | Some(true) => RuntimeApiAddress::SecretPath,
        Some(false) => RuntimeApiAddress::HostAndPort,
    };
    Program {
        path: table.program.map_or_else(|| own.path.clone(), |path| resolve(path, folder)),
        arguments: table.arguments.unwrap_or_default(),
        folder: table.working_folder.map(|path| folder.join(path)),
        handler: table.handler,
        variables: own.variables.iter().cloned().chain(table.env.into_iter().flatten()).collect(),
        runtime_api,
    }
}

/// The path relative to the settings file. A bare name, such as `python3`, that is not next to the file is looked for on
/// the `PATH`.
fn resolve(path: PathBuf, folder: &Path) -> PathBuf {
    let relative = folder.join(&path);
    let bare = path.components().count() == 1 && !path.is_absolute();
    if bare && !relative.exists() { path } else { relative }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "/no/such/folder";

    fn settings_of(text: &str) -> anyhow::Result<FunctionConfiguration> {
        let own = Program::new("/own".into(), vec![("A".to_owned(), "1".to_owned())]);
        let table: AuthorizerTable = toml::from_str(&format!("name = 'a'\n{text}")).unwrap();
        function(function_keys_of!(table), Path::new(FOLDER), &own)
    }

    #[test]
    fn function_is_a_program_an_invoke_url_or_an_arn() {
        let url = "http://127.0.0.1:9000/2015-03-31/functions/f/invocations";
        let function = settings_of(&format!("invoke_url = '{url}'\ninstances = 9")).unwrap();
        let FunctionSource::InvokeUrl(found) = function.source else { panic!("{function:?}") };
        assert_eq!((found, function.instances), (url.parse().unwrap(), 9));

        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:f:live";
        let function = settings_of(&format!("function_arn = '{arn}'")).unwrap();
        let FunctionSource::FunctionArn(found) = function.source else { panic!("{function:?}") };
        assert_eq!((found.as_str(), function.instances), (arn, 4));

        let FunctionSource::Program(own) = settings_of("").unwrap().source else { panic!("no program") };
        assert_eq!((own.path, own.runtime_api), ("/own".into(), RuntimeApiAddress::SecretPath));
        assert_eq!((own.arguments, own.folder, own.handler), (Vec::new(), None, None));
    }

    #[test]
    fn a_star_is_at_the_end_of_a_name_only() {
        let settings_of = |name: &str| {
            let table = format!("name = '{name}'\nprogram = 'p'");
            let table = toml::from_str::<FunctionTable>(&table).unwrap();
            table.settings(Path::new(FOLDER), &Program::new("/own".into(), Vec::new()))
        };
        for name in ["*", "door-*", "arn:aws:lambda:us-east-1:123456789012:function:f"] {
            assert_eq!(settings_of(name).unwrap().name, name);
        }
        for name in ["**", "*-door", "a*b", "a*b*", "arn:aws:lambda:us-east-1:123456789012:function:f*"] {
            assert!(settings_of(name).is_err(), "{name}");
        }
    }

    #[test]
    fn program_in_another_language_has_everything_that_its_runtime_needs() {
        let text = "program = 'venv/bin/python'\narguments = ['-m', 'awslambdaric', 'app.handler']\n\
            working_folder = 'src'\nhandler = 'app.handler'\nruntime_api_path = false\nenv = { B = '2' }";
        let FunctionSource::Program(program) = settings_of(text).unwrap().source else {
            panic!("no program")
        };
        assert_eq!(program.path, Path::new(FOLDER).join("venv/bin/python"));
        assert_eq!(program.arguments, ["-m", "awslambdaric", "app.handler"]);
        assert_eq!(program.folder, Some(Path::new(FOLDER).join("src")));
        assert_eq!(program.handler.as_deref(), Some("app.handler"));
        assert_eq!(program.runtime_api, RuntimeApiAddress::HostAndPort);
        let variables = [("A", "1"), ("B", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(program.variables, variables);
    }

    #[test]
    fn bare_name_is_looked_for_next_to_the_file_and_then_on_the_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("here"), "").unwrap();
        for (path, expected) in [
            ("here", folder.path().join("here")),
            ("python3", "python3".into()),
            ("bin/python3", folder.path().join("bin/python3")),
            ("/usr/bin/python3", "/usr/bin/python3".into()),
        ] {
            assert_eq!(resolve(path.into(), folder.path()), expected, "{path}");
        }
    }

    #[test]
    fn function_with_two_sources_or_with_keys_of_another_source_is_an_error() {
        let url = "invoke_url = 'http://127.0.0.1:9000/f'\n";
        let arn = "function_arn = 'arn:aws:lambda:us-east-1:123456789012:function:f'\n";
        let one = "a function has one of `program`, `invoke_url` and `function_arn`";
        for (text, part) in [
            (format!("program = 'p'\n{url}"), one),
            (format!("program = 'p'\n{arn}"), one),
            (format!("{url}{arn}"), one),
            (format!("program = 'p'\n{url}{arn}"), one),
            (format!("{url}env = {{ A = '1' }}"), "`env` is for a `program`"),
            (format!("{url}arguments = ['x']"), "`arguments` is for a `program`"),
            (format!("{arn}handler = 'x'"), "`handler` is for a `program`"),
            (format!("{arn}working_folder = 'x'"), "`working_folder` is for a `program`"),
            (format!("{url}runtime_api_path = false"), "`runtime_api_path` is for a `program`"),
            ("invoke_url = 'http://10.0.0.1/f'".to_owned(), "`http` goes to `localhost`"),
            ("invoke_url = ''".to_owned(), "not an Invoke URL"),
            ("function_arn = 'f'".to_owned(), "not a function's ARN"),
        ] {
            let error = format!("{:#}", settings_of(&text).unwrap_err());
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
