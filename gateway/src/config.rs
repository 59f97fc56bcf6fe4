//! The settings file: everything that a gateway can be told.

pub mod port;
pub mod template;

mod authorizer;
mod domain;
mod function;
mod registry;

use std::{
    net::IpAddr,
    num::{NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Deserialize;

use self::port::PortChoice;
use crate::{
    custom_auth::{
        authorizer::{AuthorizerName, AuthorizerStatus},
        signing::Signing,
    },
    lambda::{
        function::{FunctionConfiguration, FunctionSource},
        program::Program,
    },
    quotas::Quotas,
    registry::FixedRegistry,
    settings::{AuthorizerSettings, DomainSettings},
};

/// What the file may say. A key that is not here is an error.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// The folder in which the file is: what its paths are relative to.
    #[serde(skip)]
    folder: PathBuf,
    /// As the flag `--listen`.
    pub listen: Option<IpAddr>,
    /// As the flag `--name`.
    pub names: Vec<String>,
    /// As the flag `--data`.
    data: Option<PathBuf>,
    /// As the flag `--devices`.
    devices: Option<PathBuf>,
    /// As the flag `--region`.
    pub region: Option<String>,
    /// As the flag `--account`.
    pub account: Option<String>,
    /// As the flag `--partition`.
    pub partition: Option<String>,
    /// As the flag `--close-refused`.
    pub close_refused: bool,
    /// As the flag `--denied-publish-disconnects`.
    pub denied_publish_disconnects: bool,
    /// As the flags `--port…`.
    pub ports: PortsTable,
    /// As the flags `--max-…` and `--connect-timeout`.
    pub limits: LimitsTable,
    /// AWS's quotas.
    pub quotas: Quotas,
    default_authorizer: Option<String>,
    authorizer: Vec<authorizer::Table>,
    domain: Vec<domain::Table>,
    thing: Vec<registry::ThingTable>,
    certificate: Vec<registry::CertificateTable>,
    policy: Vec<registry::PolicyTable>,
}

/// This machine's ports, by AWS's.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PortsTable {
    /// For 443.
    #[serde(rename = "443")]
    pub p443: Option<PortChoice>,
    /// For 8883.
    #[serde(rename = "8883")]
    pub p8883: Option<PortChoice>,
    /// For 8443.
    #[serde(rename = "8443")]
    pub p8443: Option<PortChoice>,
    /// For `/healthz` and `/metrics`.
    pub status: Option<PortChoice>,
}

/// How much there may be at a time.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsTable {
    /// Connections.
    pub connections: Option<NonZeroUsize>,
    /// Connections before their CONNECT or first request.
    pub handshakes: Option<NonZeroUsize>,
    /// The time for a handshake, and then for a CONNECT or the begin of a request.
    pub connect_timeout_seconds: Option<NonZeroU64>,
}

/// The authorizers of this gateway.
#[derive(Debug)]
pub struct AuthorizersSettings {
    /// They themselves.
    pub authorizers: Vec<AuthorizerSettings>,
    /// The one for connections that name none.
    pub default_authorizer: Option<AuthorizerName>,
}

/// The authorizer that is there without a table.
const ONLY: &str = "latchkey";

impl File {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// When it can't be read: where, and why.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("the settings file `{}`", path.display());
        let text = std::fs::read_to_string(path).with_context(named)?;
        // A program may run in another folder than the gateway does.
        let path = std::path::absolute(path).with_context(named)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { folder, ..parse(&text).with_context(named)? })
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> Option<PathBuf> {
        self.data.as_ref().map(|path| self.folder.join(path))
    }

    /// The file of device records.
    #[must_use]
    pub fn devices(&self) -> Option<PathBuf> {
        self.devices.as_ref().map(|path| self.folder.join(path))
    }

    /// The authorizers; without a table there is one, which is the default, without signing. What a table leaves out is
    /// as in `program`.
    ///
    /// # Errors
    ///
    /// What is wrong with which.
    pub fn authorizers(
        &mut self,
        only: Option<AuthorizerName>,
        program: Program,
    ) -> anyhow::Result<AuthorizersSettings> {
        let default = self.default_authorizer.as_deref().map(AuthorizerName::try_from).transpose()?;
        if self.authorizer.is_empty() {
            let name = only.or(default).map_or_else(|| ONLY.try_into(), Ok)?;
            let (status, signing) = (AuthorizerStatus::Active, Signing::Disabled(None));
            let function = FunctionConfiguration {
                source: FunctionSource::Program(program),
                instances: FunctionConfiguration::DEFAULT_INSTANCES,
            };
            let default_authorizer = Some(name.clone());
            let only = AuthorizerSettings { name, status, signing, caching_for_http: false, function };
            return Ok(AuthorizersSettings { authorizers: vec![only], default_authorizer });
        }
        let authorizers = std::mem::take(&mut self.authorizer).into_iter().map(|table| {
            let name = table.name.clone();
            table.settings(&self.folder, &program).with_context(|| format!("the authorizer `{name}`"))
        });
        let authorizers = authorizers.collect::<Result<_, _>>()?;
        Ok(AuthorizersSettings { authorizers, default_authorizer: only.or(default) })
    }

    /// The domain configurations beside the default one.
    ///
    /// # Errors
    ///
    /// What is wrong with which.
    pub fn domains(&mut self) -> anyhow::Result<Vec<DomainSettings>> {
        let tables = std::mem::take(&mut self.domain);
        tables.into_iter().map(|table| table.settings(&self.folder)).collect()
    }

    /// Things, certificates and policies.
    ///
    /// # Errors
    ///
    /// What is wrong with which.
    pub fn registry(&mut self) -> anyhow::Result<FixedRegistry> {
        let Self { thing, certificate, policy, folder, .. } = self;
        let (things, certificates) = (std::mem::take(thing), std::mem::take(certificate));
        registry::read(things, certificates, std::mem::take(policy), folder)
    }
}

/// The error says where and why, and repeats nothing of the file: there may be a secret in that line.
fn parse(text: &str) -> anyhow::Result<File> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        anyhow::anyhow!("line {}: {}", before.matches('\n').count() + 1, error.message())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Program {
        Program::new("own".into(), vec![("A".to_owned(), "1".to_owned())])
    }

    fn program_of(authorizer: &AuthorizerSettings) -> (&Program, usize) {
        let FunctionConfiguration { source: FunctionSource::Program(program), instances } =
            &authorizer.function
        else {
            panic!("{authorizer:?}")
        };
        (program, *instances)
    }

    fn file(text: &str, folder: &str) -> anyhow::Result<File> {
        Ok(File { folder: folder.into(), ..parse(text)? })
    }

    /// What is wrong with a file, wherever it shows.
    fn error(text: &str) -> String {
        let read = || {
            let mut file = file(text, "/no/such/folder")?;
            file.authorizers(None, program())?;
            file.domains()?;
            file.registry()
        };
        read().map_or_else(|error| format!("{error:#}"), |_| "it can be read".to_owned())
    }

    #[test]
    fn what_a_table_leaves_out_is_as_without_a_file() {
        let text = "default_authorizer = 'b'\n[[authorizer]]\nname = 'a'\n[[authorizer]]\nname = 'b'\n\
            status = 'INACTIVE'\ntoken_key_name = 'T'\nprogram = 'bin/other'\ninstances = 1\nenv = { B = '2' }\n\
            enable_caching_for_http = true\n";
        let settings = file(text, "folder").unwrap().authorizers(None, program()).unwrap();
        assert_eq!(settings.default_authorizer.unwrap().as_str(), "b");
        let [a, b] = &settings.authorizers[..] else { panic!("{:?}", settings.authorizers) };
        assert_eq!((a.name.as_str(), a.status, a.caching_for_http), ("a", AuthorizerStatus::Active, false));
        assert!(matches!(a.signing, Signing::Disabled(None)));
        let (program, instances) = program_of(a);
        assert_eq!((program.path.to_str(), instances), (Some("own"), 4));
        assert_eq!((b.status, b.caching_for_http), (AuthorizerStatus::Inactive, true));
        assert!(matches!(&b.signing, Signing::Disabled(Some(key)) if key.as_str() == "T"));
        let (program, instances) = program_of(b);
        assert_eq!((program.path.clone(), instances), (Path::new("folder").join("bin/other"), 1));
        assert_eq!(program.variables.last().unwrap(), &("B".to_owned(), "2".to_owned()));
    }

    #[test]
    fn without_a_table_there_is_one_authorizer_and_a_flag_names_it() {
        for (text, flag, name) in
            [("", None, "latchkey"), ("default_authorizer = 'a'", None, "a"), ("", Some("b"), "b")]
        {
            let flag = flag.map(|name| AuthorizerName::try_from(name).unwrap());
            let settings = file(text, "").unwrap().authorizers(flag, program()).unwrap();
            assert_eq!(settings.default_authorizer.unwrap().as_str(), name);
            assert_eq!(settings.authorizers.len(), 1);
            assert_eq!(settings.authorizers[0].name.as_str(), name);
        }
    }

    #[test]
    fn an_error_says_where_and_why() {
        let table = |rest: &str| format!("[[authorizer]]\nname = 'a'\n{rest}");
        let domain = |rest: &str| format!("[[domain]]\nname = 'd'\nserver_name = 'd.example.com'\n{rest}");
        for (text, part) in [
            ("x = 1".to_owned(), "line 1"),
            ("[ports]\n443 = 70000".to_owned(), "line 2"),
            ("[ports]\n8883 = 'none'".to_owned(), "a port is 0 to 65535, or `off`"),
            ("[limits]\nhandshakes = 0".to_owned(), "line 2"),
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
            ("[[domain]]\nname = 'd'".to_owned(), "missing field `server_name`"),
            ("[[domain]]\nname = 'd'\nserver_name = 'a b'".to_owned(), "`d`: `server_name` is a host name"),
            (domain("key = 'k'"), "`certificate` and `key` belong together"),
            (domain("authentication_type = 'AWS_X509'"), "AWS_X509 does not go with"),
            (domain("authentication_type = 'AWS_SIGV4'"), "not played by this gateway"),
            (domain("application_protocol = 'MQTT'"), "line 4"),
            (domain("allow_authorizer_override = false"), "needs a `default_authorizer`"),
            ("[[thing]]\nname = 'a.b'".to_owned(), "the thing `a.b`: AWS takes names"),
            ("[[thing]]\nname = 'a'\n[[thing]]\nname = 'a'".to_owned(), "two things with the name `a`"),
            ("[[certificate]]\nfile = 'c'".to_owned(), "the certificate `/no/such/folder/c`"),
            ("[[certificate]]\nfile = 'c'\npolicies = ['p']".to_owned(), "no policy with the name `p`"),
            (
                "[[policy]]\nname = 'p'\nfile = 'p.json'".to_owned(),
                "the policy `p` in `/no/such/folder/p.json`",
            ),
        ] {
            assert!(error(&text).contains(part), "{text}: {}", error(&text));
        }
    }
}
