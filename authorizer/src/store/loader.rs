//! The step from a record's document to a checked record, the same for every store.

use crate::{
    arn::FunctionArn,
    client_id::ClientId,
    device_name::DeviceName,
    document::{self, Values},
    grant::Grants,
    record::{ClientIdRule, FunctionSettings, MAX_VERIFIERS, Record, Timers},
    store::document::RecordDocument,
};

/// Makes records of documents, each one checked, so that nothing about it can go wrong when its device connects.
///
/// It sees one record at a time. That no two records allow the same client id is for [`super::claims`] to say.
pub struct RecordLoader {
    grants: Grants,
    function: FunctionSettings,
}

impl RecordLoader {
    /// A loader for records that name these grants, in a function with these settings.
    #[must_use]
    pub fn new(grants: Grants, function: FunctionSettings) -> Self {
        Self { grants, function }
    }

    /// The record of the device called `name`.
    ///
    /// # Errors
    ///
    /// The device's name and what is wrong with its record.
    pub fn load(&self, name: &DeviceName, document: RecordDocument) -> Result<Record, String> {
        self.check(name, document).map_err(|why| format!("device `{name}`: {why}"))
    }

    fn check(&self, name: &DeviceName, document: RecordDocument) -> Result<Record, String> {
        if document.verifiers.is_empty() || document.verifiers.len() > MAX_VERIFIERS {
            return Err(format!("`verifiers` has {} entries, it takes 1 or 2", document.verifiers.len()));
        }
        self.function.memory.check(&document.verifiers).map_err(|error| error.to_string())?;
        let timers = self.function.timers;
        let own_name = || vec![ClientIdRule::Exact(name.client_id().clone())];
        let record = Record {
            verifiers: document.verifiers,
            enabled: document.enabled,
            client_ids: document.client_ids.unwrap_or_else(own_name),
            grant: self.grants.get(&document.grant)?,
            parameters: document.parameters,
            timers: Timers {
                refresh_after: document.refresh_after_seconds.unwrap_or(timers.refresh_after),
                disconnect_after: document.disconnect_after_seconds.unwrap_or(timers.disconnect_after),
            },
            not_before: document.not_before,
            not_after: document.not_after,
        };
        check_client_ids(&record)?;
        check_reserved(&record, name)?;
        check_documents(&record, name)?;
        Ok(record)
    }
}

fn check_client_ids(record: &Record) -> Result<(), String> {
    if record.client_ids.is_empty() {
        return Err("`client_ids` is an empty list; leave it out to allow the device's own name".to_owned());
    }
    Ok(())
}

/// What the record puts into its grant's placeholders must not make it the owner of topics that a grant names.
fn check_reserved(record: &Record, name: &DeviceName) -> Result<(), String> {
    let exact = record.client_ids.iter().filter_map(|rule| match rule {
        ClientIdRule::Exact(id) => Some(("client_id", id.as_str())),
        ClientIdRule::Prefix(_) => None,
    });
    let parameters = record.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut values = exact.chain([("device", name.as_str())]).chain(parameters);
    let taken = values.find(|(placeholder, value)| record.grant.reserves(placeholder, value));
    taken.map_or(Ok(()), |(placeholder, value)| {
        let grant = record.grant.name();
        Err(format!("`{value}` as `{{{placeholder}}}` of grant `{grant}` would own topics that a grant names literally"))
    })
}

/// Builds the documents once with the longest client id there is and the longest ARN that AWS has, so that
/// a connect can't meet a document that doesn't fit.
fn check_documents(record: &Record, name: &DeviceName) -> Result<(), String> {
    let longest = "x".repeat(iot_policy::limits::MAX_CLIENT_ID_BYTES);
    let client_id = ClientId::try_from(longest.as_str()).map_err(|error| error.to_string())?;
    let arn = "arn:aws-us-gov:lambda:ap-southeast-1:000000000000:function:f".parse::<FunctionArn>();
    let arn = arn.map_err(|error| error.to_string())?;
    let values = Values { client_id: &client_id, device: name, parameters: &record.parameters };
    document::check(&record.grant, values, &arn).map_err(|error| error.to_string())?;
    Ok(())
}
