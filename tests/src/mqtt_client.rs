//! An MQTT client that sends what a test wants, right or wrong, and sees what comes back.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use mqtt::{
    Codec, ConnAck, Connect, Packet, PubAck, Publish, QoS, SubAck, Subscribe, SubscribeFilter, UnsubAck,
    Unsubscribe, Version,
    wire::{self, Wire},
};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use crate::{eventually::within, gateway_process::GatewayProcess, test_gateway::TestGateway};

/// A gateway that a client can reach, in this process or in its own.
pub trait Reachable {
    /// Where it listens, for AWS's port 443.
    fn address(&self) -> SocketAddr;
    /// The CA's certificate, as PEM.
    fn ca(&self) -> PathBuf;
}

impl Reachable for TestGateway {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn ca(&self) -> PathBuf {
        Self::ca(self)
    }
}

impl Reachable for GatewayProcess {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn ca(&self) -> PathBuf {
        Self::ca(self).to_owned()
    }
}

/// A connection, over TLS unless something else is said.
pub struct MqttClient<S = TlsStream<TcpStream>> {
    wire: Wire<S>,
}

/// A CONNECT with a user name and a password.
pub fn connect(version: Version, client_id: &str, user_name: &str, password: &str) -> Connect {
    let mut connect = Connect::new(version, client_id);
    connect.keep_alive = 60;
    connect.username = Some(user_name.into());
    connect.password = Some(password.to_owned().into());
    connect
}

/// A CONNECT that goes on with its session, and wants it kept for so long where it can say so.
pub fn persistent(version: Version, client_id: &str, expiry_seconds: u32) -> Connect {
    let mut connect = connect(version, client_id, "u", "p");
    (connect.clean_start, connect.keep_alive) = (false, 1_200);
    if version == Version::V5 {
        connect.properties.session_expiry_interval = expiry_seconds;
    }
    connect
}

/// A TLS connection with this server name and these ALPN protocols.
pub async fn tls(
    gateway: &impl Reachable,
    server_name: &str,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    tls_with(gateway, server_name, client_config(gateway, alpn, rustls::DEFAULT_VERSIONS)).await
}

/// The gateway's CA, and no other.
pub fn roots(gateway: &impl Reachable) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(gateway.ca()).unwrap()).unwrap();
    roots
}

/// The configuration of a TLS client that trusts the gateway's CA.
pub fn client_config(
    gateway: &impl Reachable,
    alpn: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    Arc::new(wire::client_config(roots(gateway), alpn, versions, None).unwrap())
}

/// A TLS connection with this server name and configuration.
pub async fn tls_with(
    gateway: &impl Reachable,
    server_name: &str,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(server_name.to_owned()).unwrap();
    within("the TLS handshake", wire::connect(gateway.address(), name, config)).await
}

impl MqttClient {
    /// A TLS connection on which nothing was sent yet.
    pub async fn open(gateway: &impl Reachable, version: Version) -> Self {
        Self::over(tls(gateway, "localhost", &["mqtt"]).await.unwrap(), version)
    }

    /// A connection, and what its CONNECT was answered with, if with anything.
    pub async fn connect(gateway: &impl Reachable, connect: Connect) -> (Self, Option<ConnAck>) {
        let mut client = Self::open(gateway, connect.version).await;
        client.send(Packet::Connect(Box::new(connect))).await;
        let ack = match client.receive().await {
            Some(Packet::ConnAck(ack)) => Some(*ack),
            None => None,
            Some(other) => panic!("{other:?} instead of CONNACK"),
        };
        (client, ack)
    }

    /// A connection that was let in.
    pub async fn connected(gateway: &TestGateway, connect: Connect) -> Self {
        let (client, ack) = Self::connect(gateway, connect).await;
        let code = ack.map(|ack| ack.code);
        assert_eq!(code, Some(mqtt::ConnectReasonCode::Success), "{}", gateway.log.text());
        client
    }

    /// A connection under this client id, to a gateway whose function lets anybody in.
    pub async fn anybody(gateway: &TestGateway, version: Version, id: &str) -> Self {
        Self::connected(gateway, connect(version, id, "u", "p")).await
    }
}

impl MqttClient<TcpStream> {
    /// A connection without TLS, and what its CONNECT was answered with, if with anything.
    pub async fn plain(address: SocketAddr, connect: Connect) -> (Self, Option<ConnAck>) {
        let stream = within("a connection", TcpStream::connect(address)).await.unwrap();
        let mut client = Self::over(stream, connect.version);
        client.send(Packet::Connect(Box::new(connect))).await;
        let ack = match client.receive().await {
            Some(Packet::ConnAck(ack)) => Some(*ack),
            None => None,
            Some(other) => panic!("{other:?} instead of CONNACK"),
        };
        (client, ack)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> MqttClient<S> {
    /// A client over a connection on which nothing was sent yet.
    pub fn over(stream: S, version: Version) -> Self {
        Self { wire: Wire::over(stream, Codec::client(version, 1 << 20), 8_192) }
    }

    /// Sends a packet.
    pub async fn send(&mut self, packet: Packet) {
        self.wire.queue(packet).unwrap();
        within("a packet", self.wire.flush()).await.unwrap();
    }

    /// Sends a packet, unless the server has hung up; whether it had not.
    pub async fn try_send(&mut self, packet: Packet) -> bool {
        self.wire.queue(packet).is_ok() && within("a packet", self.wire.flush()).await.is_ok()
    }

    /// Sends bytes as they are. The server may have hung up already.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let stream = self.wire.stream_mut();
        _ = stream.write_all(bytes).await;
        _ = stream.flush().await;
    }

    /// The next packet, or nothing if the server closed.
    pub async fn receive(&mut self) -> Option<Packet> {
        within("a packet or the end", self.wire.next()).await.ok().flatten()
    }

    /// Waits for the end; what came before it is lost.
    pub async fn closed(&mut self) {
        while self.receive().await.is_some() {}
    }

    /// Waits for the end, with nothing before it but a DISCONNECT, whose reason code it gives.
    pub async fn ended(&mut self) -> Option<u8> {
        let code = match self.receive().await {
            Some(Packet::Disconnect(disconnect)) => u8::from(disconnect.code),
            None => return None,
            Some(other) => panic!("{other:?} instead of the end"),
        };
        assert_eq!(self.receive().await, None, "DISCONNECT is the last packet");
        Some(code)
    }

    /// Whatever bytes still come, to the end.
    pub async fn rest(self) -> Vec<u8> {
        let (mut stream, arrived) = self.wire.into_parts();
        let mut bytes = arrived.to_vec();
        // A connection that is cut off ends with an error; what came before counts.
        _ = within("the end", stream.read_to_end(&mut bytes)).await;
        bytes
    }

    /// Publishes and, for QoS 1, waits for the acknowledgement; nothing if the server closed instead.
    pub async fn publish(&mut self, topic: &str, payload: &str, qos: QoS) -> Option<PubAck> {
        let mut publish = Publish::new(topic.parse().unwrap(), payload.to_owned());
        publish.qos = qos;
        publish.packet_id = (qos > QoS::AtMostOnce).then_some(std::num::NonZeroU16::MIN);
        self.send(Packet::Publish(publish)).await;
        if qos == QoS::AtMostOnce {
            return None;
        }
        match self.receive().await {
            Some(Packet::PubAck(ack)) => Some(ack),
            None | Some(Packet::Disconnect(_)) => None,
            Some(other) => panic!("{other:?} instead of PUBACK"),
        }
    }

    /// Subscribes and waits for the acknowledgement; nothing if the server closed instead.
    pub async fn subscribe(&mut self, filters: &[&str], qos: QoS) -> Option<SubAck> {
        let filters =
            filters.iter().map(|filter| SubscribeFilter::new(filter.parse().unwrap(), qos)).collect();
        let packet_id = std::num::NonZeroU16::MIN;
        let subscribe = Subscribe::new(packet_id, filters);
        self.send(Packet::Subscribe(subscribe)).await;
        match self.receive().await {
            Some(Packet::SubAck(ack)) => Some(ack),
            None | Some(Packet::Disconnect(_)) => None,
            Some(other) => panic!("{other:?} instead of SUBACK"),
        }
    }

    /// Unsubscribes and waits for the acknowledgement; nothing if the server closed instead.
    pub async fn unsubscribe(&mut self, filters: &[&str]) -> Option<UnsubAck> {
        let filters = filters.iter().map(|filter| filter.parse().unwrap()).collect();
        let packet_id = std::num::NonZeroU16::MIN;
        self.send(Packet::Unsubscribe(Unsubscribe::new(packet_id, filters))).await;
        match self.receive().await {
            Some(Packet::UnsubAck(ack)) => Some(ack),
            None | Some(Packet::Disconnect(_)) => None,
            Some(other) => panic!("{other:?} instead of UNSUBACK"),
        }
    }

    /// The next message; it panics if something else comes.
    pub async fn message(&mut self) -> Publish {
        match self.receive().await {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("{other:?} instead of a message"),
        }
    }

    /// Acknowledges a QoS 1 message.
    pub async fn acknowledge(&mut self, message: &Publish) {
        let ack = PubAck::new(message.packet_id.unwrap(), mqtt::PubAckCode::Success);
        self.send(Packet::PubAck(ack)).await;
    }

    /// A PINGREQ and its answer. Whatever was sent before it has been dealt with then.
    pub async fn ping(&mut self) {
        self.send(Packet::PingReq).await;
        assert!(matches!(self.receive().await, Some(Packet::PingResp)), "no PINGRESP");
    }
}
