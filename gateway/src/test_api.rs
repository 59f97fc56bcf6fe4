//! Faults on demand and a clock that a test moves, for test suites in any language: `--test-api`.
//!
//! It is off unless the gateway was started with it, and is served on the status port, on loopback only. A request has to
//! name this machine in `Host`, may not come from a web page (`Origin`), and has JSON as its body.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Request, State, rejection::JsonRejection},
    http::{StatusCode, header::ORIGIN},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    client_records::{ConnectionRecord, ConnectionRequest},
    custom_auth::http_request::is_for_this_machine,
    lambda::injected_fault::{FunctionFailure, FunctionFaults},
    shared::Shared,
};

/// The path of the API on the status port.
pub const PATH: &str = "/test/v1";

/// The longest step of the clock: a year, so that no sum of steps in a test leaves the range of times.
const MAX_STEP: Duration = Duration::from_hours(366 * 24);

/// The faults in force.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Faults {
    /// The next CONNECTs that are refused as above a quota.
    throttled_connects: u32,
    /// By how many milliseconds each call of a function takes longer.
    function_delay_ms: u64,
    /// How each call of a function fails.
    function_failure: Option<FunctionFailure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Step {
    #[serde(default)]
    seconds: u64,
    #[serde(default)]
    milliseconds: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Named {
    client_id: String,
}

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

/// The routes of the API.
pub fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(state))
        .route("/clock/advance", post(advance))
        .route("/faults", get(faults).put(set_faults).delete(clear_faults))
        .route("/connections/cut", post(cut))
        .route("/connections/refresh", post(refresh))
        .fallback(async || {
            refused(StatusCode::NOT_FOUND, "the test API has no such operation; docs/testing.md lists them")
        })
        .layer(from_fn(only_programs_of_this_machine))
        .with_state(shared)
}

async fn only_programs_of_this_machine(request: Request, next: Next) -> Response {
    if !is_for_this_machine(request.headers()) {
        let details = "the Host header has to be localhost, 127.0.0.1 or [::1]";
        return refused(StatusCode::MISDIRECTED_REQUEST, details).into_response();
    }
    if request.headers().contains_key(ORIGIN) {
        return refused(StatusCode::FORBIDDEN, "a web page may not use the test API").into_response();
    }
    next.run(request).await
}

async fn state(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let now = shared.clock.now();
    Json(json!({"now": shared.clock.epoch().unix_millis(now), "faults": faults_of(&shared)}))
}

/// Moves the clock. Every timer whose time comes with that has come when the answer is read, and what follows from it is on
/// its way.
async fn advance(State(shared): State<Arc<Shared>>, step: Result<Json<Step>, JsonRejection>) -> Answer {
    let Step { seconds, milliseconds } = body(step)?;
    let by = Duration::from_secs(seconds).saturating_add(Duration::from_millis(milliseconds));
    if by > MAX_STEP {
        return Err(refused(StatusCode::BAD_REQUEST, "the clock moves by up to 366 days at a time"));
    }
    if !shared.clock.advance(by) {
        return Err(refused(StatusCode::CONFLICT, "this gateway's clock can't be moved"));
    }
    let now = shared.clock.now();
    Ok(Json(json!({"now": shared.clock.epoch().unix_millis(now)})))
}

async fn faults(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!(faults_of(&shared)))
}

async fn set_faults(
    State(shared): State<Arc<Shared>>,
    wanted: Result<Json<Faults>, JsonRejection>,
) -> Answer {
    let Faults { throttled_connects, function_delay_ms, function_failure } = body(wanted)?;
    shared.account_rates.refuse_connects(throttled_connects);
    shared.function_faults.set(FunctionFaults { delay_ms: function_delay_ms, failure: function_failure });
    Ok(Json(json!(faults_of(&shared))))
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.account_rates.refuse_connects(0);
    shared.function_faults.set(FunctionFaults::default());
    Json(json!(faults_of(&shared)))
}

/// Ends a connection without a DISCONNECT, as when the client's link breaks.
async fn cut(State(shared): State<Arc<Shared>>, named: Result<Json<Named>, JsonRejection>) -> Answer {
    connection(&shared, &body(named)?)?.request(ConnectionRequest::Cut);
    Ok(Json(json!({})))
}

/// Lets a connection ask its authorizer again now.
async fn refresh(State(shared): State<Arc<Shared>>, named: Result<Json<Named>, JsonRejection>) -> Answer {
    connection(&shared, &body(named)?)?.request(ConnectionRequest::Refresh);
    Ok(Json(json!({})))
}

fn connection(shared: &Shared, named: &Named) -> Result<Arc<ConnectionRecord>, (StatusCode, Json<Value>)> {
    let found = shared.clients.of(&named.client_id, shared.clock.now());
    let open = found.filter(|(_, end)| end.is_none()).map(|(record, _)| record);
    open.ok_or_else(|| refused(StatusCode::NOT_FOUND, "no client with this `clientId` is connected"))
}

fn faults_of(shared: &Shared) -> Faults {
    let FunctionFaults { delay_ms, failure } = shared.function_faults.get();
    Faults {
        throttled_connects: shared.account_rates.connects_to_refuse(),
        function_delay_ms: delay_ms,
        function_failure: failure,
    }
}

fn body<T>(read: Result<Json<T>, JsonRejection>) -> Result<T, (StatusCode, Json<Value>)> {
    match read {
        Ok(Json(value)) => Ok(value),
        Err(rejection) => Err(refused(rejection.status(), &rejection.body_text())),
    }
}

fn refused(status: StatusCode, message: &str) -> (StatusCode, Json<Value>) {
    (status, Json(json!({"message": message})))
}
