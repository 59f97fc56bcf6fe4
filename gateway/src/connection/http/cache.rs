//! An authorizer's answer that is kept for later requests of the same connection, if the authorizer allows it.
//!
//! Source: AWS IoT Core developer guide, `config-custom-auth`, `enableCachingForHttp`: for as long as
//! `refreshAfterInSeconds` says, and no longer than `disconnectAfterInSeconds` *(unverified)*. The answer serves only requests that present exactly the same *(unverified)*: whoever
//! shares a connection, behind a proxy for example, gets nothing of another's.

use std::sync::{Mutex, PoisonError};

use crate::{
    clock::Moment,
    custom_auth::{answer::Authorization, http_request::HttpRequest},
};

/// The last answer of a connection, if it may be kept.
#[derive(Default)]
pub(super) struct Cache(Mutex<Option<Kept>>);

struct Kept {
    request: HttpRequest,
    authorization: Authorization,
    until: Moment,
}

impl Cache {
    /// The answer to a request that presents the same, if it still holds.
    pub(super) fn find(&self, request: &HttpRequest, now: Moment) -> Option<Authorization> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept =
            kept.as_ref().filter(|kept| now < kept.until && kept.request.presents_the_same(request))?;
        Some(kept.authorization.clone())
    }

    /// Keeps an answer in the place of the one before.
    pub(super) fn keep(&self, request: HttpRequest, authorization: Authorization, now: Moment) {
        let Some(lifetime) = authorization.lifetime else { return };
        let until = now + lifetime.refresh_after.min(lifetime.disconnect_after);
        let kept = Kept { request, authorization, until };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}
