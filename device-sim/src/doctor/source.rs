//! A device whose connection is in a file of its own: a firmware's configuration partition, or a printed kit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use device_core::partition::{Key, Partition, PartitionError, UnusableValue};
use mqtt::TopicName;
use tempfile::TempDir;

use super::{DoctorArgs, Knowledge};
use crate::client::Authorization;
use crate::connection_settings::ConnectionSettings;
use crate::credentials_file::Row;
use crate::login::{Authorizer, Login, Password, Scheme, SchemeSettings};
use crate::single::{ClientArgs, ClientError, SingleClient};

/// The connection of one device, as its own file has it.
pub(super) struct Device {
    host: String,
    port: String,
    /// Where to connect in place of what DNS returns.
    address: Option<String>,
    sni: Option<String>,
    alpn: Option<String>,
    scheme: Scheme,
    row: Row,
    has_password: bool,
    keep_alive: Option<u16>,
    topic: Option<TopicName>,
    ca: Option<PathBuf>,
    certificate: Option<(PathBuf, PathBuf)>,
    /// Only its owner can read what is in it. It goes with this value.
    _folder: TempDir,
}

/// Why a file is not a device's.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It can't be read.
    #[error("cannot read `{path}`: {1}", path = .0.display())]
    Unreadable(PathBuf, io::Error),
    /// It is not a partition.
    #[error("`{path}`: {1}", path = .0.display())]
    Partition(PathBuf, PartitionError),
    /// A value of the partition can't be used.
    #[error("`{path}`: {1}", path = .0.display())]
    Value(PathBuf, UnusableValue),
    /// A value is missing.
    #[error("`{path}`: the configuration has no `{1}`", path = .0.display())]
    Missing(PathBuf, &'static str),
    /// The scheme is unknown.
    #[error("`{path}`: the scheme `{1}` is not one of the firmware's", path = .0.display())]
    Scheme(PathBuf, String),
    /// It is not a kit.
    #[error("`{path}` is not a configuration that `latchkey fleet kit` prints", path = .0.display())]
    NotAKit(PathBuf),
    /// A temporary file can't be written.
    #[error("cannot write a temporary file: {0}")]
    Temporary(#[source] io::Error),
}

impl Device {
    /// Reads the file that the command line names, if it names one.
    pub(super) fn of(args: &DoctorArgs, knowledge: &impl Knowledge) -> Result<Option<Self>, SourceError> {
        let read =
            |path: &PathBuf| fs::read(path).map_err(|error| SourceError::Unreadable(path.clone(), error));
        match (&args.partition, &args.kit) {
            (Some(path), _) => Ok(Some(Self::of_partition(path, &read(path)?)?)),
            (None, Some(path)) => {
                let text = read(path)?;
                let values = std::str::from_utf8(&text).ok().and_then(|text| knowledge.kit_values(text));
                let values = values.ok_or_else(|| SourceError::NotAKit(path.clone()))?;
                Ok(Some(Self::of_kit(path, &values)?))
            }
            (None, None) => Ok(None),
        }
    }

    fn of_partition(path: &Path, bytes: &[u8]) -> Result<Self, SourceError> {
        let partition =
            Partition::parse(bytes).map_err(|error| SourceError::Partition(path.to_owned(), error))?;
        let text = |key| {
            let value = partition.text(key).map_err(|error| SourceError::Value(path.to_owned(), error))?;
            Ok::<_, SourceError>(value.map(str::to_owned))
        };
        let required = |key: Key| text(key)?.ok_or_else(|| SourceError::Missing(path.to_owned(), key.name()));
        let folder = TempDir::new().map_err(SourceError::Temporary)?;
        let pem = |key: Key| match text(key)? {
            Some(pem) => Ok::<_, SourceError>(Some(write(&folder, key.name(), &pem)?)),
            None => Ok(None),
        };
        let scheme = match text(Key::Scheme)?.as_deref() {
            None | Some("password") => Scheme::Password,
            Some("alibaba") => Scheme::Alibaba,
            Some("tencent") => Scheme::Tencent,
            Some("certificate") => Scheme::Certificate,
            Some(other) => return Err(SourceError::Scheme(path.to_owned(), other.to_owned())),
        };
        let (client_id, user_name) = match scheme {
            Scheme::Alibaba => {
                let user_name = format!("{}&{}", required(Key::DeviceName)?, required(Key::ProductKey)?);
                (required(Key::ClientId)?, user_name)
            }
            Scheme::Tencent => {
                let client_id = required(Key::ProductId)? + &required(Key::DeviceName)?;
                (client_id.clone(), client_id)
            }
            Scheme::Certificate => (required(Key::ClientId)?, String::new()),
            _ => {
                let user_name = required(Key::UserName)?;
                let authorizer = text(Key::Authorizer)?.and_then(|name| name.parse::<Authorizer>().ok());
                (required(Key::ClientId)?, authorizer.map_or(user_name.clone(), |it| it.name_in(&user_name)))
            }
        };
        let password = if scheme == Scheme::Certificate { String::new() } else { required(Key::Secret)? };
        Ok(Self {
            host: required(Key::Host)?,
            port: text(Key::Port)?.unwrap_or_else(|| "443".to_owned()),
            address: text(Key::Address)?,
            sni: None,
            alpn: text(Key::Alpn)?.filter(|alpn| alpn == "off").map(|_| "none".to_owned()),
            scheme,
            row: Row {
                device: client_id.clone(),
                client_id,
                user_name,
                password: Password::from(password.as_str()),
            },
            has_password: true,
            keep_alive: None,
            topic: None,
            ca: pem(Key::Ca)?,
            certificate: pem(Key::Certificate)?.zip(pem(Key::PrivateKey)?),
            _folder: folder,
        })
    }

    fn of_kit(path: &Path, values: &[(String, String)]) -> Result<Self, SourceError> {
        let value =
            |name: &str| values.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let missing = |name| SourceError::Missing(path.to_owned(), name);
        let folder = TempDir::new().map_err(SourceError::Temporary)?;
        let ca = match (value("ca"), value("ca_file")) {
            (Some(pem), _) => Some(write(&folder, "ca", &pem)?),
            (None, Some(file)) => Some(PathBuf::from(file)),
            (None, None) => None,
        };
        let client_id = value("client_id").ok_or_else(|| missing("client id"))?;
        let url = value("url").and_then(|url| {
            let (host, port) = url.split_once("://")?.1.rsplit_once(':')?;
            Some((host.to_owned(), port.to_owned()))
        });
        let (host, port) = match (url, value("host"), value("port")) {
            (Some(url), _, _) => url,
            (None, Some(host), Some(port)) => (host, port),
            _ => return Err(missing("host and port")),
        };
        let password = value("password");
        Ok(Self {
            host,
            port,
            address: None,
            sni: value("sni"),
            alpn: Some(value("alpn").unwrap_or_else(|| "none".to_owned())),
            scheme: Scheme::Password,
            row: Row {
                device: client_id.clone(),
                client_id,
                user_name: value("user_name").ok_or_else(|| missing("user name"))?,
                password: Password::from(password.as_deref().unwrap_or_default()),
            },
            has_password: password.is_some(),
            keep_alive: value("keep_alive").and_then(|seconds| seconds.parse().ok()),
            topic: value("publish").and_then(|topic| TopicName::try_from(topic.as_str()).ok()),
            ca,
            certificate: None,
            _folder: folder,
        })
    }

    /// The topic that the device publishes to.
    pub(super) fn topic(&self) -> Option<TopicName> {
        self.topic.clone()
    }

    /// Sets what the command line does not say.
    pub(super) fn fill_in(&self, args: &mut ClientArgs) {
        let connection = &mut args.connection;
        let host = self.address.as_ref().unwrap_or(&self.host);
        let address = if host.contains(':') {
            format!("[{host}]:{}", self.port)
        } else {
            format!("{host}:{}", self.port)
        };
        if connection.endpoint.is_none() {
            connection.endpoint = address.parse().ok();
        }
        let sni = self.sni.clone().or_else(|| self.address.as_ref().map(|_| self.host.clone()));
        connection.sni = connection.sni.take().or(sni);
        connection.ca = connection.ca.take().or_else(|| self.ca.clone());
        connection.alpn =
            connection.alpn.take().or_else(|| self.alpn.as_deref().and_then(|it| it.parse().ok()));
        // It is in the user name already, or nowhere.
        connection.no_authorizer = true;
        args.transport.scheme = args.transport.scheme.or(Some(self.scheme));
        if let (None, Some((certificate, key))) = (&args.transport.cert, &self.certificate) {
            args.transport.cert = Some(certificate.clone());
            args.transport.key = Some(key.clone());
        }
        if let Some(seconds) = self.keep_alive {
            args.keepalive = seconds;
        }
    }

    /// What the device presents. A kit without its password gets the one of the command line, or of the credentials file.
    pub(super) fn client(
        &self,
        args: &ClientArgs,
        settings: &ConnectionSettings,
    ) -> Result<SingleClient, ClientError> {
        let mut row = self.row.clone();
        if !self.has_password {
            row.password = match args.password() {
                Err(ClientError::NoPassword) => {
                    let known =
                        settings.rows(None)?.into_iter().find(|known| known.client_id == row.client_id);
                    known.ok_or(ClientError::NoPassword)?.password
                }
                password => password?,
            };
        }
        let scheme = SchemeSettings { scheme: self.scheme, token_key_name: None };
        let login: Login = scheme.login(&row, None, SystemTime::now())?;
        let mut options = args.options();
        options.keep_alive = self.keep_alive.unwrap_or(options.keep_alive);
        Ok(SingleClient {
            settings: settings.clone(),
            device: row.device,
            login,
            options,
            authorization: Authorization::default(),
        })
    }
}

fn write(folder: &TempDir, name: &str, text: &str) -> Result<PathBuf, SourceError> {
    let path = folder.path().join(format!("{name}.pem"));
    fs::write(&path, text).map_err(SourceError::Temporary)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(entries: &[(Key, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        device_core::partition::encode(entries.iter().copied(), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_partition_has_what_the_firmware_connects_with() {
        let own = [
            (Key::Host, "iot.test"),
            (Key::Address, "192.0.2.1"),
            (Key::ClientId, "sht20"),
            (Key::UserName, "sht20"),
            (Key::Authorizer, "latchkey"),
            (Key::Secret, "hunter2"),
            (Key::Ca, "PEM"),
        ];
        let device = Device::of_partition(Path::new("p"), &partition(&own)).ok().unwrap();
        assert_eq!(
            (&*device.host, &*device.port, device.address.as_deref()),
            ("iot.test", "443", Some("192.0.2.1"))
        );
        assert_eq!(device.row.user_name, "sht20?x-amz-customauthorizer-name=latchkey");
        assert_eq!(device.row.password.expose(), b"hunter2");
        assert_eq!((device.alpn, fs::read_to_string(device.ca.unwrap()).unwrap()), (None, "PEM".to_owned()));
        let for_bridge = partition(&[&own[..], &[(Key::Alpn, "off")]].concat());
        let for_bridge = Device::of_partition(Path::new("p"), &for_bridge).ok().unwrap();
        assert_eq!(for_bridge.alpn.as_deref(), Some("none"));
        let message = |entries: &[(Key, &str)]| {
            Device::of_partition(Path::new("p"), &partition(entries)).err().unwrap().to_string()
        };
        assert_eq!(message(&own[1..]), "`p`: the configuration has no `host`");
        assert_eq!(
            message(&[(Key::Scheme, "other")]),
            "`p`: the scheme `other` is not one of the firmware's"
        );
        let nothing = Device::of_partition(Path::new("p"), &[0xff; 64]).err().unwrap().to_string();
        assert!(nothing.contains("there is no configuration"), "{nothing}");
    }

    #[test]
    fn a_vendors_partition_signs_as_the_firmware_does() {
        let entries = [
            (Key::Host, "h"),
            (Key::Scheme, "alibaba"),
            (Key::ClientId, "id"),
            (Key::DeviceName, "d"),
            (Key::ProductKey, "pk"),
            (Key::Secret, "s"),
        ];
        let device = Device::of_partition(Path::new("p"), &partition(&entries)).ok().unwrap();
        assert_eq!((device.scheme, &*device.row.user_name), (Scheme::Alibaba, "d&pk"));
        let entries = [
            (Key::Host, "h"),
            (Key::Scheme, "tencent"),
            (Key::ProductId, "AB12CD34EF"),
            (Key::DeviceName, "d"),
            (Key::Secret, "AAAA"),
        ];
        let device = Device::of_partition(Path::new("p"), &partition(&entries)).ok().unwrap();
        assert_eq!((device.scheme, &*device.row.client_id), (Scheme::Tencent, "AB12CD34EFd"));
    }
}
