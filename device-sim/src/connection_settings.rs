//! The settings of a fleet's connections: those of `latchkey local`, or of a deployment.

use std::path::{Path, PathBuf};

use crate::args::SimArgs;
use crate::credentials_file::{self, CredentialsError, Row};
use crate::deployment::{Deployment, DeploymentArgs, DeploymentError};
use crate::endpoint::Address;
use crate::login::Authorizer;

const LOCAL_AUTHORIZER: &str = "latchkey";
const LOCAL_CA: &str = ".latchkey/ca.pem";
const LOCAL_CREDENTIALS: &str = ".latchkey/credentials.csv";

/// The settings of a fleet's connections.
#[derive(Debug)]
pub struct ConnectionSettings {
    /// The server's TLS port.
    pub address: Address,
    /// The only CA to trust. Without one, Amazon's roots are trusted.
    pub ca: Option<PathBuf>,
    /// The authorizer to name, if any.
    pub authorizer: Option<Authorizer>,
    /// The file of the devices' credentials.
    pub credentials: PathBuf,
    /// The deployment whose values are the defaults.
    pub deployment: Option<Deployment>,
}

/// The settings of the command line.
#[derive(Debug, Clone, Default)]
pub struct Overrides<'a> {
    /// `--endpoint`.
    pub endpoint: Option<&'a Address>,
    /// `--ca`.
    pub ca: Option<&'a PathBuf>,
    /// `--authorizer`.
    pub authorizer: Option<&'a Authorizer>,
    /// `--no-authorizer`.
    pub no_authorizer: bool,
    /// `--credentials`.
    pub credentials: Option<&'a PathBuf>,
}

impl ConnectionSettings {
    /// The settings of the simulator. Relative paths begin in `folder`.
    ///
    /// # Errors
    ///
    /// As [`ConnectionSettings::find`].
    pub fn of(args: &SimArgs, folder: &Path) -> Result<Self, DeploymentError> {
        let overrides = Overrides {
            endpoint: args.endpoint.as_ref(),
            ca: args.ca.as_ref(),
            authorizer: args.authorizer.as_ref(),
            no_authorizer: args.no_authorizer,
            credentials: args.credentials.as_ref(),
        };
        Self::find(&overrides, &args.deployment, folder)
    }

    /// The command line's settings, then the deployment's, then those of `latchkey local`.
    ///
    /// With an endpoint on the command line, the file of a deployment is read only if the command line names it too.
    ///
    /// # Errors
    ///
    /// As [`DeploymentArgs::find`].
    pub fn find(
        overrides: &Overrides<'_>,
        args: &DeploymentArgs,
        folder: &Path,
    ) -> Result<Self, DeploymentError> {
        let is_deployed = overrides.endpoint.is_none() || args.is_given();
        let deployment = if is_deployed { args.find(folder)? } else { None };
        let deployed = deployment.as_ref();
        // Another server than the deployment's has its own certificate.
        let ca =
            if deployed.is_some() && overrides.endpoint.is_none() { None } else { Some(LOCAL_CA.into()) };
        let authorizer = match deployed {
            _ if overrides.no_authorizer => None,
            Some(deployed) => Some(deployed.authorizer.clone()),
            None => LOCAL_AUTHORIZER.parse().ok(),
        };
        Ok(Self {
            address: match (overrides.endpoint, deployed) {
                (Some(address), _) => address.clone(),
                (None, Some(deployed)) => deployed.endpoint.clone(),
                (None, None) => Address::local(),
            },
            ca: overrides.ca.cloned().or(ca),
            authorizer: overrides.authorizer.cloned().filter(|_| !overrides.no_authorizer).or(authorizer),
            credentials: overrides.credentials.cloned().unwrap_or_else(|| {
                deployed.map_or_else(|| LOCAL_CREDENTIALS.into(), Deployment::credentials_file)
            }),
            deployment,
        })
    }

    /// Reads the first `limit` of the devices' credentials, or all.
    ///
    /// # Errors
    ///
    /// As [`credentials_file::read`]. For a missing file the error names the command that makes it.
    pub fn rows(&self, limit: Option<usize>) -> Result<Vec<Row>, CredentialsError> {
        let rows = credentials_file::read(&self.credentials, limit);
        rows.map_err(|error| if self.deployment.is_some() { error.with_provision() } else { error })
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
    fn found(overrides: &Overrides<'_>, args: &DeploymentArgs, folder: &Path) -> [String; 5] {
        let ConnectionSettings { address, ca, authorizer, credentials, deployment } =
            ConnectionSettings::find(overrides, args, folder).unwrap();
        [
            address.to_string(),
            ca.map_or("Amazon".to_owned(), |ca| ca.display().to_string()),
            authorizer.map_or("none".to_owned(), |it| it.to_string()),
            credentials.display().to_string(),
            deployment.is_some().to_string(),
        ]
    }

    #[test]
    fn the_command_line_wins_then_the_deployment_then_this_machine() {
        let (deployed, empty) = (folder(), tempfile::tempdir().unwrap());
        let local = "localhost:10443".parse().unwrap();
        let (name, file) = ("other".parse().unwrap(), PathBuf::from("x"));
        let nothing = Overrides::default();
        let endpoint = Overrides { endpoint: Some(&local), ..nothing.clone() };
        let rest = Overrides {
            ca: Some(&file),
            authorizer: Some(&name),
            credentials: Some(&file),
            ..nothing.clone()
        };
        let none = Overrides { no_authorizer: true, ..nothing.clone() };
        let (unasked, asked) =
            (DeploymentArgs::default(), DeploymentArgs { stage: Some("dev".into()), outputs: None });
        let here = ["localhost:10443", ".latchkey/ca.pem", "latchkey", ".latchkey/credentials.csv", "false"];
        let there =
            ["iot.example.com:443", "Amazon", "latchkey-dev", ".latchkey/credentials-dev.csv", "true"];
        assert_eq!(found(&nothing, &unasked, empty.path()), here);
        assert_eq!(found(&nothing, &unasked, deployed.path()), there);
        assert_eq!(found(&endpoint, &unasked, deployed.path()), here);
        let both = [here[0], here[1], there[2], there[3], there[4]];
        assert_eq!(found(&endpoint, &asked, deployed.path()), both);
        assert_eq!(found(&rest, &unasked, deployed.path()), [there[0], "x", "other", "x", "true"]);
        assert_eq!(found(&none, &unasked, deployed.path()), [there[0], there[1], "none", there[3], "true"]);
    }
}
