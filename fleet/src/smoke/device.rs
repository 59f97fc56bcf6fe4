//! The device with which a deployment is checked.

use anyhow::Context as _;
use device_sim::{connection_settings::ConnectionSettings, credentials_file::Row};

use crate::secret::Secret;

/// The device with which the deployment is checked.
pub(super) struct Device {
    pub(super) row: Row,
    /// A password that no device has.
    pub(super) wrong: Secret,
}

impl Device {
    /// The device of this name, or the first one of the file.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or has no such device.
    pub(super) fn find(wanted: Option<&str>, settings: &ConnectionSettings) -> anyhow::Result<Self> {
        let path = &settings.credentials;
        let rows = settings.rows(None).context("a device and its password are needed")?;
        let mut rows = rows.into_iter();
        let row = match wanted {
            Some(name) => rows
                .find(|row| row.device == name)
                .with_context(|| format!("`{}` has no device `{name}`", path.display()))?,
            None => rows.next().with_context(|| format!("`{}` has no device", path.display()))?,
        };
        Ok(Self { row, wrong: Secret::generate()? })
    }
}
