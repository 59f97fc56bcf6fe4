//! Counts what an operation looks at, for the tests that show that this does not grow with the data of others.

#[cfg(test)]
pub(super) use self::counted::{counted, step};

/// The operation looks at one entry of a collection.
#[cfg(not(test))]
pub(super) const fn step() {}

#[cfg(test)]
mod counted {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    /// The operation looks at one entry of a collection.
    pub(in super::super) fn step() {
        STEPS.set(STEPS.get() + 1);
    }

    /// The steps of some work on this thread, and its value.
    pub(in super::super) fn counted<T>(work: impl FnOnce() -> T) -> (usize, T) {
        let before = STEPS.get();
        let value = work();
        (STEPS.get() - before, value)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use mqtt::{Publish, PublishProperties, QoS, SubscribeFilter, Version};

    use super::counted;
    use crate::{
        broker::{
            Broker,
            operations::{Completion, Pending},
            outbox::DeliveryLimits,
            registration::{Registration, SessionRequest},
            shadow_requests::ShadowMessage,
            store::StoreError,
        },
        clock::{Clock, ManualClock, Moment},
        shadow::RequestTopic,
    };

    fn filter(text: &str) -> SubscribeFilter {
        SubscribeFilter::new(text.parse().unwrap(), QoS::AtLeastOnce)
    }

    fn message(topic: &str, retain: bool) -> Publish {
        let properties =
            PublishProperties { message_expiry_interval: Some(600), ..PublishProperties::default() };
        let properties = Some(properties.into());
        Publish { qos: QoS::AtLeastOnce, retain, properties, ..Publish::new(topic.parse().unwrap(), "x") }
    }

    fn request(expiry: Duration) -> SessionRequest {
        SessionRequest {
            principal_id: "p".into(),
            version: Version::V5,
            clean: false,
            expiry,
            limits: DeliveryLimits::of_tests(),
        }
    }

    async fn register(broker: &Broker, id: &str, expiry: Duration, now: Moment) -> Registration {
        broker.register(&id.into(), request(expiry), now).await.unwrap()
    }

    async fn publish(broker: &Broker, topic: &str, retain: bool, now: Moment) {
        let (topic, message) = (topic.parse().unwrap(), message(topic, retain));
        broker.publish("x".into(), topic, message, now).await.unwrap();
    }

    fn request_shadow(broker: &Broker, topic: &str, now: Moment) -> Pending<Result<(), StoreError>> {
        let message = message(topic, false);
        let payload = br#"{"state":{"desired":{"a":1}}}"#;
        let request = RequestTopic::read(topic).unwrap().request(payload, 8);
        let topic = topic.parse().unwrap();
        let message = ShadowMessage { topic, publish: message, request, unanswered: None };
        broker.request_shadow("x".into(), message, 1, now)
    }

    /// A broker with clients that are connected, sessions that are away with messages, members of a group, retained messages
    /// and shadows, as many of each.
    async fn broker_with(others: usize, clock: &Clock) -> (Arc<Broker>, Vec<Registration>) {
        let (broker, now) = (Broker::in_memory(clock), clock.now());
        let mut connected = Vec::new();
        for n in 0..others {
            let away = register(&broker, &format!("away-{n}"), Duration::from_hours(1), now).await;
            for text in [&*format!("away/{n}/#"), "$share/group/t/+"] {
                away.subscribe(filter(text), now).await.unwrap();
            }
            away.leave(now + Duration::from_mins(30 + n as u64), now).await;
            let here = register(&broker, &format!("here-{n}"), Duration::ZERO, now).await;
            here.subscribe(filter(&format!("here/{n}")), now).await.unwrap();
            connected.push(here);
            for topic in [format!("away/{n}/x"), format!("here/{n}")] {
                publish(&broker, &topic, true, now).await;
            }
            request_shadow(&broker, &format!("$aws/things/{n}/shadow/update"), now).await.unwrap();
        }
        (broker, connected)
    }

    /// The steps of an operation, and its value. An operation that does not wait for others is prepared on this thread.
    async fn steps_of<T: Completion + Unpin>(
        broker: &Broker,
        operation: impl FnOnce() -> Pending<T>,
    ) -> (usize, T) {
        broker.operations.idle();
        let (steps, pending) = counted(operation);
        (steps, pending.await)
    }

    /// The steps of each operation of a client that has nothing to do with the others, but that it shares a subscription with
    /// them.
    async fn steps(others: usize) -> Vec<(&'static str, usize)> {
        let clock = Clock::Manual(ManualClock::new());
        let (broker, connected) = broker_with(others, &clock).await;
        let now = clock.now() + Duration::from_secs(1);
        let (registered, client) =
            steps_of(&broker, || broker.register(&"c".into(), request(Duration::ZERO), now)).await;
        let (mut all, client) = (vec![("register", registered)], client.unwrap());
        for text in ["own", "own/#", "#", "+/+/+", "away/+/x", "$share/group/t/+", "$share/other/#"] {
            all.push((text, steps_of(&broker, || client.subscribe(filter(text), now)).await.0));
        }
        for (name, topic, retain) in
            [("publish", "own", false), ("retain", "own", true), ("publish to the group", "t/x", false)]
        {
            let publish = || broker.publish("x".into(), topic.parse().unwrap(), message(topic, retain), now);
            all.push((name, steps_of(&broker, publish).await.0));
        }
        for (name, operation) in
            [("update a shadow", "update"), ("get a shadow", "get"), ("delete a shadow", "delete")]
        {
            let topic = format!("$aws/things/own/shadow/{operation}");
            all.push((name, steps_of(&broker, || request_shadow(&broker, &topic, now)).await.0));
        }
        let unsubscribe = || client.unsubscribe(filter("own").filter, now);
        all.push(("unsubscribe", steps_of(&broker, unsubscribe).await.0));
        let expiry = Duration::from_hours(1);
        let (registered, persistent) =
            steps_of(&broker, || broker.register(&"d".into(), request(expiry), now)).await;
        let persistent = persistent.unwrap();
        all.push(("register a persistent session", registered));
        all.push(("leave", steps_of(&broker, || persistent.leave(now + expiry, now)).await.0));
        all.push(("end", steps_of(&broker, || client.end(now)).await.0));
        drop(connected);
        all
    }

    #[tokio::test]
    async fn steps_of_an_operation_do_not_grow_with_clients_sessions_and_retained_messages_of_others() {
        let few = steps(3).await;
        assert!(few.iter().map(|(_, steps)| steps).sum::<usize>() > 20, "they are counted: {few:?}");
        assert_eq!(few, steps(200).await);
    }
}
