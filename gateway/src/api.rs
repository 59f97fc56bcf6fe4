//! AWS's own APIs on one port of this machine, so that the AWS CLI, the SDKs and `latchkey fleet` work with only their
//! endpoint changed.
//!
//! A request is for the service that its signature names. It passes through [`signature`], which checks it against the
//! gateway's [`key`]; [`router`], which has every operation of AWS's once; and the operation's function in [`control`] or [`data`],
//! which reads its [`input`] and answers with an [`answer`] or an [`error`]. The port is open to this machine only, and not to web
//! pages: a foreign `Host` and any `Origin` are refused.

pub mod answer;
pub mod control;
pub mod data;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
pub mod error;
pub mod input;
pub mod key;
pub mod page;
pub mod router;
pub mod signature;
pub mod text;

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::ORIGIN,
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use time::OffsetDateTime;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::task::TaskTracker;

use self::{
    answer::Answer,
    error::ApiError,
    input::Input,
    key::AccessKey,
    router::Service,
    signature::{Signature, SignatureError},
};
use crate::{
    certificate::Authority,
    clock::Moment,
    custom_auth::http_request::is_for_this_machine,
    gateway::Addresses,
    registry::{Kind, store::RegistryStore},
    shared::Shared,
};

/// Open connections to the port; the next one waits.
const MAX_CONNECTIONS: usize = 256;
/// The request line and the headers of one request, in bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// How long the headers of a request may take, counted from the end of the request before it.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The bytes of a body. The largest that an operation needs is a message of 128 KiB.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The bytes of a body for DynamoDB: 16 MB in one `BatchWriteItem` (DynamoDB API reference), and its JSON around them.
const MAX_DYNAMODB_BODY_BYTES: usize = 20 * 1024 * 1024;
/// The name of DynamoDB in a signature's scope.
const DYNAMODB: &str = "dynamodb";
/// The header that names an operation of DynamoDB's.
const TARGET: &str = "x-amz-target";
/// The bytes that are read of a body that is too large, so that its client reads the answer.
const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;
/// The pause after a connection could not be accepted, for example because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the operations use.
pub struct Api {
    /// What connections and operations share.
    pub shared: Arc<Shared>,
    /// The registry.
    pub registry: Arc<RegistryStore>,
    /// The key that signs requests.
    pub key: AccessKey,
    /// Where the gateway listens.
    pub addresses: Addresses,
    /// The CA that issues certificates.
    pub authority: Arc<Authority>,
    /// DynamoDB.
    #[cfg(feature = "dynamodb")]
    pub tables: dynamodb::Emulator,
}

/// Answers requests until the gateway stops.
pub async fn serve(listener: TcpListener, api: Arc<Api>) {
    let (permits, connections) = (Arc::new(Semaphore::new(MAX_CONNECTIONS)), TaskTracker::new());
    let stopping = api.shared.stopping.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                // The semaphore is never closed.
                let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
                let api = Arc::clone(&api);
                connections.spawn(async move {
                    serve_connection(stream, api).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection to the API port");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

async fn serve_connection(stream: TcpStream, api: Arc<Api>) {
    let (stopping, cut_off) = (api.shared.stopping.clone(), api.shared.cut_off.clone());
    let service = service_fn(move |request| {
        let api = Arc::clone(&api);
        async move { Ok::<_, Infallible>(api.respond(request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // An error is the client's: it has gone, or does not speak HTTP.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection => {}
        () = cut_off.cancelled() => {}
    }
}

impl Api {
    /// The response to a request. A body is read to its end even if the request is refused, or its client could be cut off
    /// before it reads why.
    async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let admitted = self.admit(&parts);
        let max = match &admitted {
            Ok(signature) if signature.service == DYNAMODB => MAX_DYNAMODB_BODY_BYTES,
            Ok(_) => MAX_BODY_BYTES,
            Err(_) => 0,
        };
        let is_json_protocol = parts.headers.contains_key(TARGET);
        let outcome = match (admitted, read(body, max).await) {
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            // A call is carried out to its end even if its client goes: half of one would leave the registry and what is in force
            // apart.
            (Ok(signature), Ok(body)) => {
                tokio::spawn(async move { self.carry_out(&signature, parts, body).await })
                    .await
                    .unwrap_or_else(|_| Err(ApiError::internal_failure()))
            }
        };
        answer::response(if is_json_protocol {
            outcome.map_err(ApiError::for_json_protocol)
        } else {
            outcome
        })
    }

    /// Checks what can be checked without the body.
    fn admit(&self, parts: &Parts) -> Result<Signature, ApiError> {
        // A web page's own name may have been made to point here (DNS rebinding).
        if !is_for_this_machine(&parts.headers) {
            return Err(ApiError::forbidden("the Host header has to be localhost, 127.0.0.1 or [::1]"));
        }
        if parts.headers.contains_key(ORIGIN) {
            return Err(ApiError::forbidden("web pages can't use this port"));
        }
        let region = &self.shared.settings.account.region;
        Ok(Signature::read(&parts.headers, &self.key, region, self.now())?)
    }

    async fn carry_out(&self, signature: &Signature, parts: Parts, body: Bytes) -> Result<Answer, ApiError> {
        signature.verify(&parts.method, &parts.uri, &parts.headers, &body, &self.key)?;
        if signature.service == DYNAMODB {
            return self.dynamodb(&parts, body).await;
        }
        let service = Service::of_scope(&signature.service).ok_or_else(|| {
            SignatureError::Scope(
                "Credential should be scoped to correct service: 'iot', 'iotdata' or 'dynamodb'.".to_owned(),
            )
        })?;
        let (operation, path) =
            service.find(&parts.method, parts.uri.path()).ok_or_else(ApiError::unknown_operation)?;
        let handler = operation.handler.ok_or_else(|| ApiError::not_implemented(operation.name))?;
        let query = parts.uri.query().unwrap_or_default().to_owned();
        handler(self, &Input { path, query, headers: parts.headers, body }).await
    }

    #[cfg(feature = "dynamodb")]
    async fn dynamodb(&self, parts: &Parts, body: Bytes) -> Result<Answer, ApiError> {
        self.tables.answer(parts.headers.get(TARGET).and_then(|target| target.to_str().ok()), body).await
    }

    #[cfg(not(feature = "dynamodb"))]
    #[expect(clippy::unused_async, reason = "it waits where there is a database")]
    async fn dynamodb(&self, _: &Parts, _: Bytes) -> Result<Answer, ApiError> {
        Err(ApiError::not_implemented("DynamoDB, without which this program was built,"))
    }

    /// The ARN of an entry of the registry.
    #[must_use]
    pub fn arn(&self, kind: Kind, name: &str) -> String {
        self.shared.settings.account.iot_arn(kind.resource(), name)
    }

    /// A moment, in milliseconds since 1970.
    #[must_use]
    pub fn millis(&self, moment: Moment) -> i64 {
        self.shared.clock.epoch().unix_millis(moment)
    }

    fn now(&self) -> OffsetDateTime {
        let millis = self.millis(self.shared.clock.now());
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// A body of up to `max` bytes.
async fn read(mut body: Incoming, max: usize) -> Result<Bytes, ApiError> {
    let mut bytes = Vec::new();
    let mut discarded = 0;
    let read = async {
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map(|frame| frame.into_data().unwrap_or_default()) else { return false };
            if discarded == 0 && bytes.len() + data.len() <= max {
                bytes.extend_from_slice(&data);
            } else {
                discarded += data.len();
            }
            if discarded > MAX_DISCARDED_BYTES {
                return true;
            }
        }
        true
    };
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(true) if discarded == 0 => Ok(bytes.into()),
        Ok(true) => Err(ApiError::too_large(max)),
        _ => Err(ApiError::serialization("the body did not come as a whole")),
    }
}

/// Writes `api.json`, and returns what the port needs.
///
/// # Errors
///
/// When the file can't be read or written.
pub fn open(
    shared: Arc<Shared>,
    registry: Arc<RegistryStore>,
    addresses: Addresses,
    address: SocketAddr,
    authority: Arc<Authority>,
) -> anyhow::Result<Api> {
    let settings = &shared.settings;
    let key = key::ApiFile::update(&settings.data, address, &settings.account.region)?.key;
    #[cfg(feature = "dynamodb")]
    let tables = dynamodb::Emulator::new(&settings.data);
    Ok(Api {
        shared,
        registry,
        key,
        addresses,
        authority,
        #[cfg(feature = "dynamodb")]
        tables,
    })
}
