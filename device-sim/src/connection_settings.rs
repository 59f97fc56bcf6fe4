//! The settings of a fleet's connections: those of `latchkey local`, or of a deployment.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use mqtt::wire::dial::{ParseProxyError, Proxy};

use crate::credentials_file::{self, CredentialsError, FleetRows, Row};
use crate::deployment::{Deployment, DeploymentArgs, DeploymentError};
use crate::endpoint::{Address, Alpn, CertificateFiles, ParameterPlace, Target, Transport};
use crate::login::{Authorizer, Login, Scheme, SchemeError, SchemeSettings};
use crate::shard::Shard;

const LOCAL_AUTHORIZER: &str = "latchkey";
const LOCAL_CA: &str = ".latchkey/ca.pem";
const LOCAL_CREDENTIALS: &str = ".latchkey/credentials.csv";
/// The variable for a proxy whose URL has a password, because others can see arguments.
pub const PROXY_VARIABLE: &str = "LATCHKEY_PROXY";

/// The settings of a fleet's connections.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// The server, and how its TLS is opened.
    pub target: Target,
    /// The authorizer to name, if any.
    pub authorizer: Option<Authorizer>,
    /// The file of the devices' credentials.
    pub credentials: PathBuf,
    /// The deployment whose values are the defaults.
    pub deployment: Option<Deployment>,
    /// How the devices prove who they are.
    pub scheme: SchemeSettings,
}

/// The options of commands that can use every way in.
#[derive(Debug, Clone, Default, Args)]
pub struct TransportArgs {
    /// What packets travel in
    #[arg(long, value_name = "TRANSPORT", default_value = "mqtt")]
    pub transport: Transport,

    /// Where the authorizer's name and a token are sent
    #[arg(long, value_name = "PLACE", default_value = "user-name")]
    pub parameters: ParameterPlace,

    /// How the device proves who it is [default: password, or certificate with --cert]
    #[arg(long, value_name = "SCHEME")]
    pub scheme: Option<Scheme>,

    /// The name of the token's parameter, for `--scheme token`
    #[arg(long, value_name = "NAME")]
    pub token_key_name: Option<String>,

    /// The device's certificate, as a PEM file, for ports 8883 and 8443, or 443
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,

    /// The private key of the certificate, as a PEM file
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,

    /// A proxy on the way: `http://HOST:PORT` or `socks5://HOST:PORT`
    ///
    /// A proxy on the way: `http://HOST:PORT` (CONNECT) or `socks5://HOST:PORT`. If it needs a user name and a password, set
    /// `LATCHKEY_PROXY` to `http://USER:PASSWORD@HOST:PORT` instead, because others can see arguments.
    #[arg(long, value_name = "URL", value_parser = proxy_without_password)]
    pub proxy: Option<Proxy>,
}

/// What is wrong with `--proxy`.
#[derive(Debug, thiserror::Error)]
enum ProxyArgumentError {
    #[error(transparent)]
    Parse(#[from] ParseProxyError),
    #[error("others can see arguments: set LATCHKEY_PROXY to a URL with a user name and a password")]
    Credentials,
}

fn proxy_without_password(text: &str) -> Result<Proxy, ProxyArgumentError> {
    let proxy = text.parse::<Proxy>()?;
    if proxy.has_credentials() { Err(ProxyArgumentError::Credentials) } else { Ok(proxy) }
}

/// The variable for a proxy is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the variable `{PROXY_VARIABLE}` can't be used: {0}")]
pub struct ProxyVariableError(ParseProxyError);

/// The options of every command that connects as a device.
#[derive(Debug, Clone, Default, Args)]
pub struct ConnectionArgs {
    /// The server [default: the deployment's, or localhost:10443]
    #[arg(long, value_name = "HOST:PORT")]
    pub endpoint: Option<Address>,

    /// The only CA to trust, as a PEM file
    ///
    /// The only CA to trust, as a PEM file. The default is .latchkey/ca.pem, or Amazon's roots for a deployment and for
    /// endpoints below amazonaws.com.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// The ALPN protocol to offer, or `none` [default: the door's, mqtt]
    ///
    /// The ALPN protocol to offer, or `none`. Port 443 of AWS IoT Core accepts passwords only with `mqtt`, which is the
    /// default for them.
    #[arg(long, value_name = "PROTOCOL")]
    pub alpn: Option<Alpn>,

    /// The server name (SNI) [default: the endpoint's host]
    ///
    /// The server name to ask for (SNI), and to expect in the certificate. The default is the endpoint's host.
    #[arg(long, value_name = "NAME")]
    pub sni: Option<String>,

    /// The authorizer to name [default: the deployment's, or latchkey]
    ///
    /// The custom authorizer to name, as a parameter in every user name. The default is the deployment's, or else
    /// `latchkey`.
    #[arg(long, value_name = "NAME")]
    pub authorizer: Option<Authorizer>,

    /// Name no authorizer: the server's default one decides
    #[arg(long)]
    pub no_authorizer: bool,

    /// The CSV file of the devices' credentials
    ///
    /// The devices' credentials: CSV with the header `device,client_id,user_name,password`. The default is
    /// .latchkey/credentials.csv, or .latchkey/credentials-STAGE.csv for a deployment.
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
}

impl ConnectionSettings {
    /// The command line's settings, then the deployment's, then those of `latchkey local`.
    ///
    /// With an endpoint on the command line, the file of a deployment is read only if the command line names it too.
    /// Relative paths begin in `folder`.
    ///
    /// # Errors
    ///
    /// As [`DeploymentArgs::find`].
    pub fn find(
        args: &ConnectionArgs,
        deployment: &DeploymentArgs,
        folder: &Path,
    ) -> Result<Self, DeploymentError> {
        let is_deployed = args.endpoint.is_none() || deployment.is_given();
        let deployment = if is_deployed { deployment.find(folder)? } else { None };
        let deployed = deployment.as_ref();
        // Another server than the deployment's has its own certificate.
        let is_awss = match &args.endpoint {
            Some(address) => address.is_awss(),
            None => deployed.is_some(),
        };
        let ca = if is_awss { None } else { Some(LOCAL_CA.into()) };
        let authorizer = match deployed {
            _ if args.no_authorizer => None,
            Some(deployed) => Some(deployed.authorizer.clone()),
            None => LOCAL_AUTHORIZER.parse().ok(),
        };
        Ok(Self {
            target: Target {
                sni: args.sni.clone(),
                alpn: args.alpn.clone().unwrap_or_default(),
                ca: args.ca.clone().or(ca),
                ..Target::new(match (&args.endpoint, deployed) {
                    (Some(address), _) => address.clone(),
                    (None, Some(deployed)) => deployed.endpoint.clone(),
                    (None, None) => Address::local(),
                })
            },
            authorizer: args.authorizer.clone().filter(|_| !args.no_authorizer).or(authorizer),
            credentials: args.credentials.clone().unwrap_or_else(|| {
                deployed.map_or_else(|| LOCAL_CREDENTIALS.into(), Deployment::credentials_file)
            }),
            deployment,
            scheme: SchemeSettings::default(),
        })
    }

    /// The same settings by another way in. `alpn` is what the command line asks for; the variable [`PROXY_VARIABLE`] names
    /// the proxy if the command line names none.
    ///
    /// # Errors
    ///
    /// [`ProxyVariableError`].
    pub fn by(mut self, args: &TransportArgs, alpn: Option<&Alpn>) -> Result<Self, ProxyVariableError> {
        let files = args.cert.clone().zip(args.key.clone());
        let certificate = files.map(|(certificate, key)| CertificateFiles { certificate, key });
        let has_certificate = certificate.is_some();
        let variable = std::env::var(PROXY_VARIABLE).ok().filter(|text| !text.is_empty());
        let proxy = match (&args.proxy, variable) {
            (Some(proxy), _) => Some(proxy.clone()),
            (None, Some(text)) => Some(text.parse().map_err(ProxyVariableError)?),
            (None, None) => None,
        };
        let target = self.target;
        self.target = Target {
            alpn: alpn.cloned().unwrap_or_else(|| args.transport.alpn(has_certificate, &target.address)),
            transport: args.transport,
            parameters: args.parameters,
            certificate,
            proxy,
            ..target
        };
        let default = if has_certificate { Scheme::Certificate } else { Scheme::Password };
        let scheme = args.scheme.unwrap_or(default);
        self.scheme = SchemeSettings { scheme, token_key_name: args.token_key_name.clone() };
        Ok(self)
    }

    /// What a device presents at a connect from now on.
    ///
    /// # Errors
    ///
    /// If the row is not one of the scheme.
    pub fn login(&self, row: &Row) -> Result<Login, SchemeError> {
        self.scheme.login(row, self.authorizer.as_ref(), SystemTime::now())
    }

    /// Reads the first `limit` of the devices' credentials, or all.
    ///
    /// # Errors
    ///
    /// As [`credentials_file::read`]. For a missing file the error names the command that makes it.
    pub fn rows(&self, limit: Option<usize>) -> Result<Vec<Row>, CredentialsError> {
        credentials_file::read(&self.credentials, limit).map_err(|error| self.with_cure(error))
    }

    /// Reads one shard of the first `limit` of the devices' credentials, or of all.
    ///
    /// # Errors
    ///
    /// As [`Self::rows`].
    pub fn fleet_rows(
        &self,
        limit: Option<usize>,
        shard: Option<Shard>,
    ) -> Result<FleetRows, CredentialsError> {
        let rows = credentials_file::read_fleet(&self.credentials, limit, shard);
        rows.map_err(|error| self.with_cure(error))
    }

    fn with_cure(&self, error: CredentialsError) -> CredentialsError {
        if self.deployment.is_some() { error.with_provision() } else { error }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let outputs = json!({"latchkey-dev": {
            "Stage": "dev", "Region": "eu-west-1", "Account": "123456789012", "Endpoint": "iot.example.com",
            "AuthorizerName": "latchkey-dev", "LogGroupName": "logs", "TableName": "devices",
            "ThingTypeName": "type", "ThingGroupName": "group",
        }});
        fs::write(folder.path().join("cdk-outputs.json"), outputs.to_string()).unwrap();
        folder
    }

    /// Address, CA, authorizer, credentials, and whether a deployment was used.
    fn found(args: &ConnectionArgs, deployment: &DeploymentArgs, folder: &Path) -> [String; 5] {
        let ConnectionSettings { target, authorizer, credentials, deployment, .. } =
            ConnectionSettings::find(args, deployment, folder).unwrap();
        [
            target.address.to_string(),
            target.ca.map_or("Amazon".to_owned(), |ca| ca.display().to_string()),
            authorizer.map_or("none".to_owned(), |it| it.to_string()),
            credentials.display().to_string(),
            deployment.is_some().to_string(),
        ]
    }

    #[test]
    fn the_command_line_wins_then_the_deployment_then_this_machine() {
        let (deployed, empty) = (folder(), tempfile::tempdir().unwrap());
        let nothing = ConnectionArgs::default();
        let endpoint = ConnectionArgs { endpoint: "localhost:10443".parse().ok(), ..nothing.clone() };
        let rest = ConnectionArgs {
            ca: Some("x".into()),
            authorizer: "other".parse().ok(),
            credentials: Some("x".into()),
            ..nothing.clone()
        };
        let none = ConnectionArgs { no_authorizer: true, ..nothing.clone() };
        let (unasked, asked) =
            (DeploymentArgs::default(), DeploymentArgs { stage: Some("dev".into()), outputs: None });
        let here = ["localhost:10443", ".latchkey/ca.pem", "latchkey", ".latchkey/credentials.csv", "false"];
        let there =
            ["iot.example.com:443", "Amazon", "latchkey-dev", ".latchkey/credentials-dev.csv", "true"];
        assert_eq!(found(&nothing, &unasked, empty.path()), here);
        assert_eq!(found(&nothing, &unasked, deployed.path()), there);
        assert_eq!(found(&endpoint, &unasked, deployed.path()), here);
        let awss =
            ConnectionArgs { endpoint: "x.iot.eu-west-1.amazonaws.com:443".parse().ok(), ..nothing.clone() };
        assert_eq!(found(&awss, &unasked, empty.path())[1], "Amazon");
        let both = [here[0], here[1], there[2], there[3], there[4]];
        assert_eq!(found(&endpoint, &asked, deployed.path()), both);
        assert_eq!(found(&rest, &unasked, deployed.path()), [there[0], "x", "other", "x", "true"]);
        assert_eq!(found(&none, &unasked, deployed.path()), [there[0], there[1], "none", there[3], "true"]);
    }
}
