//! The REST API of device shadows: `/things/THING/shadow?name=NAME` and
//! `/api/things/shadow/ListNamedShadowsForThing/THING`, for clients with a certificate.
//!
//! Source: AWS IoT Core developer guide, `device-shadow-rest-api`, and API reference, `API_iotdata_GetThingShadow` and the
//! others. AWS accepts Signature Version 4 too, and no custom authentication *(guess: custom authentication does not reach the
//! REST API of shadows)*.

use std::{borrow::Cow, sync::Arc};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use hyper::{Method, Request, body::Incoming, http::Uri};
use iot_policy::{Action, limits};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::{
    Exchange,
    answer::RequestError,
    publish::{authorize, read_body},
};
use crate::{
    connection::log::ConnectionLog,
    custom_auth::http_request::HttpRequest,
    door::{ConnectionInfo, Identification},
    event_log::EventType,
    session::shadow,
    shadow::{Operation, RequestTopic, ShadowId},
};

const THINGS_PATH: &str = "/things/";
const SHADOW_PATH: &str = "/shadow";
const LIST_PATH: &str = "/api/things/shadow/ListNamedShadowsForThing/";
/// Names in one page of a list, at most (`PageSize` of AWS's API).
const MAX_PAGE: usize = 100;
/// Names in one page without `pageSize` *(guess: a page has 25 names)*.
const DEFAULT_PAGE: usize = 25;

/// What a request line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ShadowCall {
    /// An operation on a shadow.
    Shadow(ShadowId, Operation),
    /// The names of a Thing's named shadows: up to `max` of them, after this name.
    List { thing: ShadowId, after: Option<String>, max: usize },
}

impl ShadowCall {
    /// Reads a request line. `None` if the path is not one of the API's.
    pub(super) fn read(method: &Method, uri: &Uri) -> Option<Result<Self, RequestError>> {
        let query = uri.query().unwrap_or_default();
        if let Some(thing) = uri.path().strip_prefix(LIST_PATH) {
            return Some(if method == Method::GET {
                Self::list(thing, query)
            } else {
                Err(RequestError::Method("GET"))
            });
        }
        let thing = uri.path().strip_prefix(THINGS_PATH)?.strip_suffix(SHADOW_PATH)?;
        let operation = match *method {
            Method::GET => Operation::Get,
            Method::POST => Operation::Update,
            Method::DELETE => Operation::Delete,
            _ => return Some(Err(RequestError::Method("GET, POST, DELETE"))),
        };
        Some(shadow_id(thing, query).map(|id| Self::Shadow(id, operation)))
    }

    fn list(thing: &str, query: &str) -> Result<Self, RequestError> {
        let malformed = |details: &str| RequestError::Malformed(details.to_owned());
        let max = match single(query, "pageSize")? {
            None => DEFAULT_PAGE,
            Some(size) => size
                .parse()
                .ok()
                .filter(|size| (1..=MAX_PAGE).contains(size))
                .ok_or_else(|| malformed("the parameter `pageSize` should be from 1 to 100"))?,
        };
        let after = match single(query, "nextToken")? {
            None => None,
            Some(token) => {
                let name =
                    BASE64_URL_SAFE_NO_PAD.decode(&*token).ok().and_then(|name| String::from_utf8(name).ok());
                let name = name.filter(|name| limits::is_shadow_name(name));
                Some(name.ok_or_else(|| malformed("the parameter `nextToken` is not one of an answer"))?)
            }
        };
        Ok(Self::List { thing: ShadowId::new(&decoded(thing)?, None)?, after, max })
    }

    fn action(&self) -> Action {
        match self {
            Self::Shadow(_, Operation::Get) => Action::GetThingShadow,
            Self::Shadow(_, Operation::Update) => Action::UpdateThingShadow,
            Self::Shadow(_, Operation::Delete) => Action::DeleteThingShadow,
            Self::List { .. } => Action::ListNamedShadowsForThing,
        }
    }

    fn id(&self) -> &ShadowId {
        match self {
            Self::Shadow(id, _) | Self::List { thing: id, .. } => id,
        }
    }
}

/// Carries out a call, if the policies allow it. The value is the answer's body.
pub(super) async fn call(
    call: ShadowCall,
    request: Request<Incoming>,
    exchange: &Exchange,
    info: &ConnectionInfo,
    log: &mut ConnectionLog,
) -> Result<Bytes, RequestError> {
    if matches!(info.identification, Identification::Custom) {
        log.connect_refused("CLIENT_ERROR", RequestError::CertificateNeeded.details());
        return Err(RequestError::CertificateNeeded);
    }
    let (parts, body) = request.into_parts();
    let http = HttpRequest::read(&parts).map_err(|error| RequestError::Malformed(error.to_string()))?;
    let body = read_body(body, exchange).await?;
    let (enforcement, _) = authorize(http, exchange, info, log).await?;
    if let Some(rejection) = enforcement.decide(call.action(), call.id().thing()).denial() {
        log.rejected(&rejection);
        return Err(RequestError::Forbidden);
    }
    let shared = &exchange.shared;
    let (quotas, now) = (&shared.settings.quotas, shared.clock.now());
    let at = shared.clock.epoch().unix_seconds(now);
    match call {
        ShadowCall::List { thing, after, max } => {
            shared.account_rates.shadow(&thing, quotas, now)?;
            let names = shared.broker.shadow_names(thing.thing(), after.as_deref(), max + 1);
            Ok(page(&names, max, at))
        }
        ShadowCall::Shadow(id, operation) => {
            let topic = RequestTopic { id: Ok(id), operation };
            let request = shadow::request(topic, &body, quotas, &shared.account_rates, now);
            let request = request.map_err(|rejected| rejected.error)?;
            let answer = shared.broker.call_shadow(request, at, now).await.map_err(|error| {
                log.not_written(EventType::UpdateThingShadow, &error);
                RequestError::NotWritten
            })?;
            Ok(answer.map_err(|rejected| rejected.error)?.payload)
        }
    }
}

/// A page of names, of which there may be one more than fit.
fn page(names: &[Arc<str>], max: usize, at: i64) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page<'a> {
        results: Vec<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_token: Option<String>,
        timestamp: i64,
    }
    let results = names.iter().take(max).map(|name| &**name).collect::<Vec<_>>();
    let last = results.last().filter(|_| names.len() > max);
    let next_token = last.map(|name| BASE64_URL_SAFE_NO_PAD.encode(name));
    serde_json::to_vec(&Page { results, next_token, timestamp: at }).unwrap_or_default().into()
}

/// The shadow of this Thing that the parameter `name` names, or the classic one.
fn shadow_id(thing: &str, query: &str) -> Result<ShadowId, RequestError> {
    let name = single(query, "name")?;
    Ok(ShadowId::new(&decoded(thing)?, name.as_deref())?)
}

fn decoded(level: &str) -> Result<Cow<'_, str>, RequestError> {
    let decoded = percent_decode_str(level).decode_utf8();
    decoded.map_err(|_| RequestError::Malformed("the Thing's name in the path is not UTF-8".to_owned()))
}

/// The value of a parameter that is there once at most.
fn single<'q>(query: &'q str, name: &'static str) -> Result<Option<Cow<'q, str>>, RequestError> {
    let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    let value = found.next().map(|(_, value)| value);
    match found.next() {
        None => Ok(value),
        Some(_) => Err(RequestError::Malformed(format!("the parameter `{name}` should be there once"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &Method, uri: &str) -> Option<Result<ShadowCall, String>> {
        let call = ShadowCall::read(method, &uri.parse().unwrap())?;
        Some(call.map_err(|error| error.details()))
    }

    #[test]
    fn a_request_line_says_what_is_asked_for() {
        let shadow = |name| ShadowId::new("t:1", name).unwrap();
        let operations = [
            (Method::GET, Operation::Get),
            (Method::POST, Operation::Update),
            (Method::DELETE, Operation::Delete),
        ];
        for (method, operation) in operations {
            for (uri, name) in [
                ("/things/t:1/shadow", None),
                ("/things/t%3A1/shadow?x=y&name=n", Some("n")),
                ("/things/t:1/shadow?name=%24x", Some("$x")),
            ] {
                assert_eq!(
                    call(&method, uri),
                    Some(Ok(ShadowCall::Shadow(shadow(name), operation))),
                    "{uri}"
                );
            }
        }
        let list = |after: Option<&str>, max| ShadowCall::List {
            thing: shadow(None),
            after: after.map(str::to_owned),
            max,
        };
        let path = "/api/things/shadow/ListNamedShadowsForThing/t:1";
        assert_eq!(call(&Method::GET, path), Some(Ok(list(None, 25))));
        assert_eq!(
            call(&Method::GET, &format!("{path}?pageSize=7&nextToken=JHg")),
            Some(Ok(list(Some("$x"), 7)))
        );
        for (method, uri) in [(Method::PUT, "/things/t/shadow"), (Method::POST, path)] {
            assert!(call(&method, uri).unwrap().unwrap_err().contains("method"), "{uri}");
        }
        for uri in ["/things/t", "/things/t/shadows", "/topics/a", "/api/things/shadow", "/"] {
            assert_eq!(call(&Method::GET, uri), None, "{uri}");
        }
    }

    #[test]
    fn names_and_parameters_that_aws_refuses_are_refused() {
        let list = "/api/things/shadow/ListNamedShadowsForThing/t";
        let cases = [
            ("/things/a%20b/shadow".to_owned(), "Invalid thing name"),
            ("/things//shadow".to_owned(), "Invalid thing name"),
            ("/things/a/b/shadow".to_owned(), "Invalid thing name"),
            (format!("/things/{}/shadow", "t".repeat(129)), "Invalid thing name"),
            ("/things/%ff/shadow".to_owned(), "not UTF-8"),
            ("/things/t/shadow?name=".to_owned(), "Invalid shadow name"),
            ("/things/t/shadow?name=a.b".to_owned(), "Invalid shadow name"),
            ("/things/t/shadow?name=a&name=a".to_owned(), "once"),
            (format!("{list}?pageSize=0"), "pageSize"),
            (format!("{list}?pageSize=101"), "pageSize"),
            (format!("{list}?pageSize=x"), "pageSize"),
            (format!("{list}?nextToken=!"), "nextToken"),
            (format!("{list}?nextToken=YS9i"), "nextToken"),
        ];
        for (uri, complaint) in cases {
            let error = call(&Method::GET, &uri).unwrap().unwrap_err();
            assert!(error.contains(complaint), "{uri}: {error}");
        }
    }

    #[test]
    fn a_page_has_a_token_if_there_is_more() {
        let names = ["a", "b"].map(Arc::from);
        let page = |max| serde_json::from_slice::<serde_json::Value>(&page(&names, max, 7)).unwrap();
        assert_eq!(page(2), serde_json::json!({"results": ["a", "b"], "timestamp": 7}));
        assert_eq!(page(1), serde_json::json!({"results": ["a"], "nextToken": "YQ", "timestamp": 7}));
    }
}
