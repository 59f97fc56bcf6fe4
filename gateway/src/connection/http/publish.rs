//! `POST /topics/TOPIC?qos=1&retain=true`: a publish over HTTPS, with custom authentication or a client certificate.
//!
//! Source: AWS IoT Core developer guide, `http`, and API reference, `API_iotdata_Publish`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    Request,
    body::{Body as _, Incoming},
    http::request::Parts,
};
use mqtt::{Publish, PublishProperties, QoS, TopicName};
use percent_encoding::percent_decode_str;

use super::{Exchange, TOPICS_PATH, answer::RequestError};
use crate::{
    clock::Moment,
    connection::{
        authentication::{Authenticated, authenticate},
        context,
        log::ConnectionLog,
    },
    custom_auth::{answer::Authorization, event::ClientRequest, http_request::HttpRequest, unnamed::Unnamed},
    door::ConnectionInfo,
    event_log::EventType,
    message_properties,
    quotas::LimitError,
    session::{
        enforcement::Enforcement,
        reserved_topic::{self, Recipient},
    },
    shared::{PublishError, Shared},
};

/// How long a body may take.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What the request line requests.
#[derive(Debug, PartialEq, Eq)]
struct PublishRequest {
    topic: TopicName,
    qos: QoS,
    retain: bool,
    properties: Option<Arc<PublishProperties>>,
    /// Who gets the message, if the topic is a reserved one.
    recipient: Option<Recipient>,
}

/// The authorizer's last answer on a connection, for later requests that present exactly the same *(guess: serves the same
/// headers and query string on the same connection)*. Clients that share a connection, behind a proxy for example, get no
/// answer of each other's.
///
/// Source: AWS IoT Core developer guide, `config-custom-auth`, `enableCachingForHttp`: an answer is used for
/// `refreshAfterInSeconds` *(guess: a cached answer serves for `refreshAfterInSeconds`, and not longer than
/// `disconnectAfterInSeconds`)*.
#[derive(Default)]
pub(super) struct AnswerCache(Mutex<Option<CachedAnswer>>);

struct CachedAnswer {
    request: HttpRequest,
    authorization: Authorization,
    until: Moment,
}

/// Publishes a request's body, if the authorizer and the policies allow it. The authorizer is asked about every request
/// (developer guide, `custom-authorizer`), unless it allows its answers to be cached.
pub(super) async fn publish(
    request: Request<Incoming>,
    exchange: &Exchange,
    info: &ConnectionInfo,
    log: &mut ConnectionLog,
) -> Result<(), RequestError> {
    let read = read(request, exchange).await;
    let (wanted, http, payload) = read.inspect_err(|error| log.publish_refused(error.details()))?;
    let (enforcement, unnamed) = authorize(http, exchange, info, log).await?;
    if let Some(rejection) = enforcement.decide_publish(&wanted.topic, wanted.retain).denial() {
        log.rejected(&rejection);
        return Err(RequestError::Forbidden);
    }
    let PublishRequest { topic, qos, retain, properties, recipient } = wanted;
    let now = exchange.shared.clock.now();
    let is_unserved = recipient == Some(Recipient::Service);
    let publish = Publish { qos, retain, properties, ..Publish::new(topic.clone(), payload) };
    exchange.shared.publish(topic.clone(), publish, recipient, now).await.map_err(|error| match error {
        PublishError::Throttled(error) => throttled(log, Some(&topic), error),
        PublishError::NotWritten(error) => {
            log.not_written(EventType::PublishIn, &error);
            RequestError::NotWritten
        }
    })?;
    log.published(topic.as_str(), retain, is_unserved, unnamed.as_ref());
    Ok(())
}

fn throttled(log: &ConnectionLog, topic: Option<&TopicName>, error: LimitError) -> RequestError {
    log.publish_throttled(topic.map(TopicName::as_str), &error);
    RequestError::Throttled(error)
}

/// Reads the whole body before the authorizer is asked, so that a slow client occupies no instance of it.
async fn read(
    request: Request<Incoming>,
    exchange: &Exchange,
) -> Result<(PublishRequest, HttpRequest, Bytes), RequestError> {
    let (parts, body) = request.into_parts();
    let wanted = PublishRequest::read(&parts)?;
    let http = HttpRequest::read(&parts).map_err(|error| RequestError::Malformed(error.to_string()))?;
    let payload = read_body(body, exchange).await?;
    let within =
        exchange.shared.settings.quotas.check_message(&wanted.topic, &payload, wanted.properties.as_deref());
    within.map_err(|reason| RequestError::Malformed(reason.details().unwrap_or_default()))?;
    Ok((wanted, http, payload))
}

/// Reads a body of as many bytes as a message may have.
pub(super) async fn read_body(body: Incoming, exchange: &Exchange) -> Result<Bytes, RequestError> {
    let max = exchange.shared.settings.quotas.payload_bytes;
    if body.size_hint().lower() > max as u64 {
        return Err(RequestError::TooLarge(max));
    }
    let body = exchange.shared.clock.timeout(BODY_TIMEOUT, Limited::new(body, max).collect());
    match body.await.ok_or(RequestError::Timeout)? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(RequestError::TooLarge(max)),
        Err(_) => Err(RequestError::Malformed("the body can't be read".to_owned())),
    }
}

/// Authorizes a request. It has no client id and is not a CONNECT *(guess: an HTTPS publish needs no `iot:Connect`)*.
pub(super) async fn authorize(
    http: HttpRequest,
    exchange: &Exchange,
    info: &ConnectionInfo,
    log: &mut ConnectionLog,
) -> Result<(Enforcement, Option<Unnamed>), RequestError> {
    let cached = exchange.cache.get(&http, exchange.shared.clock.now());
    // From here on the connection waits for others than its client. It needs the permit again if authentication fails.
    exchange.permit.release();
    let (authorization, unnamed) = match cached {
        Some(authorization) => (authorization, None),
        None => ask(http, exchange, info, log).await.inspect_err(|_| exchange.permit.reacquire())?,
    };
    log.set_principal(&authorization.principal_id);
    let Shared { settings, clock, account_rates, .. } = &*exchange.shared;
    let kept = account_rates.publish_over_https(&authorization.principal_id, &settings.quotas, clock.now());
    kept.map_err(|error| throttled(log, None, error))?;
    let context = context::of_request(info, exchange.addresses.peer.ip());
    let scope = Arc::clone(&exchange.shared.scope);
    // A request has no client id, so its principal says which device it is.
    let unnamed = unnamed.filter(|_| exchange.shared.unnamed.is_new(&authorization.principal_id));
    Ok((Enforcement::new(authorization, scope, "".into(), context.clone(), context), unnamed))
}

async fn ask(
    http: HttpRequest,
    exchange: &Exchange,
    info: &ConnectionInfo,
    log: &ConnectionLog,
) -> Result<(Authorization, Option<Unnamed>), RequestError> {
    let Exchange { shared, cache, .. } = exchange;
    let sent = ClientRequest {
        connection_id: log.connection_id(),
        server_name: info.server_name.as_deref(),
        certificate: info.certificate().map(|certificate| &**certificate),
        http: Some(&http),
        mqtt: None,
    };
    let authenticated = authenticate(&sent, info, shared).await;
    let Authenticated { authorization, credentials, unnamed } = authenticated.map_err(|refusal| {
        log.not_authenticated(&refusal);
        RequestError::not_authenticated(&refusal)
    })?;
    if credentials.is_some_and(|credentials| credentials.authorizer.definition.caching_for_http) {
        cache.insert(http, authorization.clone(), shared.clock.now());
    }
    Ok((authorization, unnamed))
}

impl AnswerCache {
    /// The answer to a request that presents the same, if it is still valid.
    fn get(&self, request: &HttpRequest, now: Moment) -> Option<Authorization> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = cached
            .as_ref()
            .filter(|cached| now < cached.until && cached.request.presents_the_same(request))?;
        Some(cached.authorization.clone())
    }

    /// Replaces the cached answer, if the new one has a lifetime.
    fn insert(&self, request: HttpRequest, authorization: Authorization, now: Moment) {
        let Some(lifetime) = authorization.lifetime else { return };
        let until = now + lifetime.refresh_after.min(lifetime.disconnect_after);
        let answer = CachedAnswer { request, authorization, until };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }
}

impl PublishRequest {
    fn read(parts: &Parts) -> Result<Self, RequestError> {
        let path = parts.uri.path().strip_prefix(TOPICS_PATH).unwrap_or_default();
        let malformed = |details: String| RequestError::Malformed(format!("the path's topic {details}"));
        let topic =
            percent_decode_str(path).decode_utf8().map_err(|_| malformed("is not UTF-8".to_owned()))?;
        let topic =
            topic.parse::<TopicName>().map_err(|error| malformed(format!("can't be used: {error}")))?;
        let query = parts.uri.query().unwrap_or_default();
        let qos = parameter(query, "qos", &[("0", QoS::AtMostOnce), ("1", QoS::AtLeastOnce)])?;
        let retain = parameter(query, "retain", &[("false", false), ("true", true)])?;
        let (qos, retain) = (qos.unwrap_or(QoS::AtMostOnce), retain.unwrap_or(false));
        let recipient = reserved_topic::recipient_over_https(&topic, retain)
            .map_err(|reason| RequestError::Malformed(reason.details().unwrap_or_default()))?;
        let properties = message_properties::read(query, &parts.headers)
            .map_err(|error| RequestError::Malformed(error.to_string()))?;
        Ok(Self { topic, qos, retain, properties, recipient })
    }
}

/// The value of a parameter, which is one of these. `None` if it is absent. Other parameters belong to the authorizer.
fn parameter<T: Copy>(
    query: &str,
    name: &'static str,
    values: &[(&str, T)],
) -> Result<Option<T>, RequestError> {
    let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    let Some((_, value)) = found.next() else { return Ok(None) };
    let known = values.iter().find(|(text, _)| *text == value).map(|(_, value)| *value);
    if known.is_some() && found.next().is_none() {
        return Ok(known);
    }
    let names = values.iter().map(|(text, _)| format!("`{text}`")).collect::<Vec<_>>().join(" or ");
    Err(RequestError::Malformed(format!("the parameter `{name}` should be {names}, once")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(uri: &str) -> Result<(String, QoS, bool), String> {
        let parts = Request::builder().uri(uri).body(()).unwrap().into_parts().0;
        let wanted = PublishRequest::read(&parts).map_err(|error| error.details())?;
        Ok((wanted.topic.as_str().to_owned(), wanted.qos, wanted.retain))
    }

    #[test]
    fn a_request_line_says_what_is_wanted() {
        let cases = [
            ("/topics/a", ("a", QoS::AtMostOnce, false)),
            ("/topics/a/b?qos=1", ("a/b", QoS::AtLeastOnce, false)),
            ("/topics/a%2Fb%2fc?retain=true&qos=0", ("a/b/c", QoS::AtMostOnce, true)),
            ("/topics//a/?retain=false", ("/a/", QoS::AtMostOnce, false)),
            ("/topics/gr%C3%BC%C3%9Fe%20x?x=y&username=u", ("grüße x", QoS::AtMostOnce, false)),
            ("/topics/%25?qos=%31", ("%", QoS::AtLeastOnce, false)),
        ];
        for (uri, (topic, qos, retain)) in cases {
            assert_eq!(wanted(uri), Ok((topic.to_owned(), qos, retain)), "{uri}");
        }
    }

    #[test]
    fn what_can_not_be_understood_is_refused_and_the_value_is_not_repeated() {
        let uris = [
            "/topics/",
            "/topics/a%23",
            "/topics/a/%2B",
            "/topics/a/+",
            "/topics/%00",
            "/topics/%ff",
            "/topics/a?qos=2",
            "/topics/a?qos=",
            "/topics/a?qos",
            "/topics/a?qos=1&qos=1",
            "/topics/a?retain=TRUE",
            "/topics/a?retain=1&password=secret",
        ];
        for uri in uris {
            let details = wanted(uri).unwrap_err();
            assert!(!details.contains("secret"), "{uri}: {details}");
        }
    }
}
