//! `POST /connections/CLIENT-ID/messages?topic=TOPIC`: a direct message of a device, with custom authentication or a client
//! certificate.
//!
//! Source: AWS IoT Core developer guide, `direct-messaging`.

use hyper::{Request, body::Incoming};
use percent_encoding::percent_decode_str;

use super::{Exchange, answer::RequestError, publish};
use crate::{
    connection::log::ConnectionLog,
    custom_auth::http_request::HttpRequest,
    direct_message::{DirectFault, DirectRequest},
    door::ConnectionInfo,
};

/// Sends a request's body to a client, if the policies allow it.
pub(super) async fn send(
    receiver: &str,
    request: Request<Incoming>,
    exchange: &Exchange,
    info: &ConnectionInfo,
    log: &mut ConnectionLog,
) -> Result<(), RequestError> {
    let (parts, body) = request.into_parts();
    let payload = publish::read_body(body, exchange).await;
    let payload = payload.inspect_err(|error| log.publish_refused(error.details()))?;
    let failed = |log: &ConnectionLog, fault: DirectFault| {
        log.direct_message_failed(&fault);
        RequestError::Direct(fault)
    };
    let receiver = percent_decode_str(receiver).decode_utf8().unwrap_or_default();
    let query = parts.uri.query().unwrap_or_default();
    let quotas = &exchange.shared.settings.quotas;
    let wanted = DirectRequest::read(&receiver, query, &parts.headers, payload, quotas);
    let wanted = wanted.map_err(|fault| failed(log, fault))?;
    let http = HttpRequest::read(&parts).map_err(|error| RequestError::Malformed(error.to_string()))?;
    let (enforcement, _) = publish::authorize(http, exchange, info, log).await?;
    if let Some(rejection) = enforcement.direct_message_denial(wanted.client_id(), wanted.topic()) {
        log.rejected(&rejection);
        return Err(RequestError::Forbidden);
    }
    let topic = wanted.topic().clone();
    wanted.send(&exchange.shared).await.map_err(|fault| failed(log, fault))?;
    log.direct_message_sent(topic.as_str());
    Ok(())
}
