//! `/healthz` and `/metrics`, for a script or a Prometheus on this machine; everything else on the port is the console's.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use crate::{console::Console, custom_auth::http_request::is_for_this_machine, shared::Shared, test_api};

/// The text format of `OpenMetrics` 1.0, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers requests until the gateway stops.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, console: Option<Arc<Console>>) {
    let (stopping, cut_off) = (shared.stopping.clone(), shared.cut_off.clone());
    let routes = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/metrics", get(metrics))
        .layer(from_fn(only_from_here))
        .with_state(Arc::clone(&shared));
    let routes =
        if shared.settings.test_api { routes.nest(test_api::PATH, test_api::routes(shared)) } else { routes };
    let routes = match console {
        Some(console) => routes.fallback(move |request: Request| console.respond(request)),
        None => routes,
    };
    let served = axum::serve(listener, routes).with_graceful_shutdown(stopping.cancelled_owned());
    tokio::select! {
        served = served => if let Err(error) = served {
            tracing::warn!(%error, "the status port has failed");
        },
        () = cut_off.cancelled() => {}
    }
}

/// Refuses a request for another host than this machine, so that a web page can't read the answers after its own name was
/// made to point here (DNS rebinding).
async fn only_from_here(request: Request, next: Next) -> Response {
    if is_for_this_machine(request.headers()) {
        return next.run(request).await;
    }
    let details = "the Host header has to be localhost, 127.0.0.1 or [::1]\n";
    (StatusCode::MISDIRECTED_REQUEST, details).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match shared.log.metrics().text(shared.handshakes.taken(), shared.delayed_wills.waiting()) {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}
