//! Authorizers: how they do, a test call, and the end of a function's own log.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Answer, CallError, Query};
use crate::{
    custom_auth::{
        admission::DefaultAuthorizer,
        authorizer::AuthorizerName,
        event::{Contexts, HttpContext, MqttContext},
        signing::Signing,
        test_invocation::{self, TestError, TestInvocation},
    },
    event_log::recent::{FunctionRecord, Recent},
    shared::Shared,
};

/// What a person tests an authorizer with. It has no `Debug`, as there are credentials in it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Test {
    authorizer: String,
    client_id: Option<String>,
    user_name: Option<Zeroizing<String>>,
    /// As text.
    password: Option<Zeroizing<String>>,
    server_name: Option<String>,
    query_string: Option<Zeroizing<String>>,
    token: Option<Zeroizing<String>>,
    token_signature: Option<Zeroizing<String>>,
}

/// Every authorizer, with what is known of its calls and its processes.
pub(super) fn list(shared: &Shared, recent: &Recent) -> Value {
    let current = shared.authorizers.current();
    let default = current.default_authorizer().map(DefaultAuthorizer::name);
    let all = current.all().map(|authorizer| {
        let record = recent.function(authorizer.name.as_str());
        let processes = authorizer.function.processes().map(|counts| {
            let running = counts.running.iter().map(|id| json!({"pid": id, "bytes": resident_bytes(*id)}));
            json!({"running": running.collect::<Vec<_>>(), "started": counts.started, "ended": counts.ended})
        });
        json!({
            "name": authorizer.name.as_str(), "status": authorizer.definition.status.as_str(),
            "default": Some(&authorizer.name) == default, "signing": matches!(authorizer.signing, Signing::Enabled(..)),
            "cachingForHttp": authorizer.definition.caching_for_http, "functionArn": authorizer.definition.function_arn,
            "place": authorizer.function.place(), "processes": processes, "calls": record.calls,
            "latency": latency(&record), "lines": record.lines_total,
            "lastError": record.last_error.map(|(at, text)| json!({"at": at, "text": text})),
        })
    });
    json!({"authorizers": all.collect::<Vec<_>>()})
}

/// How long the last calls took, in milliseconds.
fn latency(record: &FunctionRecord) -> Value {
    let mut sorted = record.durations.iter().map(|took| took.as_secs_f64() * 1_000.0).collect::<Vec<_>>();
    sorted.sort_by(f64::total_cmp);
    let at = |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
    let last = record.durations.iter().map(|took| took.as_secs_f64() * 1_000.0).collect::<Vec<_>>();
    json!({"count": sorted.len(), "p50": at(50), "p95": at(95), "max": sorted.last(), "last": last})
}

/// The memory that a process holds, where the system tells.
#[cfg(target_os = "linux")]
fn resident_bytes(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

#[cfg(not(target_os = "linux"))]
fn resident_bytes(_: u32) -> Option<u64> {
    None
}

/// The last lines of a function's own log.
pub(super) fn log(recent: &Recent, query: &Query) -> Value {
    let record = recent.function(query.text("name"));
    let lines = record.lines.iter().map(|line| json!({"at": line.at, "text": line.text}));
    json!({"lines": lines.collect::<Vec<_>>(), "total": record.lines_total})
}

/// Calls an authorizer's function with an event of the form, as AWS's `TestInvokeAuthorizer` does.
pub(super) async fn test(shared: &Shared, test: Test) -> Answer {
    let name = AuthorizerName::try_from(&*test.authorizer).ok();
    let found = name.and_then(|name| shared.authorizers.current().get(&name).cloned());
    let authorizer = found.ok_or_else(|| CallError::not_found("there is no such authorizer"))?;
    let has_mqtt = test.client_id.is_some() || test.user_name.is_some() || test.password.is_some();
    let mqtt = has_mqtt.then(|| MqttContext {
        user_name: test.user_name,
        password: test.password.map(|password| Zeroizing::new(STANDARD.encode(password.as_bytes()))),
        client_id: test.client_id,
    });
    let http = test.query_string.map(|query| {
        let query =
            if query.starts_with('?') { query } else { Zeroizing::new(format!("?{}", query.as_str())) };
        HttpContext { query_string: Some(query), ..HttpContext::default() }
    });
    let invocation = TestInvocation {
        token: test.token,
        token_signature: test.token_signature,
        contexts: Contexts { tls: test.server_name.map(Some), http, mqtt },
    };
    let asked_at = std::time::Instant::now();
    let id = Uuid::new_v4().to_string();
    let answer = test_invocation::invoke(&authorizer, &invocation, &id).await;
    let took = asked_at.elapsed().as_secs_f64() * 1_000.0;
    Ok(match answer {
        Ok(answer) => json!({
            "isAuthenticated": answer.is_authenticated, "principalId": answer.principal_id,
            "policyDocuments": answer.policy_documents, "refreshAfterInSeconds": answer.refresh_after,
            "disconnectAfterInSeconds": answer.disconnect_after, "tookMs": took,
        }),
        Err(TestError::Request(message)) => {
            let message = message.unwrap_or_else(|| "a parameter is absent".to_owned());
            json!({"error": message, "tookMs": took})
        }
        Err(TestError::Response(message)) => json!({"error": message, "tookMs": took}),
    })
}
