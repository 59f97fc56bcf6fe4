//! The MQTT 5 properties of a message that is sent over HTTP: in the query string and in headers, by a device or by an API call.
//!
//! Source: API reference, `API_iotdata_Publish` and `API_iotdata_SendDirectMessage`.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::HeaderMap;
use mqtt::{PublishProperties, TopicName, UserProperty};
use serde_json::{Map, Value};

const USER_PROPERTIES: &str = "x-amz-mqtt5-user-properties";
const PAYLOAD_FORMAT: &str = "x-amz-mqtt5-payload-format-indicator";
const CORRELATION_DATA: &str = "x-amz-mqtt5-correlation-data";

/// A property that can't be used. The message repeats no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// The user properties.
    #[error("`{USER_PROPERTIES}` is not the base64 of a JSON list of objects with one text each")]
    UserProperties,
    /// The payload format indicator.
    #[error("`{PAYLOAD_FORMAT}` is neither `UTF8_DATA` nor `UNSPECIFIED_BYTES`")]
    PayloadFormat,
    /// The correlation data.
    #[error("`{CORRELATION_DATA}` is not base64")]
    CorrelationData,
    /// The response topic.
    #[error("`responseTopic` can't be a topic")]
    ResponseTopic,
    /// The message expiry.
    #[error("`messageExpiry` is not a number of seconds")]
    MessageExpiry,
    /// A text has characters that MQTT does not allow.
    #[error("a property has a character that MQTT does not allow")]
    Character,
}

/// Reads the properties. `None` if there are none.
///
/// # Errors
///
/// When one can't be used.
pub fn read(query: &str, headers: &HeaderMap) -> Result<Option<Arc<PublishProperties>>, PropertyError> {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let properties = PublishProperties {
        payload_is_utf8: match header(PAYLOAD_FORMAT) {
            None | Some("UNSPECIFIED_BYTES") => false,
            Some("UTF8_DATA") => true,
            Some(_) => return Err(PropertyError::PayloadFormat),
        },
        message_expiry_interval: match parameter(query, "messageExpiry") {
            Some(seconds) => Some(seconds.parse().map_err(|_| PropertyError::MessageExpiry)?),
            None => None,
        },
        response_topic: match parameter(query, "responseTopic") {
            Some(topic) => Some(topic.parse::<TopicName>().map_err(|_| PropertyError::ResponseTopic)?),
            None => None,
        },
        correlation_data: match header(CORRELATION_DATA) {
            Some(data) => Some(STANDARD.decode(data).map_err(|_| PropertyError::CorrelationData)?.into()),
            None => None,
        },
        content_type: parameter(query, "contentType").map(Into::into),
        user_properties: header(USER_PROPERTIES).map(user_properties).transpose()?.unwrap_or_default(),
        ..PublishProperties::default()
    };
    if !has_valid_texts(&properties) {
        return Err(PropertyError::Character);
    }
    Ok((properties != PublishProperties::default()).then(|| Arc::new(properties)))
}

/// The first value of a parameter of the query string.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    let found = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

/// MQTT 5 section 1.5.4.
fn has_valid_texts(properties: &PublishProperties) -> bool {
    let texts = properties.user_properties.iter().flat_map(|(name, value)| [name, value]);
    let mut texts = texts.chain(&properties.content_type);
    texts.all(|text| !text.contains('\0') && u16::try_from(text.len()).is_ok())
}

/// `[{"name": "value"}, …]`, in base64.
fn user_properties(header: &str) -> Result<Vec<UserProperty>, PropertyError> {
    let json = STANDARD.decode(header).map_err(|_| PropertyError::UserProperties)?;
    let list = serde_json::from_slice::<Vec<Map<String, Value>>>(&json);
    let mut properties = Vec::new();
    for object in list.map_err(|_| PropertyError::UserProperties)? {
        let mut entries = object.into_iter();
        match (entries.next(), entries.next()) {
            (Some((name, Value::String(value))), None) => properties.push((name.into(), value.into())),
            _ => return Err(PropertyError::UserProperties),
        }
    }
    Ok(properties)
}

/// User properties as an API call reads them: in base64, as above. `None` without any.
#[must_use]
pub fn encoded_user_properties(properties: &[UserProperty]) -> Option<String> {
    let object = |(name, value): &UserProperty| Map::from_iter([(name.to_string(), Value::from(&**value))]);
    let list = properties.iter().map(|property| Value::Object(object(property))).collect::<Vec<_>>();
    (!list.is_empty()).then(|| STANDARD.encode(Value::Array(list).to_string()))
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    fn properties(
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Option<Arc<PublishProperties>>, PropertyError> {
        let header = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        read(query, &headers.iter().map(header).collect())
    }

    #[test]
    fn properties_are_read_from_the_query_string_and_from_headers() {
        assert_eq!(properties("qos=1&retain=true", &[]), Ok(None));
        let user = json!([{"a": "1"}, {"a": "é"}]).to_string();
        let encoded = STANDARD.encode(&user);
        let read = properties(
            "contentType=text%2Fplain&responseTopic=a%2Fb&messageExpiry=60",
            &[(USER_PROPERTIES, &encoded), (PAYLOAD_FORMAT, "UTF8_DATA"), (CORRELATION_DATA, "AP8=")],
        );
        let expected = PublishProperties {
            payload_is_utf8: true,
            message_expiry_interval: Some(60),
            response_topic: Some("a/b".parse().unwrap()),
            correlation_data: Some(vec![0, 0xff].into()),
            content_type: Some("text/plain".into()),
            user_properties: vec![("a".into(), "1".into()), ("a".into(), "é".into())],
            ..PublishProperties::default()
        };
        assert_eq!(read.unwrap().as_deref(), Some(&expected));
        assert_eq!(encoded_user_properties(&expected.user_properties), Some(encoded));
        assert_eq!(encoded_user_properties(&[]), None);
    }

    #[test]
    fn properties_that_can_not_be_used_are_named() {
        let base64 = |json: Value| STANDARD.encode(json.to_string());
        for value in
            [json!({"a": "1"}), json!([{"a": 1}]), json!([{"a": "1", "b": "2"}]), json!([{}]), json!(["a"])]
        {
            let read = properties("", &[(USER_PROPERTIES, &base64(value.clone()))]);
            assert_eq!(read, Err(PropertyError::UserProperties), "{value}");
        }
        for (query, header, error) in [
            ("", (USER_PROPERTIES, "é"), PropertyError::UserProperties),
            ("", (USER_PROPERTIES, "W10"), PropertyError::UserProperties),
            ("", (PAYLOAD_FORMAT, "utf8"), PropertyError::PayloadFormat),
            ("", (CORRELATION_DATA, "?"), PropertyError::CorrelationData),
            ("responseTopic=a%2F%23", (PAYLOAD_FORMAT, "UTF8_DATA"), PropertyError::ResponseTopic),
            ("messageExpiry=-1", (PAYLOAD_FORMAT, "UTF8_DATA"), PropertyError::MessageExpiry),
            ("messageExpiry=4294967296", (PAYLOAD_FORMAT, "UTF8_DATA"), PropertyError::MessageExpiry),
            ("contentType=%00", (PAYLOAD_FORMAT, "UTF8_DATA"), PropertyError::Character),
        ] {
            assert_eq!(properties(query, &[header]), Err(error), "{query} {header:?}");
        }
    }
}
