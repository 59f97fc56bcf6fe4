//! The step from a record's document to a checked record, the same for every store.

use credentials::{alibaba, tencent};

use super::{
    document::{RecordDocument, SecretDocument},
    vendor_secrets,
};
use crate::{
    arn::FunctionArn,
    client_id::ClientId,
    credential::verifier::LiveVerifier,
    device_name::DeviceName,
    document::{self, Values},
    grant::{Grants, TopicTemplate},
    record::{ClientIdRule, FunctionSettings, MAX_VERIFIERS, Proof, Record, Timers},
    scheme::Scheme,
};

/// Makes records of documents, each one checked, so that nothing about it can go wrong when its device connects.
///
/// It sees one record at a time. That no two records allow the same client id is for [`super::claims`] to say.
pub struct RecordLoader {
    grants: Grants,
    function: FunctionSettings,
    /// Whether nobody compares the records with each other.
    alone: bool,
}

impl RecordLoader {
    /// A loader for records that name these grants, in a function with these settings.
    #[must_use]
    pub fn new(grants: Grants, function: FunctionSettings) -> Self {
        Self { grants, function, alone: false }
    }

    /// The same for a store whose records are never seen together. An Alibaba device's name is unique in its product
    /// only, so by default the client id is `productKey.deviceName` alone there.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// The record of the device called `name`.
    ///
    /// # Errors
    ///
    /// The device's name and what is wrong with its record.
    pub fn load(&self, name: &DeviceName, document: RecordDocument) -> Result<Record, String> {
        self.check(name, document).map_err(|why| format!("device `{name}`: {why}"))
    }

    /// The record of a device that has none, but for which a verified token vouches with a grant's name.
    ///
    /// # Errors
    ///
    /// As [`RecordLoader::load`].
    pub fn vouched(&self, name: &DeviceName, grant: &str) -> Result<Record, String> {
        self.load(name, RecordDocument::new(Scheme::Jwt, grant.to_owned()))
    }

    fn check(&self, name: &DeviceName, document: RecordDocument) -> Result<Record, String> {
        let Identity { device, product, ids } = Identity::of(name, document.scheme, self.alone)?;
        let timers = self.function.timers;
        if document.certificates.len() > MAX_VERIFIERS {
            return Err(format!(
                "`certificates` has {} entries, it takes up to 2",
                document.certificates.len()
            ));
        }
        let ids = ids.into_iter().chain(token_ids(&document.secrets)).map(ClientIdRule::Exact).collect();
        let proof = self.proof(name, document.scheme, document.verifiers, document.secrets)?;
        let record = Record {
            certificates: document.certificates,
            enabled: document.enabled,
            client_ids: document.client_ids.unwrap_or(ids),
            proof,
            device,
            product,
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
        check_parameters(&record)?;
        check_products(&record)?;
        check_reserved(&record)?;
        check_documents(&record)?;
        Ok(record)
    }

    fn proof(
        &self,
        name: &DeviceName,
        scheme: Scheme,
        verifiers: Vec<LiveVerifier>,
        secrets: Vec<SecretDocument>,
    ) -> Result<Proof, String> {
        let (with_verifiers, with_secrets) = match scheme {
            Scheme::Password => (true, false),
            Scheme::Alibaba | Scheme::Tencent => (false, true),
            Scheme::Jwt | Scheme::Token => (false, false),
        };
        count("verifiers", verifiers.len(), with_verifiers, scheme)?;
        count("secrets", secrets.len(), with_secrets, scheme)?;
        self.function.memory.check(&verifiers).map_err(|error| error.to_string())?;
        let secrets = || vendor_secrets::load(name, scheme, secrets, &self.function.unsealing);
        Ok(match scheme {
            Scheme::Password => Proof::Password(verifiers),
            Scheme::Alibaba => Proof::Alibaba(secrets()?),
            Scheme::Tencent => Proof::Tencent(secrets()?),
            Scheme::Jwt => Proof::Jwt,
            Scheme::Token => Proof::Token,
        })
    }
}

/// What a record's name says in its scheme.
struct Identity {
    device: DeviceName,
    product: Option<DeviceName>,
    /// The client ids that are the device's own.
    ids: Vec<ClientId>,
}

impl Identity {
    fn of(name: &DeviceName, scheme: Scheme, alone: bool) -> Result<Self, String> {
        let plain = |text: &str| DeviceName::try_from(text).map_err(|error| error.to_string());
        let (device, product, ids) = match scheme {
            Scheme::Password | Scheme::Jwt | Scheme::Token => (name.clone(), None, vec![name.clone()]),
            Scheme::Alibaba => {
                let (device, product) = name
                    .as_str()
                    .split_once('&')
                    .ok_or("an Alibaba device's record is called `deviceName&productKey`")?;
                let known =
                    alibaba::Identity::new("1", device, product).map_err(|error| error.to_string())?;
                let qualified = plain(&format!("{}.{}", known.product_key(), known.device_name()))?;
                let device = plain(known.device_name())?;
                let ids = if alone { vec![qualified] } else { vec![device.clone(), qualified] };
                (device, Some(plain(known.product_key())?), ids)
            }
            Scheme::Tencent => {
                let known = tencent::Identity::try_from(name.as_str()).map_err(|error| {
                    format!("a Tencent device's record is called by its product id and device name: {error}")
                })?;
                (plain(known.device_name())?, Some(plain(known.product_id())?), vec![name.clone()])
            }
        };
        let ids = ids.iter().map(|id| id.client_id().clone()).collect();
        Ok(Self { device, product, ids })
    }
}

/// The ids that came with device tokens belong to the device too.
fn token_ids(secrets: &[SecretDocument]) -> Vec<ClientId> {
    secrets.iter().filter_map(|secret| secret.id.as_ref()).map(|id| id.client_id().clone()).collect()
}

fn count(field: &str, found: usize, wanted: bool, scheme: Scheme) -> Result<(), String> {
    match (found, wanted) {
        (0, false) | (1..=MAX_VERIFIERS, true) => Ok(()),
        (_, false) => Err(format!("`{field}` is not for the scheme `{}`", scheme.as_str())),
        _ => Err(format!("`{field}` has {found} entries, it takes 1 or 2")),
    }
}

fn check_client_ids(record: &Record) -> Result<(), String> {
    if record.client_ids.is_empty() {
        return Err("`client_ids` is an empty list; leave it out to allow the device's own name".to_owned());
    }
    let with_parameters = |rule: &&ClientIdRule| matches!(rule, ClientIdRule::Exact(id) | ClientIdRule::Prefix(id) if id.as_str().contains('|'));
    let rule = record.client_ids.iter().find(with_parameters).cloned().map(String::from);
    match (&record.proof, rule) {
        (Proof::Alibaba(_), Some(rule)) => {
            return Err(format!("`{rule}` in `client_ids` has a `|`: here an id is what stands before it"));
        }
        (_, Some(rule)) => {
            return Err(format!(
                "`{rule}` in `client_ids` has a `|`: that makes a client id one of the scheme `alibaba`"
            ));
        }
        (_, None) => {}
    }
    Ok(())
}

/// A parameter can't give another meaning to what the device itself stands for.
fn check_parameters(record: &Record) -> Result<(), String> {
    let own =
        ["client_id", "device", "product"].into_iter().find(|name| record.parameters.contains_key(*name));
    own.map_or(Ok(()), |name| Err(format!("`{name}` can't be a parameter: `{{{name}}}` is the device's own")))
}

/// A vendor's device name is unique in its product only.
fn check_products(record: &Record) -> Result<(), String> {
    let mut templates = record.grant.definition().templates();
    let ambiguous = |template: &&TopicTemplate| template.has("device") && !template.has("product");
    match templates.find(ambiguous).filter(|_| record.product.is_some()) {
        None => Ok(()),
        Some(template) => Err(format!(
            "grant `{}` has `{{device}}` without `{{product}}` in `{}`: two products may have a device of that name",
            record.grant.name(),
            String::from(template.clone())
        )),
    }
}

/// What the record puts into its grant's placeholders must not make it the owner of topics that a grant names.
fn check_reserved(record: &Record) -> Result<(), String> {
    let exact = record.client_ids.iter().filter_map(|rule| match rule {
        ClientIdRule::Exact(id) => Some(("client_id", id.as_str())),
        ClientIdRule::Prefix(_) => None,
    });
    let parameters = record.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let product = record.product.as_ref().map(|product| ("product", product.as_str()));
    let mut values = exact.chain([("device", record.device.as_str())]).chain(product).chain(parameters);
    let taken = values.find(|(placeholder, value)| record.grant.reserves(placeholder, value));
    taken.map_or(Ok(()), |(placeholder, value)| {
        let grant = record.grant.name();
        Err(format!("`{value}` as `{{{placeholder}}}` of grant `{grant}` would own topics that a grant names literally"))
    })
}

/// Builds the documents once with the longest client id there is and the longest ARN that AWS has, so that
/// a connect can't meet a document that doesn't fit.
fn check_documents(record: &Record) -> Result<(), String> {
    let longest = "x".repeat(iot_policy::limits::MAX_CLIENT_ID_BYTES);
    let client_id = ClientId::try_from(longest.as_str()).map_err(|error| error.to_string())?;
    let arn = "arn:aws-us-gov:lambda:ap-southeast-1:000000000000:function:f".parse::<FunctionArn>();
    let arn = arn.map_err(|error| error.to_string())?;
    let values = Values { client_id: &client_id, record };
    document::check(values, &arn).map_err(|error| error.to_string())?;
    Ok(())
}
