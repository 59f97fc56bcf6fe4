//! `/healthz`, `/readyz`, `/metrics` and `/client-ids`, for a script or a Prometheus on this machine.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::shared::Shared;
use crate::tls;

/// The text format of `OpenMetrics` 1.0, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers requests until the bridge stops.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let stopping = shared.stopping.clone();
    let routes = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/client-ids", get(client_ids))
        .layer(from_fn(only_from_here))
        .with_state(shared);
    let served = axum::serve(listener, routes).with_graceful_shutdown(stopping.cancelled_owned());
    if let Err(error) = served.await {
        tracing::warn!(%error, "the status port has failed");
    }
}

/// Refuses a request for another host than this machine, so that a web page can't read the answers after its own name was
/// made to point here (DNS rebinding).
async fn only_from_here(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    if ["localhost", "127.0.0.1", "[::1]"].contains(&name) {
        return next.run(request).await;
    }
    let details = "the Host header has to be localhost, 127.0.0.1 or [::1]\n";
    (StatusCode::MISDIRECTED_REQUEST, details).into_response()
}

/// The process works; what is wrong with its certificate's dates is said.
async fn health(State(shared): State<Arc<Shared>>) -> String {
    let validity = shared.tls.borrow().as_ref().map(|tls| tls.validity);
    let problem = validity.and_then(|validity| Some((validity, validity.problem(tls::now())?)));
    match problem {
        None => "ok\n".to_owned(),
        Some((validity, problem)) => format!("ok\n{}\n", validity.explain(problem).join(": ")),
    }
}

/// Whether AWS can be reached, as far as the last attempt says.
async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match shared.upstream.outage_since() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(since) => {
            let seconds = since.elapsed().as_secs();
            (StatusCode::SERVICE_UNAVAILABLE, format!("AWS can't be reached for {seconds} s\n"))
        }
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match shared.metrics.text(shared.upstream.outage_since().is_some()) {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string())
        }
    }
}

/// The client ids of connected devices that are other ones upstream.
async fn client_ids(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let mapped = shared.sessions.mapped_client_ids();
    let object = mapped.into_iter().map(|(own, upstream)| (own.to_string(), upstream.to_string().into()));
    let body = serde_json::Value::Object(object.collect()).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body)
}
