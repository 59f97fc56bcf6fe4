//! Requests to the device shadows. The change of a shadow, the request's message and the answers to it are one operation: the
//! file has all of them or none.

use std::sync::Arc;

use mqtt::{Publish, QoS, TopicName};

use super::{
    Accepted, Broker, Pending, State,
    operations::Grouping,
    store::{Changes, StoreError},
};
use crate::{
    clock::Moment,
    shadow::{
        Operation,
        answer::Answer,
        request::{Action, Rejected, ShadowRequest},
        shadows::{Change, Outcome},
    },
};

/// A message on a topic of requests to shadows.
#[derive(Debug)]
pub struct ShadowMessage {
    /// The topic.
    pub topic: TopicName,
    /// The message, for the subscribers of the topic.
    pub publish: Publish,
    /// The request in it.
    pub request: Result<ShadowRequest, Rejected>,
    /// Is dropped when the request is answered.
    pub unanswered: Option<Arc<()>>,
}

/// What a request changes in the memory after the file has it.
struct Prepared {
    changes: Vec<Change>,
    deliveries: Vec<Accepted>,
}

impl Broker {
    /// Delivers a message to each subscriber of its topic, and carries out the request in it, at a time in seconds since 1970.
    /// The answers go to the subscribers of their topics.
    ///
    /// # Errors
    ///
    /// When the file can't be written. Then nothing was changed or answered, and the message must not be acknowledged.
    pub fn request_shadow(
        &self,
        from: Arc<str>,
        message: ShadowMessage,
        at: i64,
        now: Moment,
    ) -> Pending<Result<(), StoreError>> {
        let ShadowMessage { topic, publish, request, unanswered } = message;
        let grouping = match &request {
            Ok(request) => Grouping::OncePerShadow(request.id.clone()),
            Err(_) => Grouping::WithOthers,
        };
        let prepare = move |state: &mut State, changes: &mut Changes| {
            let mut deliveries = state.accept(&from, &topic, &publish, now, changes);
            let (answers, of_shadow) = match request.and_then(|request| state.shadows.prepare(&request, at)) {
                Ok(Outcome { accepted, events, changes }) => ([vec![accepted], events].concat(), changes),
                Err(rejected) => (vec![Answer::rejected(&rejected)], Vec::new()),
            };
            deliveries.extend(state.accept_answers(topic.as_str(), &answers, now, changes));
            Prepared::new(of_shadow, deliveries, changes)
        };
        let apply = move |state: &mut State, prepared: Prepared, written: Result<(), StoreError>| {
            drop(unanswered);
            written.map(|()| prepared.apply(state))
        };
        self.operations.submit(grouping, now, prepare, apply)
    }

    /// Carries out a request that came over HTTPS, at a time in seconds since 1970. The value is the answer to it, or why it is
    /// rejected. Subscribers get `accepted`, `delta` and `documents` of an `update` and `accepted` of a `delete`, and nothing of
    /// a `get` or of a rejection *(guess: a request over HTTPS publishes `accepted` too)*.
    ///
    /// # Errors
    ///
    /// When the file can't be written. Then nothing was changed.
    pub fn call_shadow(
        &self,
        request: ShadowRequest,
        at: i64,
        now: Moment,
    ) -> Pending<Result<Result<Answer, Rejected>, StoreError>> {
        let grouping = Grouping::OncePerShadow(request.id.clone());
        let prepare = move |state: &mut State, changes: &mut Changes| {
            let Outcome { accepted, events, changes: of_shadow } = state.shadows.prepare(&request, at)?;
            let operation = match &request.action {
                Action::Get => None,
                Action::Update(_) => Some(Operation::Update),
                Action::Delete => Some(Operation::Delete),
            };
            let deliveries = operation.map_or_else(Vec::new, |operation| {
                let answers = [vec![accepted.clone()], events].concat();
                state.accept_answers(&request.id.topic(operation), &answers, now, changes)
            });
            Ok((Prepared::new(of_shadow, deliveries, changes), accepted))
        };
        let apply =
            move |state: &mut State, outcome: Result<_, Rejected>, written: Result<(), StoreError>| {
                written?;
                Ok(outcome.map(|(prepared, accepted): (Prepared, _)| {
                    prepared.apply(state);
                    accepted
                }))
            };
        self.operations.submit(grouping, now, prepare, apply)
    }

    /// The names of a Thing's named shadows, in their order: at most this many, after this name.
    #[must_use]
    pub fn shadow_names(&self, thing: &str, after: Option<&str>, max: usize) -> Vec<Arc<str>> {
        self.operations.with_state(|state| state.shadows.names(thing, after, max))
    }
}

impl State {
    /// The answers to a request for the subscribers of their topics. They have QoS 1: a persistent session keeps `delta`
    /// (developer guide, `iot-device-shadows`) *(guess: all answers have QoS 1)*.
    fn accept_answers(
        &mut self,
        topic: &str,
        answers: &[Answer],
        now: Moment,
        changes: &mut Changes,
    ) -> Vec<Accepted> {
        let mut deliveries = Vec::new();
        for Answer { kind, payload } in answers {
            let Ok(topic) = format!("{topic}/{}", kind.as_str()).parse::<TopicName>() else { continue };
            let publish = Publish { qos: QoS::AtLeastOnce, ..Publish::new(topic.clone(), payload.clone()) };
            // No client has an empty id, so no subscriber is taken for the sender.
            deliveries.extend(self.accept("", &topic, &publish, now, changes));
        }
        deliveries
    }
}

impl Prepared {
    fn new(of_shadow: Vec<Change>, deliveries: Vec<Accepted>, changes: &mut Changes) -> Self {
        for change in &of_shadow {
            changes.shadow(change);
        }
        Self { changes: of_shadow, deliveries }
    }

    fn apply(self, state: &mut State) {
        for change in self.changes {
            state.shadows.apply(change);
        }
        for accepted in self.deliveries {
            state.deliver(accepted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock, ManualClock},
        shadow::{RequestTopic, ShadowId},
    };

    fn update(broker: &Broker, thing: &str, n: usize, now: Moment) -> Pending<Result<(), StoreError>> {
        let topic = format!("$aws/things/{thing}/shadow/update");
        let payload = format!(r#"{{"state":{{"desired":{{"n":{n}}}}}}}"#);
        let request = RequestTopic::read(&topic).unwrap().request(payload.as_bytes(), 8);
        let topic = topic.parse::<TopicName>().unwrap();
        let publish = Publish::new(topic.clone(), payload);
        broker.request_shadow("".into(), ShadowMessage { topic, publish, request, unanswered: None }, 1, now)
    }

    async fn get(broker: &Broker, thing: &str, now: Moment) -> Result<serde_json::Value, Rejected> {
        let id = ShadowId::new(thing, None).unwrap();
        let request = ShadowRequest::read(id, Operation::Get, b"", 8).unwrap();
        let answer = broker.call_shadow(request, 1, now).await.unwrap()?;
        Ok(serde_json::from_slice(&answer.payload).unwrap())
    }

    #[tokio::test]
    async fn updates_of_one_shadow_follow_each_other_although_they_wait_together() {
        let clock = Clock::Manual(ManualClock::new());
        let (broker, now) = (Broker::in_memory(&clock), clock.now());
        let things = ["a", "b"];
        let waiting = (1..=100).flat_map(|n| things.map(|thing| update(&broker, thing, n, now)));
        for waiting in waiting.collect::<Vec<_>>() {
            waiting.await.unwrap();
        }
        for thing in things {
            let got = get(&broker, thing, now).await.unwrap();
            assert_eq!((&got["version"], &got["state"]["desired"]["n"]), (&100.into(), &100.into()));
        }
    }

    #[tokio::test]
    async fn an_update_that_can_not_be_written_changes_nothing() {
        let clock = Clock::Manual(ManualClock::new());
        let (broker, now) = (Broker::in_memory(&clock), clock.now());
        update(&broker, "a", 1, now).await.unwrap();
        broker.operations.idle();
        broker.operations.limit_pages(1);
        let mut failed = 0;
        for n in 2..2_000 {
            failed += usize::from(update(&broker, &format!("{n}"), n, now).await.is_err());
        }
        assert!(failed > 0, "the disk is full");
        assert_eq!(get(&broker, "1999", now).await.unwrap_err().error.code(), 404);
        assert_eq!(get(&broker, "a", now).await.unwrap()["version"], 1);
    }
}
