//! Requests of one connection to the device shadows, and the quotas on them.

use std::sync::{Arc, Weak};

use super::Session;
use crate::{
    account_rates::AccountRates,
    clock::Moment,
    quotas::Quotas,
    shadow::{
        RequestTopic,
        error::ShadowError,
        request::{Rejected, ShadowRequest},
    },
};

/// The requests of a connection that are not answered yet, by the names of their Things.
#[derive(Default)]
pub(super) struct Unanswered(Vec<(Arc<str>, Weak<()>)>);

/// Reads the request in a message on a topic of requests. It is rejected if it exceeds a rate (AWS general reference,
/// `iot-core`).
///
/// # Errors
///
/// What is wrong with it.
pub fn request(
    topic: RequestTopic,
    payload: &[u8],
    quotas: &Quotas,
    rates: &AccountRates,
    now: Moment,
) -> Result<ShadowRequest, Rejected> {
    let admitted = topic.id.as_ref().map_or(Ok(()), |id| rates.shadow(id, quotas, now));
    let request = topic.request(payload, quotas.shadow_levels);
    match admitted {
        Ok(()) => request,
        Err(error) => Err(rejected(request, error)),
    }
}

impl Session {
    /// The request in a message on this topic, and what is to be kept until it is answered. The number of
    /// answers about one Thing for which a connection may wait is bounded (AWS general reference, `iot-core`).
    pub(super) fn shadow_request(
        &mut self,
        topic: RequestTopic,
        payload: &[u8],
        now: Moment,
    ) -> (Result<ShadowRequest, Rejected>, Option<Arc<()>>) {
        let quotas = &self.settings.quotas;
        let request = request(topic, payload, quotas, &self.account_rates, now);
        let Ok(accepted) = &request else { return (request, None) };
        match self.unanswered_requests.admit(accepted.id.thing(), quotas.shadow_requests_unanswered) {
            Some(until) => (request, Some(until)),
            None => (Err(rejected(request, ShadowError::TooManyRequests)), None),
        }
    }
}

/// The rejection of a request for another reason than its content.
fn rejected(request: Result<ShadowRequest, Rejected>, error: ShadowError) -> Rejected {
    match request {
        Ok(ShadowRequest { client_token, .. }) | Err(Rejected { client_token, .. }) => {
            Rejected { error, client_token }
        }
    }
}

impl Unanswered {
    /// What is to be kept until a request for a shadow of this Thing is answered; `None` if this many are not answered yet.
    fn admit(&mut self, thing: &Arc<str>, max: usize) -> Option<Arc<()>> {
        self.0.retain(|(_, until)| until.strong_count() > 0);
        if self.0.iter().filter(|(other, _)| other == thing).count() >= max {
            return None;
        }
        let until = Arc::new(());
        self.0.push((Arc::clone(thing), Arc::downgrade(&until)));
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_requests_for_a_thing_may_wait_for_their_answers() {
        let (mut unanswered, lamp, fan) = (Unanswered::default(), "lamp".into(), "fan".into());
        let mut waiting = (0..10).map(|_| unanswered.admit(&lamp, 10).unwrap()).collect::<Vec<_>>();
        assert!(unanswered.admit(&lamp, 10).is_none());
        let other = unanswered.admit(&fan, 10);
        assert!(other.is_some(), "another Thing");
        waiting.pop();
        waiting.extend(unanswered.admit(&lamp, 10));
        assert_eq!((waiting.len(), unanswered.0.len()), (10, 11), "an answered one is forgotten");
        assert!(unanswered.admit(&lamp, 10).is_none());
    }
}
