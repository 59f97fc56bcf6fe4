//! An MQTT server that does as a test says.

use std::io;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use device_sim::{Address, Endpoint, QoS, Target, TopicName};
use mqtt::{
    Codec, ConnAck, Connect, ConnectReasonCode, Disconnect, DisconnectReasonCode, Packet, PubAck, PubAckCode,
    Publish, SubAck, SubAckCode, Subscribe, SubscribeFailure,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::codec::{Decoder, Encoder};

/// How the server treats one connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    /// Accepts the connection, acknowledges messages, and echoes a message to each new subscription.
    Kind,
    /// As kind, with this Server Keep Alive.
    KeepAlive(u16),
    Refuse(ConnectReasonCode),
    CloseOnConnect,
    SilentOnConnect,
    CloseOnPublish,
    DisconnectOnPublish(DisconnectReasonCode),
    RefusePublish(PubAckCode),
    SilentOnPublish,
    RefuseSubscribe(SubscribeFailure),
    KeepAliveWithoutAnswer(u16),
}

/// What the server has met, by client id.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Connect(Box<Connect>),
    Publish(String, Publish),
    PubAck(String),
    Ping(String),
    Disconnect(String),
}

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
    pub(crate) ca: PathBuf,
    seen: UnboundedReceiver<Seen>,
}

impl Server {
    /// Starts on a free port, for `localhost` and the protocol `mqtt`.
    pub(crate) async fn start(manner: impl Fn(&Connect) -> Manner + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        let acceptor = TlsAcceptor::from(Arc::new(tls(&ca)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (report, seen) = unbounded_channel();
        let manner = Arc::new(manner);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, manner, report) = (acceptor.clone(), Arc::clone(&manner), report.clone());
                // How a connection ends is for the client to judge.
                tokio::spawn(async move { serve(tcp, acceptor, &*manner, report).await.unwrap_or_default() });
            }
        });
        Self { port, folder, ca, seen }
    }

    pub(crate) async fn kind() -> Self {
        Self::start(|_| Manner::Kind).await
    }

    pub(crate) fn address(&self) -> Address {
        format!("localhost:{}", self.port).parse().unwrap()
    }

    pub(crate) fn target(&self) -> Target {
        let ca = Some(self.ca.clone());
        Target { ca, ..Target::new(self.address()) }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.target()).unwrap()
    }

    /// Waits, within a bound, for the first report that `wanted` picks.
    pub(crate) async fn until<T>(&mut self, mut wanted: impl FnMut(Seen) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = wanted(self.seen.recv().await.unwrap()) {
                    return found;
                }
            }
        };
        timeout(Duration::from_secs(30), found)
            .await
            .expect("the server did not meet what the test waits for")
    }
}

fn tls(ca_file: &PathBuf) -> ServerConfig {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(ca_file, ca.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    config
}

async fn serve(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    manner: &(impl Fn(&Connect) -> Manner + Sync),
    report: UnboundedSender<Seen>,
) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let stream = acceptor.accept(tcp).await?;
    let mut peer = Peer { stream, codec: Codec::server(150_000), bytes: BytesMut::new() };
    let Some(Packet::Connect(connect)) = peer.next().await? else { return Ok(()) };
    let (manner, id) = (manner(&connect), connect.client_id.to_string());
    report.send(Seen::Connect(connect)).unwrap_or_default();
    if !peer.answer_connect(manner).await? {
        return Ok(());
    }
    while let Some(packet) = peer.next().await? {
        let seen = match &packet {
            Packet::Publish(publish) => Seen::Publish(id.clone(), publish.clone()),
            Packet::PubAck(_) => Seen::PubAck(id.clone()),
            Packet::PingReq => Seen::Ping(id.clone()),
            Packet::Disconnect(_) => Seen::Disconnect(id.clone()),
            _ => Seen::PubAck(String::new()),
        };
        let open = peer.answer(packet, manner).await?;
        report.send(seen).unwrap_or_default();
        if !open {
            break;
        }
    }
    peer.stream.shutdown().await
}

struct Peer {
    stream: TlsStream<TcpStream>,
    codec: Codec,
    bytes: BytesMut,
}

impl Peer {
    async fn next(&mut self) -> io::Result<Option<Packet>> {
        loop {
            if let Some(packet) = self.codec.decode(&mut self.bytes).unwrap() {
                return Ok(Some(packet));
            }
            if self.stream.read_buf(&mut self.bytes).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn send(&mut self, packet: Packet) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        self.codec.encode(packet, &mut bytes).unwrap();
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    /// Whether the connection goes on.
    async fn answer_connect(&mut self, manner: Manner) -> io::Result<bool> {
        let mut answer = ConnAck::accepted(false);
        match manner {
            Manner::Refuse(code) => answer = ConnAck::new(code),
            Manner::CloseOnConnect => return self.stream.shutdown().await.map(|()| false),
            Manner::SilentOnConnect => return self.next().await.map(|_| false),
            Manner::KeepAlive(seconds) | Manner::KeepAliveWithoutAnswer(seconds) => {
                answer.properties.server_keep_alive = Some(seconds);
            }
            _ => {}
        }
        self.send(Packet::ConnAck(Box::new(answer))).await?;
        Ok(!matches!(manner, Manner::Refuse(_)))
    }

    /// Whether the connection goes on.
    async fn answer(&mut self, packet: Packet, manner: Manner) -> io::Result<bool> {
        match packet {
            Packet::Publish(publish) => return self.answer_publish(&publish, manner).await,
            Packet::Subscribe(subscribe) => self.answer_subscribe(&subscribe, manner).await?,
            Packet::PingReq if !matches!(manner, Manner::KeepAliveWithoutAnswer(_)) => {
                self.send(Packet::PingResp).await?;
            }
            Packet::Disconnect(_) => return Ok(false),
            _ => {}
        }
        Ok(true)
    }

    async fn answer_publish(&mut self, publish: &Publish, manner: Manner) -> io::Result<bool> {
        let code = match manner {
            Manner::CloseOnPublish => return Ok(false),
            Manner::DisconnectOnPublish(code) => {
                self.send(Packet::Disconnect(Disconnect::new(code))).await?;
                return Ok(false);
            }
            Manner::SilentOnPublish => return Ok(true),
            Manner::RefusePublish(code) => code,
            _ => PubAckCode::Success,
        };
        if let Some(id) = publish.packet_id {
            self.send(Packet::PubAck(PubAck::new(id, code))).await?;
        }
        Ok(true)
    }

    async fn answer_subscribe(&mut self, subscribe: &Subscribe, manner: Manner) -> io::Result<()> {
        let code = match manner {
            Manner::RefuseSubscribe(code) => SubAckCode::Failed(code),
            _ => SubAckCode::Granted(QoS::AtLeastOnce),
        };
        let answer = SubAck { packet_id: subscribe.packet_id, codes: vec![code], reason_string: None };
        // A retained message may come before the acknowledgement.
        let mut echo = Publish::new(TopicName::try_from("echo").unwrap(), "hello");
        (echo.qos, echo.packet_id) = (QoS::AtLeastOnce, Some(NonZeroU16::MIN));
        self.send(Packet::Publish(echo)).await?;
        self.send(Packet::SubAck(answer)).await
    }
}
