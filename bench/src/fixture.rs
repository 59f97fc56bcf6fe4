//! The files that both sides of a comparison share: the devices' credentials, and one P-256 certificate under one CA.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use device_sim::Login;
use fleet::{
    secret::Secret,
    store_file::{NewDevice, StoreFile},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// The name in the certificate.
pub(crate) const SERVER_NAME: &str = "bench.test";
const RECORDS: &str = "devices.json";
/// A built-in grant: a device may publish to its own two topics.
const GRANT: &str = "sht20";
/// The built-in grant of a device's own shadow.
const SHADOW_GRANT: &str = "shadow";
/// Devices that have a shadow.
const SHADOWS: usize = 8;
/// A store without devices, with a grant for the bridge of a whole site: what all its devices may publish.
const STORE: &str = r#"{"version": 1, "grants": {"site": {"publish": ["sensor/*"]}}, "devices": {}}"#;
/// That grant.
const SITE_GRANT: &str = "site";

/// A folder with the files that the servers read. Dropping this removes it.
pub(crate) struct Fixture {
    folder: TempDir,
    /// The devices, each with its password in clear text.
    pub(crate) logins: Vec<Login>,
    /// Devices that have a shadow.
    pub(crate) shadow_logins: Vec<Login>,
    /// The one identity of mosquitto's bridge.
    pub(crate) site_login: Login,
}

impl Fixture {
    /// Makes the files for a number of devices.
    pub(crate) fn make(devices: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("can't make a temporary folder")?;
        let records = folder.path().join(RECORDS);
        std::fs::write(&records, STORE)?;
        let mut records = StoreFile::open(&records)?;
        let site_login = add(&mut records, SITE_GRANT.to_owned(), SITE_GRANT)?;
        let mut fixture = Self { folder, logins: Vec::new(), shadow_logins: Vec::new(), site_login };
        fixture.issue()?;
        for number in 0..devices {
            fixture.logins.push(add(&mut records, format!("device-{number:05}"), GRANT)?);
        }
        for number in 0..SHADOWS {
            fixture.shadow_logins.push(add(&mut records, format!("lamp-{number}"), SHADOW_GRANT)?);
        }
        records.save()?;
        Ok(fixture)
    }

    /// The path of the folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file of the CA's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder().join("bench-ca.pem")
    }

    /// The files of the server's certificate and of its key.
    pub(crate) fn certificate(&self) -> (PathBuf, PathBuf) {
        (self.folder().join("server.pem"), self.folder().join("server.key"))
    }

    /// The file of the authorizer's device records.
    pub(crate) fn records(&self) -> PathBuf {
        self.folder().join(RECORDS)
    }

    /// Writes a file that only its owner may read, since some hold secrets.
    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder().join(name);
        std::fs::write(&path, text).with_context(|| format!("can't write `{}`", path.display()))?;
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(path)
    }

    fn issue(&self) -> anyhow::Result<()> {
        let (ca_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key)?;
        let issuer = Issuer::new(params, ca_key);
        let params = CertificateParams::new(vec![SERVER_NAME.to_owned(), "localhost".to_owned()])?;
        let certificate = params.signed_by(&key, &issuer)?;
        self.write("bench-ca.pem", &ca.pem())?;
        self.write("server.pem", &certificate.pem())?;
        self.write("server.key", &key.serialize_pem())?;
        Ok(())
    }
}

/// Adds a device with a generated password.
fn add(records: &mut StoreFile, name: String, grant: &str) -> anyhow::Result<Login> {
    let secret = Secret::generate()?;
    let device =
        NewDevice { name: name.as_str().try_into()?, client_ids: Vec::new(), grant: grant.to_owned() };
    records.add(device, &secret)?;
    let password = secret.text().into();
    Ok(Login { client_id: name.clone(), user_name: name, password })
}

/// The topic that a device publishes to.
pub(crate) fn topic(login: &Login) -> anyhow::Result<mqtt::TopicName> {
    Ok(format!("sensor/{}/temperature", login.client_id).parse()?)
}
