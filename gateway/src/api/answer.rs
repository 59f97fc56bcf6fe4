//! The answers of the APIs.

use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde_json::Value;
use uuid::Uuid;

use super::error::ApiError;

/// The id of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// The exception's name.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// What an operation answers with.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
    /// Its type.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    /// An answer whose body is the operation's payload.
    #[must_use]
    pub fn payload(body: impl Into<Bytes>, content_type: &'static str) -> Self {
        Self { status: StatusCode::OK, body: body.into(), content_type, headers: Vec::new() }
    }
}

/// An answer with these members.
impl From<Value> for Answer {
    fn from(members: Value) -> Self {
        Self::payload(members.to_string(), "application/json")
    }
}

/// Members with one more, if it has a value.
pub(super) fn with(mut members: Value, name: &str, value: Option<impl Into<Value>>) -> Value {
    if let (Some(value), Some(object)) = (value, members.as_object_mut()) {
        object.insert(name.to_owned(), value.into());
    }
    members
}

/// A timestamp of the API models: seconds since 1970, of milliseconds.
#[must_use]
pub fn seconds(millis: i64) -> Value {
    // Whole milliseconds, without the digits that a division of floats would add.
    let text = format!("{}.{:03}", millis.div_euclid(1_000), millis.rem_euclid(1_000));
    serde_json::from_str(&text).unwrap_or_default()
}

/// The HTTP response to a request.
pub(super) fn response(outcome: Result<Answer, ApiError>) -> Response<Full<Bytes>> {
    let (status, answer, error) = match outcome {
        Ok(answer) => (answer.status, answer, None),
        Err(error) => (error.status, Answer::from(error.body()), Some(error.name)),
    };
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.extend(answer.headers);
    headers.extend(HeaderValue::from_str(&Uuid::new_v4().to_string()).ok().map(|id| (REQUEST_ID, id)));
    headers.extend(error.map(|name| (ERROR_TYPE, HeaderValue::from_static(name))));
    response
}
