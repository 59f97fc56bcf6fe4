//! The demo's fleet: records for the authorizer, credentials for the simulator.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context as _;
use device_auth::{device_name::DeviceName, store::document::RecordDocument};
use device_sim::{
    Login,
    credentials_file::{self, Row},
};
use fleet::{
    grant::{GrantDefinition, TopicTemplate},
    secret::Secret,
    store_file::{NewDevice, StoreFile},
};

use super::folder::{Folder, Temporary};

/// The dashboard may see every device's readings, and do nothing else.
const DASHBOARD: &str = "dashboard";
const TRESPASSER: &str = "sht20-9999";
const SHT20: &str = "sht20";

/// Device records by name.
pub(super) type Records = BTreeMap<DeviceName, RecordDocument>;

/// The provisioned fleet.
pub(super) struct Fleet {
    /// The devices' records.
    pub(super) records: Records,
    /// The file with the grants that they name.
    pub(super) grants: PathBuf,
    /// The file of the CA's certificate, which the gateway writes when it starts.
    pub(super) ca: PathBuf,
    /// The simulated devices' credentials in clear text, until the simulator has read them.
    pub(super) credentials: Temporary,
    rows: Vec<Row>,
    dashboard: Secret,
    trespasser: Secret,
    victim: String,
}

impl Fleet {
    /// Writes new files to `folder`. A CA in it stays.
    pub(super) fn provision(folder: &Folder, devices: u16) -> anyhow::Result<Self> {
        folder.removed("devices.json")?;
        let grants =
            std::path::absolute(folder.removed("grants.json")?).context("the grants' file has no path")?;
        folder.removed("events.jsonl")?;
        let credentials = Temporary(folder.removed("credentials.csv")?);
        let mut file = StoreFile::open(&grants)?;
        file.document_mut().grants.insert(DASHBOARD.to_owned(), dashboard_grant()?);
        let mut rows = Vec::new();
        for number in 1..=devices {
            let name = format!("sht20-{number:04}");
            let secret = add(&mut file, &name, SHT20)?;
            let password = secret.text().into();
            rows.push(Row { device: name.clone(), client_id: name.clone(), user_name: name, password });
        }
        let dashboard = add(&mut file, DASHBOARD, DASHBOARD)?;
        let trespasser = add(&mut file, TRESPASSER, SHT20)?;
        let records = std::mem::take(&mut file.document_mut().devices);
        file.save()?;
        credentials_file::append(&credentials.0, &rows)?;
        let ca = folder.file("ca.pem");
        let victim = rows.first().map(|row| row.device.clone()).context("the fleet has no device")?;
        Ok(Self { records, grants, ca, credentials, rows, dashboard, trespasser, victim })
    }

    /// Writes the clear passwords again, for another simulator.
    pub(super) fn write_credentials(&self) -> anyhow::Result<()> {
        self.credentials.remove();
        Ok(credentials_file::append(&self.credentials.0, &self.rows)?)
    }

    /// Removes the clear passwords. The simulator has read them all before its first device connects.
    pub(super) fn forget_credentials(&self) {
        self.credentials.remove();
    }

    /// The dashboard's login.
    pub(super) fn dashboard(&self) -> Login {
        login(DASHBOARD, self.dashboard.text())
    }

    /// The logins of the two clients that will be refused.
    pub(super) fn outsiders(&self) -> Outsiders {
        Outsiders {
            intruder: login(&self.victim, "a guess"),
            trespasser: login(TRESPASSER, self.trespasser.text()),
            foreign_topic: format!("sensor/{}/temperature", self.victim),
        }
    }
}

/// The logins of the two outsiders.
pub(super) struct Outsiders {
    /// The name of a device, and a wrong password.
    pub(super) intruder: Login,
    /// Another device, with its password.
    pub(super) trespasser: Login,
    /// A topic that the trespasser's grant does not allow.
    pub(super) foreign_topic: String,
}

fn dashboard_grant() -> anyhow::Result<GrantDefinition> {
    let template = |text: &str| TopicTemplate::try_from(text.to_owned()).map_err(anyhow::Error::msg);
    Ok(GrantDefinition {
        subscribe: vec![template("sensor/+/temperature")?, template("sensor/+/humidity")?],
        receive: vec![template("sensor/*")?],
        ..GrantDefinition::default()
    })
}

fn add(file: &mut StoreFile, name: &str, grant: &str) -> anyhow::Result<Secret> {
    let secret = Secret::generate()?;
    let device = NewDevice { name: name.try_into()?, client_ids: Vec::new(), grant: grant.to_owned() };
    file.add(device, &secret)?;
    Ok(secret)
}

fn login(name: &str, password: &str) -> Login {
    let user_name = format!("{name}?x-amz-customauthorizer-name=latchkey");
    Login { client_id: name.to_owned(), user_name, password: password.into() }
}
