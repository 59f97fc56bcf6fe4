//! The console: pages in the browser that show what the gateway does and let a person try things.
//!
//! It is on the status port. [`access`] decides who may use it, [`assets`] has the page, and everything that the page shows comes from
//! `/console/v1`, which scripts can use too: [`attempts`], [`connections`], [`authorizers`], [`policy_lab`], [`readings`] and
//! [`data`]. [`stream`] has the server-sent events, [`observer`] a subscriber outside every policy, and [`mqtt_proxy`] carries the
//! page's MQTT to the gateway's own WebSocket door.
//!
//! Without a page that asks, the console costs a copy of each line of the log, and a bounded memory.

pub mod access;
pub mod assets;
pub mod attempts;
pub mod authorizers;
pub mod connections;
pub mod data;
pub mod mqtt_proxy;
pub mod observer;
pub mod policy_lab;
pub mod readings;
pub mod stream;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

use self::{
    access::{Access, Admission, Refusal},
    attempts::{Attempts, Filter},
    mqtt_proxy::MqttProxy,
    readings::Readings,
};
use crate::{
    certificate::Authority, clock::Moment, door::route::Port, event_log::recent::Recent, gateway::Addresses,
    shared::Shared,
};

/// The path of the API's first version.
const API: &str = "/console/v1";
/// The bytes of a request's body. The largest is ten policy documents, or a message of 128 KiB in base64.
const MAX_BODY_BYTES: usize = 256 * 1_024;
/// The most rows of one answer.
const MAX_PAGE: usize = 200;
/// Streams of events, and MQTT connections of pages, that may be open at a time.
const MAX_STREAMS: usize = 32;
/// Records that are read at a time, so that no other request waits for long.
const READ_AT_ONCE: usize = 2_000;

/// The console of one gateway.
pub struct Console {
    shared: Arc<Shared>,
    access: Access,
    recent: Arc<Recent>,
    attempts: Mutex<Attempts>,
    readings: Arc<Readings>,
    proxy: Option<MqttProxy>,
    /// One permit for each open stream.
    streams: Arc<Semaphore>,
    addresses: Addresses,
    /// Another one after each start: a page that sees another one loads everything again.
    instance: String,
    started: Moment,
}

/// Why a call of the API fails.
#[derive(Debug)]
pub struct CallError {
    status: StatusCode,
    message: String,
}

/// An answer of the API.
pub(crate) type Answer = Result<Value, CallError>;

/// The parameters of a query string.
pub(crate) struct Query(Vec<(String, String)>);

impl CallError {
    /// The call is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// What it is about does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into() }
    }

    /// It exceeds a rate.
    pub(crate) fn throttled(message: impl Into<String>) -> Self {
        Self { status: StatusCode::TOO_MANY_REQUESTS, message: message.into() }
    }

    /// It can't be done now.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: message.into() }
    }
}

impl Query {
    fn read(text: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(text.unwrap_or_default().as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The first value of a parameter; empty if it is absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }

    /// Every value of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A number, if the parameter is there.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, CallError> {
        match self.text(name) {
            "" => Ok(None),
            text => {
                text.parse().map(Some).map_err(|_| CallError::invalid(format!("`{name}` has to be a number")))
            }
        }
    }

    /// `offset` and `limit` of a page.
    pub(crate) fn page(&self) -> Result<(usize, usize), CallError> {
        let number =
            |name| Ok(self.number(name)?.map(|number| usize::try_from(number).unwrap_or(usize::MAX)));
        Ok((number("offset")?.unwrap_or(0), number("limit")?.unwrap_or(100).clamp(1, MAX_PAGE)))
    }
}

impl Console {
    /// The console of a gateway, whose log it has to keep recent records from now on.
    ///
    /// # Errors
    ///
    /// When the token's file can't be read or written, or the CA can't be trusted.
    pub fn open(
        shared: Arc<Shared>,
        addresses: Addresses,
        address: SocketAddr,
        recent: Arc<Recent>,
        authority: &Authority,
    ) -> anyhow::Result<Self> {
        let access = Access::open(&shared.settings.data, address)?;
        let door = addresses.doors.get(&Port::P443);
        let proxy = door.map(|door| MqttProxy::new(*door, authority.pem())).transpose()?;
        let started = shared.clock.now();
        Ok(Self {
            shared,
            access,
            recent,
            attempts: Mutex::default(),
            readings: Arc::default(),
            proxy,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            addresses,
            instance: Uuid::new_v4().to_string(),
            started,
        })
    }

    /// The link that opens the console.
    #[must_use]
    pub fn link(&self) -> &str {
        self.access.link()
    }

    /// The response to a request.
    pub async fn respond(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let mut response = match self.access.admit(&parts) {
            Ok(admission) => {
                let cookie = HeaderValue::from_str(&self.access.set_cookie());
                let mut response = self.answer(parts, body).await;
                if let (Admission::Link, Ok(cookie)) = (admission, cookie) {
                    response.headers_mut().insert(header::SET_COOKIE, cookie);
                }
                response
            }
            Err(refusal) => refused(refusal, parts.uri.path()),
        };
        assets::secure(response.headers_mut());
        response
    }

    async fn answer(self: Arc<Self>, mut parts: Parts, body: Body) -> Response<Body> {
        let path = parts.uri.path().to_owned();
        let Some(path) = path.strip_prefix(API) else {
            let is_read = matches!(parts.method, Method::GET | Method::HEAD);
            let asset = assets::find(&path).filter(|_| is_read);
            return asset.unwrap_or_else(|| failed(&CallError::not_found("nothing is at this path")));
        };
        let query = Query::read(parts.uri.query());
        if parts.method == Method::GET {
            let streamed = match path {
                "/events" => Some(stream::open(&self, &query)),
                "/mqtt" => Some(mqtt_proxy::accept(&self, &mut parts)),
                _ => None,
            };
            if let Some(streamed) = streamed {
                return streamed.unwrap_or_else(|error| failed(&error));
            }
        }
        let answer = match read(body).await {
            Ok(body) => self.call(&parts.method, path, &query, &body).await,
            Err(error) => Err(error),
        };
        answer.map_or_else(|error| failed(&error), |value| json_response(StatusCode::OK, &value))
    }

    /// Carries out a call of the API.
    async fn call(self: &Arc<Self>, method: &Method, path: &str, query: &Query, body: &Bytes) -> Answer {
        let (shared, now) = (&self.shared, self.shared.clock.now());
        match (method, path) {
            (&Method::GET, "" | "/") => Ok(self.described()),
            (&Method::GET, "/attempts") => self.list_attempts(query),
            (&Method::GET, "/attempt") => {
                let id = query.number("id")?.unwrap_or_default();
                let story = self.attempts().story(id);
                story.ok_or_else(|| {
                    CallError::not_found("the attempt is not in the console's memory any more")
                })
            }
            (&Method::GET, "/documents") => {
                let client_id = Some(query.text("clientId")).filter(|id| !id.is_empty());
                let found = self.attempts().documents(client_id, MAX_PAGE);
                let found = found.iter().map(|(id, texts)| json!({"clientId": id, "documents": texts}));
                Ok(json!({"clients": found.collect::<Vec<_>>()}))
            }
            (&Method::GET, "/connections") => connections::list(shared, query, now),
            (&Method::GET, "/connection") => connections::get(shared, query, now).await,
            (&Method::POST, "/connection/disconnect") => connections::disconnect(shared, &parse(body)?, now),
            (&Method::POST, "/connection/refresh") => connections::refresh(shared, &parse(body)?, now),
            (&Method::GET, "/sessions") => connections::list_sessions(shared, query),
            (&Method::POST, "/session/delete") => {
                connections::delete_session(shared, &parse(body)?, now).await
            }
            (&Method::GET, "/authorizers") => Ok(authorizers::list(shared, &self.recent)),
            (&Method::GET, "/authorizer/log") => Ok(authorizers::log(&self.recent, query)),
            (&Method::POST, "/authorizer/test") => authorizers::test(shared, parse(body)?).await,
            (&Method::POST, "/policy") => policy_lab::ask(shared, &parse(body)?),
            (&Method::GET, "/readings") => self.readings.list(shared, query),
            (&Method::GET, "/readings/device") => Ok(self.readings.of_device(query.text("device"))),
            (&Method::POST, "/publish") => data::publish(shared, parse(body)?, now).await,
            (&Method::GET, "/retained") => data::list_retained(shared, query, now),
            (&Method::GET, "/retained/message") => data::get_retained(shared, query, now),
            (&Method::GET, "/shadows") => data::list_shadows(shared, query),
            (&Method::GET, "/shadow") => data::get_shadow(shared, query, now).await,
            (&Method::POST, "/shadow") => data::update_shadow(shared, &parse(body)?, now).await,
            (&Method::POST, "/shadow/delete") => data::delete_shadow(shared, &parse(body)?, now).await,
            _ => Err(CallError::not_found("the API has no such call: docs/console.md has all of them")),
        }
    }

    fn described(&self) -> Value {
        let (settings, shared) = (&self.shared.settings, &*self.shared);
        let door = self.addresses.doors.get(&Port::P443);
        let names = settings.names.iter().collect::<Vec<_>>();
        let authorizers = shared.authorizers.current();
        let authorizers = authorizers.all().map(|authorizer| authorizer.name.to_string()).collect::<Vec<_>>();
        json!({
            "version": 1, "instance": self.instance, "startedAt": self.millis(self.started),
            "region": settings.account.region, "account": settings.account.id, "partition": settings.account.partition,
            "door": door, "names": names, "events": self.recent.capacity(), "authorizers": authorizers,
            "testClient": self.proxy.is_some(),
            "limits": {
                "documentCharacters": iot_policy::limits::MAX_POLICY_DOCUMENT_CHARACTERS,
                "documents": iot_policy::limits::MAX_POLICY_DOCUMENTS, "payloadBytes": settings.quotas.payload_bytes,
            },
        })
    }

    fn list_attempts(&self, query: &Query) -> Answer {
        let filter = Filter {
            text: query.text("text").to_owned(),
            reason: query.text("reason").to_owned(),
            outcome: query.text("outcome").to_owned(),
        };
        let (_, limit) = query.page()?;
        let mut attempts = self.attempts();
        let summary = attempts.summary();
        let rows = attempts.list(&filter, query.number("before")?, limit);
        let next = rows.last().map(|row| row.id).filter(|_| rows.len() == limit);
        Ok(json!({
            "instance": self.instance, "attempts": rows, "next": next, "summary": summary,
            "lost": self.recent.lost(),
        }))
    }

    /// The attempts, after what waits was read.
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        while attempts.read(&self.recent, READ_AT_ONCE) {}
        attempts
    }

    fn millis(&self, moment: Moment) -> i64 {
        self.shared.clock.epoch().unix_millis(moment)
    }
}

/// A body, as a whole.
async fn read(body: Body) -> Result<Bytes, CallError> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the body is larger than {MAX_BODY_BYTES} bytes");
            Err(CallError { status: StatusCode::PAYLOAD_TOO_LARGE, message })
        }
        Err(_) => Err(CallError::invalid("the body did not come as a whole")),
    }
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, CallError> {
    // The parser's message could repeat a password.
    serde_json::from_slice(body).map_err(|error| {
        CallError::invalid(match error.classify() {
            serde_json::error::Category::Data => {
                format!("a member is absent, unknown or of another type, at column {}", error.column())
            }
            _ => format!("the body is not JSON, at line {} column {}", error.line(), error.column()),
        })
    })
}

fn json_response(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::to_vec(value).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn failed(error: &CallError) -> Response<Body> {
    json_response(error.status, &json!({"message": error.message}))
}

/// A person who opens the page without its token reads a sentence, not JSON.
fn refused(refusal: Refusal, path: &str) -> Response<Body> {
    if path.starts_with(API) {
        return json_response(StatusCode::FORBIDDEN, &json!({"message": refusal.to_string()}));
    }
    let mut response = Response::new(Body::from(format!("{refusal}\n")));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
