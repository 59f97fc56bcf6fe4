//! `latchkey fleet explain`: says why a device may do something or may not.
//!
//! [`event`] makes the authorizer's steps one by one, and [`live`] asks the deployed authorizer about the same event.

mod event;
#[cfg(feature = "aws")]
mod live;

use std::{fmt::Write as _, time::SystemTime};

use anyhow::Context as _;
use cli::console::{Console, wrapped};
use device_auth::{
    binding::{self, PersistentSession},
    client_id::ClientId,
    credential,
    deny_reason::DenyReason,
    device_name::DeviceName,
    event::Event,
    policy::{DocumentPreview, Values},
    record::Record,
    store::snapshot::Snapshot,
    time::UnixTime,
};
use serde::Serialize;
use serde_json::{Value, json};

use self::event::Verification;
use crate::{
    account::Account,
    args::ExplainArgs,
    evaluation::{self, Asked, Evaluation},
    inspect,
};

/// Where the second column begins.
const INDENT: usize = 11;

/// Where and when the decision is made.
#[derive(Clone, Copy)]
struct Moment<'a> {
    account: &'a Account,
    now: UnixTime,
}

/// What `explain` found, to be printed.
struct Explanation {
    is_allowed: bool,
    json: Value,
    text: String,
}

/// Prints the explanation, and returns whether the device is allowed what it asks for.
///
/// # Errors
///
/// When nothing can be said: the record, the event or the answer of AWS can't be read.
pub async fn run(args: &ExplainArgs, records: Snapshot, console: &mut Console<'_>) -> anyhow::Result<bool> {
    let account = Account::find(&args.account)?;
    let now = UnixTime::from(args.at.unwrap_or_else(SystemTime::now));
    let moment = Moment { account: &account, now };
    let explanation = match (event(args)?, &args.device) {
        (Some(event), _) => of_event(args, &event, &records, moment).await?,
        (None, Some(device)) => of_device(args, device, &records, moment)?,
        (None, None) => anyhow::bail!("name a device with `--device`, or an event with `--event`"),
    };
    console.print(&explanation.json, &explanation.text)?;
    Ok(explanation.is_allowed)
}

/// The event of the command line, or of a device that connects with its password.
fn event(args: &ExplainArgs) -> anyhow::Result<Option<Event>> {
    #[cfg(feature = "aws")]
    if let (Some(device), true) = (&args.device, args.live) {
        return live::event_of(args, device).map(Some);
    }
    #[cfg(not(feature = "aws"))]
    if args.live {
        return Err(crate::run::not_built("explain --live"));
    }
    args.event.as_deref().map(event::read).transpose()
}

/// What the record of a device allows.
fn of_device(
    args: &ExplainArgs,
    name: &DeviceName,
    records: &Snapshot,
    Moment { account, now }: Moment<'_>,
) -> anyhow::Result<Explanation> {
    let record = inspect::record(records, name)?;
    let client_id = inspect::client_id(args.client_id.as_ref(), &record)?;
    let refusal = credential::in_force(&record, now).and_then(|()| binding::check(&record, &client_id));
    let refusal = refusal.err();
    let session = session(name, &client_id, &record);
    let previews =
        DocumentPreview::all(Values { client_id: &client_id, record: &record, session }, &account.function)?;
    let evaluation = requested(args, Some(client_id.as_str()), &previews, account)?
        .context("name what it does with `--action`")?;
    let is_allowed = refusal.is_none() && evaluation.is_allowed();
    let grant = record.grant.name();
    let json = json!({
        "device": name, "client_id": client_id.as_str(), "grant": grant,
        "outcome": evaluation::outcome(is_allowed), "refused_at_connect": refusal.map(DenyReason::as_str), "request": evaluation.json(),
        "documents": previews,
    });
    let refusal = refusal.map(|reason| {
        let line = format!("connect    refused, {}: {}", reason.as_str(), reason.explanation());
        format!("{}\n", wrapped(INDENT, &line))
    });
    let text = format!(
        "device     {name}\nclient id  {}\ngrant      {grant}\n{}\n{}",
        client_id.as_str(),
        refusal.unwrap_or_default(),
        evaluation.text()
    );
    Ok(Explanation { is_allowed, json, text })
}

#[cfg_attr(not(feature = "aws"), expect(clippy::unused_async, reason = "only the live answer is awaited"))]
/// The decision about an event, step by step, and what its documents say about the request, if there is one.
async fn of_event(
    args: &ExplainArgs,
    event: &Event,
    records: &Snapshot,
    moment: Moment<'_>,
) -> anyhow::Result<Explanation> {
    let trace = event::decide(event, &Verification::read(&args.jwt)?, records, moment);
    let mut is_allowed = trace.is_allowed();
    let mut json = trace.json();
    let mut text = trace.text();
    if let Ok(allowed) = &trace.result
        && let Some(evaluation) =
            requested(args, trace.client_id.as_deref(), &allowed.documents, moment.account)?
    {
        is_allowed &= evaluation.is_allowed();
        _ = write!(text, "\n{}", evaluation.text());
        json.insert("request".to_owned(), evaluation.json());
    }
    #[cfg(feature = "aws")]
    if args.live {
        let compared = live::compare(args, event, &trace).await?;
        _ = write!(text, "\n{}", compared.text());
        json.insert("live".to_owned(), compared.json());
    }
    json.insert("outcome".to_owned(), evaluation::outcome(is_allowed).into());
    Ok(Explanation { is_allowed, json: json.into(), text })
}

/// What documents say about the request of the command line. `None` if there is none.
fn requested<T: Serialize>(
    args: &ExplainArgs,
    client_id: Option<&str>,
    documents: &[T],
    account: &Account,
) -> anyhow::Result<Option<Evaluation>> {
    let Some(asked) = Asked::of(&args.request, client_id.unwrap_or_default())? else { return Ok(None) };
    let request = &args.request;
    let (will, persistent) = (request.last_will.as_ref(), request.persistent_session);
    let context = evaluation::context(client_id, asked.action, &account.scope, will, persistent);
    Ok(Some(Evaluation::new(asked, &evaluation::parsed(documents)?, &account.scope, &context)))
}

/// Whether a device with this client id may have a persistent session, as the function's default setting has it.
fn session(name: &DeviceName, client_id: &ClientId, record: &Record) -> PersistentSession {
    let is_kept = match record.proof.scheme() {
        device_auth::scheme::Scheme::Alibaba => {
            credentials::alibaba::Login::parse(client_id.as_str(), name.as_str())
                .map_or(!client_id.as_str().contains('|'), |login| login.keeps_client_id())
        }
        _ => true,
    };
    if is_kept { PersistentSession::AsGranted } else { PersistentSession::Never }
}
