use std::sync::Mutex;

use mqtt::Publish;

use super::*;
use crate::{broker::store::Store, clock::ManualClock};

fn clean_start() -> SessionRequest {
    SessionRequest { principal_id: "p".into(), clean: true, expiry: Duration::ZERO }
}

fn broker(clock: &Clock) -> Arc<Broker> {
    Arc::new(Broker { state: Mutex::default(), store: Store::in_memory(clock) })
}

#[tokio::test]
async fn there_is_a_bound_to_those_who_are_away_and_the_first_to_end_goes_first() {
    let clock = Clock::Manual(ManualClock::new());
    let (broker, now) = (broker(&clock), clock.now());
    let request = |clean| SessionRequest { clean, expiry: Duration::from_hours(1), ..clean_start() };
    for n in 0..=MAX_AWAY {
        let registration = broker.register(&n.to_string().into(), request(true), now).unwrap();
        let left = u64::try_from(MAX_AWAY - n).unwrap();
        registration.leave(Unfinished::default(), now + Duration::from_secs(60 + left), now);
    }
    let present = async |n: usize| {
        let mut registration = broker.register(&n.to_string().into(), request(false), now).unwrap();
        registration.earlier(&clock).await.is_some()
    };
    // The last to come had the least time left.
    assert_eq!([present(0).await, present(MAX_AWAY - 1).await, present(MAX_AWAY).await], [true, true, false]);
}

#[tokio::test]
async fn a_connection_that_was_taken_over_can_do_nothing_to_its_heir() {
    let clock = Clock::Manual(ManualClock::new());
    let (broker, now) = (broker(&clock), clock.now());
    let (client_id, topic) = ("c".into(), "t".parse().unwrap());
    let filter = SubscribeFilter::new("t".parse().unwrap(), QoS::AtMostOnce);
    let old = broker.register(&client_id, clean_start(), now).unwrap();
    let mut new = broker.register(&client_id, clean_start(), now).unwrap();
    assert!(old.signals.taken_over.is_cancelled());
    old.subscribe(&SubscribeFilter::new("other".parse().unwrap(), QoS::AtMostOnce), now).unwrap();
    new.subscribe(&filter, now).unwrap();
    old.unsubscribe(&filter.filter, now).unwrap();
    drop(old);
    let message = |topic: &str, payload: &'static str| Publish::new(topic.parse().unwrap(), payload);
    broker.publish("x", &"other".parse().unwrap(), &message("other", "lost"), now).unwrap();
    broker.publish("x", &topic, &message("t", "arrives"), now).unwrap();
    assert_eq!(new.mailbox.recv().await.unwrap().publish().payload, "arrives");
}
