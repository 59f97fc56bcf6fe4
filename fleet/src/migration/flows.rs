//! The connections of a capture: what a client sends, in its order, until what matters has been seen.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use bytes::BytesMut;
use mqtt::{Codec, DecodeError, Packet, QoS};
use tokio_util::codec::Decoder as _;

use super::{
    capture::Segment,
    client_hello::{self, ClientHello, Parsed},
    observed::{Connected, Observed},
    problem::Problem,
};

/// The most connections that are followed at a time; others are left out.
const MAX_FLOWS: usize = 65_536;
/// The most bytes that wait in a connection, for a packet's end or for a segment that is missing.
const MAX_WAITING_BYTES: usize = 256 * 1_024;
/// The greatest packet of MQTT that is read.
const MAX_PACKET_BYTES: u32 = 256 * 1_024;
/// Ports on which IoT Core accepts connections.
const PORTS: [u16; 3] = [443, 8_443, 8_883];

type Key = ((IpAddr, u16), (IpAddr, u16));

/// Connections, from their clients' side.
#[derive(Default)]
pub(super) struct Flows {
    by_ends: HashMap<Key, Flow>,
    /// How many segments of other connections were left out.
    pub(super) left_out: u64,
    /// How many began with TLS or MQTT.
    pub(super) connections: u64,
}

struct Flow {
    next: u32,
    /// Segments that came before the one that is next.
    early: BTreeMap<u32, Vec<u8>>,
    waiting: usize,
    state: State,
}

enum State {
    /// What it is is not known yet.
    Start(Vec<u8>),
    Mqtt(Box<MqttFlow>),
    /// Nothing more is of interest.
    Done,
}

struct MqttFlow {
    codec: Codec,
    bytes: BytesMut,
    device: String,
}

impl Flows {
    /// Adds what a segment has.
    pub(super) fn add(&mut self, segment: &Segment<'_>, observed: &mut Observed) {
        let key = (segment.from, segment.to);
        if segment.is_first {
            // A new connection may have the ports of an old one.
            self.by_ends.remove(&key);
        }
        if !self.by_ends.contains_key(&key) {
            if self.by_ends.len() >= MAX_FLOWS {
                self.by_ends.retain(|_, flow| !matches!(flow.state, State::Done));
            }
            if self.by_ends.len() >= MAX_FLOWS {
                self.left_out = self.left_out.saturating_add(1);
                return;
            }
            let next = segment.sequence.wrapping_add(u32::from(segment.is_first));
            let state = State::Start(Vec::new());
            self.by_ends.insert(key, Flow { next, early: BTreeMap::new(), waiting: 0, state });
        }
        let Some(flow) = self.by_ends.get_mut(&key) else { return };
        let was_open = matches!(flow.state, State::Start(_));
        flow.add(segment, observed);
        if was_open && !matches!(flow.state, State::Start(_)) {
            self.connections = self.connections.saturating_add(1);
        }
    }
}

impl Flow {
    fn add(&mut self, segment: &Segment<'_>, observed: &mut Observed) {
        if segment.payload.is_empty() || matches!(self.state, State::Done) {
            return;
        }
        let sequence = segment.sequence.wrapping_add(u32::from(segment.is_first));
        let ahead = sequence.wrapping_sub(self.next);
        if ahead != 0 && ahead < 1 << 31 {
            self.waiting = self.waiting.saturating_add(segment.payload.len());
            if self.waiting > MAX_WAITING_BYTES {
                self.end();
                return;
            }
            self.early.insert(sequence, segment.payload.to_vec());
            return;
        }
        self.take(sequence, segment.payload, segment, observed);
        while let Some((sequence, payload)) = self.early.pop_first() {
            let ahead = sequence.wrapping_sub(self.next);
            if ahead != 0 && ahead < 1 << 31 {
                self.early.insert(sequence, payload);
                break;
            }
            self.waiting = self.waiting.saturating_sub(payload.len());
            self.take(sequence, &payload, segment, observed);
        }
    }

    /// Takes bytes that begin at or before the next one. What was sent again is skipped.
    fn take(&mut self, sequence: u32, payload: &[u8], segment: &Segment<'_>, observed: &mut Observed) {
        let known = usize::try_from(self.next.wrapping_sub(sequence)).unwrap_or(usize::MAX);
        let Some(new) = payload.get(known..).filter(|new| !new.is_empty()) else { return };
        self.next = self.next.wrapping_add(u32::try_from(new.len()).unwrap_or_default());
        if let State::Start(start) = &mut self.state {
            start.extend_from_slice(new);
            match start.first() {
                Some(0x10) => {
                    let codec = Codec::server(MAX_PACKET_BYTES);
                    let bytes = BytesMut::from(start.as_slice());
                    self.state = State::Mqtt(Box::new(MqttFlow { codec, bytes, device: String::new() }));
                    self.mqtt(&[], segment, observed);
                }
                _ => match client_hello::parse(start) {
                    Parsed::Incomplete if start.len() < MAX_WAITING_BYTES => {}
                    Parsed::Incomplete | Parsed::Other => self.end(),
                    Parsed::Hello(hello) => {
                        offered(&hello, segment, observed);
                        self.end();
                    }
                },
            }
        } else {
            self.mqtt(new, segment, observed);
        }
    }

    fn end(&mut self) {
        self.state = State::Done;
        self.early = BTreeMap::new();
        self.waiting = 0;
    }

    fn mqtt(&mut self, new: &[u8], segment: &Segment<'_>, observed: &mut Observed) {
        let State::Mqtt(flow) = &mut self.state else { return };
        flow.bytes.extend_from_slice(new);
        let is_open = loop {
            match flow.codec.decode(&mut flow.bytes) {
                Ok(Some(packet)) => flow.packet(packet, observed),
                Ok(None) => break flow.bytes.len() <= MAX_WAITING_BYTES,
                Err(error) => {
                    let address = segment.from.0.to_string();
                    let device = if flow.device.is_empty() { address.as_str() } else { flow.device.as_str() };
                    let (problem, example) = match error {
                        DecodeError::UnsupportedProtocolVersion(3) => (Problem::Mqtt31, address.clone()),
                        error => (Problem::NotMqtt, format!("{device}: {error}")),
                    };
                    observed.add(device, problem, &example);
                    break false;
                }
            }
        };
        if !is_open {
            self.end();
        }
    }
}

impl MqttFlow {
    fn packet(&mut self, packet: Packet, observed: &mut Observed) {
        match packet {
            Packet::Connect(connect) => {
                self.device = observed.connected(&Connected {
                    client_id: &connect.client_id,
                    user: connect.username.as_deref(),
                    keep_alive: connect.keep_alive,
                    is_old: false,
                    is_assigned: false,
                });
                observed.add(&self.device, Problem::NoTls, &self.device);
                if let Some(will) = &connect.last_will {
                    observed.published(
                        &self.device,
                        will.topic.as_str(),
                        level(will.qos),
                        will.payload.len(),
                    );
                }
            }
            Packet::Publish(message) => {
                let topic = message.topic.as_ref().map(mqtt::TopicName::as_str).unwrap_or_default();
                observed.published(&self.device, topic, level(message.qos), message.payload.len());
            }
            Packet::Subscribe(subscribe) => {
                let filters = subscribe.filters.iter();
                observed.subscribed(
                    &self.device,
                    filters.map(|filter| (filter.filter.as_str(), level(filter.qos))),
                );
            }
            _ => {}
        }
    }
}

fn level(qos: QoS) -> u8 {
    match qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 1,
        QoS::ExactlyOnce => 2,
    }
}

/// What a client offers in TLS.
fn offered(hello: &ClientHello, segment: &Segment<'_>, observed: &mut Observed) {
    /// The ends of names that are a vendor's. Their DNS is not yours.
    const VENDORS: [&str; 5] = [
        ".aliyuncs.com",
        ".iotcloud.tencentdevices.com",
        ".tencentdevices.com",
        ".myqcloud.com",
        ".tencentcs.com",
    ];
    let (address, port) = (segment.from.0.to_string(), segment.to.1);
    let name = hello.server_name.as_deref().unwrap_or_default().to_ascii_lowercase();
    observed.address(&address);
    let mut add = |problem, example: &str| observed.add_to_address(&address, problem, example);
    if !PORTS.contains(&port) {
        add(Problem::Port, &format!("port {port}"));
    }
    if hello.newest < 0x0303 {
        add(Problem::OldTls, &address);
    }
    if !hello.alpn.iter().any(|protocol| protocol == "mqtt" || protocol == "http/1.1") {
        add(Problem::NoAlpn, &address);
    }
    if hello.server_name.is_none() {
        add(Problem::NoSni, &address);
    } else if VENDORS.iter().any(|vendor| name.ends_with(vendor)) {
        add(Problem::VendorHost, &name);
    } else if !name.ends_with(".amazonaws.com") {
        add(Problem::OwnHost, &name);
    }
    observed.host(if name.is_empty() { "(no name)" } else { &name });
}
