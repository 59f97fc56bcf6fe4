//! A device that is to be provisioned.

use std::collections::BTreeMap;

use device_auth::device_name::DeviceName;

/// A device that is to be provisioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    /// Its name, which is also its client id, its user name and its Thing's name.
    pub(super) name: DeviceName,
    /// The grant's name.
    pub(super) grant: String,
    /// The Thing's own attributes, besides those that every Thing gets.
    pub(super) attributes: BTreeMap<String, String>,
}

impl Device {
    /// All attributes of its Thing: those that the deployment's thing type makes searchable, and its own.
    pub(super) fn thing_attributes(&self) -> BTreeMap<String, String> {
        let common = [("grant", self.grant.as_str()), ("scheme", "password")];
        let common = common.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.attributes.clone().into_iter().chain(common).collect()
    }
}
