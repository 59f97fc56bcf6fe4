//! One device as a client: the options that `pub`, `sub` and `doctor` share, and what they lead to.

use std::io::{self, BufRead as _};
use std::path::{Path, PathBuf};

use clap::Args;
use cli::private_file::{self, PrivateFileError, Readers};
use mqtt::{LastWill, QoS, TopicName};
use zeroize::Zeroizing;

use crate::args::Mqtt;
use crate::client::{Authorization, Options};
use crate::connection_settings::{ConnectionArgs, ConnectionSettings, ProxyVariableError, TransportArgs};
use crate::credentials_file::{CredentialsError, Row};
use crate::deployment::{DeploymentArgs, DeploymentError};
use crate::endpoint::{EndpointError, Transport};
use crate::login::{Login, Password, Scheme, SchemeError};

/// The variable with a password, for programs that start this one.
pub const PASSWORD_VARIABLE: &str = "LATCHKEY_PASSWORD";

/// The options of a client that is one device.
#[derive(Debug, Clone, Args)]
pub struct ClientArgs {
    /// The connection.
    #[command(flatten, next_help_heading = "Connection")]
    pub connection: ConnectionArgs,

    /// The deployment.
    #[command(flatten, next_help_heading = "Connection")]
    pub deployment: DeploymentArgs,

    /// The way in.
    #[command(flatten, next_help_heading = "Connection")]
    pub transport: TransportArgs,

    /// The version of MQTT
    #[arg(short = 'V', long, value_name = "VERSION", default_value = "5", help_heading = "Connection")]
    pub mqtt: Mqtt,

    /// The keep-alive, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "60", help_heading = "Connection")]
    pub keepalive: u16,

    /// The device, by its name in the credentials file [default: the first]
    #[arg(long, value_name = "NAME", help_heading = "Device")]
    pub device: Option<String>,

    /// The client id [default: the device's, or the user name]
    #[arg(short, long, value_name = "ID", help_heading = "Device")]
    pub id: Option<String>,

    /// The user name, in place of the credentials file's
    ///
    /// The user name, in place of the credentials file's. The password is then read from standard input or a file, or is in
    /// the variable `LATCHKEY_PASSWORD`.
    #[arg(short, long, value_name = "NAME", help_heading = "Device", conflicts_with = "device")]
    pub username: Option<String>,

    /// Read the password from the first line of standard input
    #[arg(long, help_heading = "Device")]
    pub password_stdin: bool,

    /// Read the password from a file that only its owner can read
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Device",
        requires = "username",
        conflicts_with = "password_stdin"
    )]
    pub password_file: Option<PathBuf>,

    /// Others would see it.
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD", hide = true, value_parser = no_password)]
    pub pw: Option<String>,
}

/// The last will of a client.
#[derive(Debug, Clone, Default, Args)]
pub struct WillArgs {
    /// The topic of the last will
    #[arg(long, value_name = "TOPIC", help_heading = "Last will")]
    pub will_topic: Option<TopicName>,

    /// The payload of the last will [default: empty]
    #[arg(long, value_name = "TEXT", help_heading = "Last will", requires = "will_topic")]
    pub will_payload: Option<String>,

    /// The QoS of the last will
    #[arg(long, value_name = "QOS", default_value = "0", value_parser = qos, help_heading = "Last will")]
    pub will_qos: QoSValue,

    /// Retain the last will
    #[arg(long, help_heading = "Last will", requires = "will_topic")]
    pub will_retain: bool,
}

/// A QoS on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QoSValue(pub QoS);

impl Default for QoSValue {
    fn default() -> Self {
        Self(QoS::AtMostOnce)
    }
}

/// What is wrong with a QoS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use 0 or 1, which AWS IoT Core supports")]
pub struct QoSError;

/// Parses a QoS.
pub(crate) fn qos(text: &str) -> Result<QoSValue, QoSError> {
    match text {
        "0" => Ok(QoSValue(QoS::AtMostOnce)),
        "1" => Ok(QoSValue(QoS::AtLeastOnce)),
        _ => Err(QoSError),
    }
}

/// Why `-P` can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "others can see arguments: use `--password-stdin`, `--password-file` or the variable LATCHKEY_PASSWORD"
)]
struct PasswordArgument;

fn no_password(_: &str) -> Result<String, PasswordArgument> {
    Err(PasswordArgument)
}

impl WillArgs {
    /// The last will, if there is one.
    #[must_use]
    pub fn last_will(&self) -> Option<LastWill> {
        let payload = self.will_payload.clone().unwrap_or_default();
        let will = LastWill::new(self.will_topic.clone()?, payload.into_bytes().into());
        Some(LastWill { qos: self.will_qos.0, retain: self.will_retain, ..will })
    }
}

/// A client that is ready to connect.
pub struct SingleClient {
    /// The settings of its connection.
    pub settings: ConnectionSettings,
    /// The device's name, for people.
    pub device: String,
    /// What it presents.
    pub login: Login,
    /// How it connects.
    pub options: Options,
    /// What its HTTPS requests are authorized by.
    pub authorization: Authorization,
}

/// Why a client can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The deployment can't be used.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The credentials file can't be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The credentials file has no such device.
    #[error("the credentials file `{path}` has no device `{1}`", path = .0.display())]
    NoDevice(PathBuf, String),
    /// The proxy's variable can't be used.
    #[error(transparent)]
    Proxy(#[from] ProxyVariableError),
    /// The scheme does not fit.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// The endpoint can't be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The password's file can't be used.
    #[error(transparent)]
    PasswordFile(#[from] PrivateFileError),
    /// Standard input has no password.
    #[error("cannot read the password from standard input: {0}")]
    Stdin(io::Error),
    /// There is no password.
    #[error(
        "a user name needs a password: use `--password-stdin`, `--password-file` or the variable {PASSWORD_VARIABLE}"
    )]
    NoPassword,
}

impl ClientArgs {
    /// Reads the files that it names, and the password. Relative paths begin in `folder`.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn client(&self, folder: &Path) -> Result<SingleClient, ClientError> {
        self.client_of(self.settings(folder)?)
    }

    /// The settings of its connection.
    pub(crate) fn settings(&self, folder: &Path) -> Result<ConnectionSettings, ClientError> {
        let settings = ConnectionSettings::find(&self.connection, &self.deployment, folder)?;
        Ok(settings.by(&self.transport, self.connection.alpn.as_ref())?)
    }

    /// How it connects.
    pub(crate) fn options(&self) -> Options {
        Options { version: self.mqtt.into(), keep_alive: self.keepalive, ..Options::default() }
    }

    /// The client with these settings.
    pub(crate) fn client_of(&self, settings: ConnectionSettings) -> Result<SingleClient, ClientError> {
        let needs_no_password = matches!(settings.scheme.scheme, Scheme::Certificate);
        let row = match (&self.username, &self.id) {
            (Some(user_name), id) => {
                let client_id = id.clone().unwrap_or_else(|| user_name.clone());
                let password = if needs_no_password { Password::from("") } else { self.password()? };
                Row { device: user_name.clone(), client_id, user_name: user_name.clone(), password }
            }
            (None, Some(id)) if needs_no_password => Row {
                device: id.clone(),
                client_id: id.clone(),
                user_name: String::new(),
                password: Password::from(""),
            },
            (None, id) => {
                let mut row = self.row(&settings)?;
                if let Some(id) = id {
                    row.client_id.clone_from(id);
                }
                if self.password_stdin || self.password_file.is_some() {
                    row.password = self.password()?;
                }
                row
            }
        };
        let is_https = settings.target.transport == Transport::Https;
        let authorization =
            if is_https { settings.scheme.authorization()? } else { Authorization::default() };
        let login = settings.login(&row)?;
        Ok(SingleClient { settings, device: row.device, login, options: self.options(), authorization })
    }

    fn row(&self, settings: &ConnectionSettings) -> Result<Row, ClientError> {
        let mut rows = settings.rows(if self.device.is_some() { None } else { Some(1) })?.into_iter();
        let row = match &self.device {
            Some(device) => rows.find(|row| row.device == *device),
            None => rows.next(),
        };
        row.ok_or_else(|| {
            ClientError::NoDevice(settings.credentials.clone(), self.device.clone().unwrap_or_default())
        })
    }

    pub(crate) fn password(&self) -> Result<Password, ClientError> {
        if let Some(file) = &self.password_file {
            let text = private_file::read(file, "password", Readers::Owner)?;
            return Ok(Password::from(text.lines().next().unwrap_or_default()));
        }
        if self.password_stdin {
            let mut line = Zeroizing::new(Vec::new());
            io::stdin().lock().read_until(b'\n', &mut line).map_err(ClientError::Stdin)?;
            while line.pop_if(|last| matches!(last, b'\n' | b'\r')).is_some() {}
            return Ok(Password::from(line.to_vec()));
        }
        match std::env::var(PASSWORD_VARIABLE).map(Zeroizing::new) {
            Ok(text) if !text.is_empty() => Ok(Password::from(text.as_str())),
            _ => Err(ClientError::NoPassword),
        }
    }
}
