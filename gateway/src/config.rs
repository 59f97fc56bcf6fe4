//! The settings file: which authorizers there are.

mod authorizer;
mod function;

use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::{
    custom_auth::{
        name::{AuthorizerName, NameError},
        registry::Status,
        signing::Signing,
    },
    lambda::program::Program,
    settings::{AuthorizerSettings, DEFAULT_INSTANCES, FunctionSettings, Source},
};

/// What the file may say. A key that is not here is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    default_authorizer: Option<String>,
    #[serde(default)]
    authorizer: Vec<authorizer::Table>,
}

/// The authorizers of a settings file.
#[derive(Debug)]
pub struct Config {
    /// They themselves.
    pub authorizers: Vec<AuthorizerSettings>,
    /// The one for connections that name none.
    pub default_authorizer: Option<AuthorizerName>,
}

/// The authorizer that is there without a file.
const ONLY: &str = "latchkey";

impl Config {
    /// One authorizer, which is the default, without signing.
    ///
    /// # Errors
    ///
    /// Never: its own name is a name.
    pub fn without_file(name: Option<AuthorizerName>, program: Program) -> Result<Self, NameError> {
        let name = name.map_or_else(|| ONLY.try_into(), Ok)?;
        let (status, signing) = (Status::Active, Signing::Disabled(None));
        let function = FunctionSettings { source: Source::Program(program), instances: DEFAULT_INSTANCES };
        let authorizers = vec![AuthorizerSettings { name: name.clone(), status, signing, function }];
        Ok(Self { authorizers, default_authorizer: Some(name) })
    }

    /// Reads the file. What an authorizer's table leaves out is as in `program`; paths are relative to the file.
    ///
    /// # Errors
    ///
    /// When it can't be read or used: where, and why.
    pub fn read(path: &Path, program: &Program) -> anyhow::Result<Self> {
        let named = || format!("the settings file `{}`", path.display());
        let text = std::fs::read_to_string(path).with_context(named)?;
        // A program may run in another folder than the gateway does.
        let path = std::path::absolute(path).with_context(named)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        parse(&text, folder, program).with_context(named)
    }
}

fn parse(text: &str, folder: &Path, program: &Program) -> anyhow::Result<Config> {
    let file: File = toml::from_str(text)?;
    if file.authorizer.is_empty() {
        bail!("it has no `[[authorizer]]`; without the file there is one, `latchkey`");
    }
    let default_authorizer = file.default_authorizer.as_deref().map(AuthorizerName::try_from).transpose()?;
    let authorizers = file.authorizer.into_iter().map(|table| {
        let name = table.name.clone();
        table.settings(folder, program).with_context(|| format!("the authorizer `{name}`"))
    });
    Ok(Config { authorizers: authorizers.collect::<Result<_, _>>()?, default_authorizer })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Program {
        Program::new("own".into(), vec![("A".to_owned(), "1".to_owned())])
    }

    fn program_of(authorizer: &AuthorizerSettings) -> (&Program, usize) {
        let FunctionSettings { source: Source::Program(program), instances } = &authorizer.function else {
            panic!("{authorizer:?}")
        };
        (program, *instances)
    }

    fn error(text: &str) -> String {
        format!("{:#}", parse(text, Path::new("/no/such/folder"), &program()).unwrap_err())
    }

    #[test]
    fn what_a_table_leaves_out_is_as_without_a_file() {
        let text = "default_authorizer = 'b'\n[[authorizer]]\nname = 'a'\n[[authorizer]]\nname = 'b'\n\
            status = 'INACTIVE'\ntoken_key_name = 'T'\nprogram = 'bin/other'\ninstances = 1\nenv = { B = '2' }\n";
        let config = parse(text, Path::new("folder"), &program()).unwrap();
        assert_eq!(config.default_authorizer.unwrap().as_str(), "b");
        let [a, b] = &config.authorizers[..] else { panic!("{:?}", config.authorizers) };
        assert_eq!((a.name.as_str(), a.status), ("a", Status::Active));
        assert!(matches!(a.signing, Signing::Disabled(None)));
        let (program, instances) = program_of(a);
        assert_eq!((program.path.to_str(), instances), (Some("own"), 4));
        assert_eq!(b.status, Status::Inactive);
        assert!(matches!(&b.signing, Signing::Disabled(Some(key)) if key.as_str() == "T"));
        let (program, instances) = program_of(b);
        assert_eq!((program.path.clone(), instances), (Path::new("folder").join("bin/other"), 1));
        assert_eq!(program.variables.last().unwrap(), &("B".to_owned(), "2".to_owned()));
    }

    #[test]
    fn an_error_says_where_and_why() {
        let table = |rest: &str| format!("[[authorizer]]\nname = 'a'\n{rest}");
        for (text, part) in [
            (String::new(), "it has no `[[authorizer]]`"),
            ("x = 1".to_owned(), "line 1"),
            (table("signnig = true"), "line 3"),
            (table("status = 'OFF'"), "line 3"),
            (table("instances = 0"), "line 3"),
            ("[[authorizer]]\nname = 'a b'".to_owned(), "the authorizer `a b`: an authorizer's name has"),
            ("[[authorizer]]".to_owned(), "missing field `name`"),
            (table("signing = true"), "needs a `token_key_name`"),
            (table("signing = true\ntoken_key_name = 'T'"), "signing needs at least one public key"),
            (table("signing = true\ntoken_key_name = 'x-amz-T'"), "a token key name has"),
            (table("keys = { k = 'k.pem' }"), "`keys` without `signing = true`"),
            (table("signing = true\ntoken_key_name = 'T'\nkeys = { k = 'k.pem' }"), "the key `k` in `"),
        ] {
            assert!(error(&text).contains(part), "{text}: {}", error(&text));
        }
    }
}
