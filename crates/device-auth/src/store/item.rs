//! Converts an item of a DynamoDB table to a record's document, and back.
//!
//! An item has the names of the records file in DynamoDB's types, and three more attributes: the key, the version of the
//! item's form, and optionally the time at which DynamoDB may delete it.

use std::{collections::HashMap, hash::BuildHasher};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Number, Value};
use serde_path_to_error::{Path, Segment};

use crate::{
    device_name::DeviceName,
    store::document::{RecordDocument, in_words},
};

/// The partition key: the device's name, a string.
pub const KEY: &str = "device";
/// The version of the item's form: the number 1.
pub const SCHEMA_VERSION: &str = "schema_version";
/// When DynamoDB may delete the item, if the table's time to live is set to it: a number, seconds since 1970.
/// It only cleans the table up. DynamoDB may delete an item days later, so use `not_after` to refuse a device.
pub const TTL: &str = "ttl";

/// In an owner item: the device that owns the item's key as its client id. Such an item is not a record. The operator's tool
/// writes it, so that DynamoDB itself refuses a second owner.
pub const OWNER: &str = "owner";

/// The only version.
const VERSION: &str = "1";

/// Why an item is not a record. It names the attribute and never its value, which may be a password in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// The key is another one.
    #[error("attribute `{KEY}` is not the name that was asked for")]
    Key,
    /// The version is another one.
    #[error(
        "attribute `{SCHEMA_VERSION}` is not the number {VERSION}; deploy the function that belongs to the program that \
         wrote the item, or write the item again"
    )]
    OtherVersion,
    /// The version is missing.
    #[error("attribute `{SCHEMA_VERSION}` is missing; it should be the number {VERSION}")]
    NoVersion,
    /// The time to live is not a number.
    #[error("attribute `{TTL}` is not a number")]
    Ttl,
    /// An attribute can't be read as JSON.
    #[error("attribute `{path}` {problem}")]
    Attribute {
        /// Where it is.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The attributes are not those of a record.
    #[error("{0}")]
    Record(String),
}

impl ItemError {
    fn attribute(path: &str, problem: &'static str) -> Self {
        Self::Attribute { path: path.to_owned(), problem }
    }
}

/// Whether an item says only which device owns a client id.
#[must_use]
pub fn is_owner<S: BuildHasher>(item: &HashMap<String, AttributeValue, S>) -> bool {
    item.contains_key(OWNER) && !item.contains_key("scheme")
}

/// The document of the device called `name`.
///
/// # Errors
///
/// The attribute at fault, and never its value, which may be a password in the wrong place.
pub fn document<S: BuildHasher>(
    name: &DeviceName,
    mut item: HashMap<String, AttributeValue, S>,
) -> Result<RecordDocument, ItemError> {
    if !matches!(item.remove(KEY), Some(AttributeValue::S(key)) if key == name.as_str()) {
        return Err(ItemError::Key);
    }
    match item.remove(SCHEMA_VERSION) {
        Some(AttributeValue::N(version)) if version == VERSION => {}
        Some(_) => return Err(ItemError::OtherVersion),
        None => return Err(ItemError::NoVersion),
    }
    if item.remove(TTL).is_some_and(|ttl| !ttl.is_n()) {
        return Err(ItemError::Ttl);
    }
    let value = object("", item)?;
    serde_path_to_error::deserialize(&value).map_err(|error| ItemError::Record(unquoted(&value, &error)))
}

/// The item of the device called `name`.
///
/// # Errors
///
/// When the record can't be written as JSON. A record that was read always can.
pub fn item(
    name: &DeviceName,
    document: &RecordDocument,
) -> Result<HashMap<String, AttributeValue>, serde_json::Error> {
    let Value::Object(fields) = serde_json::to_value(document)? else { return Ok(HashMap::new()) };
    let own = [
        (KEY.to_owned(), AttributeValue::S(name.as_str().to_owned())),
        (SCHEMA_VERSION.to_owned(), AttributeValue::N(VERSION.to_owned())),
    ];
    Ok(fields.into_iter().map(|(name, value)| (name, attribute(value))).chain(own).collect())
}

fn attribute(value: Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(value) => AttributeValue::Bool(value),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text),
        Value::Array(values) => AttributeValue::L(values.into_iter().map(attribute).collect()),
        Value::Object(fields) => {
            AttributeValue::M(fields.into_iter().map(|(name, value)| (name, attribute(value))).collect())
        }
    }
}

fn object(
    path: &str,
    attributes: impl IntoIterator<Item = (String, AttributeValue)>,
) -> Result<Value, ItemError> {
    let mut object = Map::new();
    for (name, attribute) in attributes {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        object.insert(name, value(&path, attribute)?);
    }
    Ok(Value::Object(object))
}

fn value(path: &str, attribute: AttributeValue) -> Result<Value, ItemError> {
    Ok(match attribute {
        AttributeValue::S(text) => Value::String(text),
        AttributeValue::N(number) => Value::Number(
            serde_json::from_str::<Number>(&number)
                .map_err(|_| ItemError::attribute(path, "is a number that is too large"))?,
        ),
        AttributeValue::Bool(value) => Value::Bool(value),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::Ss(texts) => texts.into_iter().map(Value::String).collect(),
        AttributeValue::L(values) => {
            let values = values.into_iter().enumerate();
            values.map(|(index, item)| value(&format!("{path}[{index}]"), item)).collect::<Result<_, _>>()?
        }
        AttributeValue::M(attributes) => object(path, attributes)?,
        AttributeValue::B(_) | AttributeValue::Bs(_) => return Err(ItemError::attribute(path, "is binary")),
        AttributeValue::Ns(_) => return Err(ItemError::attribute(path, "is a set of numbers")),
        _ => return Err(ItemError::attribute(path, "has a type that this program does not know")),
    })
}

/// What does not fit, and where, without the value.
fn unquoted(item: &Value, error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let message = error.inner().to_string();
    let path = error.path();
    let at = if path.iter().len() == 0 { String::new() } else { format!("attribute `{path}`: ") };
    for start in ["invalid type: ", "invalid value: ", "unknown variant "] {
        if let (true, Some((_, expected))) = (message.starts_with(start), message.rsplit_once(", expected "))
        {
            return format!("{at}expected {}", in_words(expected));
        }
    }
    let Some(text) = text_at(item, path) else { return format!("{at}{message}") };
    // The messages of our own types begin with the text, in backticks.
    let rest =
        message.strip_prefix(&format!("`{text}`")).map_or(message.clone(), |rest| format!("its value{rest}"));
    if !text.is_empty() && rest.contains(text) {
        return format!("{at}its value does not fit");
    }
    format!("{at}{rest}")
}

fn text_at<'v>(item: &'v Value, path: &Path) -> Option<&'v str> {
    let step = |value: &'v Value, segment: &Segment| match segment {
        Segment::Seq { index } => value.get(*index),
        Segment::Map { key } => value.get(key),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().try_fold(item, step)?.as_str()
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::primitives::Blob;
    use serde_json::json;

    use super::*;

    const VERIFIER: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";

    fn s(text: &str) -> AttributeValue {
        AttributeValue::S(text.to_owned())
    }

    fn n(number: &str) -> AttributeValue {
        AttributeValue::N(number.to_owned())
    }

    fn m(attributes: &[(&str, AttributeValue)]) -> AttributeValue {
        AttributeValue::M(
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        )
    }

    fn read(changes: &[(&str, Option<AttributeValue>)]) -> Result<RecordDocument, String> {
        let verifiers = AttributeValue::L(vec![m(&[("verifier", s(VERIFIER))])]);
        let usual = [
            ("device", s("a")),
            ("schema_version", n("1")),
            ("scheme", s("password")),
            ("verifiers", verifiers),
            ("grant", s("own-topics")),
        ];
        let mut item = HashMap::from(usual.map(|(name, value)| (name.to_owned(), value)));
        for (name, value) in changes {
            match value {
                Some(value) => item.insert((*name).to_owned(), value.clone()),
                None => item.remove(*name),
            };
        }
        document(&DeviceName::try_from("a").unwrap(), item).map_err(|error| error.to_string())
    }

    fn as_json(changes: &[(&str, Option<AttributeValue>)]) -> Value {
        serde_json::to_value(read(changes).unwrap()).unwrap()
    }

    #[test]
    fn written_item_can_be_read() {
        let text = serde_json::json!({
            "scheme": "alibaba", "secrets": [{"device_secret": "$plain$c2VjcmV0", "expires_at": 4_102_444_800_u64}],
            "certificates": ["00".repeat(32)], "enabled": false, "client_ids": ["a", "a-*"], "grant": "alibaba",
            "parameters": {"site": "hall"}, "refresh_after_seconds": 300, "not_after": 4_102_444_800_u64,
        });
        let document_of = |value: &Value| serde_json::from_value::<RecordDocument>(value.clone()).unwrap();
        let name = DeviceName::try_from("a&PK").unwrap();
        let read = document(&name, item(&name, &document_of(&text)).unwrap()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), serde_json::to_value(document_of(&text)).unwrap());
    }

    #[test]
    fn item_is_the_record_of_the_file_in_other_types() {
        let full = as_json(&[
            ("enabled", Some(AttributeValue::Bool(false))),
            ("client_ids", Some(AttributeValue::L(vec![s("a"), s("a-*")]))),
            ("parameters", Some(m(&[("product", s("pk")), ("site", s("north"))]))),
            ("refresh_after_seconds", Some(n("300"))),
            ("disconnect_after_seconds", Some(n("86400"))),
            ("not_before", Some(n("0"))),
            ("not_after", Some(n("18446744073709551615"))),
            ("ttl", Some(n("1893456000"))),
            (
                "verifiers",
                Some(AttributeValue::L(vec![m(&[
                    ("verifier", s(VERIFIER)),
                    ("expires_at", n("1800000000")),
                ])])),
            ),
        ]);
        let file = json!({
            "scheme": "password", "grant": "own-topics", "enabled": false, "client_ids": ["a", "a-*"],
            "verifiers": [{"verifier": VERIFIER, "expires_at": 1_800_000_000}],
            "parameters": {"product": "pk", "site": "north"},
            "refresh_after_seconds": 300, "disconnect_after_seconds": 86_400, "not_before": 0, "not_after": u64::MAX,
        });
        assert_eq!(full, file);
        let least = json!({"scheme": "password", "grant": "own-topics", "enabled": true,
            "verifiers": [{"verifier": VERIFIER}]});
        assert_eq!(as_json(&[]), least);
        assert_eq!(as_json(&[("not_after", Some(AttributeValue::Null(true)))]), least);
        let set = as_json(&[("client_ids", Some(AttributeValue::Ss(vec!["b".to_owned(), "c*".to_owned()])))]);
        assert_eq!(set["client_ids"], json!(["b", "c*"]));
    }

    #[test]
    fn malformed_item_is_reported_by_its_attribute_and_never_quoted() {
        let secret = || s("hunter2 hunter2");
        let live = |verifier: AttributeValue| AttributeValue::L(vec![m(&[("verifier", verifier)])]);
        let cases: [(&str, Option<AttributeValue>, &str); 30] = [
            ("device", Some(s("b")), "attribute `device` is not the name that was asked for"),
            ("device", None, "attribute `device` is not the name"),
            ("schema_version", None, "attribute `schema_version` is missing; it should be the number 1"),
            ("schema_version", Some(n("2")), "attribute `schema_version` is not the number 1; deploy"),
            ("schema_version", Some(s("1")), "attribute `schema_version` is not the number 1"),
            ("ttl", Some(secret()), "attribute `ttl` is not a number"),
            ("scheme", None, "missing field `scheme`"),
            ("scheme", Some(secret()), "attribute `scheme`: expected one of `password`"),
            ("verifiers", Some(secret()), "attribute `verifiers`: expected a list"),
            ("verifiers", Some(AttributeValue::L(vec![secret()])), "attribute `verifiers[0]`: expected"),
            (
                "verifiers",
                Some(AttributeValue::Ss(vec!["hunter2".into()])),
                "attribute `verifiers[0]`: expected",
            ),
            ("verifiers", Some(live(secret())), "attribute `verifiers[0].verifier`: unknown verifier"),
            ("verifiers", Some(live(s(""))), "attribute `verifiers[0].verifier`: unknown verifier"),
            (
                "verifiers",
                Some(live(s("$sha256$hunter2$hunter2"))),
                "`verifiers[0].verifier`: the verifier's salt",
            ),
            ("verifiers", Some(live(n("4711"))), "attribute `verifiers[0].verifier`: expected a string"),
            (
                "verifiers",
                Some(live(AttributeValue::B(Blob::new(b"hunter2")))),
                "attribute `verifiers[0].verifier` is binary",
            ),
            (
                "verifiers",
                Some(AttributeValue::Bs(vec![Blob::new(b"hunter2")])),
                "attribute `verifiers` is binary",
            ),
            (
                "verifiers",
                Some(AttributeValue::L(vec![m(&[("verifier", s(VERIFIER)), ("expires_at", n("-4711"))])])),
                "attribute `verifiers[0].expires_at`: expected a whole number",
            ),
            ("password", Some(secret()), "unknown field `password`, expected one of `scheme`"),
            ("enabled", Some(secret()), "attribute `enabled`: expected `true` or `false`"),
            ("enabled", Some(AttributeValue::Null(true)), "attribute `enabled`: expected `true` or `false`"),
            (
                "client_ids",
                Some(AttributeValue::L(vec![s("a"), secret()])),
                "`client_ids[1]`: its value is not a",
            ),
            (
                "client_ids",
                Some(AttributeValue::L(vec![s("a b")])),
                "`client_ids[0]`: its value is not a client",
            ),
            ("client_ids", Some(AttributeValue::Ns(vec!["4711".into()])), "`client_ids` is a set of numbers"),
            ("client_ids", Some(secret()), "attribute `client_ids`: expected a list"),
            ("parameters", Some(m(&[("site", secret())])), "attribute `parameters.site`: not a device name"),
            ("parameters", Some(secret()), "attribute `parameters`: expected an object"),
            ("not_after", Some(n("4711.5")), "attribute `not_after`: expected a whole number"),
            ("not_after", Some(n("1e999")), "attribute `not_after` is a number that is too large"),
            (
                "refresh_after_seconds",
                Some(s("4711")),
                "attribute `refresh_after_seconds`: expected a whole number",
            ),
        ];
        for (attribute, value, part) in cases {
            let error = read(&[(attribute, value)]).map(|_| ()).unwrap_err();
            assert!(error.contains(part), "{attribute}: {error}");
            assert!(!error.contains("hunter2") && !error.contains("4711"), "{attribute}: {error}");
        }
    }
}
