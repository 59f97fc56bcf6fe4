//! The deployed authorizer's answer to the same event, and where it differs (`TestInvokeAuthorizer`).

use std::{fmt::Write as _, path::Path};

use anyhow::Context as _;
use aws_sdk_iot::{
    Client,
    primitives::Blob,
    types::{HttpContext, MqttContext},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cli::{console::wrapped, output::escaped};
use device_auth::{
    device_name::DeviceName,
    event::{Event, MqttData, ProtocolData},
};
use device_sim::{Authorizer, Deployment, credentials_file};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{INDENT, event::Trace};
use crate::{
    args::ExplainArgs,
    aws::{self, call_error, is_bare_refusal},
    evaluation::outcome,
};

/// The answer that AWS reports.
#[derive(Default)]
struct Answer {
    is_authenticated: bool,
    principal_id: Option<String>,
    refresh: Option<i32>,
    disconnect: Option<i32>,
    documents: Vec<Value>,
}

/// Two answers to one event.
pub(super) struct Compared {
    authorizer: String,
    is_authenticated: bool,
    /// What differs, with the text of each side.
    differences: Vec<(&'static str, String, String)>,
}

/// The event of a device that connects with the password of the file.
///
/// # Errors
///
/// When the file can't be read, or has no such device.
pub(super) fn event_of(args: &ExplainArgs, device: &DeviceName) -> anyhow::Result<Event> {
    let deployment = args.account.deployment.find(Path::new("."))?;
    let path = args.credentials.clone().or_else(|| deployment.as_ref().map(Deployment::credentials_file));
    let path = path.context("`--live` needs the device's password: name its file with `--credentials`")?;
    let rows = credentials_file::read(&path, None)?;
    let row = rows.into_iter().find(|row| row.device == device.as_str());
    let row = row.with_context(|| format!("`{}` has no device `{device}`", path.display()))?;
    let client_id = args.client_id.as_ref().map_or(row.client_id, ToString::to_string);
    let mqtt = MqttData {
        username: Some(Zeroizing::new(row.user_name)),
        password: Some(Zeroizing::new(STANDARD.encode(row.password.expose()))),
        client_id: Some(client_id),
    };
    let protocol_data = Some(ProtocolData { mqtt: Some(mqtt), ..ProtocolData::default() });
    Ok(Event { protocol_data, ..Event::default() })
}

/// Asks the deployed authorizer, and compares its answer with the one that was made here.
///
/// # Errors
///
/// When there is no deployment and no authorizer is named, or AWS can't be asked.
pub(super) async fn compare(args: &ExplainArgs, event: &Event, trace: &Trace) -> anyhow::Result<Compared> {
    let deployment = args.account.deployment.find(Path::new("."))?;
    let region = args.account.region.as_deref().or(deployment.as_ref().map(|it| it.region.as_str()));
    let deployed = deployment.as_ref().map(|deployment| &deployment.authorizer);
    let authorizer = args.authorizer.as_ref().or(deployed).context(
        "there is no deployment to ask: name one with `--outputs FILE`, or name an authorizer with `--authorizer`",
    )?;
    let aws = aws::configuration(region, aws::BRIEF).await?;
    let live = invoke(&Client::new(&aws), authorizer, event).await?;
    let ours = ours(trace)?;
    let mut differences = Vec::new();
    let mut differ = |name, here: String, there: String| {
        if here != there {
            differences.push((name, here, there));
        }
    };
    differ("isAuthenticated", ours.is_authenticated.to_string(), live.is_authenticated.to_string());
    // A refusal's principal and documents mean nothing.
    if ours.is_authenticated && live.is_authenticated {
        differ("principalId", shown(ours.principal_id), shown(live.principal_id));
        differ("refreshAfterInSeconds", shown(ours.refresh), shown(live.refresh));
        differ("disconnectAfterInSeconds", shown(ours.disconnect), shown(live.disconnect));
        let most = ours.documents.len().max(live.documents.len());
        for index in 0..most {
            let text = |documents: &[Value]| shown(documents.get(index));
            differ("policyDocuments", text(&ours.documents), text(&live.documents));
        }
    }
    Ok(Compared { authorizer: authorizer.to_string(), is_authenticated: live.is_authenticated, differences })
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn ours(trace: &Trace) -> anyhow::Result<Answer> {
    let Ok(allowed) = &trace.result else { return Ok(Answer::default()) };
    Ok(Answer {
        is_authenticated: true,
        principal_id: Some(allowed.principal_id.clone()),
        refresh: i32::try_from(allowed.timers.refresh_after.get()).ok(),
        disconnect: i32::try_from(allowed.timers.disconnect_after.get()).ok(),
        documents: allowed.documents.iter().map(serde_json::to_value).collect::<Result<_, _>>()?,
    })
}

async fn invoke(client: &Client, authorizer: &Authorizer, event: &Event) -> anyhow::Result<Answer> {
    let mut call = client.test_invoke_authorizer().authorizer_name(authorizer.to_string());
    if let Some(token) = &event.token {
        call = call.token(token.as_str());
    }
    let data = event.protocol_data.as_ref();
    if let Some(mqtt) = data.and_then(|data| data.mqtt.as_ref()) {
        let password = mqtt.password.as_ref().map(|text| STANDARD.decode(text.as_bytes())).transpose();
        let password = password.context("the event's password is not base64")?.map(Blob::new);
        let context = MqttContext::builder().set_client_id(mqtt.client_id.clone()).set_password(password);
        let user_name = mqtt.username.as_ref().map(|name| name.as_str().to_owned());
        call = call.mqtt_context(context.set_username(user_name).build());
    }
    if let Some(http) = data.and_then(|data| data.http.as_ref()) {
        let query = http.query_string.as_ref().map(|query| query.as_str().to_owned());
        let mut context = HttpContext::builder().set_query_string(query);
        for (name, value) in http.headers.iter().flatten() {
            context = context.headers(name, value.as_str());
        }
        call = call.http_context(context.build());
    }
    let answer = match call.send().await {
        Ok(answer) => answer,
        Err(error) if is_bare_refusal(&error) => return Ok(Answer::default()),
        Err(error) => return Err(call_error(&error, "iot:TestInvokeAuthorizer")),
    };
    let documents = answer.policy_documents().iter().map(|text| serde_json::from_str(text));
    Ok(Answer {
        is_authenticated: answer.is_authenticated() == Some(true),
        principal_id: answer.principal_id().map(str::to_owned),
        refresh: answer.refresh_after_in_seconds(),
        disconnect: answer.disconnect_after_in_seconds(),
        documents: documents
            .collect::<Result<_, _>>()
            .context("the live answer has a document that is not JSON")?,
    })
}

impl Compared {
    pub(super) fn json(&self) -> Value {
        let differences = self.differences.iter();
        let differences =
            differences.map(|(name, here, live)| json!({"field": name, "here": here, "live": live}));
        json!({
            "authorizer": self.authorizer, "is_authenticated": self.is_authenticated,
            "differences": differences.collect::<Value>(),
        })
    }

    pub(super) fn text(&self) -> String {
        let Self { authorizer, is_authenticated, differences } = self;
        let answer = outcome(*is_authenticated);
        let same = if differences.is_empty() { ", as here" } else { "; it differs:" };
        let mut text = format!("{:<INDENT$}{answer} by the authorizer `{authorizer}`{same}\n", "live");
        for (name, here, live) in differences {
            _ = writeln!(text, "  {name}");
            for (side, value) in [("here", here), ("live", live)] {
                let line = format!("    {side:<7}{}", escaped(value));
                text.push_str(&wrapped(INDENT, &line));
                text.push('\n');
            }
        }
        text
    }
}
