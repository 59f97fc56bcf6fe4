//! Histories of a small world, held against what is promised about messages: each history up to a length, and many long
//! ones.
//!
//! The world is the real broker and its file, and a real session for each connection. Its events are a client's connect, a
//! SUBSCRIBE, a message that is delivered, an acknowledgement, the loss of a connection, other policies, the time, and a
//! restart of the gateway with what is in the file. After each event these hold:
//!
//! - a client id has at most one connection that reaches its outbox;
//! - no message goes to a client whose policies do not let it receive from the topic;
//! - a message that was acknowledged is not sent again, and messages are sent first in the order of their publishing;
//!
//! and at the end, when every client has come back and has acknowledged what it gets, none is missing that the publisher
//! read an acknowledgement for while the session and its subscription existed. A message of a shared subscription reaches a
//! member.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    fmt::Write,
    hash::{DefaultHasher, Hash, Hasher},
    num::NonZeroU16,
    sync::Arc,
    time::Duration,
};

use device_core::random::SplitMix64;
use iot_policy::{Context, PolicyDocument, Scope};
use mqtt::{
    Connect, Packet, PubAck, PubAckCode, Publish, QoS, Subscribe, SubscribeFilter, TopicFilter, TopicName,
    Unsubscribe, Version,
};
use uuid::Uuid;

use super::{
    Broker,
    registration::{Registration, SessionRequest},
};
use crate::{
    account_rates::AccountRates,
    clock::{Clock, ManualClock},
    custom_auth::answer::Authorization,
    lambda::program::Program,
    quotas::Quotas,
    session::{BrokerEffect, Effect, Session, WireEffect, enforcement::Enforcement},
    settings::Settings,
};

const TOPIC: &str = "t";
const PLAIN: &str = "t";
const SHARED: &str = "$share/g/t";
const CLIENTS: [&str; 2] = ["a", "b"];

/// How long each history is after its beginning in the exhaustive search, in events.
const LENGTH: usize = 4;
/// How many long histories are tried, and how long each is.
const LONG_HISTORIES: u64 = 40;
const LONG: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// A client connects, and resumes its session. Its policies let it receive, or not.
    Connect(usize, Receive),
    Subscribe(usize),
    Unsubscribe(usize),
    /// Somebody publishes a message at QoS 1, and reads its acknowledgement.
    Publish,
    /// A connection handles a message that the broker delivered.
    Handle(usize),
    /// A client acknowledges the message that it has had for the longest or the shortest time.
    AcknowledgeFirst(usize),
    AcknowledgeLast(usize),
    /// A connection breaks, and its session waits.
    Lose(usize),
    /// The connection that was taken over ends.
    EndTakenOver(usize),
    /// The authorizer is asked again, and answers with other policies.
    Refresh(usize, Receive),
    /// Time passes until a message is sent again.
    Wait,
    /// The gateway is killed and starts again.
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receive {
    Allowed,
    Denied,
}

/// What the clients of a world subscribe to, and what can happen in it.
struct Kind {
    filter: &'static str,
    events: &'static [Event],
}

/// How each history of the exhaustive search begins.
const BEGINNING: [Event; 4] = [
    Event::Connect(0, Receive::Allowed),
    Event::Subscribe(0),
    Event::Connect(1, Receive::Allowed),
    Event::Subscribe(1),
];

const PLAIN_WORLD: Kind = Kind {
    filter: PLAIN,
    events: &[
        Event::Connect(0, Receive::Allowed),
        Event::Connect(0, Receive::Denied),
        Event::Connect(1, Receive::Allowed),
        Event::Subscribe(0),
        Event::Subscribe(1),
        Event::Unsubscribe(0),
        Event::Publish,
        Event::Handle(0),
        Event::Handle(1),
        Event::AcknowledgeFirst(0),
        Event::AcknowledgeLast(0),
        Event::AcknowledgeFirst(1),
        Event::Lose(0),
        Event::EndTakenOver(0),
        Event::Refresh(0, Receive::Denied),
        Event::Refresh(0, Receive::Allowed),
        Event::Wait,
        Event::Restart,
    ],
};

const SHARED_WORLD: Kind = Kind {
    filter: SHARED,
    events: &[
        Event::Connect(0, Receive::Allowed),
        Event::Connect(1, Receive::Allowed),
        Event::Subscribe(0),
        Event::Subscribe(1),
        Event::Publish,
        Event::Handle(0),
        Event::Handle(1),
        Event::AcknowledgeFirst(0),
        Event::AcknowledgeFirst(1),
        Event::Lose(0),
        Event::Lose(1),
        Event::EndTakenOver(0),
        Event::Wait,
        Event::Restart,
    ],
};

/// One client, as its promises see it.
#[derive(Debug, Default)]
struct Client {
    has_session: bool,
    is_subscribed: bool,
    may_receive: bool,
    /// Acknowledged to the publisher, not acknowledged by this client yet, and not withdrawn by its policies.
    owed: BTreeSet<u32>,
    acknowledged: BTreeSet<u32>,
    /// The messages that were ever sent to it.
    sent: BTreeSet<u32>,
    /// Sent on this connection and not acknowledged, in their order.
    unacknowledged: VecDeque<(NonZeroU16, u32)>,
}

struct Connection {
    session: Session,
    registration: Registration,
}

struct World {
    kind: &'static Kind,
    broker: Option<Broker>,
    /// `None` keeps the file in memory.
    folder: Option<tempfile::TempDir>,
    clock: Clock,
    settings: Arc<Settings>,
    scope: Arc<Scope>,
    rates: Arc<AccountRates>,
    clients: [Client; 2],
    connections: [Option<Connection>; 2],
    taken_over: [Vec<Connection>; 2],
    published: u32,
    history: Vec<Event>,
}

impl World {
    /// A world in which nothing has happened. Only one that restarts needs a file.
    fn new(kind: &'static Kind, restarts: bool) -> Self {
        let clock = Clock::Manual(ManualClock::new());
        let settings = Settings {
            quotas: Quotas::AWS.at_any_rate(),
            ..Settings::new("data".into(), Program::new("own".into(), Vec::new()))
        };
        let folder = restarts.then(|| tempfile::tempdir().unwrap());
        let mut world = Self {
            kind,
            broker: None,
            folder,
            settings: Arc::new(settings),
            scope: Arc::new(Scope::new("aws", "eu-west-1", "123456789012").unwrap()),
            rates: AccountRates::new(clock.now()),
            clock,
            clients: [Client::default(), Client::default()],
            connections: [None, None],
            taken_over: [Vec::new(), Vec::new()],
            published: 0,
            history: Vec::new(),
        };
        world.start();
        world
    }

    fn start(&mut self) {
        self.broker = Some(match &self.folder {
            Some(folder) => Broker::open(folder.path(), &self.settings.quotas, &self.clock).unwrap(),
            None => Arc::into_inner(Broker::in_memory(&self.clock)).unwrap(),
        });
    }

    fn broker(&self) -> &Broker {
        self.broker.as_ref().unwrap()
    }

    /// Whether the event can happen now.
    fn can(&self, event: Event) -> bool {
        match event {
            Event::Publish | Event::Restart => true,
            Event::Wait => self.clients.iter().any(|client| !client.unacknowledged.is_empty()),
            // A second one that was taken over is not different from the first.
            Event::Connect(n, _) => self.taken_over[n].is_empty(),
            Event::Subscribe(n) => self.connections[n].is_some() && !self.clients[n].is_subscribed,
            Event::Unsubscribe(n) => self.connections[n].is_some() && self.clients[n].is_subscribed,
            Event::Handle(n) => {
                let outbox = self.connections[n].as_ref().and_then(|it| it.registration.outbox());
                outbox.is_some_and(|outbox| outbox.counts().0 > 0)
            }
            Event::AcknowledgeFirst(n) => {
                self.connections[n].is_some() && !self.clients[n].unacknowledged.is_empty()
            }
            Event::AcknowledgeLast(n) => {
                self.connections[n].is_some() && self.clients[n].unacknowledged.len() > 1
            }
            Event::Lose(n) => self.connections[n].is_some(),
            Event::EndTakenOver(n) => !self.taken_over[n].is_empty(),
            Event::Refresh(n, receive) => {
                let allowed = receive == Receive::Allowed;
                self.connections[n].is_some() && self.clients[n].may_receive != allowed
            }
        }
    }

    async fn run(&mut self, event: Event) {
        self.history.push(event);
        match event {
            Event::Connect(n, receive) => self.connect(n, receive).await,
            Event::Subscribe(n) => {
                let filter = SubscribeFilter::new(self.filter(), QoS::AtLeastOnce);
                self.packet(n, Packet::Subscribe(Subscribe::new(NonZeroU16::MIN, vec![filter]))).await;
                self.clients[n].is_subscribed = true;
            }
            Event::Unsubscribe(n) => {
                // What waits already may come or not.
                self.clients[n].owed.clear();
                self.clients[n].is_subscribed = false;
                let packet = Unsubscribe::new(NonZeroU16::MIN, vec![self.filter()]);
                self.packet(n, Packet::Unsubscribe(packet)).await;
            }
            Event::Publish => self.publish().await,
            Event::Handle(n) => self.handle(n).await,
            Event::AcknowledgeFirst(n) => self.acknowledge(n, 0).await,
            Event::AcknowledgeLast(n) => {
                let last = self.clients[n].unacknowledged.len() - 1;
                self.acknowledge(n, last).await;
            }
            Event::Lose(n) => {
                let Connection { registration, session } = self.connections[n].take().unwrap();
                self.clients[n].unacknowledged.clear();
                leave(registration, &session, &self.clock).await;
            }
            Event::EndTakenOver(n) => {
                let Connection { registration, session } = self.taken_over[n].remove(0);
                leave(registration, &session, &self.clock).await;
            }
            Event::Refresh(n, receive) => self.refresh(n, receive).await,
            Event::Wait => self.wait().await,
            Event::Restart => self.restart(),
        }
        self.check_connections();
    }

    fn filter(&self) -> TopicFilter {
        self.kind.filter.parse().unwrap()
    }

    async fn connect(&mut self, n: usize, receive: Receive) {
        let client_id = Arc::<str>::from(CLIENTS[n]);
        let mut connect = Connect::new(Version::V5, Arc::clone(&client_id));
        connect.clean_start = false;
        connect.properties.session_expiry_interval = 3_600;
        let now = self.clock.now();
        let context = Context::empty().with_persistent_session();
        let enforcement = Enforcement::new(
            authorization(receive),
            Arc::clone(&self.scope),
            Arc::clone(&client_id),
            context.clone(),
            context,
        );
        assert!(enforcement.connect().denial().is_none(), "{:?}", self.history);
        let settings = Arc::clone(&self.settings);
        let id = Uuid::from_u128(1);
        let mut session =
            Session::new(&connect, client_id, id, enforcement, settings, Arc::clone(&self.rates), now);
        let request = SessionRequest {
            principal_id: Arc::clone(session.principal_id()),
            version: Version::V5,
            clean: false,
            expiry: session.expiry(),
            limits: session.delivery_limits(),
        };
        let registered = self.broker().register(&CLIENTS[n].into(), request, now);
        let registration = registered.await.unwrap();
        let client = &mut self.clients[n];
        assert_eq!(registration.resumed.is_some(), client.has_session, "{:?}", self.history);
        client.has_session = true;
        client.may_receive = receive == Receive::Allowed;
        client.unacknowledged.clear();
        if receive == Receive::Denied {
            client.owed.clear();
        }
        self.taken_over[n].extend(self.connections[n].take());
        let mut effects = Vec::new();
        if let Some(subscriptions) = registration.resumed.clone() {
            assert_eq!(!subscriptions.is_empty(), client.is_subscribed, "{:?}", self.history);
            let mut outbox = registration.outbox().unwrap();
            session.resume(subscriptions, &mut outbox, now, &mut effects);
        }
        self.connections[n] = Some(Connection { session, registration });
        self.apply(n, effects).await;
    }

    async fn packet(&mut self, n: usize, packet: Packet) {
        let now = self.clock.now();
        let Connection { session, registration } = self.connections[n].as_mut().unwrap();
        let mut effects = Vec::new();
        session.on_packet(packet, &mut registration.outbox().unwrap(), now, &mut effects);
        self.apply(n, effects).await;
    }

    async fn publish(&mut self) {
        self.published += 1;
        let topic = TopicName::try_from(TOPIC).unwrap();
        let publish =
            Publish { qos: QoS::AtLeastOnce, ..Publish::new(topic.clone(), self.published.to_string()) };
        let now = self.clock.now();
        self.broker().publish("publisher".into(), topic, publish, now).await.unwrap();
        let is_shared = self.kind.filter == SHARED;
        for client in self.clients.iter_mut().filter(|client| client.is_subscribed) {
            client.owed.insert(self.published);
            if is_shared {
                // The group has one owner of its debt; any member can pay.
                break;
            }
        }
    }

    async fn handle(&mut self, n: usize) {
        let now = self.clock.now();
        let Connection { session, registration } = self.connections[n].as_mut().unwrap();
        let Some(delivery) = registration.outbox().unwrap().next_delivered() else { return };
        if !self.clients[n].may_receive {
            let text = String::from_utf8(delivery.publish().payload.to_vec()).unwrap();
            self.clients[n].owed.remove(&text.parse().unwrap());
        }
        let mut effects = Vec::new();
        session.on_message(*delivery, &mut registration.outbox().unwrap(), now, &mut effects);
        self.apply(n, effects).await;
    }

    async fn acknowledge(&mut self, n: usize, at: usize) {
        let (packet_id, message) = self.clients[n].unacknowledged.remove(at).unwrap();
        self.packet(n, Packet::PubAck(PubAck::new(packet_id, PubAckCode::Success))).await;
        self.clients[n].acknowledged.insert(message);
        let is_shared = self.kind.filter == SHARED;
        for (other, client) in self.clients.iter_mut().enumerate() {
            if other == n || is_shared {
                client.owed.remove(&message);
            }
        }
    }

    async fn refresh(&mut self, n: usize, receive: Receive) {
        let now = self.clock.now();
        self.clients[n].may_receive = receive == Receive::Allowed;
        if receive == Receive::Denied {
            self.clients[n].owed.clear();
        }
        let Connection { session, registration } = self.connections[n].as_mut().unwrap();
        let mut effects = Vec::new();
        session.on_refreshed(authorization(receive), &mut registration.outbox().unwrap(), now, &mut effects);
        self.apply(n, effects).await;
    }

    /// Each connection gets the time once. AWS sends no message of MQTT 5 again on its connection, and drops it.
    async fn wait(&mut self) {
        let (after, until) =
            (self.settings.quotas.resend_after_seconds, self.settings.quotas.resend_for_seconds_mqtt_5);
        assert!(self.clock.advance(Duration::from_secs(after.get().into())));
        let now = self.clock.now();
        for n in 0..CLIENTS.len() {
            let Some(Connection { session, registration }) = self.connections[n].as_mut() else { continue };
            let mut effects = Vec::new();
            session.on_time(&mut registration.outbox().unwrap(), now, &mut effects);
            self.apply(n, effects).await;
            if until <= u32::from(after.get()) * 10 {
                // They may have been sent for long enough.
                for (_, message) in self.clients[n].unacknowledged.clone() {
                    for client in &mut self.clients {
                        client.owed.remove(&message);
                    }
                }
            }
        }
    }

    /// What is only in memory is lost. Sessions, subscriptions and their messages are in the file.
    fn restart(&mut self) {
        self.connections = [None, None];
        self.taken_over = [Vec::new(), Vec::new()];
        self.broker = None;
        for client in &mut self.clients {
            client.unacknowledged.clear();
        }
        self.start();
    }

    /// Carries out effects as a connection does.
    async fn apply(&mut self, n: usize, effects: Vec<Effect>) {
        let now = self.clock.now();
        for effect in effects {
            match effect {
                Effect::Wire(WireEffect::Send(Packet::Publish(publish))) => self.sent(n, &publish),
                Effect::Broker(effect) => {
                    let registration = &self.connections[n].as_ref().unwrap().registration;
                    let committed = match effect {
                        BrokerEffect::Subscribe(filter) => registration.subscribe(filter, now),
                        BrokerEffect::Unsubscribe(filter) => registration.unsubscribe(filter, now),
                        BrokerEffect::Sent(message, packet_id) => self.broker().sent(message, packet_id, now),
                        BrokerEffect::Settled(message) => self.broker().settled(message, now),
                        BrokerEffect::DeliverShared => registration.deliver_shared(now),
                        other => panic!("{other:?} after {:?}", self.history),
                    };
                    committed.await.unwrap();
                }
                Effect::Wire(WireEffect::Send(_))
                | Effect::Log(_)
                | Effect::Subscribed(_)
                | Effect::Unsubscribed(_) => {}
                other => panic!("{other:?} after {:?}", self.history),
            }
        }
    }

    fn sent(&mut self, n: usize, publish: &Publish) {
        let message = String::from_utf8(publish.payload.to_vec()).unwrap().parse::<u32>().unwrap();
        let packet_id = publish.packet_id.unwrap();
        let is_shared = self.kind.filter == SHARED;
        let others = self.clients.iter().enumerate().filter(|(other, _)| *other == n || is_shared);
        for (_, client) in others {
            assert!(
                !client.acknowledged.contains(&message),
                "message {message} was acknowledged, and is sent again: {:?}",
                self.history
            );
        }
        let client = &mut self.clients[n];
        assert!(client.may_receive, "message {message} is forbidden: {:?}", self.history);
        let is_first = client.sent.insert(message);
        assert!(
            is_shared || !is_first || client.sent.last() == Some(&message),
            "message {message} comes after a later one: {:?}",
            self.history
        );
        if !client.unacknowledged.iter().any(|(_, known)| *known == message) {
            assert!(
                client.unacknowledged.iter().all(|(known, _)| *known != packet_id),
                "packet id {packet_id} is in use: {:?}",
                self.history
            );
            client.unacknowledged.push_back((packet_id, message));
        }
    }

    fn check_connections(&self) {
        for n in 0..CLIENTS.len() {
            for old in &self.taken_over[n] {
                let is_over =
                    old.registration.outbox().is_none() && old.registration.signals.taken_over.is_cancelled();
                assert!(is_over, "a connection that was taken over goes on: {:?}", self.history);
            }
            if let Some(connection) = &self.connections[n] {
                assert!(connection.registration.outbox().is_some(), "{:?}", self.history);
            }
        }
    }

    /// Every client comes back and acknowledges what it gets. Nothing is owed then.
    async fn settle(&mut self) {
        for n in 0..CLIENTS.len() {
            if self.clients[n].has_session {
                self.taken_over[n].clear();
                self.run(Event::Connect(n, Receive::Allowed)).await;
            }
        }
        loop {
            let mut is_quiet = true;
            for n in 0..CLIENTS.len() {
                while self.can(Event::AcknowledgeFirst(n)) {
                    is_quiet = false;
                    self.acknowledge(n, 0).await;
                }
                let delivered =
                    self.connections[n].as_ref().and_then(|it| it.registration.outbox()?.next_delivered());
                if let Some(delivery) = delivered {
                    is_quiet = false;
                    let now = self.clock.now();
                    let Connection { session, registration } = self.connections[n].as_mut().unwrap();
                    let mut effects = Vec::new();
                    session.on_message(*delivery, &mut registration.outbox().unwrap(), now, &mut effects);
                    self.apply(n, effects).await;
                }
            }
            if is_quiet {
                break;
            }
        }
        for (client, id) in self.clients.iter().zip(CLIENTS) {
            assert!(client.owed.is_empty(), "`{id}` never got {:?}: {:?}", client.owed, self.history);
        }
    }

    /// What the rest of a history depends on.
    fn fingerprint(&self) -> u64 {
        let mut text = String::new();
        write!(text, "{:?} {}", self.clients, self.published).unwrap();
        for (current, old) in self.connections.iter().zip(&self.taken_over) {
            write!(text, " {} {}", current.is_some(), old.len()).unwrap();
        }
        self.broker().operations.with_state(|state| {
            let clients = state.clients.iter().collect::<BTreeMap<_, _>>();
            for (id, client) in clients {
                write!(text, " {id} {} {:?}", client.is_connected(), client.outbox.lock()).unwrap();
            }
            if let Some(group) = state.subscriptions.group_mut(&SHARED.parse().unwrap()) {
                write!(text, " {group:?}").unwrap();
            }
        });
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        hasher.finish()
    }
}

async fn leave(registration: Registration, session: &Session, clock: &Clock) {
    let now = clock.now();
    registration.leave(now + session.expiry(), now).await;
}

fn authorization(receive: Receive) -> Authorization {
    let receive = match receive {
        Receive::Allowed => r#""iot:Receive","#,
        Receive::Denied => "",
    };
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":[{receive}"iot:Connect","iot:Subscribe"],"Resource":"*"}}]}}"#
    );
    let document = PolicyDocument::parse(&document).unwrap();
    Authorization { principal_id: "p".into(), documents: vec![document].into(), lifetime: None }
}

/// The world after a history. `None` if the broker chose another member of the shared subscription this time, so that the
/// history can't happen.
async fn replay(kind: &'static Kind, history: &[Event]) -> Option<World> {
    let mut world = World::new(kind, history.contains(&Event::Restart));
    for event in history {
        if !world.can(*event) {
            return None;
        }
        world.run(*event).await;
    }
    Some(world)
}

/// Runs every history up to a length. Of those that lead to the same state only one goes on. Returns how many were run.
async fn run_all(kind: &'static Kind, length: usize) -> usize {
    let (mut known, mut runs) = (HashSet::new(), 0);
    let mut shortest = vec![BEGINNING.to_vec()];
    for _ in 0..length {
        let mut longer = Vec::new();
        for history in &shortest {
            let Some(world) = replay(kind, history).await else { continue };
            let next = kind.events.iter().filter(|event| world.can(**event)).copied().collect::<Vec<_>>();
            drop(world);
            for event in next {
                let history = [&history[..], &[event]].concat();
                let Some(mut world) = replay(kind, &history).await else { continue };
                runs += 1;
                if known.insert(world.fingerprint()) {
                    world.settle().await;
                    longer.push(history);
                }
            }
        }
        shortest = longer;
    }
    runs
}

/// Runs one long history.
async fn run_long(kind: &'static Kind, seed: u64) {
    let mut random = SplitMix64::new(seed);
    let mut world = World::new(kind, true);
    for _ in 0..LONG {
        let possible = kind.events.iter().filter(|event| world.can(**event)).copied().collect::<Vec<_>>();
        let at = usize::try_from(random.next_u64() % possible.len() as u64).unwrap();
        world.run(possible[at]).await;
    }
    world.settle().await;
}

#[tokio::test]
async fn no_short_history_breaks_a_promise() {
    for kind in [&PLAIN_WORLD, &SHARED_WORLD] {
        let runs = run_all(kind, LENGTH).await;
        println!("{}: {runs} histories of up to {LENGTH} events after their beginning", kind.filter);
        assert!(runs > 500, "{runs}");
    }
}

#[tokio::test]
async fn no_long_history_breaks_a_promise() {
    for seed in 0..LONG_HISTORIES {
        for kind in [&PLAIN_WORLD, &SHARED_WORLD] {
            run_long(kind, seed).await;
        }
    }
}
