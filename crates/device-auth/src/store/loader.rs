//! From a store's documents to checked records, for every kind of store.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use credentials::{Secret, SecretError, alibaba, tencent};

use super::{
    document::{RecordDocument, SecretDocument, StoreDocument, VERSION},
    error::{InvalidRecord, RecordError, RecordsError},
    id_ranges::{Reservation, TakenNames},
    topic_overlap,
};
use crate::{
    binding::PersistentSession,
    client_id::ClientId,
    device_name::DeviceName,
    grant::Grants,
    policy::{self, Values},
    record::{
        ClientIdRule, FunctionSettings, LiveSecret, MAX_VERIFIERS, Parameters, Proof, Record, Unsealing,
        VendorSecret,
    },
    scheme::Scheme,
    seal::{Keyring, SealedSecret},
    time::Timers,
    verifier::LiveVerifier,
};

/// The records of a whole store, all checked.
pub struct Records {
    /// The loader that made them.
    pub loader: RecordLoader,
    /// The records, by device name.
    pub by_name: BTreeMap<DeviceName, Arc<Record>>,
    /// The records that can't be used, by device name. Each refuses its own device alone.
    pub unusable: BTreeMap<DeviceName, UnusableRecord>,
    /// Made for the first device without a record.
    taken_names: OnceLock<TakenNames>,
}

/// A record that can't be used. What it reserves for its device stays reserved.
pub struct UnusableRecord {
    /// What is wrong with the record.
    pub error: Arc<InvalidRecord>,
    scheme: Scheme,
    client_ids: Vec<ClientIdRule>,
    parameters: Parameters,
    product: Option<DeviceName>,
    topic_name: Option<DeviceName>,
}

impl StoreDocument {
    /// The records, all of them usable.
    ///
    /// # Errors
    ///
    /// What is wrong, and with which device or grant.
    pub fn records(self, function: FunctionSettings) -> Result<Records, RecordsError> {
        let records = self.load(function)?;
        if let Some((_, unusable)) = records.unusable.first_key_value() {
            return Err(RecordsError::Record(Arc::clone(&unusable.error)));
        }
        records.check()?;
        Ok(records)
    }

    /// The records, and for each one that can't be used what is wrong with it. They are not compared with each other.
    ///
    /// # Errors
    ///
    /// What is wrong with the store as a whole: its version, or a grant.
    pub fn load(self, function: FunctionSettings) -> Result<Records, RecordsError> {
        if self.version != VERSION {
            return Err(RecordsError::Version { found: self.version, known: VERSION });
        }
        let loader = RecordLoader::new(Grants::new(self.grants)?, function);
        let mut records = Records {
            loader,
            by_name: BTreeMap::new(),
            unusable: BTreeMap::new(),
            taken_names: OnceLock::new(),
        };
        for (name, document) in self.devices {
            match records.loader.load(&name, document.clone()) {
                Ok(record) => _ = records.by_name.insert(name, Arc::new(record)),
                Err(error) => {
                    let unusable = UnusableRecord::new(&name, document, error);
                    records.unusable.insert(name, unusable);
                }
            }
        }
        Ok(records)
    }
}

impl Records {
    /// The record of a device without one, made from a verified token that names a grant.
    ///
    /// # Errors
    ///
    /// Why the device can't have that grant, or that its name is another device's client id.
    pub fn record_from_token(&self, name: &DeviceName, grant: &str) -> Result<Record, RecordsError> {
        self.loader.newcomer(name, grant, || Ok(self.taken_names()?.check_newcomer(name)?))
    }

    pub(super) fn taken_names(&self) -> Result<&TakenNames, RecordsError> {
        if let Some(names) = self.taken_names.get() {
            return Ok(names);
        }
        let names = TakenNames::new(&self.reservations().collect::<Vec<_>>())?;
        Ok(self.taken_names.get_or_init(|| names))
    }

    pub(super) fn reservations(&self) -> impl Iterator<Item = Reservation<'_>> {
        let usable = self.by_name.iter().map(|(name, record)| Reservation::of(name, record));
        let unusable = self.unusable.iter().map(|(device, record)| Reservation {
            device,
            scheme: record.scheme,
            client_ids: &record.client_ids,
            parameters: &record.parameters,
            product: record.product.as_ref(),
            topic_name: record.topic_name.as_ref(),
        });
        usable.chain(unusable)
    }
}

impl UnusableRecord {
    pub(super) fn new(name: &DeviceName, document: RecordDocument, error: InvalidRecord) -> Self {
        let mut client_ids = client_ids(name, &document);
        // Such a rule is never valid, and would reserve ids of an Alibaba device.
        client_ids.retain(|rule| !String::from(rule.clone()).contains('|'));
        let parts = NameParts::of(name, document.scheme, false).ok();
        let (product, topic_name) = parts.map_or((None, None), |parts| (parts.product, Some(parts.device)));
        Self {
            error: Arc::new(error),
            scheme: document.scheme,
            client_ids,
            parameters: document.parameters,
            topic_name: topic_name.filter(|device| device != name),
            product,
        }
    }
}

/// Makes records of documents, and checks each one, so that no error is left for the time when its device connects.
///
/// It checks each record alone. [`id_ranges`] checks that no two records allow the same client id.
pub struct RecordLoader {
    grants: Grants,
    function: FunctionSettings,
    /// Whether the records are never compared with each other.
    alone: bool,
}

impl RecordLoader {
    /// A loader for records with these grants, in a function with these settings.
    #[must_use]
    pub fn new(grants: Grants, function: FunctionSettings) -> Self {
        Self { grants, function, alone: false }
    }

    /// The same loader for a store whose records are never compared with each other. An Alibaba device's name is unique
    /// only in its product, so there the default client id is only `productKey.deviceName`.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// The grants of its records.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The record of the device called `name`.
    ///
    /// # Errors
    ///
    /// The device's name, and what is wrong with its record.
    pub fn load(&self, name: &DeviceName, document: RecordDocument) -> Result<Record, InvalidRecord> {
        self.check(name, document).map_err(|error| InvalidRecord { device: name.clone(), error })
    }

    /// The record of a device without one, made from a verified token that names a grant.
    ///
    /// # Errors
    ///
    /// As [`RecordLoader::load`].
    pub fn record_from_token(&self, name: &DeviceName, grant: &str) -> Result<Record, InvalidRecord> {
        self.load(name, RecordDocument::new(Scheme::Jwt, grant.to_owned()))
    }

    /// The same, if `is_free` says that the name belongs to no record of the store, and no grant gives its topics to others.
    pub(super) fn newcomer(
        &self,
        name: &DeviceName,
        grant: &str,
        is_free: impl FnOnce() -> Result<(), RecordsError>,
    ) -> Result<Record, RecordsError> {
        let record = self.record_from_token(name, grant)?;
        is_free()?;
        match topic_overlap::grant_reached_by_newcomer(&record, self.grants.all()) {
            None => Ok(record),
            Some(grant) => {
                let (value, placeholder) = (name.as_str().to_owned(), "device".to_owned());
                let error = RecordError::Reserved { value, placeholder, grant: grant.name().to_owned() };
                Err(InvalidRecord { device: name.clone(), error }.into())
            }
        }
    }

    fn check(&self, name: &DeviceName, document: RecordDocument) -> Result<Record, RecordError> {
        let NameParts { device, product, ids } = NameParts::of(name, document.scheme, self.alone)?;
        let timers = self.function.timers;
        if document.certificates.len() > MAX_VERIFIERS {
            return Err(RecordError::Certificates(document.certificates.len()));
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
    ) -> Result<Proof, RecordError> {
        let (with_verifiers, with_secrets) = match scheme {
            Scheme::Password => (true, false),
            Scheme::Alibaba | Scheme::Tencent => (false, true),
            Scheme::Jwt | Scheme::Token => (false, false),
        };
        count("verifiers", verifiers.len(), with_verifiers, scheme)?;
        count("secrets", secrets.len(), with_secrets, scheme)?;
        self.function.memory.check(&verifiers)?;
        let secrets = || load_secrets(name, scheme, secrets, &self.function.unsealing);
        Ok(match scheme {
            Scheme::Password => Proof::Password(verifiers),
            Scheme::Alibaba => Proof::Alibaba(secrets()?),
            Scheme::Tencent => Proof::Tencent(secrets()?),
            Scheme::Jwt => Proof::Jwt,
            Scheme::Token => Proof::Token,
        })
    }
}

/// The client ids that a record allows: those that it lists, or the device's own.
///
/// The device's own are, in Alibaba's scheme, `deviceName`, `productKey.deviceName` and the ids of device tokens; in all
/// others, the name.
#[must_use]
pub fn client_ids(name: &DeviceName, document: &RecordDocument) -> Vec<ClientIdRule> {
    if let Some(rules) = &document.client_ids {
        return rules.clone();
    }
    let own = match NameParts::of(name, document.scheme, false) {
        Ok(parts) => parts.ids,
        Err(_) => vec![name.client_id().clone()],
    };
    own.into_iter().chain(token_ids(&document.secrets)).map(ClientIdRule::Exact).collect()
}

/// The parts of a record's name, by its scheme.
struct NameParts {
    device: DeviceName,
    product: Option<DeviceName>,
    /// The client ids that are the device's own.
    ids: Vec<ClientId>,
}

impl NameParts {
    fn of(name: &DeviceName, scheme: Scheme, alone: bool) -> Result<Self, RecordError> {
        let (device, product, ids) = match scheme {
            Scheme::Password | Scheme::Jwt | Scheme::Token => (name.clone(), None, vec![name.clone()]),
            Scheme::Alibaba => {
                let (device, product) = name.as_str().split_once('&').ok_or(RecordError::AlibabaName)?;
                let known = alibaba::Identity::new("1", device, product)?;
                let qualified =
                    DeviceName::try_from(format!("{}.{}", known.product_key(), known.device_name()))?;
                let device = DeviceName::try_from(known.device_name())?;
                let ids = if alone { vec![qualified] } else { vec![device.clone(), qualified] };
                (device, Some(DeviceName::try_from(known.product_key())?), ids)
            }
            Scheme::Tencent => {
                let known = tencent::Identity::try_from(name.as_str())?;
                let product = DeviceName::try_from(known.product_id())?;
                (DeviceName::try_from(known.device_name())?, Some(product), vec![name.clone()])
            }
        };
        let ids = ids.iter().map(|id| id.client_id().clone()).collect();
        Ok(Self { device, product, ids })
    }
}

/// The client ids that came with device tokens. They are also the device's own.
fn token_ids(secrets: &[SecretDocument]) -> Vec<ClientId> {
    secrets.iter().filter_map(|secret| secret.id.as_ref()).map(|id| id.client_id().clone()).collect()
}

fn count(field: &'static str, found: usize, wanted: bool, scheme: Scheme) -> Result<(), RecordError> {
    match (found, wanted) {
        (0, false) | (1..=MAX_VERIFIERS, true) => Ok(()),
        (_, false) => Err(RecordError::OtherScheme { field, scheme }),
        _ => Err(RecordError::Count { field, found }),
    }
}

fn check_client_ids(record: &Record) -> Result<(), RecordError> {
    if record.client_ids.is_empty() {
        return Err(RecordError::NoClientIds);
    }
    for rule in &record.client_ids {
        let (ClientIdRule::Exact(id) | ClientIdRule::Prefix(id)) = rule;
        if id.as_str().contains('|') {
            let rule = String::from(rule.clone());
            return Err(match record.proof {
                Proof::Alibaba(_) => RecordError::IdWithParameters(rule),
                _ => RecordError::IdOfAlibaba(rule),
            });
        }
    }
    Ok(())
}

/// Checks that no parameter has the name of a placeholder that is the device's own.
fn check_parameters(record: &Record) -> Result<(), RecordError> {
    let own =
        ["client_id", "device", "product"].into_iter().find(|name| record.parameters.contains_key(*name));
    own.map_or(Ok(()), |name| Err(RecordError::OwnPlaceholder(name)))
}

/// Checks that the grant names the product wherever it names the device: a vendor's device name is unique only in its
/// product.
fn check_products(record: &Record) -> Result<(), RecordError> {
    let mut templates = record.grant.definition().templates();
    match templates.find(|template| template.has("device") && !template.has("product")) {
        Some(template) if record.product.is_some() => Err(RecordError::DeviceWithoutProduct {
            grant: record.grant.name().to_owned(),
            template: String::from(template.clone()),
        }),
        _ => Ok(()),
    }
}

/// Checks that the record's values for placeholders do not give the device topics that a grant names literally.
fn check_reserved(record: &Record) -> Result<(), RecordError> {
    let exact = record.client_ids.iter().filter_map(|rule| match rule {
        ClientIdRule::Exact(id) => Some(("client_id", id.as_str())),
        ClientIdRule::Prefix(_) => None,
    });
    let parameters = record.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let product = record.product.as_ref().map(|product| ("product", product.as_str()));
    let mut values = exact.chain([("device", record.device.as_str())]).chain(product).chain(parameters);
    match values.find(|(placeholder, value)| record.grant.reserves(placeholder, value)) {
        None => Ok(()),
        Some((placeholder, value)) => Err(RecordError::Reserved {
            value: value.to_owned(),
            placeholder: placeholder.to_owned(),
            grant: record.grant.name().to_owned(),
        }),
    }
}

/// Checks that the documents fit with the longest client id and the longest ARN, so that they fit at each connect.
fn check_documents(record: &Record) -> Result<(), RecordError> {
    let longest = "x".repeat(iot_policy::limits::MAX_CLIENT_ID_BYTES);
    let client_id = ClientId::try_from(longest.as_str())?;
    // A withheld session makes a longer document.
    Ok(policy::check(Values { client_id: &client_id, record, session: PersistentSession::Never })?)
}

/// Opens the secrets of the device called `name`, and checks that each has a kind of the scheme.
fn load_secrets(
    name: &DeviceName,
    scheme: Scheme,
    documents: Vec<SecretDocument>,
    unsealing: &Unsealing,
) -> Result<Vec<LiveSecret>, RecordError> {
    let mut secrets = Vec::new();
    for document in documents {
        let expires_at = document.expires_at;
        let kind = SecretKind::of(document, scheme)?;
        if let Unsealing::With(keyring) = unsealing {
            secrets.push(LiveSecret { secret: kind.open(keyring, name)?, expires_at });
        }
    }
    Ok(secrets)
}

enum SecretKind {
    DeviceSecret(SealedSecret),
    DeviceToken(SealedSecret, DeviceName),
    Psk(SealedSecret),
}

impl SecretKind {
    fn of(document: SecretDocument, scheme: Scheme) -> Result<Self, RecordError> {
        let SecretDocument { device_secret, device_token, id, psk, expires_at: _ } = document;
        match (scheme, device_secret, device_token, id, psk) {
            (Scheme::Alibaba, Some(sealed), None, None, None) => Ok(Self::DeviceSecret(sealed)),
            (Scheme::Alibaba, None, Some(sealed), Some(id), None) => Ok(Self::DeviceToken(sealed, id)),
            (Scheme::Tencent, None, None, None, Some(sealed)) => Ok(Self::Psk(sealed)),
            _ => Err(RecordError::SecretKind { scheme }),
        }
    }

    fn open(self, keyring: &Keyring, name: &DeviceName) -> Result<VendorSecret, RecordError> {
        Ok(match self {
            Self::DeviceSecret(sealed) => {
                VendorSecret::DeviceSecret(Secret::try_from(keyring.open(&sealed, name)?.as_slice())?)
            }
            Self::DeviceToken(sealed, id) => VendorSecret::DeviceToken {
                token: Secret::try_from(keyring.open(&sealed, name)?.as_slice())?,
                id: id.client_id().clone(),
            },
            // The vendor gives a `psk` as base64, and signs with the decoded bytes.
            Self::Psk(sealed) => {
                let opened = keyring.open(&sealed, name)?;
                let text = std::str::from_utf8(&opened).map_err(|_| SecretError::NotBase64)?;
                VendorSecret::Psk(Secret::from_base64(text)?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const VERIFIER: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";

    fn load(text: &str) -> Result<Records, String> {
        let timers =
            Timers { refresh_after: 300.try_into().unwrap(), disconnect_after: 300.try_into().unwrap() };
        let unsealing = Unsealing::LeftSealed;
        let settings = FunctionSettings { timers, memory: 128.try_into().unwrap(), unsealing };
        let document = StoreDocument::parse(text).map_err(|error| error.to_string())?;
        document.records(settings).map_err(|error| error.to_string())
    }

    fn device(changes: &[(&str, Value)]) -> Value {
        let mut device =
            json!({"scheme": "password", "verifiers": [{"verifier": VERIFIER}], "grant": "sht20"});
        for (key, value) in changes {
            device[key] = value.clone();
        }
        device
    }

    fn fault(devices: &Value, grants: &Value) -> String {
        load(&json!({"version": 1, "grants": grants, "devices": devices}).to_string()).err().unwrap()
    }

    #[test]
    fn parse_error_names_the_line_and_not_the_value() {
        let record = device(&[]).to_string();
        let cases = [
            ("{\n", "EOF while parsing an object at line 2 column 0"),
            ("{\"version\":1,\n\"device\":{}}", "unknown field `device`"),
            (
                &format!("{{\"version\":1,\"devices\":{{\n\"a\":{record},\n\"a\":{record}}}}}"),
                "`a` is a duplicate at line 3",
            ),
            (&format!("{{\"version\":1,\"devices\":{{\n\n\"a/b\":{record}}}}}"), "at byte 1 at line 3"),
            (
                "{\"version\":1,\"devices\":{\n\"a\":{\"scheme\":\"none\"}}}",
                "unknown variant, expected one of `password`",
            ),
            (
                "{\"version\":1,\"devices\":{\n\"a\":{\"verifiers\":[{\"verifier\":\"hunter2\"}]}}}",
                "unknown verifier",
            ),
            (
                "{\"version\":1,\"devices\":{\n\"a\":{\"verifiers\":\"hunter2, expected \\\"hunter2\"}}}",
                "invalid type: string, expected a list at line 2",
            ),
            (
                "{\"version\":1,\"devices\":{\n\"a\":{\"verifiers\":[\"hunter2\"]}}}",
                "invalid type: string, expected an object with `verifier`, and `expires_at` if it has an end at line 2",
            ),
            (
                "{\"version\":1,\"devices\":{\n\"a\":{\"verifiers\":4711}}}",
                "invalid type: integer, expected a list at line 2",
            ),
        ];
        for (text, part) in cases {
            let error = load(text).err().unwrap();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("hunter2") && !error.contains("4711"), "{error}");
        }
    }

    #[test]
    fn invalid_record_is_reported_with_its_device() {
        let three = json!(vec![json!({"verifier": VERIFIER}); 3]);
        let cases = [
            (
                device(&[("verifiers", json!([]))]),
                "device `a`: `verifiers` has 0 entries, it should have 1 or 2",
            ),
            (device(&[("verifiers", three)]), "device `a`: `verifiers` has 3 entries"),
            (device(&[("client_ids", json!([]))]), "device `a`: `client_ids` is an empty list"),
            (device(&[("client_ids", json!(["*"]))]), "its value is not a client id, nor a prefix"),
            (device(&[("client_ids", json!(["a*b"]))]), "its value is not a client id"),
            (
                device(&[("grant", json!("none"))]),
                "grant `none` does not exist; the grants are `alibaba`, `own-topics`, `shadow`, `sht20`, `tencent`",
            ),
            (device(&[("refresh_after_seconds", json!(299))]), "a timer of 299 s: AWS accepts 300 to 86400"),
            (device(&[("disconnect_after_seconds", json!(86_401))]), "86401 s: AWS accepts"),
            (
                device(&[("client_ids", json!(["sensor"])), ("grant", json!("own-topics"))]),
                "`sensor` as `{client_id}` of grant `own-topics` would own",
            ),
        ];
        for (device, part) in cases {
            let error = fault(&json!({"a": device}), &json!({}));
            assert!(error.contains(part), "{error}");
        }
        assert!(load("{\"version\":2,\"devices\":{}}").err().unwrap().contains("version is 2"));
    }

    #[test]
    fn record_that_takes_too_long_to_check_is_refused() {
        let bcrypt = format!("$2b$12${}{}", ".".repeat(22), ".".repeat(31));
        let slow = device(&[("verifiers", json!([{"verifier": bcrypt}]))]);
        assert_eq!(
            fault(&json!({"a": slow}), &json!({})),
            "device `a`: checking its verifiers would take about 3400 ms with 128 MB, the budget is 2500 ms; \
             give the function 174 MB or set a new password"
        );
    }

    #[test]
    fn invalid_grants_are_refused_when_the_store_is_loaded() {
        let many = (0..200).map(|n| format!("site/{n:0>80}/{{client_id}}")).collect::<Vec<_>>();
        let cases = [
            (json!({"sht20": {}}), "sht20", "grant `sht20` is built in"),
            (json!({"g": {"publish": ["{site}/x"]}}), "g", "grant `g` has the placeholder `{site}`"),
            (
                json!({"g": {"publish": many}}),
                "g",
                "grant `g` does not fit AWS's 10 documents of 2048 characters",
            ),
            (json!({"g": {"publish": ["x".repeat(2_100)]}}), "g", "does not fit"),
            (json!({"g": {"publish": ["a{client_id}"]}}), "g", "a placeholder fills a whole level"),
        ];
        for (grants, grant, part) in cases {
            let error = fault(&json!({"a": device(&[("grant", json!(grant))])}), &grants);
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn overlapping_client_ids_are_refused() {
        let ids = |ids: &[&str]| device(&[("client_ids", json!(ids))]);
        let both = [
            json!({"a": ids(&["x"]), "b": ids(&["x"])}),
            json!({"a": ids(&["x*"]), "b": ids(&["xy"])}),
            json!({"a": ids(&["x*"]), "b": ids(&["xy*"])}),
            json!({"a": ids(&["x*"]), "c": ids(&["xa*", "w"]), "b": ids(&["q"])}),
            json!({"a": ids(&["b"]), "b": device(&[])}),
            json!({"a": ids(&["b"]), "b": ids(&["c"])}),
            json!({"a": ids(&["x*", "xa*"]), "b": ids(&["xb"])}),
        ];
        for devices in both {
            let error = fault(&devices, &json!({}));
            assert!(error.contains("each id may belong to one device only"), "{devices}: {error}");
        }
        let apart = json!({"a": ids(&["a*", "ab*", "abc"]), "b": ids(&["b", "bc*"]), "c": device(&[])});
        assert!(load(&json!({"version": 1, "devices": apart}).to_string()).is_ok());
    }

    #[test]
    fn parameter_values_are_not_client_ids_of_other_devices() {
        let grants =
            json!({"unit": {"publish": ["{line}/{device}/data"]}, "all": {"publish": ["pk/broadcast/x"]}});
        let unit = |line: &str| device(&[("grant", json!("unit")), ("parameters", json!({"line": line}))]);
        let roamer = device(&[("grant", json!("own-topics")), ("client_ids", json!(["p*"]))]);
        let cases = [
            (json!({"a": unit("pk1"), "roamer": roamer}), "`pk1`, which is the `line` of device `a`"),
            (
                json!({"a": unit("q"), "q": device(&[])}),
                "device `q` may use the client id `q`, which is the `line`",
            ),
            (json!({"broadcast": unit("pk")}), "`broadcast` as `{device}` of grant `unit` would own"),
            (json!({"a": unit("sensor")}), "`sensor` as `{line}` of grant `unit` would own"),
        ];
        for (devices, part) in cases {
            let error = fault(&devices, &grants);
            assert!(error.contains(part), "{error}");
        }
        let apart = json!({"version": 1, "grants": grants, "devices": {"a": unit("q1"), "b": unit("q1"), "roamer": roamer}});
        assert!(load(&apart.to_string()).is_ok());
    }

    #[test]
    fn written_store_can_be_read() {
        let text = json!({"version": 1, "grants": {"g": {"publish": ["{client_id}/x"], "last_will": true}},
            "devices": {"a": device(&[("client_ids", json!(["a", "a-*"])), ("enabled", json!(false))])}});
        let document = serde_json::from_value::<StoreDocument>(text.clone()).unwrap();
        let written = serde_json::to_value(&document).unwrap();
        assert_eq!(written["devices"], text["devices"]);
        assert!(load(&written.to_string()).is_ok());
    }
}
