//! One client's session, from its CONNACK to its end: every packet, message and moment in, effects out.
//!
//! No IO and no clock. Everything that a client may or may not do is decided here, with the authorizer's
//! policies.

pub mod disconnect_reason;
pub mod enforcement;
pub mod flow;
mod publish;
pub mod quotas;
pub mod rate;
mod subscribe;

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use iot_policy::Action;
use mqtt::{
    ConnAck, Connect, Disconnect, DisconnectReasonCode, LastWill, Packet, Publish, QoS, SubscribeFilter,
    TopicFilter, TopicName, Version,
};

use self::{
    disconnect_reason::DisconnectReason,
    enforcement::{Enforcement, Rejection},
    flow::{Flow, Unfinished},
    rate::Rate,
};
use crate::{
    broker::{queue::Delivery, store::MessageId},
    clock::Moment,
    custom_auth::answer::Authorization,
    quotas::Quotas,
    settings::Settings,
};

/// A session.
pub struct Session {
    version: Version,
    client_id: Arc<str>,
    enforcement: Enforcement,
    timers: Timers,
    last_will: Option<LastWill>,
    aliases: Vec<Option<TopicName>>,
    subscriptions: Vec<TopicFilter>,
    flow: Flow,
    /// For how long the session outlives its connection.
    expiry: Duration,
    settings: Arc<Settings>,
    publishes: Rate,
    bytes: Rate,
    /// Until then nothing is taken from the client.
    held_until: Option<Moment>,
    ended: bool,
}

/// What has to be done.
#[derive(Debug)]
pub enum Effect {
    /// Write a packet.
    Send(Packet),
    /// Give a message to the broker.
    Route(TopicName, Publish),
    /// Give the last will to the broker when its delay is over, or the session if that is sooner; not if the client is
    /// back by then (`[MQTT-3.1.3-9]`).
    RouteLater(TopicName, Publish, Duration),
    /// Enter a subscription.
    Subscribe(SubscribeFilter),
    /// Take a subscription out; the session knows that it is there.
    Unsubscribe(TopicFilter),
    /// Note in the file that a message is sent under this packet id.
    Sent(MessageId, NonZeroU16),
    /// Note in the file that a message is done with.
    Settled(MessageId),
    /// Ask the authorizer again.
    Refresh,
    /// Write a line about a request and what became of it.
    Log(Rejection),
    /// End the connection, after what was to be written before.
    End(DisconnectReason),
}

struct Timers {
    keep_alive: Duration,
    heard_at: Moment,
    refresh_at: Option<Moment>,
    disconnect_at: Option<Moment>,
}

impl Session {
    /// The session of a client that may connect.
    #[must_use]
    pub fn new(
        connect: &Connect,
        client_id: Arc<str>,
        enforcement: Enforcement,
        settings: Arc<Settings>,
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
        };
        Self {
            version: connect.version,
            client_id,
            timers,
            last_will: connect.last_will.clone(),
            aliases: vec![None; quotas.topic_aliases.into()],
            subscriptions: Vec::new(),
            flow: Flow::new(unacknowledged(connect, quotas), !expiry.is_zero()),
            expiry,
            enforcement,
            settings,
            publishes: Rate::new(now),
            bytes: Rate::new(now),
            held_until: None,
            ended: false,
        }
    }

    /// Goes on with the session that an earlier connection left, as far as the policies of this one allow.
    pub fn resume(
        &mut self,
        subscriptions: Vec<TopicFilter>,
        unfinished: Unfinished,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        self.subscriptions = subscriptions;
        self.flow.resume(unfinished);
        self.withdraw(effects);
        self.flow.send_all(now, effects);
    }

    /// What is left when the connection has ended, and for how long it waits for the client; nothing if the session ends
    /// with its connection.
    #[must_use]
    pub fn into_unfinished(self) -> Option<(Unfinished, Duration)> {
        (!self.expiry.is_zero()).then(|| (self.flow.into_unfinished(), self.expiry))
    }

    /// The answer to the CONNECT: what AWS tells a client about itself (developer guide, `mqtt`).
    #[must_use]
    pub fn conn_ack(&self, connect: &Connect, session_present: bool) -> ConnAck {
        let quotas = &self.settings.quotas;
        let mut ack = ConnAck::accepted(session_present);
        let keep_alive = quotas.keep_alive(connect.keep_alive);
        let properties = &mut ack.properties;
        let expiry = u32::try_from(self.expiry.as_secs()).unwrap_or(u32::MAX);
        let asked = connect.properties.session_expiry_interval;
        properties.session_expiry_interval = (expiry != asked).then_some(expiry);
        properties.receive_maximum = quotas.receive_maximum;
        properties.maximum_qos = QoS::AtLeastOnce;
        properties.maximum_packet_size = Some(quotas.packet_bytes);
        properties.topic_alias_maximum = quotas.topic_aliases;
        properties.subscription_identifiers_available = false;
        properties.server_keep_alive = (keep_alive != connect.keep_alive).then_some(keep_alive);
        properties.assigned_client_id = connect.client_id.is_empty().then(|| Arc::clone(&self.client_id));
        ack
    }

    /// Whether the connection is to end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// For how long the session outlives its connection.
    #[must_use]
    pub fn expiry(&self) -> Duration {
        self.expiry
    }

    /// What is suspicious in the policies, for a person to read.
    #[must_use]
    pub fn findings(&self) -> Option<String> {
        self.enforcement.findings()
    }

    /// The principal that the authorizer named.
    #[must_use]
    pub fn principal_id(&self) -> &Arc<str> {
        &self.enforcement.authorization().principal_id
    }

    /// A packet came.
    pub fn on_packet(&mut self, packet: Packet, now: Moment, effects: &mut Vec<Effect>) {
        self.timers.heard_at = now;
        match packet {
            Packet::Publish(publish) => self.on_publish(publish, now, effects),
            Packet::PubAck(ack) => self.on_pub_ack(ack.packet_id, now, effects),
            Packet::Subscribe(subscribe) => self.on_subscribe(subscribe, effects),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(&unsubscribe, effects),
            Packet::PingReq => effects.push(Effect::Send(Packet::PingResp)),
            Packet::Disconnect(disconnect) => self.on_disconnect(&disconnect, effects),
            // QoS 2 and extended authentication do not exist here; the codec has refused what no client sends.
            _ => self.end(
                DisconnectReason::Protocol(
                    DisconnectReasonCode::ProtocolError,
                    "a packet that is not supported",
                ),
                effects,
            ),
        }
    }

    /// A message from the broker. A client gets it only if its policy lets it receive from the topic.
    pub fn on_message(&mut self, delivery: Delivery, now: Moment, effects: &mut Vec<Effect>) {
        let Some(topic) = delivery.publish().topic.as_ref() else { return };
        let decision = self.enforcement.decide(Action::Receive, topic.as_str());
        if let Some(rejection) = decision.denial() {
            effects.push(Effect::Log(rejection));
            effects.extend(delivery.id().map(Effect::Settled));
            return;
        }
        // A QoS 1 message is always sent. Above the rate it only does not count *(unverified)*.
        let exceeded = self.count_message(now).err().filter(|_| delivery.publish().qos == QoS::AtMostOnce);
        if let Some(rate) = exceeded {
            effects.push(Effect::Log(Rejection::throttled(Action::Receive, topic, rate)));
            return;
        }
        if let Err(reason) = self.flow.outgoing(delivery, now, effects) {
            self.end(reason, effects);
        }
    }

    /// Retained messages follow a SUBSCRIBE, all at once.
    pub fn on_retained(&mut self, deliveries: Vec<Delivery>, now: Moment, effects: &mut Vec<Effect>) {
        self.flow.expect(deliveries.len());
        for delivery in deliveries {
            self.on_message(delivery, now, effects);
        }
    }

    /// Whether nothing is to be taken from the client for now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held_until.is_some()
    }

    /// When [`Session::on_time`] has something to do next.
    #[must_use]
    pub fn deadline(&self) -> Moment {
        let others = [self.timers.refresh_at, self.timers.disconnect_at, self.held_until];
        others.into_iter().flatten().fold(self.timers.silence_ends(), Moment::min)
    }

    /// Time has passed.
    pub fn on_time(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.timers.disconnect_at.is_some_and(|at| now >= at) {
            return self.end(DisconnectReason::TimeToLive, effects);
        }
        if self.held_until.is_some_and(|at| now >= at) {
            self.held_until = None;
            // What it sent meanwhile is still to be read.
            self.timers.heard_at = now;
        }
        if now >= self.timers.silence_ends() {
            return self.end(DisconnectReason::KeepAlive, effects);
        }
        if self.timers.refresh_at.is_some_and(|at| now >= at) {
            self.timers.refresh_at = None;
            effects.push(Effect::Refresh);
        }
    }

    /// The authorizer answered the refresh. The new documents rule at once; the time at which the connection
    /// ends stays as it was at the connect (developer guide, `custom-auth-lambda`).
    pub fn on_refreshed(&mut self, authorization: Authorization, now: Moment, effects: &mut Vec<Effect>) {
        if authorization.principal_id != self.enforcement.authorization().principal_id {
            return self.end(DisconnectReason::RefreshRefused, effects);
        }
        self.timers.refresh_at = authorization.lifetime.map(|lifetime| now + lifetime.refresh_after);
        self.enforcement.replace(authorization);
        let decision = self.enforcement.connect();
        if let Some(rejection) = decision.denial() {
            effects.push(Effect::Log(rejection));
            return self.end(DisconnectReason::RefreshRefused, effects);
        }
        self.withdraw(effects);
    }

    /// Ends what the new documents no longer allow: subscriptions *(unverified)*, and messages that wait.
    fn withdraw(&mut self, effects: &mut Vec<Effect>) {
        let enforcement = &self.enforcement;
        self.subscriptions.retain(|filter| {
            let denial = enforcement.decide(Action::Subscribe, filter.as_str()).denial();
            let kept = denial.is_none();
            effects.extend(denial.map(Effect::Log));
            effects.extend((!kept).then(|| Effect::Unsubscribe(filter.clone())));
            kept
        });
        let may_receive = |topic: &TopicName, effects: &mut Vec<Effect>| {
            let denial = enforcement.decide(Action::Receive, topic.as_str()).denial();
            let kept = denial.is_none();
            effects.extend(denial.map(Effect::Log));
            kept
        };
        self.flow.retain_waiting(may_receive, effects);
    }

    /// The connection is over for a reason from outside the session.
    pub fn end(&mut self, reason: DisconnectReason, effects: &mut Vec<Effect>) {
        if self.ended {
            return;
        }
        self.ended = true;
        if let Some(code) = reason.disconnect_code() {
            effects.push(Effect::Send(Packet::Disconnect(Disconnect::new(code))));
        }
        if reason.publishes_will() {
            self.publish_will(effects);
        }
        effects.push(Effect::End(reason));
    }

    fn on_disconnect(&mut self, disconnect: &Disconnect, effects: &mut Vec<Effect>) {
        if let Some(seconds) = disconnect.session_expiry_interval {
            if self.expiry.is_zero() && seconds > 0 {
                // `[MQTT-3.14.2-1]`'s note: a session that ends with its connection can't be made to stay.
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
fn expiry(connect: &Connect, quotas: &Quotas) -> Duration {
    match connect.version {
        Version::V311 if connect.clean_start => Duration::ZERO,
        Version::V311 => quotas.session_expiry,
        Version::V5 => {
            let asked = Duration::from_secs(connect.properties.session_expiry_interval.into());
            asked.min(quotas.session_expiry)
        }
    }
}

/// How many messages the client takes without acknowledging one.
fn unacknowledged(connect: &Connect, quotas: &Quotas) -> NonZeroU16 {
    let asked = connect.properties.receive_maximum.unwrap_or(NonZeroU16::MAX);
    asked.min(quotas.unacknowledged_messages)
}

impl Timers {
    /// One and a half keep-alive times without a packet end the connection (MQTT 5 section 3.1.2.10).
    fn silence_ends(&self) -> Moment {
        self.heard_at + self.keep_alive * 3 / 2
    }
}
