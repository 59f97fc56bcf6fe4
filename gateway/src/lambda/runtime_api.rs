//! The Lambda Runtime API for one instance.
//!
//! Source: AWS Lambda developer guide, `runtimes-api`.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, State},
    http::{Response, StatusCode, header::CONTENT_TYPE},
    routing::{get, post},
};
use serde::Deserialize;
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::{FunctionFault, MAX_ANSWER_BYTES};

/// One call of the function.
pub struct Invocation {
    /// The request id.
    pub request_id: String,
    /// The event, as JSON.
    pub payload: Bytes,
    /// The deadline, in milliseconds since 1970.
    pub deadline_ms: u128,
    /// Receives the answer.
    pub reply: oneshot::Sender<Answer>,
}

/// The function's answer.
pub enum Answer {
    /// The result, unchanged.
    Response(Bytes),
    /// An error.
    Error(FunctionFault),
}

/// The server's side of an instance.
#[derive(Clone)]
pub struct Exchange(Arc<Shared>);

struct Shared {
    function_arn: String,
    invocations: Mutex<mpsc::Receiver<Invocation>>,
    current: std::sync::Mutex<Option<(String, oneshot::Sender<Answer>)>>,
    ready: watch::Sender<bool>,
}

impl Exchange {
    /// An exchange, and the sender for its calls.
    #[must_use]
    pub fn new(function_arn: String) -> (Self, mpsc::Sender<Invocation>) {
        let (sender, invocations) = mpsc::channel(1);
        let shared = Shared {
            function_arn,
            invocations: Mutex::new(invocations),
            current: std::sync::Mutex::new(None),
            ready: watch::Sender::new(false),
        };
        (Self(Arc::new(shared)), sender)
    }

    /// Waits until the function asks for its first event: its initialisation is done.
    pub async fn ready(&self) {
        // `self` owns the sender, so the wait can't fail.
        _ = self.0.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// The HTTP routes under a path that only the function knows: other users of the machine can reach the port too, and
    /// must neither read an event nor answer one.
    pub fn router(self, secret_path: &str) -> Router {
        Router::new().nest(secret_path, self.open_router())
    }

    /// The HTTP routes at Lambda's own paths, for runtimes that accept only a host and a port.
    pub fn open_router(self) -> Router {
        Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{request_id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{request_id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .layer(DefaultBodyLimit::max(MAX_ANSWER_BYTES))
            .with_state(self)
    }

    fn finish(&self, request_id: &str, answer: Answer) -> StatusCode {
        let mut current = self.0.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match current.take_if(|(id, _)| id == request_id) {
            Some((_, reply)) => {
                // The caller may have given up; that is not the function's error.
                _ = reply.send(answer);
                StatusCode::ACCEPTED
            }
            None => StatusCode::BAD_REQUEST,
        }
    }
}

async fn next(State(exchange): State<Exchange>) -> Result<Response<Body>, StatusCode> {
    let shared = &exchange.0;
    // One function asks, one event at a time.
    let mut invocations = shared.invocations.try_lock().map_err(|_| StatusCode::CONFLICT)?;
    shared.ready.send_replace(true);
    let invocation = invocations.recv().await.ok_or(StatusCode::GONE)?;
    let response = Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .header("Lambda-Runtime-Aws-Request-Id", &invocation.request_id)
        .header("Lambda-Runtime-Deadline-Ms", invocation.deadline_ms.to_string())
        .header("Lambda-Runtime-Invoked-Function-Arn", &shared.function_arn)
        .body(Body::from(invocation.payload))
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let mut current = shared.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *current = Some((invocation.request_id, invocation.reply));
    Ok(response)
}

async fn response(
    State(exchange): State<Exchange>,
    Path(request_id): Path<String>,
    body: Bytes,
) -> StatusCode {
    exchange.finish(&request_id, Answer::Response(body))
}

async fn error(State(exchange): State<Exchange>, Path(request_id): Path<String>, body: Bytes) -> StatusCode {
    exchange.finish(&request_id, Answer::Error(function_fault(&body)))
}

/// The process ends after this by itself, and its end is reported.
async fn init_error() -> StatusCode {
    StatusCode::ACCEPTED
}

/// A function's error.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ReportedError {
    error_type: String,
    error_message: String,
}

/// The error that a function reports. Its type is kept if it looks like one.
pub(super) fn function_fault(body: &[u8]) -> FunctionFault {
    let plain = |text: &str| {
        text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
    };
    let ReportedError { error_type, error_message } = serde_json::from_slice(body).unwrap_or_default();
    let error_type = Some(error_type).filter(|text| !text.is_empty() && plain(text));
    FunctionFault {
        error_type: error_type.unwrap_or_else(|| "an error without a type".to_owned()),
        message: error_message,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::lambda::InvokeError;

    async fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn runtime_api_without_the_secret_path_is_not_found() {
        let (exchange, invocations) = Exchange::new("arn".to_owned());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, exchange.router("/secret")).await });
        let (reply, _answer) = oneshot::channel();
        let (request_id, payload) = ("id".to_owned(), Bytes::from_static(b"the event"));
        invocations.send(Invocation { request_id, payload, deadline_ms: 0, reply }).await.unwrap();
        for path in ["/2018-06-01/runtime/invocation/next", "/guess/2018-06-01/runtime/invocation/next", "/"]
        {
            let answer = get(address, path).await;
            assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("the event"), "{answer}");
        }
        assert!(get(address, "/secret/2018-06-01/runtime/invocation/next").await.contains("the event"));
    }

    #[test]
    fn error_type_is_kept_only_if_it_looks_like_one() {
        let fault = function_fault(br#"{"errorType":"store_fault","errorMessage":"hunter2"}"#);
        assert_eq!((&*fault.error_type, &*fault.message), ("store_fault", "hunter2"));
        let error = InvokeError::Function(fault);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        for body in [&b""[..], b"hunter2", br#"{"errorType":"a b"}"#, br#"{"errorType":7}"#] {
            assert_eq!(function_fault(body).error_type, "an error without a type");
        }
    }
}
