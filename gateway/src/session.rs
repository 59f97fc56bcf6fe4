//! One connection's MQTT session, from its CONNACK to its end. Packets, messages and moments go in, effects come out.
//!
//! No IO and no clock. The session decides with the authorizer's policies what its client may do.

pub mod disconnect_reason;
pub mod enforcement;
mod publish;
pub mod quotas;
pub mod reason_string;
pub mod reserved_topic;
pub mod shadow;
mod subscribe;

use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc, time::Duration};

use iot_policy::Action;
use mqtt::{
    ConnAck, Connect, Disconnect, DisconnectReasonCode, LastWill, Packet, Publish, QoS, SubAckCode,
    SubscribeFilter, TopicFilter, TopicName, Version,
};
use uuid::Uuid;

use self::{
    disconnect_reason::DisconnectReason,
    enforcement::{Enforcement, Rejection},
    reason_string::reason_string,
    shadow::Unanswered,
};
use crate::{
    account_rates::AccountRates,
    broker::{
        direct::{DirectMessage, DirectOutcome},
        outbox::{DeliveryLimits, Outbox, OutboxFull, Transmission},
        queue::Delivery,
        shadow_requests::ShadowMessage,
        store::MessageId,
    },
    client_records::Deletion,
    clock::Moment,
    custom_auth::answer::Authorization,
    quotas::Quotas,
    rate::Rate,
    settings::Settings,
};

/// A session.
pub struct Session {
    version: Version,
    client_id: Arc<str>,
    connection_id: Uuid,
    enforcement: Enforcement,
    timers: Timers,
    last_will: Option<LastWill>,
    aliases: Vec<Option<TopicName>>,
    subscriptions: Vec<TopicFilter>,
    /// The shared filters of the next SUBSCRIBE whose groups are full.
    full_groups: Vec<TopicFilter>,
    receive_maximum: NonZeroU16,
    /// For how long the session outlives its connection.
    expiry: Duration,
    settings: Arc<Settings>,
    account_rates: Arc<AccountRates>,
    publishes: Rate,
    bytes_in: Rate,
    bytes_out: Rate,
    packets: Rate,
    unanswered_requests: Unanswered,
    /// Until then, nothing is read from the client.
    paused_until: Option<Moment>,
    /// Until then, the client is sent no message.
    sending_paused_until: Option<Moment>,
    /// Whether the log has a line about a pause, in either direction.
    said_paused: bool,
    said_sending_paused: bool,
    ended: bool,
}

/// What others read of a session.
#[derive(Clone, Debug)]
pub struct SessionState {
    /// MQTT's version.
    pub version: Version,
    /// The principal.
    pub principal_id: Arc<str>,
    /// The keep-alive in force.
    pub keep_alive: Duration,
    /// When the client was heard last.
    pub heard_at: Moment,
    /// When the authorizer is asked again.
    pub refresh_at: Option<Moment>,
    /// When the connection ends.
    pub disconnect_at: Option<Moment>,
    /// What the policies allow, by action.
    pub allows: BTreeMap<String, String>,
    /// How many policy documents are in force.
    pub documents: usize,
    /// Suspicious parts of the policies.
    pub findings: Option<String>,
    /// The topic of the last will.
    pub last_will: Option<TopicName>,
    /// Whether the authorizer can be asked again.
    pub can_refresh: bool,
}

/// Something that the session wants done. Effects are carried out in their order.
#[derive(Debug)]
pub enum Effect {
    /// Something for the wire.
    Wire(WireEffect),
    /// Something for the broker.
    Broker(BrokerEffect),
    /// Log a request that was not carried out.
    Log(Rejection),
    /// A message on this reserved topic was accepted, and no service acts on it here.
    Unserved(TopicName),
    /// Report the outcomes of a SUBSCRIBE, one of which was granted at least.
    Subscribed(Vec<(TopicFilter, SubAckCode)>),
    /// Report an UNSUBSCRIBE, with the subscriptions that it ended.
    Unsubscribed(Vec<TopicFilter>),
    /// Ask the authorizer again.
    Refresh,
    /// Publish the last will after this delay, or when the session ends if that is sooner, but not if the client is back by
    /// then (`[MQTT-3.1.3-9]`).
    DelayWill(TopicName, Publish, Duration),
}

/// Something for the wire.
#[derive(Debug)]
pub enum WireEffect {
    /// Write a packet.
    Send(Packet),
    /// End the connection, after everything before is written.
    Close(DisconnectReason),
}

/// Something for the broker. What comes after it on the wire must wait until the file has it.
#[derive(Debug)]
pub enum BrokerEffect {
    /// Publish a message.
    Publish(TopicName, Publish),
    /// Publish a message on a topic of requests to shadows, and carry out the request in it.
    RequestShadow(Box<ShadowMessage>),
    /// Add a subscription.
    Subscribe(SubscribeFilter),
    /// Remove a subscription, which exists.
    Unsubscribe(TopicFilter),
    /// A message in the file is about to be sent for the first time, under this packet id.
    Sent(MessageId, NonZeroU16),
    /// A message leaves the file.
    Settled(MessageId),
    /// Deliver more of what waits in the client's shared subscriptions.
    DeliverShared,
}

struct Timers {
    keep_alive: Duration,
    heard_at: Moment,
    refresh_at: Option<Moment>,
    disconnect_at: Option<Moment>,
    /// The end of a WebSocket connection.
    websocket_ends_at: Option<Moment>,
}

impl Session {
    /// The session of a client that may connect.
    #[must_use]
    pub fn new(
        connect: &Connect,
        client_id: Arc<str>,
        connection_id: Uuid,
        enforcement: Enforcement,
        settings: Arc<Settings>,
        account_rates: Arc<AccountRates>,
        now: Moment,
    ) -> Self {
        let lifetime = enforcement.authorization().lifetime;
        let quotas = &settings.quotas;
        let keep_alive = quotas.keep_alive(connect.keep_alive);
        let expiry = expiry(connect, quotas);
        let timers = Timers {
            keep_alive: Duration::from_secs(keep_alive.into()),
            heard_at: now,
            refresh_at: lifetime.map(|lifetime| now + lifetime.refresh_after),
            disconnect_at: lifetime.map(|lifetime| now + lifetime.disconnect_after),
            websocket_ends_at: None,
        };
        Self {
            version: connect.version,
            client_id,
            connection_id,
            timers,
            last_will: connect.last_will.clone(),
            aliases: vec![None; quotas.topic_aliases.into()],
            subscriptions: Vec::new(),
            full_groups: Vec::new(),
            receive_maximum: receive_maximum(connect, quotas),
            expiry,
            enforcement,
            settings,
            account_rates,
            publishes: Rate::new(now),
            bytes_in: Rate::new(now),
            bytes_out: Rate::new(now),
            packets: Rate::new(now),
            unanswered_requests: Unanswered::default(),
            paused_until: None,
            sending_paused_until: None,
            said_paused: false,
            said_sending_paused: false,
            ended: false,
        }
    }

    /// The connection is a WebSocket, which lasts for a time only (AWS general reference, `iot-core`).
    #[must_use]
    pub fn over_websocket(mut self, now: Moment) -> Self {
        let seconds = self.settings.quotas.websocket_seconds;
        self.timers.websocket_ends_at =
            seconds.map(|seconds| now + Duration::from_secs(seconds.get().into()));
        self
    }

    /// Resumes the session that an earlier connection left, as far as the policies of this one allow.
    pub fn resume(
        &mut self,
        subscriptions: Vec<TopicFilter>,
        outbox: &mut Outbox,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        self.subscriptions = subscriptions;
        self.withdraw(outbox, effects);
        send_ready(outbox, now, effects);
    }

    /// The CONNACK that accepts the client, with AWS's limits (developer guide, `mqtt`). AWS states each of them and the
    /// keep-alive always *(guess: the CONNACK of MQTT 5 always states these limits)*, and the expiry if the client asked for
    /// one.
    #[must_use]
    pub fn conn_ack(&self, connect: &Connect, session_present: bool) -> ConnAck {
        let quotas = &self.settings.quotas;
        let mut ack = ConnAck::accepted(session_present);
        let keep_alive = quotas.keep_alive(connect.keep_alive);
        let properties = &mut ack.properties;
        let expiry = u32::try_from(self.expiry.as_secs()).unwrap_or(u32::MAX);
        let asked = connect.properties.session_expiry_interval;
        properties.session_expiry_interval = (asked > 0).then_some(expiry);
        properties.receive_maximum = quotas.receive_maximum;
        properties.maximum_qos = QoS::AtLeastOnce;
        properties.maximum_packet_size = Some(quotas.packet_bytes);
        properties.topic_alias_maximum = quotas.topic_aliases;
        properties.subscription_identifiers_available = false;
        properties.server_keep_alive = Some(keep_alive);
        properties.assigned_client_id = connect.client_id.is_empty().then(|| Arc::clone(&self.client_id));
        ack
    }

    /// Whether the session wants the connection to end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// For how long the session outlives its connection.
    #[must_use]
    pub fn expiry(&self) -> Duration {
        self.expiry
    }

    /// How the client gets its messages.
    #[must_use]
    pub fn delivery_limits(&self) -> DeliveryLimits {
        let quotas = &self.settings.quotas;
        DeliveryLimits {
            receive_maximum: self.receive_maximum,
            resend_after: Duration::from_secs(quotas.resend_after_seconds.get().into()),
            resend_for: Duration::from_secs(match self.version {
                Version::V311 => quotas.resend_for_seconds_mqtt_3.into(),
                Version::V5 => quotas.resend_for_seconds_mqtt_5.into(),
            }),
            stored_per_second: quotas.stored_messages_per_second,
            shared_per_second: quotas.shared_messages_per_second,
        }
    }

    /// Suspicious parts of the policies, for a person to read.
    #[must_use]
    pub fn findings(&self) -> Option<String> {
        self.enforcement.findings()
    }

    /// What the policies allow the client after its connect, by action.
    #[must_use]
    pub fn allowed(&self) -> BTreeMap<String, String> {
        self.enforcement.allowed()
    }

    /// The state of the session.
    #[must_use]
    pub fn state(&self) -> SessionState {
        let Timers { keep_alive, heard_at, refresh_at, disconnect_at, websocket_ends_at } = self.timers;
        let authorization = self.enforcement.authorization();
        SessionState {
            version: self.version,
            principal_id: Arc::clone(&authorization.principal_id),
            keep_alive,
            heard_at,
            refresh_at,
            disconnect_at: disconnect_at.into_iter().chain(websocket_ends_at).min(),
            allows: self.allowed(),
            documents: authorization.documents.len(),
            findings: self.findings(),
            last_will: self.last_will.as_ref().map(|will| will.topic.clone()),
            can_refresh: authorization.lifetime.is_some(),
        }
    }

    /// Asks the authorizer again before it is time, unless it is being asked or there is none.
    pub fn refresh(&mut self, effects: &mut Vec<Effect>) {
        if self.timers.refresh_at.take().is_some() {
            effects.push(Effect::Refresh);
        }
    }

    /// The principal that the authorizer returned.
    #[must_use]
    pub fn principal_id(&self) -> &Arc<str> {
        &self.enforcement.authorization().principal_id
    }

    /// The next packet is a SUBSCRIBE, and these are the shared filters in it whose groups are full.
    pub fn refuse_groups(&mut self, full: Vec<TopicFilter>) {
        self.full_groups = full;
    }

    /// A packet came from the client.
    pub fn on_packet(&mut self, packet: Packet, outbox: &mut Outbox, now: Moment, effects: &mut Vec<Effect>) {
        self.timers.heard_at = now;
        self.count_packets(
            match &packet {
                // There are no more of them than messages to the client.
                Packet::PubAck(_) => 0,
                Packet::Subscribe(subscribe) => subscribe.filters.len() + subscribe.invalid.len(),
                Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.len() + unsubscribe.invalid.len(),
                _ => 1,
            },
            now,
            effects,
        );
        match packet {
            Packet::Publish(publish) => self.on_publish(publish, now, effects),
            Packet::PubAck(ack) => acknowledge(ack.packet_id, outbox, now, effects),
            Packet::Subscribe(subscribe) => self.on_subscribe(subscribe, now, effects),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(&unsubscribe, effects),
            Packet::PingReq => effects.push(send(Packet::PingResp)),
            Packet::Disconnect(disconnect) => self.on_disconnect(&disconnect, effects),
            // QoS 2 and extended authentication are not supported. The codec has refused what only a server sends.
            _ => self.end(
                DisconnectReason::Protocol(
                    DisconnectReasonCode::ProtocolError,
                    "a packet that is not supported",
                ),
                effects,
            ),
        }
    }

    /// The broker delivered a message. The client gets it only if its policies let it receive from the topic.
    pub fn on_message(
        &mut self,
        delivery: Delivery,
        outbox: &mut Outbox,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(topic) = delivery.publish().topic.as_ref() else { return };
        if let Some(direct) = delivery.direct().cloned() {
            return self.on_direct_message(&direct, delivery, outbox, now, effects);
        }
        if let Some(rejection) = self.enforcement.receive_denial(topic, &self.subscriptions) {
            effects.push(Effect::Log(rejection));
            effects.extend(delivery.id().map(settled));
            return;
        }
        let counted = self.count_message(now);
        if counted.is_ok() || delivery.publish().qos != QoS::AtMostOnce {
            self.count_bytes_out(delivery.publish().payload.len(), now, effects);
        }
        if delivery.publish().qos == QoS::AtMostOnce {
            match counted {
                Ok(()) => {
                    effects.extend(delivery.at(now).map(|publish| send(Packet::Publish(publish))));
                }
                Err(error) => {
                    let rejection = Rejection::throttled(Action::Receive, topic.as_str(), error);
                    effects.push(Effect::Log(rejection));
                }
            }
            return;
        }
        // QoS 1 is always sent. Above the rate it only does not count *(guess: QoS 0 is discarded, QoS 1 is sent)*.
        match outbox.enqueue(delivery) {
            Ok(()) => send_ready(outbox, now, effects),
            Err(OutboxFull) => self.end(DisconnectReason::SlowReader, effects),
        }
    }

    /// A direct message came. It needs no subscription, and its sender is told what has become of it (developer guide,
    /// `direct-messaging`).
    fn on_direct_message(
        &mut self,
        direct: &DirectMessage,
        delivery: Delivery,
        outbox: &mut Outbox,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(topic) = delivery.publish().topic.as_ref() else { return };
        if let Some(rejection) = self.enforcement.decide(Action::Receive, topic.as_str()).denial() {
            effects.push(Effect::Log(rejection));
            return direct.report(DirectOutcome::NotAllowed);
        }
        if self.count_message(now).is_err() {
            return direct.report(DirectOutcome::Throttled);
        }
        if delivery.publish().qos > QoS::AtMostOnce {
            if !outbox.sends_at_once() {
                return direct.report(DirectOutcome::TooManyUnacknowledged);
            }
            self.count_bytes_out(delivery.publish().payload.len(), now, effects);
            return match outbox.enqueue(delivery) {
                Ok(()) => send_ready(outbox, now, effects),
                Err(OutboxFull) => self.end(DisconnectReason::SlowReader, effects),
            };
        }
        self.count_bytes_out(delivery.publish().payload.len(), now, effects);
        effects.extend(delivery.at(now).map(|publish| send(Packet::Publish(publish))));
        direct.report(DirectOutcome::Sent);
    }

    /// A QoS 1 message was larger than the client accepts: the session goes on as if it had been acknowledged (MQTT 5 section
    /// 3.1.2.11.4).
    pub fn on_too_large(
        &mut self,
        packet_id: NonZeroU16,
        outbox: &mut Outbox,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        acknowledge(packet_id, outbox, now, effects);
    }

    /// Whether no message is to be sent to the client for now.
    #[must_use]
    pub fn is_sending_paused(&self) -> bool {
        self.sending_paused_until.is_some()
    }

    /// Whether nothing is to be read from the client for now.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// When [`Session::on_time`] has something to do next. The outbox is absent if another connection has it.
    #[must_use]
    pub fn deadline(&self, outbox: Option<&Outbox>) -> Moment {
        let Timers { refresh_at, disconnect_at, websocket_ends_at, .. } = self.timers;
        let resend_at = outbox.and_then(Outbox::deadline);
        let resume_at = [self.paused_until, self.sending_paused_until].into_iter().flatten().min();
        let others = [refresh_at, disconnect_at, websocket_ends_at, resume_at, resend_at];
        others.into_iter().flatten().fold(self.timers.silence_ends(), Moment::min)
    }

    /// Time has passed.
    pub fn on_time(&mut self, outbox: &mut Outbox, now: Moment, effects: &mut Vec<Effect>) {
        if self.timers.disconnect_at.is_some_and(|at| now >= at) {
            return self.end(DisconnectReason::TimeToLive, effects);
        }
        if self.timers.websocket_ends_at.is_some_and(|at| now >= at) {
            return self.end(DisconnectReason::WebSocketTimeToLive, effects);
        }
        if self.paused_until.is_some_and(|at| now >= at) {
            self.paused_until = None;
            // Packets that the client sent meanwhile are still unread.
            self.timers.heard_at = now;
        }
        if self.sending_paused_until.is_some_and(|at| now >= at) {
            self.sending_paused_until = None;
        }
        if now >= self.timers.silence_ends() {
            return self.end(DisconnectReason::KeepAlive, effects);
        }
        if self.timers.refresh_at.is_some_and(|at| now >= at) {
            self.timers.refresh_at = None;
            effects.push(Effect::Refresh);
        }
        if outbox.deadline().is_some_and(|at| now >= at) {
            send_ready(outbox, now, effects);
        }
    }

    /// The authorizer has answered the refresh. The new documents apply at once. The time at which the connection ends stays
    /// as it was at the connect (developer guide, `custom-auth-lambda`).
    pub fn on_refreshed(
        &mut self,
        authorization: Authorization,
        outbox: &mut Outbox,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        if authorization.principal_id != self.enforcement.authorization().principal_id {
            return self.end(DisconnectReason::RefreshRefused, effects);
        }
        self.timers.refresh_at = authorization.lifetime.map(|lifetime| now + lifetime.refresh_after);
        self.enforcement.replace(authorization);
        if let Some(rejection) = self.enforcement.connect().denial() {
            effects.push(Effect::Log(rejection));
            return self.end(DisconnectReason::RefreshRefused, effects);
        }
        self.withdraw(outbox, effects);
    }

    /// Ends what the policies no longer allow: messages that wait, and subscriptions *(guess: subscriptions that a refresh
    /// no longer allows end)*.
    fn withdraw(&mut self, outbox: &mut Outbox, effects: &mut Vec<Effect>) {
        let enforcement = &self.enforcement;
        self.subscriptions.retain(|filter| {
            let Some(rejection) = enforcement.decide(Action::Subscribe, filter.as_str()).denial() else {
                return true;
            };
            effects.push(Effect::Log(rejection));
            effects.push(Effect::Broker(BrokerEffect::Unsubscribe(filter.clone())));
            false
        });
        let subscriptions = &self.subscriptions;
        let denial_of = |message: &Delivery| {
            let topic = message.publish().topic.as_ref()?;
            enforcement.receive_denial(topic, subscriptions)
        };
        let removed = outbox.retain(|message| {
            let denial = denial_of(message);
            let is_allowed = denial.is_none();
            effects.extend(denial.map(Effect::Log));
            is_allowed
        });
        // These were sent while it was allowed, so there is nothing to log.
        let unsent = outbox.retain_inflight(|message| denial_of(message).is_none());
        effects.extend(removed.into_iter().chain(unsent).map(settled));
    }

    /// The connection ends, for a reason from outside the session or from inside.
    pub fn end(&mut self, reason: DisconnectReason, effects: &mut Vec<Effect>) {
        if self.ended {
            return;
        }
        self.ended = true;
        if let Some(code) = reason.disconnect_code() {
            let mut disconnect = Disconnect::new(code);
            disconnect.reason_string = self.reason_string("DISCONNECT", &reason.text());
            effects.push(send(Packet::Disconnect(disconnect)));
        }
        if reason.publishes_will() {
            self.publish_will(effects);
        }
        effects.push(Effect::Wire(WireEffect::Close(reason)));
    }

    /// An API call ends the connection, and the session too if it says so.
    pub fn delete(&mut self, deletion: Deletion, effects: &mut Vec<Effect>) {
        if deletion.clean_session {
            self.expiry = Duration::ZERO;
        }
        self.end(DisconnectReason::Api { with_will: !deletion.prevent_will }, effects);
    }

    /// The reason string of a packet with this name. Only MQTT 5 has reason strings.
    fn reason_string(&self, packet: &str, text: &str) -> Option<Arc<str>> {
        (self.version == Version::V5).then(|| reason_string(packet, text, self.connection_id))
    }

    fn on_disconnect(&mut self, disconnect: &Disconnect, effects: &mut Vec<Effect>) {
        if let Some(seconds) = disconnect.session_expiry_interval {
            if self.expiry.is_zero() && seconds > 0 {
                // A session that ends with its connection can't be made to outlive it (`[MQTT-3.14.2-1]`).
                let details = "DISCONNECT asks for a session that CONNECT did not ask for";
                return self
                    .end(DisconnectReason::Protocol(DisconnectReasonCode::ProtocolError, details), effects);
            }
            self.expiry = Duration::from_secs(seconds.into()).min(self.settings.quotas.session_expiry);
        }
        let with_will = disconnect.code != DisconnectReasonCode::NormalDisconnection;
        self.end(DisconnectReason::Client { with_will }, effects);
    }
}

/// For how long the session outlives its connection (MQTT 5 section 3.1.2.11.2; 3.1.1 section 3.1.2.4).
#[must_use]
pub fn expiry(connect: &Connect, quotas: &Quotas) -> Duration {
    match connect.version {
        Version::V311 if connect.clean_start => Duration::ZERO,
        Version::V311 => quotas.session_expiry,
        Version::V5 => {
            let asked = Duration::from_secs(connect.properties.session_expiry_interval.into());
            asked.min(quotas.session_expiry)
        }
    }
}

/// The client's Receive Maximum, within the quota.
fn receive_maximum(connect: &Connect, quotas: &Quotas) -> NonZeroU16 {
    let requested = connect.properties.receive_maximum.unwrap_or(NonZeroU16::MAX);
    requested.min(quotas.unacknowledged_messages)
}

fn send(packet: Packet) -> Effect {
    Effect::Wire(WireEffect::Send(packet))
}

fn settled(message: MessageId) -> Effect {
    Effect::Broker(BrokerEffect::Settled(message))
}

/// Ends a message that is in flight, and sends the next ones.
fn acknowledge(packet_id: NonZeroU16, outbox: &mut Outbox, now: Moment, effects: &mut Vec<Effect>) {
    effects.extend(outbox.acknowledge(packet_id).map(settled));
    send_ready(outbox, now, effects);
}

/// Sends as many QoS 1 messages as the client accepts, and those again that it does not acknowledge.
fn send_ready(outbox: &mut Outbox, now: Moment, effects: &mut Vec<Effect>) {
    while let Some(transmission) = outbox.next_transmission(now) {
        match transmission {
            Transmission::Dropped(message) => effects.push(settled(message)),
            Transmission::NotAcknowledged(message, topic) => {
                effects.push(Effect::Log(Rejection::not_acknowledged(&topic)));
                effects.extend(message.map(settled));
            }
            Transmission::Send { first_sent, publish } => {
                if let (Some(message), Some(packet_id)) = (first_sent, publish.packet_id) {
                    effects.push(Effect::Broker(BrokerEffect::Sent(message, packet_id)));
                }
                effects.push(send(Packet::Publish(publish)));
            }
        }
    }
    if outbox.is_time_to_draw(now) {
        effects.push(Effect::Broker(BrokerEffect::DeliverShared));
    }
}

impl Timers {
    /// One and a half keep-alive times without a packet end the connection (MQTT 5 section 3.1.2.10).
    fn silence_ends(&self) -> Moment {
        self.heard_at + self.keep_alive * 3 / 2
    }
}
