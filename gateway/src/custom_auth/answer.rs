//! The answer of an authorizer's function. One that breaks a rule authenticates no client.
//!
//! Source: AWS IoT Core developer guide, `custom-auth-lambda`.

use std::{fmt, ops::RangeInclusive, sync::Arc, time::Duration};

use cli::output::escaped;
use iot_policy::{
    PolicyDocument, PolicyError,
    limits::{
        MAX_DISCONNECT_SECONDS, MAX_POLICY_DOCUMENTS, MAX_REFRESH_SECONDS, MIN_DISCONNECT_SECONDS,
        MIN_REFRESH_SECONDS, is_principal_id,
    },
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// What an authenticated client may do, and for how long.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// The principal id, `[a-zA-Z0-9]{1,128}`.
    pub principal_id: Arc<str>,
    /// The policies.
    pub documents: Arc<[PolicyDocument]>,
    /// The timers; without them the policies hold for as long as the connection, as a certificate's do.
    pub lifetime: Option<Lifetime>,
}

/// The timers of an authorizer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The time after which the function is called again.
    pub refresh_after: Duration,
    /// The time after which the connection ends, counted from the connect.
    pub disconnect_after: Duration,
}

/// Why an answer can't be used. A message names the key, what is there and what AWS wants. A value is left out where it may be
/// a secret.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It is not JSON. The parser's message is left out, because it may quote the answer.
    #[error("it is not JSON (line {line}, column {column})")]
    Json {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// It is JSON of another type.
    #[error("it is {0}, and AWS wants an object with `isAuthenticated`")]
    NotAnObject(JsonType),
    /// A required key is absent.
    #[error("`{key}` is absent{}", .instead.as_deref().unwrap_or_default())]
    Absent {
        /// The key.
        key: &'static str,
        /// What the answer has in its place, beginning with a separator.
        instead: Option<String>,
    },
    /// A key has two values.
    #[error("`{0}` is there more than once")]
    Duplicate(&'static str),
    /// A key has a value of another type.
    #[error("`{key}` is {found}, and AWS wants {expected}")]
    OtherType {
        /// The key.
        key: &'static str,
        /// What is there.
        found: JsonType,
        /// What AWS wants.
        expected: &'static str,
    },
    /// The principal id has an invalid form.
    #[error("`principalId` should be 1 to 128 letters and digits")]
    PrincipalId,
    /// A timer is out of its range.
    #[error("`{field}` is {seconds}; it should be {} to {} seconds", .range.start(), .range.end())]
    Timer {
        /// Which timer.
        field: &'static str,
        /// Its seconds.
        seconds: u32,
        /// The seconds that AWS accepts.
        range: RangeInclusive<u32>,
    },
    /// Too many documents.
    #[error("`policyDocuments` has {0} documents; AWS accepts at most {MAX_POLICY_DOCUMENTS}")]
    TooManyDocuments(usize),
    /// A document can't be used.
    #[error("`policyDocuments[{index}]`: {error}")]
    Document {
        /// Which one.
        index: usize,
        /// What is wrong with it.
        error: PolicyError,
    },
}

/// A type of JSON value. It displays with what can be shown of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonType {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number, as it is written.
    Number(String),
    /// A string, if it is a boolean or a number in quotation marks. Any other may be a secret.
    String(Option<String>),
    /// A list.
    List,
    /// An object.
    Object,
}

/// The keys and values of an answer, in their order.
struct Answer<'a>(Vec<(String, &'a RawValue)>);

const IS_AUTHENTICATED: &str = "isAuthenticated";
const PRINCIPAL_ID: &str = "principalId";
const POLICY_DOCUMENTS: &str = "policyDocuments";
const REFRESH_AFTER: &str = "refreshAfterInSeconds";
const DISCONNECT_AFTER: &str = "disconnectAfterInSeconds";
/// The largest answer that the console shows: ten documents of the largest size, written with many escapes.
const MAX_SHOWN_BYTES: usize = 48 * 1_024;
/// Keys of other authorizers' answers: those of API Gateway and `AppSync`.
const OTHER_SERVICES: [&str; 3] = ["policyDocument", "isAuthorized", "context"];

impl Authorization {
    /// Reads an answer; `None` is a refusal, which needs no other field. The policies of the client's certificate hold too, if
    /// it has one: then the answer may have no documents (developer guide, `custom-auth-509cert`).
    ///
    /// # Errors
    ///
    /// When it breaks one of AWS's rules. A timer may be absent: the refresh timer is 300 seconds then, and the disconnect
    /// timer 86,400.
    pub fn parse(
        json: &[u8],
        of_certificate: Option<&[PolicyDocument]>,
    ) -> Result<Option<Self>, AnswerError> {
        let answer = Answer::read(json)?;
        let is_authenticated = answer.get::<bool>(IS_AUTHENTICATED, "`true` or `false`")?;
        if !is_authenticated.ok_or_else(|| answer.absent(IS_AUTHENTICATED))? {
            return Ok(None);
        }
        let principal_id = answer.get::<String>(PRINCIPAL_ID, "a string of 1 to 128 letters and digits")?;
        let principal_id = principal_id.ok_or_else(|| answer.absent(PRINCIPAL_ID))?;
        if !is_principal_id(&principal_id) {
            return Err(AnswerError::PrincipalId);
        }
        let documents = answer.get::<Vec<&RawValue>>(POLICY_DOCUMENTS, "a list of policy documents")?;
        let documents = match (documents, of_certificate) {
            (None, None) => return Err(answer.absent(POLICY_DOCUMENTS)),
            (documents, _) => parse_documents(&documents.unwrap_or_default())?,
        };
        let timer = |field, absent, range: RangeInclusive<u32>| {
            let seconds = answer.get::<u32>(field, "a whole number of seconds")?.unwrap_or(absent);
            if !range.contains(&seconds) {
                return Err(AnswerError::Timer { field, seconds, range });
            }
            Ok(Duration::from_secs(seconds.into()))
        };
        let refresh = MIN_REFRESH_SECONDS..=MAX_REFRESH_SECONDS;
        let disconnect = MIN_DISCONNECT_SECONDS..=MAX_DISCONNECT_SECONDS;
        Ok(Some(Self {
            principal_id: principal_id.into(),
            documents: documents
                .into_iter()
                .chain(of_certificate.unwrap_or_default().iter().cloned())
                .collect(),
            lifetime: Some(Lifetime {
                refresh_after: timer(REFRESH_AFTER, MIN_REFRESH_SECONDS, refresh)?,
                disconnect_after: timer(DISCONNECT_AFTER, MAX_DISCONNECT_SECONDS, disconnect)?,
            }),
        }))
    }
}

/// The members of an answer that AWS knows, as JSON for the console, whether or not AWS would accept them. Other members may be
/// secrets. `None` if the answer is no JSON object, or is much larger than any that can be used.
#[must_use]
pub fn shown(json: &[u8]) -> Option<String> {
    if json.len() > MAX_SHOWN_BYTES {
        return None;
    }
    let answer = Answer::read(json).ok()?;
    let value = |key| answer.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
    let documents = value(POLICY_DOCUMENTS).and_then(|list| serde_json::from_str(list.get()).ok());
    serde_json::to_string(&Shown {
        is_authenticated: value(IS_AUTHENTICATED),
        principal_id: value(PRINCIPAL_ID),
        refresh_after: value(REFRESH_AFTER),
        disconnect_after: value(DISCONNECT_AFTER),
        documents: documents.map(|documents: Vec<&RawValue>| documents.into_iter().map(Document).collect()),
    })
    .ok()
}

/// The members that [`shown`] writes, as they are in the answer.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(rename = "isAuthenticated", skip_serializing_if = "Option::is_none")]
    is_authenticated: Option<&'a RawValue>,
    #[serde(rename = "principalId", skip_serializing_if = "Option::is_none")]
    principal_id: Option<&'a RawValue>,
    #[serde(rename = "refreshAfterInSeconds", skip_serializing_if = "Option::is_none")]
    refresh_after: Option<&'a RawValue>,
    #[serde(rename = "disconnectAfterInSeconds", skip_serializing_if = "Option::is_none")]
    disconnect_after: Option<&'a RawValue>,
    #[serde(rename = "policyDocuments", skip_serializing_if = "Option::is_none")]
    documents: Option<Vec<Document<'a>>>,
}

/// A document, which is written as a string.
struct Document<'a>(&'a RawValue);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match JsonType::of(self.0.get()) {
            JsonType::String(_) => self.0.serialize(serializer),
            _ => serializer.serialize_str(self.0.get()),
        }
    }
}

impl<'a> Answer<'a> {
    fn read(json: &'a [u8]) -> Result<Self, AnswerError> {
        let syntax =
            |error: serde_json::Error| AnswerError::Json { line: error.line(), column: error.column() };
        let value = serde_json::from_slice::<&RawValue>(json).map_err(syntax)?;
        match JsonType::of(value.get()) {
            JsonType::Object => serde_json::from_str(value.get()).map_err(syntax),
            other => Err(AnswerError::NotAnObject(other)),
        }
    }

    /// The value of a key; `null` is none.
    fn get<T: Deserialize<'a>>(
        &self,
        key: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, AnswerError> {
        let mut values = self.0.iter().filter(|(name, _)| name == key).map(|(_, value)| *value);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(AnswerError::Duplicate(key));
        }
        serde_json::from_str(value.get()).map_err(|_| AnswerError::OtherType {
            key,
            found: JsonType::of(value.get()),
            expected,
        })
    }

    /// A key that is absent, and what may be there in its place.
    fn absent(&self, key: &'static str) -> AnswerError {
        let names = || self.0.iter().map(|(name, _)| name.as_str());
        let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
        let instead = if let Some(alike) = names().find(|name| *name != key && plain(name) == plain(key)) {
            Some(format!("; the answer has `{}`, and AWS wants `{key}`", escaped(alike)))
        } else {
            let other = OTHER_SERVICES.into_iter().find(|other| names().any(|name| name == *other));
            other.map(|other| {
                format!(
                    "; the answer has `{other}`, as for API Gateway: AWS IoT wants `{IS_AUTHENTICATED}`, \
                     `{PRINCIPAL_ID}`, and a list of documents in `{POLICY_DOCUMENTS}`"
                )
            })
        };
        AnswerError::Absent { key, instead }
    }
}

impl<'de> Deserialize<'de> for Answer<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Answer<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Answer(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl JsonType {
    /// The longest number that is shown, in bytes.
    const SHOWN_BYTES: usize = 20;

    /// The type of a value that is valid JSON.
    fn of(json: &str) -> Self {
        match json.trim_start().as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'[') => Self::List,
            Some(b'{') => Self::Object,
            Some(b'"') => {
                let text = json.trim().trim_matches('"');
                let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let is_shown = text == "true" || text == "false" || is_number;
                Self::String(Some(text.to_owned()).filter(|text| is_shown && text.len() <= Self::SHOWN_BYTES))
            }
            _ => Self::Number(json.trim().chars().take(Self::SHOWN_BYTES).collect()),
        }
    }
}

impl fmt::Display for JsonType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean => f.write_str("a boolean"),
            Self::Number(text) => write!(f, "the number {text}"),
            Self::String(Some(text)) => write!(f, "the string `\"{text}\"`"),
            Self::String(None) => f.write_str("a string"),
            Self::List => f.write_str("a list"),
            Self::Object => f.write_str("an object"),
        }
    }
}

fn parse_documents(documents: &[&RawValue]) -> Result<Vec<PolicyDocument>, AnswerError> {
    if documents.len() > MAX_POLICY_DOCUMENTS {
        return Err(AnswerError::TooManyDocuments(documents.len()));
    }
    documents.iter().enumerate().map(|(index, document)| parse_document(index, document.get())).collect()
}

/// A document is a JSON object, or a string that holds the text of one.
fn parse_document(index: usize, json: &str) -> Result<PolicyDocument, AnswerError> {
    let inner = serde_json::from_str::<String>(json);
    let text = inner.as_deref().unwrap_or(json);
    PolicyDocument::parse(text).map_err(|error| AnswerError::Document { index, error })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(topic: &str) -> Value {
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Publish",
            "Resource": format!("arn:aws:iot:us-east-1:123456789012:topic/{topic}")}]})
    }

    fn answer(changes: &[(&str, Value)]) -> Result<Option<Authorization>, String> {
        let mut answer = json!({
            "isAuthenticated": true, "principalId": "p1", "policyDocuments": [document("t")],
            "refreshAfterInSeconds": 300, "disconnectAfterInSeconds": 86_400,
        });
        for (key, value) in changes {
            answer[key] = value.clone();
        }
        Authorization::parse(answer.to_string().as_bytes(), None).map_err(|error| error.to_string())
    }

    #[test]
    fn answer_with_every_field_grants_and_a_refusal_needs_no_other_field() {
        let granted = answer(&[]).unwrap().unwrap();
        assert_eq!((&*granted.principal_id, granted.documents.len()), ("p1", 1));
        let lifetime = granted.lifetime.unwrap();
        assert_eq!((lifetime.refresh_after.as_secs(), lifetime.disconnect_after.as_secs()), (300, 86_400));
        assert!(Authorization::parse(br#"{"isAuthenticated":false}"#, None).unwrap().is_none());
        assert!(answer(&[("isAuthenticated", json!(false)), ("principalId", json!("-"))]).unwrap().is_none());
    }

    #[test]
    fn absent_timer_is_300_or_86400_seconds() {
        let absent = [("refreshAfterInSeconds", Value::Null), ("disconnectAfterInSeconds", Value::Null)];
        let lifetime = answer(&absent).unwrap().unwrap().lifetime.unwrap();
        assert_eq!((lifetime.refresh_after.as_secs(), lifetime.disconnect_after.as_secs()), (300, 86_400));
    }

    #[test]
    fn empty_list_of_documents_is_an_answer_that_allows_nothing() {
        assert!(answer(&[("policyDocuments", json!([]))]).unwrap().unwrap().documents.is_empty());
    }

    #[test]
    fn document_may_be_a_string_with_its_json() {
        let text = document("t").to_string();
        assert_eq!(answer(&[("policyDocuments", json!([text]))]).unwrap().unwrap().documents.len(), 1);
    }

    #[test]
    fn document_may_have_thing_and_certificate_variables() {
        for variable in ["iot:Connection.Thing.ThingName", "iot:Certificate.Subject.CommonName"] {
            let named = document(&format!("${{{variable}}}"));
            let granted = answer(&[("policyDocuments", json!([named]))]).unwrap().unwrap();
            assert_eq!(granted.documents[0].findings().len(), 1, "{variable}");
        }
    }

    #[test]
    fn answer_that_breaks_a_rule_is_an_error() {
        let long = document(&"t".repeat(2_048));
        let cases = [
            (
                "isAuthenticated",
                json!("true"),
                r#"`isAuthenticated` is the string `"true"`, and AWS wants `true` or `false`"#,
            ),
            ("isAuthenticated", json!("s3cret"), "`isAuthenticated` is a string, and AWS wants"),
            ("isAuthenticated", json!(1), "`isAuthenticated` is the number 1, and AWS wants"),
            ("isAuthenticated", Value::Null, "`isAuthenticated` is absent"),
            ("principalId", Value::Null, "`principalId` is absent"),
            ("principalId", json!(12), "`principalId` is the number 12, and AWS wants a string of 1 to 128"),
            ("principalId", json!(""), "1 to 128 letters and digits"),
            ("principalId", json!("a-b"), "1 to 128 letters and digits"),
            ("principalId", json!("x".repeat(129)), "1 to 128 letters and digits"),
            ("refreshAfterInSeconds", json!(299), "`refreshAfterInSeconds` is 299"),
            ("refreshAfterInSeconds", json!(86_401), "`refreshAfterInSeconds` is 86401"),
            (
                "refreshAfterInSeconds",
                json!(300.5),
                "`refreshAfterInSeconds` is the number 300.5, and AWS wants a whole number of seconds",
            ),
            ("refreshAfterInSeconds", json!(-1), "`refreshAfterInSeconds` is the number -1, and AWS wants"),
            ("disconnectAfterInSeconds", json!(0), "`disconnectAfterInSeconds` is 0"),
            (
                "disconnectAfterInSeconds",
                json!("300"),
                r#"`disconnectAfterInSeconds` is the string `"300"`, and AWS wants a whole number"#,
            ),
            ("policyDocuments", Value::Null, "`policyDocuments` is absent"),
            ("policyDocuments", json!({}), "`policyDocuments` is an object, and AWS wants a list of"),
            ("policyDocuments", json!(vec![document("t"); 11]), "has 11 documents"),
            ("policyDocuments", json!([document("t"), long]), "`policyDocuments[1]`"),
            ("policyDocuments", json!([{"Version": "2012-10-17"}]), "`policyDocuments[0]`"),
            ("policyDocuments", json!(["no json"]), "`policyDocuments[0]`"),
        ];
        for (key, value, part) in cases {
            let error = answer(&[(key, value.clone())]).unwrap_err();
            assert!(error.contains(part) && !error.contains("s3cret"), "{key} {value}: {error}");
        }
    }

    #[test]
    fn answer_of_another_shape_is_named() {
        let allowed = document("t").to_string();
        let cases = [
            ("", "it is not JSON (line 1, column 0)"),
            ("{\"isAuthenticated\":true", "it is not JSON (line 1, column 23)"),
            ("null", "it is null, and AWS wants an object with `isAuthenticated`"),
            ("[false]", "it is a list, and AWS wants an object with `isAuthenticated`"),
            ("\"{}\"", "it is a string, and AWS wants an object with `isAuthenticated`"),
            ("{}", "`isAuthenticated` is absent"),
            (
                "{\"isAuthenticated\":false,\"isAuthenticated\":true}",
                "`isAuthenticated` is there more than once",
            ),
            (
                "{\"IsAuthenticated\":true}",
                "`isAuthenticated` is absent; the answer has `IsAuthenticated`, and AWS wants `isAuthenticated`",
            ),
            (
                &format!("{{\"principalId\":\"u\",\"policyDocument\":{allowed}}}"),
                "`isAuthenticated` is absent; the answer has `policyDocument`, as for API Gateway: AWS IoT wants \
                 `isAuthenticated`, `principalId`, and a list of documents in `policyDocuments`",
            ),
            (
                &format!(
                    "{{\"isAuthenticated\":true,\"principalId\":\"u\",\"policy_documents\":[{allowed}]}}"
                ),
                "`policyDocuments` is absent; the answer has `policy_documents`, and AWS wants `policyDocuments`",
            ),
        ];
        for (text, expected) in cases {
            let error = Authorization::parse(text.as_bytes(), None).unwrap_err().to_string();
            assert_eq!(error, expected, "{text}");
        }
        assert!(Authorization::parse(b"\xff", None).is_err());
    }

    #[test]
    fn console_sees_the_members_that_aws_knows_and_documents_as_texts() {
        let answer = json!({"secret": "s", "isAuthenticated": true, "principalId": 7, "refreshAfterInSeconds": 300,
            "policyDocuments": [{"a": 1}, "{\"b\":2}"]});
        let shown = serde_json::from_str::<Value>(&shown(answer.to_string().as_bytes()).unwrap()).unwrap();
        let expected = json!({"isAuthenticated": true, "principalId": 7, "refreshAfterInSeconds": 300,
            "policyDocuments": ["{\"a\":1}", "{\"b\":2}"]});
        assert_eq!(shown, expected);
        assert_eq!(super::shown(b"{}").unwrap(), "{}");
        assert_eq!(super::shown(br#"{"policyDocuments": "x"}"#).unwrap(), "{}");
        let long = json!({"isAuthenticated": true, "principalId": "p".repeat(MAX_SHOWN_BYTES)});
        for none in ["", "[]", "{", &long.to_string()] {
            assert_eq!(super::shown(none.as_bytes()), None);
        }
    }

    #[test]
    fn policies_of_the_certificate_are_added_and_the_answer_may_have_none() {
        let own = [document("own").to_string().parse::<PolicyDocument>().unwrap()];
        let count = |documents: Value| {
            let answer = json!({"isAuthenticated": true, "principalId": "p", "policyDocuments": documents});
            let parsed = Authorization::parse(answer.to_string().as_bytes(), Some(&own)).unwrap().unwrap();
            parsed.documents.len()
        };
        assert_eq!((count(Value::Null), count(json!([])), count(json!([document("t")]))), (1, 1, 2));
    }
}
