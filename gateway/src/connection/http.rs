//! A connection at an HTTP door: HTTPS publishes and calls about shadows, one after the other, or an upgrade to WebSocket.
//!
//! Source: AWS IoT Core developer guide, `http` and `protocols`.

mod answer;
mod direct_message;
mod publish;
mod shadows;

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL},
    rt::{Sleep, Timer},
    server::conn::http1,
    service::{HttpService, service_fn},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use server::handshake_limit::HandshakePermit;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{
    answer::{Body, RequestError},
    publish::AnswerCache,
    shadows::ShadowCall,
};
use super::{
    limits::HandshakeLimits,
    log::{Addresses, ConnectionLog},
    websocket::{self, HttpStream, WebSocket},
};
use crate::{
    clock::{Clock, Moment},
    custom_auth::http_request::{HttpRequest, host},
    door::{
        ConnectionInfo,
        route::{Http, Protocol},
    },
    quotas::LimitError,
    rate::Rate,
    shared::Shared,
};

/// The request line and the headers of one request, in bytes. hyper itself accepts up to 100 headers.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long the headers of a request may take, counted from the end of the request before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The first byte of a CONNECT.
const MQTT_CONNECT: u8 = 0x10;
/// AWS's path for the upgrade to WebSocket.
const WEBSOCKET_PATH: &str = "/mqtt";
/// AWS's path of a publish, before its topic.
const TOPICS_PATH: &str = "/topics/";
/// AWS's path of a direct message, before and after its receiver.
const CONNECTIONS_PATH: &str = "/connections/";
const MESSAGES_PATH: &str = "/messages";
/// The subprotocol of MQTT 3.1.1 and 5. `mqttv3.1` is that of 3.1, which the gateway does not accept.
const SUBPROTOCOL: &str = "mqtt";

/// What is known of a connection when HTTP begins.
#[derive(Clone, Copy)]
pub(super) struct HttpContext<'a> {
    pub(super) info: &'a ConnectionInfo,
    pub(super) addresses: Addresses,
}

/// A connection that has become a WebSocket.
pub(super) struct Upgraded {
    pub(super) stream: WebSocket,
    /// The upgrade request.
    pub(super) request: HttpRequest,
    /// What is known of the connection, with the domain configuration that the request names.
    pub(super) info: ConnectionInfo,
}

/// The state that all requests of a connection share.
struct Exchange {
    shared: Arc<Shared>,
    addresses: Addresses,
    info: ConnectionInfo,
    cache: AnswerCache,
    /// Held until a request is authenticated.
    permit: Arc<HandshakePermit>,
    failures: Arc<AtomicU32>,
    requests: Mutex<Rate>,
    upgrade: Mutex<Option<Upgrade>>,
    /// Whether a request came that could be read.
    any: AtomicBool,
}

/// A connection that is about to become a WebSocket.
struct Upgrade {
    stream: OnUpgrade,
    request: HttpRequest,
    info: ConnectionInfo,
}

/// The log of a request whose client may go away before the answer.
struct RequestLog {
    log: ConnectionLog,
    answered: bool,
}

/// hyper's timer on the gateway's clock, which tests move.
struct ClockTimer {
    clock: Clock,
    began: Instant,
    moment: Moment,
}

struct Wait(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

/// Serves requests until the connection ends, or becomes a WebSocket.
pub(super) async fn serve(
    stream: TlsStream<TcpStream>,
    context: HttpContext<'_>,
    permit: Arc<HandshakePermit>,
    log: &ConnectionLog,
    shared: &Arc<Shared>,
) -> Option<Upgraded> {
    let evicted = permit.evicted();
    let limits = HandshakeLimits { shared, log, evicted: &evicted };
    let stream = first_byte(stream, &limits).await?;
    let HttpContext { info, addresses } = context;
    let exchange = Arc::new(Exchange {
        shared: Arc::clone(shared),
        addresses,
        info: info.clone(),
        cache: AnswerCache::default(),
        permit,
        failures: Arc::default(),
        requests: Mutex::new(Rate::new(shared.clock.now())),
        upgrade: Mutex::new(None),
        any: AtomicBool::new(false),
    });
    let service = service_fn(|request| {
        let exchange = Arc::clone(&exchange);
        async move { Ok::<_, Infallible>(exchange.answer(request).await) }
    });
    let served = http1::Builder::new()
        .timer(ClockTimer::new(shared.clock.clone()))
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let served = limits.unless_evicted(until_stopped(served, &shared.stopping)).await?;
    if let Err(error) = served
        && let Some(details) = describe(&error, exchange.any.load(Ordering::Relaxed))
    {
        log.connect_refused("CLIENT_ERROR", details);
    }
    let upgrade = exchange.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    upgrade.finish().await
}

/// Serves until the client is done. When the gateway stops, the current request is still answered.
async fn until_stopped<S>(
    served: http1::UpgradeableConnection<TokioIo<HttpStream>, S>,
    stopping: &CancellationToken,
) -> hyper::Result<()>
where
    S: HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut served = pin!(served);
    tokio::select! {
        done = served.as_mut() => return done,
        () = stopping.cancelled() => served.as_mut().graceful_shutdown(),
    }
    served.await
}

/// Waits for the first byte, and refuses a client that does not speak HTTP.
async fn first_byte(stream: TlsStream<TcpStream>, limits: &HandshakeLimits<'_>) -> Option<HttpStream> {
    let mut stream = BufReader::with_capacity(1, stream);
    let details = match limits.within_timeout("CLIENT_ERROR", "HTTP request", stream.fill_buf()).await? {
        Ok([MQTT_CONNECT]) => {
            "the client speaks MQTT, and this door accepts HTTP: MQTT without a certificate needs ALPN `mqtt` at AWS's port \
             443, or WebSocket; with one it needs AWS's port 8883, or ALPN `x-amzn-mqtt-ca`"
        }
        Ok([_, ..]) => return Some(stream),
        Ok([]) | Err(_) => "the connection ended before its first request",
    };
    limits.log.connect_refused("CLIENT_ERROR", details.to_owned());
    None
}

impl Exchange {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        self.any.store(true, Ordering::Relaxed);
        let id = Uuid::new_v4().to_string();
        let log =
            ConnectionLog::of_request(&self.shared, id.clone(), self.addresses, &self.info, &self.failures);
        let mut request_log = RequestLog { log, answered: false };
        let result = match self.shared.doors.with_host(&self.info, host(request.headers())) {
            Some(info) if request.method() == Method::GET && request.uri().path() == WEBSOCKET_PATH => {
                match Upgrade::accept(request, info) {
                    Ok((response, upgrade)) => {
                        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
                        request_log.answered = true;
                        return response;
                    }
                    Err(error) => Err(refused(&request_log.log, error)),
                }
            }
            Some(info) => self.carry_out(request, &info, &mut request_log.log).await,
            None => Err(refused(&request_log.log, RequestError::UnknownHost)),
        };
        request_log.answered = true;
        let response = answer::answer(&result, &id);
        if result.is_err() {
            request_log.log.seen(|| format!("HTTP status {}", response.status()));
        }
        response
    }

    /// Carries out a publish or a call about a shadow, or refuses a request that is neither of them nor an upgrade. The value is
    /// the body of the answer to a call.
    ///
    /// Refused requests count for the rate too, because the authorizer may be asked about them *(guess: 100 HTTPS publishes a
    /// second)*.
    async fn carry_out(
        &self,
        request: Request<Incoming>,
        info: &ConnectionInfo,
        log: &mut ConnectionLog,
    ) -> Result<Option<Bytes>, RequestError> {
        if let Some(rate) = self.shared.settings.quotas.publishes_per_second {
            let now = self.shared.clock.now();
            let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            if !requests.try_take(rate, now) {
                let error = LimitError::Requests(rate);
                log.publish_throttled(None, &error);
                return Err(RequestError::Throttled(error));
            }
        }
        let path = request.uri().path();
        if let Some(call) =
            ShadowCall::read(request.method(), request.uri()).filter(|_| allowed(info).publish)
        {
            let call = call.map_err(|error| refused(log, error))?;
            return shadows::call(call, request, self, info, log).await.map(Some);
        }
        let receiver = path.strip_prefix(CONNECTIONS_PATH).and_then(|rest| rest.strip_suffix(MESSAGES_PATH));
        if let Some(receiver) = receiver.filter(|_| allowed(info).publish && request.method() == Method::POST)
        {
            let receiver = receiver.to_owned();
            return direct_message::send(&receiver, request, self, info, log).await.map(|()| None);
        }
        let error = match (request.method(), path.starts_with(TOPICS_PATH), path) {
            (_, true, _) if !allowed(info).publish => RequestError::PublishNotAllowed,
            (&Method::POST, true, _) => {
                return publish::publish(request, self, info, log).await.map(|()| None);
            }
            (_, true, _) => RequestError::Method("POST"),
            (_, _, WEBSOCKET_PATH) if !allowed(info).websocket => RequestError::WebSocketNotAllowed,
            (_, _, WEBSOCKET_PATH) => RequestError::Method("GET"),
            _ => RequestError::NotFound,
        };
        Err(refused(log, error))
    }
}

impl Upgrade {
    /// Accepts an upgrade to WebSocket (RFC 6455 section 4.2; MQTT 5 section 6).
    fn accept(
        mut request: Request<Incoming>,
        info: ConnectionInfo,
    ) -> Result<(Response<Body>, Self), RequestError> {
        if !allowed(&info).websocket {
            return Err(RequestError::WebSocketNotAllowed);
        }
        let stream = hyper::upgrade::on(&mut request);
        let mut response = create_response_with_body(&request, Body::default).map_err(|error| {
            RequestError::Malformed(format!("this is not a WebSocket's upgrade: {error}"))
        })?;
        let (parts, _) = request.into_parts();
        let offered =
            parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
        if !offered.flat_map(|value| value.split(',')).any(|name| name.trim() == SUBPROTOCOL) {
            let details =
                format!("the WebSocket's subprotocol (Sec-WebSocket-Protocol) should be `{SUBPROTOCOL}`");
            return Err(RequestError::Malformed(details));
        }
        let request =
            HttpRequest::read(&parts).map_err(|error| RequestError::Malformed(error.to_string()))?;
        debug_assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        Ok((response, Self { stream, request, info }))
    }

    /// The WebSocket; `None` if the client has gone.
    async fn finish(self) -> Option<Upgraded> {
        let parts = self.stream.await.ok()?.downcast::<TokioIo<HttpStream>>().ok()?;
        let stream = websocket::upgraded(parts.io.into_inner(), parts.read_buf.to_vec()).await;
        Some(Upgraded { stream, request: self.request, info: self.info })
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        if !self.answered {
            self.log.publish_refused("the client closed before it was answered".to_owned());
        }
    }
}

impl ClockTimer {
    fn new(clock: Clock) -> Self {
        Self { moment: clock.now(), clock, began: Instant::now() }
    }
}

impl Timer for ClockTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let (clock, moment) = (self.clock.clone(), self.clock.now() + duration);
        Box::pin(Wait(Box::pin(async move { clock.sleep_until(moment).await })))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> Instant {
        self.began + (self.clock.now() - self.moment)
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl Sleep for Wait {}

/// What the requests of a connection may ask for.
fn allowed(info: &ConnectionInfo) -> Http {
    match info.protocol {
        Protocol::Http(allowed) => allowed,
        Protocol::Mqtt => Http { websocket: false, publish: false },
    }
}

fn refused(log: &ConnectionLog, error: RequestError) -> RequestError {
    log.connect_refused("CLIENT_ERROR", error.details());
    error
}

/// The details of a connection's end for the log; `None` if the connection was only idle.
fn describe(error: &hyper::Error, any: bool) -> Option<String> {
    if error.is_parse_too_large() {
        let kib = MAX_HEAD_BYTES / 1_024;
        return Some(format!("the request line and headers are larger than {kib} KiB, or more than 100"));
    }
    if error.is_parse() {
        return Some("the client did not send an HTTP/1.1 request".to_owned());
    }
    if any {
        return None;
    }
    let timeout = error.is_timeout();
    Some(if timeout {
        format!("no HTTP request within {HEAD_TIMEOUT:?}")
    } else {
        "the connection ended inside its first request".to_owned()
    })
}
