//! A connection at the HTTP door: HTTPS publishes, one after the other, or an upgrade to WebSocket.
//!
//! Source: AWS IoT Core developer guide, `http` and `protocols`.

mod answer;
mod cache;
mod publish;
mod timer;
mod upgrade;

use std::{
    convert::Infallible,
    error::Error,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use hyper::{
    Method, Request, Response,
    body::Incoming,
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{
    answer::{Body, Fault},
    cache::Cache,
    timer::ClockTimer,
    upgrade::Upgrade,
};
use super::{log::ConnectionLog, waiting::Waiting, websocket::WebSocket};
use crate::{
    custom_auth::http_request::HttpRequest,
    door::{ConnectionInfo, route::Http},
    handshake_limit::HandshakePermit,
    shared::Shared,
};

/// The connection below HTTP. Its buffer is only for a look at the first byte.
pub(super) type HttpStream = BufReader<TlsStream<TcpStream>>;

/// The request line and the headers of one request, in bytes. hyper itself takes at most 100 headers.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long the headers of a request may take to come, counted from the end of the request before it.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// The first byte of a CONNECT.
const MQTT_CONNECT: u8 = 0x10;

/// How a connection came.
#[derive(Clone, Copy)]
pub(super) struct HttpContext<'a> {
    pub(super) allowed: Http,
    pub(super) info: &'a ConnectionInfo,
    pub(super) peer: SocketAddr,
}

/// What all requests of a connection share.
struct Exchange {
    shared: Arc<Shared>,
    peer: SocketAddr,
    info: ConnectionInfo,
    allowed: Http,
    cache: Cache,
    /// Until a request has shown who the client is.
    permit: Arc<HandshakePermit>,
    denials: Arc<AtomicU32>,
    upgrade: Mutex<Option<Upgrade>>,
    /// Whether a request came that could be read.
    any: AtomicBool,
}

/// Serves requests until the connection ends, or becomes a WebSocket.
pub(super) async fn serve(
    stream: TlsStream<TcpStream>,
    way: HttpContext<'_>,
    permit: Arc<HandshakePermit>,
    log: &ConnectionLog,
    shared: &Arc<Shared>,
) -> Option<(WebSocket, HttpRequest)> {
    let crowded_out = permit.crowded_out();
    let waiting = Waiting { shared, log, crowded_out: &crowded_out };
    let stream = first_byte(stream, &waiting).await?;
    let HttpContext { allowed, info, peer } = way;
    let exchange = Arc::new(Exchange {
        shared: Arc::clone(shared),
        peer,
        info: info.clone(),
        allowed,
        cache: Cache::default(),
        permit,
        denials: Arc::default(),
        upgrade: Mutex::new(None),
        any: AtomicBool::new(false),
    });
    let service = service_fn(|request| {
        let exchange = Arc::clone(&exchange);
        async move { Ok::<_, Infallible>(exchange.answer(request).await) }
    });
    let served = http1::Builder::new()
        .timer(ClockTimer::new(shared.clock.clone()))
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let served = waiting.or_crowded_out(until_stopped(served, &shared.stopping)).await?;
    if let Err(error) = served
        && let Some(details) = describe(&error, exchange.any.load(Ordering::Relaxed))
    {
        log.refused("CLIENT_ERROR", details);
    }
    let upgrade = exchange.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    upgrade.finish().await
}

/// Serves until the client is done, or answers what is under way when the gateway stops.
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

/// Waits for the client to speak, and hears whether it is HTTP at all.
async fn first_byte(stream: TlsStream<TcpStream>, waiting: &Waiting<'_>) -> Option<HttpStream> {
    let mut stream = BufReader::with_capacity(1, stream);
    let details = match waiting.in_time("CLIENT_ERROR", "HTTP request", stream.fill_buf()).await? {
        Ok([MQTT_CONNECT]) => {
            "the client speaks MQTT, and this door takes HTTP: MQTT without a certificate needs ALPN `mqtt` at AWS's port \
             443, or WebSocket; with one it needs AWS's port 8883, or ALPN `x-amzn-mqtt-ca`"
        }
        Ok([_, ..]) => return Some(stream),
        Ok([]) | Err(_) => "the connection ended before its first request",
    };
    waiting.log.refused("CLIENT_ERROR", details.to_owned());
    None
}

impl Exchange {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        self.any.store(true, Ordering::Relaxed);
        let id = Uuid::new_v4().to_string();
        let log = ConnectionLog::of_request(&self.shared, id.clone(), self.peer, &self.info, &self.denials);
        let mut request_log = RequestLog { log, answered: false };
        let log = &mut request_log.log;
        let path = request.uri().path();
        let answer = match (request.method(), path.strip_prefix("/topics/"), path) {
            (_, Some(_), _) if !self.allowed.publish => Err(refused(log, Fault::NoPublish)),
            (_, _, upgrade::PATH) if !self.allowed.websocket => Err(refused(log, Fault::NoWebSocket)),
            (&Method::POST, Some(_), _) => publish::publish(request, self, log).await,
            (_, Some(_), _) => Err(refused(log, Fault::Method("POST"))),
            (&Method::GET, _, upgrade::PATH) => match upgrade::accept(request) {
                Ok((response, upgrade)) => {
                    *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
                    request_log.answered = true;
                    return response;
                }
                Err(fault) => Err(refused(log, fault)),
            },
            (_, _, upgrade::PATH) => Err(refused(log, Fault::Method("GET"))),
            _ => Err(refused(log, Fault::Path)),
        };
        request_log.answered = true;
        answer::answer(&answer, &id)
    }
}

/// The log of a request whose client may go away before the answer.
struct RequestLog {
    log: ConnectionLog,
    answered: bool,
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        if !self.answered {
            self.log.publish_refused("the client closed before it was answered".to_owned());
        }
    }
}

fn refused(log: &ConnectionLog, fault: Fault) -> Fault {
    log.refused("CLIENT_ERROR", fault.details());
    fault
}

/// What the log says about the end of a connection; nothing if it just was not used any more.
fn describe(error: &hyper::Error, any: bool) -> Option<String> {
    if error.is_parse_too_large() {
        return Some("the request line and headers are larger than 16 KiB, or more than 100".to_owned());
    }
    if error.is_parse() {
        return Some("the client did not send an HTTP/1.1 request".to_owned());
    }
    if any {
        return None;
    }
    let timeout = error.is_timeout();
    Some(if timeout {
        format!("no HTTP request within {HEAD_LIMIT:?}")
    } else {
        "the connection ended inside its first request".to_owned()
    })
}
