//! `SendDirectMessage`.
//!
//! Source: API reference, `API_iotdata_SendDirectMessage`.

use serde_json::json;
use uuid::Uuid;

use crate::{
    api::{Api, answer::Answer, error::ApiError, input::Input, text::Text},
    direct_message::{DirectFault, DirectRequest},
};

/// `SendDirectMessage`.
///
/// # Errors
///
/// When the client does not get the message, or does not acknowledge it in time.
pub async fn send(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let client_id = input.path("clientId", &Text::ANY)?;
    let quotas = &api.shared.settings.quotas;
    let request = DirectRequest::read(&client_id, &input.query, &input.headers, input.body.clone(), quotas)?;
    request.send(&api.shared).await?;
    Ok(json!({"message": "OK", "traceId": Uuid::new_v4().to_string()}).into())
}

impl From<DirectFault> for ApiError {
    fn from(fault: DirectFault) -> Self {
        Self::of_status(fault.status(), fault.to_string())
    }
}
