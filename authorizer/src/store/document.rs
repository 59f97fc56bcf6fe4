//! The JSON form of a store: what stands in the file, and the step from it to records.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    credential::verifier::LiveVerifier,
    device_name::DeviceName,
    grant::{GrantDefinition, Grants},
    record::{ClientIdRule, FunctionSettings, Parameters, Record, TimerSeconds},
    request::certificate::Fingerprint,
    scheme::Scheme,
    seal::SealedSecret,
    store::{claims, loader::RecordLoader},
    unique_keys::unique_keys,
    unix_time::UnixTime,
};

/// The records of a whole store.
pub struct Records {
    /// What they were loaded with.
    pub loader: RecordLoader,
    /// By device name.
    pub by_name: BTreeMap<DeviceName, Arc<Record>>,
}

/// The version of the format that this code reads and writes.
pub const VERSION: u32 = 1;

/// A whole store as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreDocument {
    /// The format's version, 1.
    pub version: u32,
    /// Grants beside the built-in ones, by name.
    #[serde(default, deserialize_with = "unique_keys", skip_serializing_if = "BTreeMap::is_empty")]
    pub grants: BTreeMap<String, GrantDefinition>,
    /// Records by device name.
    #[serde(deserialize_with = "unique_keys")]
    pub devices: BTreeMap<DeviceName, RecordDocument>,
}

/// One device's record as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordDocument {
    /// How the device proves itself.
    pub scheme: Scheme,
    /// One or two verifiers, for the scheme `password`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verifiers: Vec<LiveVerifier>,
    /// One or two secrets, for a vendor's scheme.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretDocument>,
    /// Up to two certificates, for a door that asks for one beside the credential.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Fingerprint>,
    /// Whether the device is let in.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Client ids or `prefix*` rules; the device's own name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ids: Option<Vec<ClientIdRule>>,
    /// The grant's name.
    pub grant: String,
    /// Values for the grant's own placeholders.
    #[serde(default, deserialize_with = "unique_keys", skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: Parameters,
    /// Seconds, 300 to 86,400; the function's setting if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_after_seconds: Option<TimerSeconds>,
    /// Seconds, 300 to 86,400; the function's setting if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnect_after_seconds: Option<TimerSeconds>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<UnixTime>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<UnixTime>,
}

/// One secret of a vendor's scheme as JSON: exactly one of the three kinds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretDocument {
    /// Alibaba's `DeviceSecret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_secret: Option<SealedSecret>,
    /// Alibaba's `DeviceToken`, with the `id` that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token: Option<SealedSecret>,
    /// The `ClientID` of a device token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<DeviceName>,
    /// Tencent's `psk`, base64 as the vendor gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psk: Option<SealedSecret>,
    /// From this moment on it matches nothing. Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixTime>,
}

impl Records {
    /// The record of a device that has none, but for which a verified token vouches with a grant's name.
    ///
    /// # Errors
    ///
    /// Why such a device can't have that grant, or that its name is another device's client id.
    pub fn vouched(&self, name: &DeviceName, grant: &str) -> Result<Record, String> {
        let record = self.loader.vouched(name, grant)?;
        claims::check_newcomer(name, &self.by_name)?;
        Ok(record)
    }
}

impl RecordDocument {
    /// A record of this scheme and grant that leaves everything else to the defaults.
    #[must_use]
    pub fn new(scheme: Scheme, grant: String) -> Self {
        Self {
            scheme,
            verifiers: Vec::new(),
            secrets: Vec::new(),
            certificates: Vec::new(),
            enabled: true,
            client_ids: None,
            grant,
            parameters: Parameters::new(),
            refresh_after_seconds: None,
            disconnect_after_seconds: None,
            not_before: None,
            not_after: None,
        }
    }
}

impl StoreDocument {
    /// A store without devices.
    #[must_use]
    pub fn empty() -> Self {
        Self { version: VERSION, grants: BTreeMap::new(), devices: BTreeMap::new() }
    }

    /// Reads a store's text.
    ///
    /// # Errors
    ///
    /// What does not fit and its line, without the value that stands there: it may be a password that somebody
    /// put in the wrong place.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| unquoted(&error.to_string()))
    }

    /// The records, every one checked, so that nothing about them can go wrong when a device connects.
    ///
    /// # Errors
    ///
    /// What is wrong and with which device or grant.
    pub fn records(self, function: FunctionSettings) -> Result<Records, String> {
        if self.version != VERSION {
            return Err(format!("the format's version is {}, this program reads {VERSION}", self.version));
        }
        let loader = RecordLoader::new(Grants::new(self.grants)?, function);
        let mut records = BTreeMap::new();
        for (name, document) in self.devices {
            let record = loader.load(&name, document)?;
            records.insert(name, Arc::new(record));
        }
        claims::check(&records)?;
        Ok(Records { loader, by_name: records })
    }
}

/// Takes the value out of serde's `invalid type: string "…", expected …` and its like, and leaves its kind.
fn unquoted(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    if !["invalid type: ", "invalid value: ", "unknown variant "].iter().any(|start| found.starts_with(start))
    {
        return message.to_owned();
    }
    let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
    format!("{kind}, expected {expected}")
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::record::{Timers, Unsealing};

    const VERIFIER: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";

    fn load(text: &str) -> Result<Records, String> {
        let timers = Timers { refresh_after: 300.try_into()?, disconnect_after: 300.try_into()? };
        let unsealing = Unsealing::LeftSealed;
        StoreDocument::parse(text)?.records(FunctionSettings { timers, memory: 128.try_into()?, unsealing })
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
    fn what_does_not_parse_is_told_with_its_line() {
        let record = device(&[]).to_string();
        let cases = [
            ("{\n", "EOF while parsing an object at line 2 column 0"),
            ("{\"version\":1,\n\"device\":{}}", "unknown field `device`"),
            (
                &format!("{{\"version\":1,\"devices\":{{\n\"a\":{record},\n\"a\":{record}}}}}"),
                "`a` stands here twice at line 3",
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
                "invalid type: string, expected a sequence at line 2",
            ),
            (
                "{\"version\":1,\"devices\":{\n\"a\":{\"verifiers\":[\"hunter2\"]}}}",
                "invalid type: string, expected struct LiveVerifier at line 2",
            ),
            (
                "{\"version\":1,\"devices\":{\n\"a\":{\"verifiers\":4711}}}",
                "invalid type: integer, expected a sequence at line 2",
            ),
        ];
        for (text, part) in cases {
            let error = load(text).err().unwrap();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("hunter2") && !error.contains("4711"), "{error}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_device() {
        let three = json!(vec![json!({"verifier": VERIFIER}); 3]);
        let cases = [
            (device(&[("verifiers", json!([]))]), "device `a`: `verifiers` has 0 entries, it takes 1 or 2"),
            (device(&[("verifiers", three)]), "device `a`: `verifiers` has 3 entries"),
            (device(&[("client_ids", json!([]))]), "device `a`: `client_ids` is an empty list"),
            (device(&[("client_ids", json!(["*"]))]), "its value is not a client id, nor a prefix"),
            (device(&[("client_ids", json!(["a*b"]))]), "its value is not a client id"),
            (
                device(&[("grant", json!("none"))]),
                "there is no grant `none`; the grants are `alibaba`, `own-topics`, `sht20`, `tencent`",
            ),
            (device(&[("refresh_after_seconds", json!(299))]), "299 seconds: AWS takes 300 to 86400"),
            (device(&[("disconnect_after_seconds", json!(86_401))]), "86401 seconds"),
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
    fn a_record_that_the_function_can_not_check_in_time_is_refused() {
        let bcrypt = format!("$2b$12${}{}", ".".repeat(22), ".".repeat(31));
        let slow = device(&[("verifiers", json!([{"verifier": bcrypt}]))]);
        assert_eq!(
            fault(&json!({"a": slow}), &json!({})),
            "device `a`: checking its verifiers would take about 3400 ms with 128 MB, the budget is 2500 ms; \
             give the function 174 MB or set the password anew"
        );
    }

    #[test]
    fn grants_are_refused_when_loaded_and_not_when_a_device_connects() {
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
    fn each_client_id_belongs_to_one_device() {
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
    fn what_stands_in_topics_is_nobody_elses_to_choose() {
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
    fn what_is_written_can_be_read() {
        let text = json!({"version": 1, "grants": {"g": {"publish": ["{client_id}/x"], "last_will": true}},
            "devices": {"a": device(&[("client_ids", json!(["a", "a-*"])), ("enabled", json!(false))])}});
        let document = serde_json::from_value::<StoreDocument>(text.clone()).unwrap();
        let written = serde_json::to_value(&document).unwrap();
        assert_eq!(written["devices"], text["devices"]);
        assert!(load(&written.to_string()).is_ok());
    }
}
