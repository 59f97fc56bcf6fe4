//! `/healthz` and `/metrics`, for a script or a Prometheus on this machine.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;

use crate::shared::Shared;

/// The text format of `OpenMetrics` 1.0, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers requests until the gateway stops.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let (stopping, cut_off) = (shared.stopping.clone(), shared.cut_off.clone());
    let routes = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/metrics", get(metrics))
        .with_state(shared);
    let served = axum::serve(listener, routes).with_graceful_shutdown(stopping.cancelled_owned());
    tokio::select! {
        served = served => if let Err(error) = served {
            tracing::warn!(%error, "the status port has failed");
        },
        () = cut_off.cancelled() => {}
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match shared.log.metrics().text(shared.handshakes.taken(), shared.delayed_wills.waiting()) {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}
