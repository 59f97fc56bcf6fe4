//! `TestInvokeAuthorizer`.
//!
//! Source: API reference, `API_TestInvokeAuthorizer`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use iot_policy::limits::{MAX_TOKEN_LENGTH, MAX_TOKEN_SIGNATURE_LENGTH};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::authorizers;
use crate::{
    api::{
        Api,
        answer::Answer,
        error::ApiError,
        input::{Input, Members, constraint_error},
        text::Text,
    },
    custom_auth::{
        event::{Contexts, HttpContext, MqttContext},
        test_invocation::{self, TestError, TestInvocation},
    },
};

const TOKEN: Text = Text { min: 1, max: MAX_TOKEN_LENGTH, ..Text::ANY };
const SIGNATURE: Text = Text { min: 1, max: MAX_TOKEN_SIGNATURE_LENGTH, ..Text::ANY };
const HEADER: Text = Text { min: 1, max: 8_192, ..Text::ANY };
const QUERY_STRING: Text = Text { min: 1, max: 4_096, ..Text::ANY };
const WIRE_FIELD: Text = Text { min: 1, max: 65_535, ..Text::ANY };
const SERVER_NAME: Text = Text { min: 1, max: 253, ..Text::ANY };

/// `TestInvokeAuthorizer`.
///
/// # Errors
///
/// When a member does not meet its constraints, there is no such authorizer, or AWS would not accept the function's answer.
pub async fn invoke(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let invocation = invocation(&input.members()?)?;
    let authorizer = authorizers::of_path(api, input)?;
    let id = Uuid::new_v4().to_string();
    match test_invocation::invoke(&authorizer, &invocation, &id).await {
        Ok(answer) => Ok(json!({
            "isAuthenticated": answer.is_authenticated, "principalId": answer.principal_id,
            "policyDocuments": answer.policy_documents, "refreshAfterInSeconds": answer.refresh_after,
            "disconnectAfterInSeconds": answer.disconnect_after,
        })
        .into()),
        Err(TestError::Request(message)) => Err(ApiError::invalid_request_with(message)),
        Err(TestError::Response(message)) => Err(ApiError::invalid_response(message)),
    }
}

fn invocation(members: &Members) -> Result<TestInvocation, ApiError> {
    let signature = members.text("tokenSignature", &SIGNATURE)?;
    if signature.as_deref().is_some_and(|signature| !is_base64(signature)) {
        let pattern = "Member must satisfy regular expression pattern: [A-Za-z0-9+/]+={0,2}";
        return Err(constraint_error("tokenSignature", pattern));
    }
    let tls = members.structure("tlsContext")?;
    let tls = tls.map(|tls| tls.text("serverName", &SERVER_NAME)).transpose();
    Ok(TestInvocation {
        token: members.text("token", &TOKEN)?.map(Zeroizing::new),
        token_signature: signature.map(Zeroizing::new),
        contexts: Contexts {
            tls: tls.map_err(|error| error.inside("tlsContext"))?,
            http: members.structure("httpContext")?.as_ref().map(http).transpose()?,
            mqtt: members.structure("mqttContext")?.as_ref().map(mqtt).transpose()?,
        },
    })
}

fn http(context: &Members) -> Result<HttpContext, ApiError> {
    let inside = |error: ApiError| error.inside("httpContext");
    let headers = context.map("headers", &HEADER, &HEADER).map_err(inside)?.unwrap_or_default();
    let query_string = context.text("queryString", &QUERY_STRING).map_err(inside)?;
    let headers = headers.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect();
    Ok(HttpContext { headers, query_string: query_string.map(Zeroizing::new) })
}

fn mqtt(context: &Members) -> Result<MqttContext, ApiError> {
    let inside = |error: ApiError| error.inside("mqttContext");
    let password = context.text("password", &Text::ANY).map_err(inside)?.map(Zeroizing::new);
    if password.as_deref().is_some_and(|password| STANDARD.decode(password.as_str()).is_err()) {
        return Err(ApiError::serialization("'password' has to be base64"));
    }
    Ok(MqttContext {
        user_name: context.text("username", &WIRE_FIELD).map_err(inside)?.map(Zeroizing::new),
        password,
        client_id: context.text("clientId", &WIRE_FIELD).map_err(inside)?,
    })
}

/// Whether a text satisfies AWS's pattern, `[A-Za-z0-9+/]+={0,2}`.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    !digits.is_empty()
        && text.len() - digits.len() <= 2
        && digits.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b))
}
