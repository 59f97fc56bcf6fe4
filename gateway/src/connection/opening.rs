//! From the TCP accept to the CONNACK: TLS, CONNECT, the authorizer, the policy on `iot:Connect`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use mqtt::{Codec, ConnAck, Connect, ConnectReasonCode, DecodeError, LastWill, Packet, QoS, Version};
use tokio::net::TcpStream;
use tokio_util::codec::{Encoder, Framed};
use uuid::Uuid;

use super::{
    Stream, WRITE_LIMIT,
    authentication::{Authenticated, Credentials, authenticate},
    context, http,
    log::ConnectionLog,
    presence,
    transport::Transport,
    waiting::Waiting,
    write,
};
use crate::{
    broker::registration::{Registration, Wish},
    custom_auth::{
        answer::Authorization,
        event::{ClientRequest, ConnectFields},
        http_request::HttpRequest,
    },
    door::{
        AcceptedConnection, ConnectionInfo,
        route::{HTTP, HTTP_CA, Port, Protocol},
    },
    handshake_limit::HandshakePermit,
    quotas::Quotas,
    session::{Effect, Session, enforcement::Enforcement, quotas::check_properties},
    shared::Shared,
};

/// How long a client may take to be told that it is refused.
const FAREWELL_LIMIT: Duration = Duration::from_secs(10);
/// The buffers of a connection at first; most packets of a sensor fit.
const BUFFER_BYTES: usize = 512;
/// So much is written before a flush that nobody asked for.
const WRITE_BYTES: usize = 4_096;
/// How an HTTP request begins.
const HTTP_METHODS: [&[u8]; 7] = [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"PATCH ", b"DELETE ", b"OPTIONS "];

/// A connection whose client may be connected.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) session: Session,
    pub(super) registration: Registration,
    pub(super) credentials: Option<Credentials>,
    pub(super) client_id: Arc<str>,
    /// What an earlier connection left undone.
    pub(super) effects: Vec<Effect>,
    pub(super) log: ConnectionLog,
}

/// Brings a connection as far as its CONNACK; `None` if it ended before, and the log says why.
pub(super) async fn open(
    stream: TcpStream,
    port: Port,
    peer: SocketAddr,
    shared: &Arc<Shared>,
) -> Option<Box<Opened>> {
    let log = ConnectionLog::new(shared, Uuid::new_v4().to_string(), peer);
    let mut opening = Opening { log, peer, shared };
    let permit = Arc::new(shared.handshakes.acquire());
    let (mut stream, info, request) = opening.transport(port, stream, &permit).await?;
    let connect = opening.connect(&mut stream, &permit).await?;
    permit.release();
    let client_id = opening.client_id(&connect, &mut stream).await?;
    opening.log.name_client(&client_id);
    let way = ConnectContext { info: &info, request: request.as_ref() };
    let (credentials, enforcement) = match opening.authorize(&connect, &client_id, way).await {
        Ok(authorized) => authorized,
        Err(code) => return opening.refuse(&mut stream, code).await,
    };
    let (mut session, mut registration) =
        opening.register(&connect, &client_id, enforcement, &mut stream).await?;
    let earlier = registration.earlier(&shared.clock).await;
    let (session_present, mut effects) = (earlier.is_some(), Vec::new());
    if let Some(unfinished) = earlier {
        let now = shared.clock.now();
        session.resume(registration.subscribed(now), unfinished, now, &mut effects);
    }
    opening.log.connected(session.principal_id(), session.findings());
    presence::connected(shared, &client_id, &opening.log, registration.number());
    let ack = Packet::ConnAck(Box::new(session.conn_ack(&connect, session_present)));
    // A connection that breaks here is noticed, and its session ended, at the first read.
    write(&mut stream, ack, shared).await;
    _ = shared.clock.timeout(WRITE_LIMIT, stream.flush()).await;
    let log = opening.log;
    Some(Box::new(Opened { stream, session, registration, credentials, client_id, effects, log }))
}

/// What can be said of a CONNECT before anybody is asked about it.
fn check(connect: &Connect, quotas: &Quotas) -> Result<(), (ConnectReasonCode, String)> {
    // Whether AWS refuses it or ignores it is *(unverified)*; MQTT 5 has no third way (section 4.12).
    if connect.properties.authentication_method.is_some() {
        let details = "enhanced authentication is not supported: use a user name and a password";
        return Err((ConnectReasonCode::BadAuthenticationMethod, details.to_owned()));
    }
    connect.last_will.as_ref().map_or(Ok(()), |will| check_will(will, connect.version, quotas))
}

/// A last will is a message: one that could never be published is refused with its CONNECT.
fn check_will(will: &LastWill, version: Version, quotas: &Quotas) -> Result<(), (ConnectReasonCode, String)> {
    if will.qos == QoS::ExactlyOnce && version == Version::V5 {
        return Err((ConnectReasonCode::QosNotSupported, "the last will asks for QoS 2".to_owned()));
    }
    let within = quotas.check(&will.topic, &will.payload);
    within.and_then(|()| check_properties(&will.properties.user_properties)).map_err(|ending| {
        let code = ending.disconnect_code().and_then(|code| ConnectReasonCode::try_from(u8::from(code)).ok());
        let details = format!("the last will: {}", ending.details().unwrap_or_default());
        (code.unwrap_or(ConnectReasonCode::UnspecifiedError), details)
    })
}

/// Whether the client takes a packet as large as its CONNACK (`[MQTT-3.1.2-24]`). Without it, it would wait for ever.
fn has_room(connect: &Connect, ack: ConnAck, stream: &mut Stream) -> bool {
    connect.properties.maximum_packet_size.is_none()
        || stream.codec_mut().encode(Packet::ConnAck(Box::new(ack)), &mut BytesMut::new()).is_ok()
}

/// How the CONNECT came.
#[derive(Clone, Copy)]
struct ConnectContext<'a> {
    /// By which door.
    info: &'a ConnectionInfo,
    /// The upgrade to WebSocket, if there was one.
    request: Option<&'a HttpRequest>,
}

struct Opening<'a> {
    log: ConnectionLog,
    peer: SocketAddr,
    shared: &'a Arc<Shared>,
}

impl Opening<'_> {
    /// By TLS, or by WebSocket within it; an HTTPS publish ends here.
    async fn transport(
        &mut self,
        port: Port,
        stream: TcpStream,
        permit: &Arc<HandshakePermit>,
    ) -> Option<(Stream, ConnectionInfo, Option<HttpRequest>)> {
        let AcceptedConnection { stream, info } = self.enter(port, stream, permit).await?;
        self.log.name_domain(&info);
        let (stream, request) = match info.protocol {
            Protocol::Mqtt => (Transport::Tls(stream), None),
            Protocol::Http(allowed) => {
                let way = http::HttpContext { allowed, info: &info, peer: self.peer };
                let (stream, request) =
                    http::serve(stream, way, Arc::clone(permit), &self.log, self.shared).await?;
                (Transport::WebSocket(Box::new(stream)), Some(request))
            }
        };
        let codec = Codec::server(self.shared.settings.quotas.packet_bytes.get());
        let mut stream = Framed::with_capacity(stream, codec, BUFFER_BYTES);
        stream.set_backpressure_boundary(WRITE_BYTES);
        Some((stream, info, request))
    }

    async fn enter(
        &self,
        port: Port,
        stream: TcpStream,
        permit: &HandshakePermit,
    ) -> Option<AcceptedConnection> {
        // Small packets should not wait for more; if that can't be set, they just do.
        _ = stream.set_nodelay(true);
        let entering = Box::pin(self.shared.doors.enter(port, stream));
        match self.in_time(permit, "TLS_HANDSHAKE_FAILED", "handshake", entering).await? {
            Ok(entered) => Some(entered),
            Err(refusal) => {
                self.log.kept_out(&refusal);
                None
            }
        }
    }

    async fn in_time<T>(
        &self,
        permit: &HandshakePermit,
        reason: &'static str,
        what: &str,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let crowded_out = permit.crowded_out();
        let waiting = Waiting { shared: self.shared, log: &self.log, crowded_out: &crowded_out };
        waiting.in_time(reason, what, work).await
    }

    async fn connect(&self, stream: &mut Stream, permit: &HandshakePermit) -> Option<Connect> {
        match self.in_time(permit, "CLIENT_ERROR", "CONNECT", stream.next()).await? {
            Some(Ok(Packet::Connect(mut connect))) => {
                // Nothing asks for them, and there can be thousands while the authorizer decides.
                connect.properties.user_properties = Vec::new();
                if let Some(bytes) = connect.properties.maximum_packet_size {
                    stream.codec_mut().set_peer_maximum(bytes.get());
                }
                match check(&connect, &self.shared.settings.quotas) {
                    Ok(()) => Some(*connect),
                    Err((code, details)) => self.turn_away(stream, code, details).await,
                }
            }
            Some(Err(error)) => {
                let details = describe(error, stream);
                self.turn_away(stream, error.connect_reason_code(), details).await
            }
            Some(Ok(_)) | None => {
                self.log.refused("CLIENT_ERROR", "the connection ended before its CONNECT".to_owned());
                None
            }
        }
    }

    /// An empty client id gets one; whether AWS tells the authorizer that one is *(unverified)*.
    async fn client_id(&self, connect: &Connect, stream: &mut Stream) -> Option<Arc<str>> {
        let quota = self.shared.settings.quotas.client_id_bytes;
        if connect.client_id.len() > quota {
            let details = format!("the client id is longer than {quota} bytes");
            return self.turn_away(stream, ConnectReasonCode::ClientIdentifierNotValid, details).await;
        }
        let assigned = || format!("auto-{}", Uuid::new_v4().simple()).into();
        Some(if connect.client_id.is_empty() { assigned() } else { Arc::clone(&connect.client_id) })
    }

    async fn authorize(
        &self,
        connect: &Connect,
        client_id: &Arc<str>,
        way: ConnectContext<'_>,
    ) -> Result<(Option<Credentials>, Enforcement), ConnectReasonCode> {
        let mqtt = ConnectFields {
            client_id,
            user_name: connect.username.as_deref(),
            password: connect.password.as_deref(),
        };
        let ConnectContext { info, request: http } = way;
        let sent = ClientRequest {
            connection_id: self.log.connection_id(),
            server_name: info.server_name.as_deref(),
            certificate: info.certificate().map(|certificate| &**certificate),
            http,
            mqtt: Some(mqtt),
        };
        let authenticated = authenticate(&sent, info, self.shared).await;
        let Authenticated { authorization, credentials } = authenticated.map_err(|refusal| {
            self.log.not_authenticated(&refusal);
            ConnectReasonCode::NotAuthorized
        })?;
        let enforcement = self.enforcement(connect, client_id, info, authorization);
        if let Some(record) = enforcement.connect().denial() {
            self.log.decided(&record);
            return Err(ConnectReasonCode::NotAuthorized);
        }
        Ok((credentials, enforcement))
    }

    /// Gives a client that may connect its session and its place in the broker.
    async fn register(
        &self,
        connect: &Connect,
        client_id: &Arc<str>,
        enforcement: Enforcement,
        stream: &mut Stream,
    ) -> Option<(Session, Registration)> {
        let (now, settings) = (self.shared.clock.now(), Arc::clone(&self.shared.settings));
        if let Err(throttled) = self.shared.connect_rate.admit(client_id, &settings.quotas, now) {
            self.log.refused("THROTTLED", throttled.to_string());
            return self.refuse(stream, ConnectReasonCode::ConnectionRateExceeded).await;
        }
        // Who may have no persistent session goes on with none either *(unverified)*.
        let clean = connect.clean_start || !enforcement.connect_persistently();
        let session = Session::new(connect, Arc::clone(client_id), enforcement, settings, now);
        if !has_room(connect, session.conn_ack(connect, false), stream) {
            let details = "the CONNACK is larger than the client takes".to_owned();
            return self.turn_away(stream, ConnectReasonCode::PacketTooLarge, details).await;
        }
        let principal_id = Arc::clone(session.principal_id());
        let wish = Wish { principal_id, clean, expiry: session.expiry() };
        match self.shared.broker.register(client_id, wish, now) {
            Ok(registration) => Some((session, registration)),
            Err(error) => {
                self.log.not_written("Connect", &error);
                self.refuse(stream, ConnectReasonCode::ServerUnavailable).await
            }
        }
    }

    fn enforcement(
        &self,
        connect: &Connect,
        client_id: &Arc<str>,
        info: &ConnectionInfo,
        authorization: Authorization,
    ) -> Enforcement {
        let context = context::of_client(info, self.peer.ip(), client_id, &*self.shared.registry);
        let mut connect_context = context.clone();
        let persistent = match connect.version {
            Version::V311 => !connect.clean_start,
            Version::V5 => connect.properties.session_expiry_interval > 0,
        };
        if persistent {
            connect_context = connect_context.with_persistent_session();
        }
        if let Some(will) = &connect.last_will {
            connect_context = connect_context.with_last_will(&self.shared.scope, will.topic.as_str());
        }
        let scope = Arc::clone(&self.shared.scope);
        Enforcement::new(authorization, scope, Arc::clone(client_id), connect_context, context)
    }

    /// Refuses a client before anybody is asked about it, or for what the answer can't change.
    async fn turn_away<T>(&self, stream: &mut Stream, code: ConnectReasonCode, details: String) -> Option<T> {
        self.log.refused("CLIENT_ERROR", details);
        self.refuse(stream, code).await
    }

    async fn refuse<T>(&self, stream: &mut Stream, code: ConnectReasonCode) -> Option<T> {
        if !self.shared.settings.close_refused {
            let ack = Packet::ConnAck(Box::new(ConnAck::new(code)));
            write(stream, ack, self.shared).await;
        }
        // The peer may be gone already.
        _ = self.shared.clock.timeout(FAREWELL_LIMIT, stream.close()).await;
        None
    }
}

/// What people get wrong most often, in words that name the cure.
fn describe(error: DecodeError, stream: &Stream) -> String {
    let read = stream.read_buffer();
    if let Some(fault) = stream.get_ref().fault() {
        fault.to_owned()
    } else if HTTP_METHODS.iter().any(|method| read.starts_with(method)) {
        format!(
            "the client speaks HTTP, and this door takes MQTT: at AWS's port 443 HTTP comes with ALPN `{HTTP}` or none, \
             with a certificate at AWS's port 8443 or with ALPN `{HTTP_CA}`"
        )
    } else {
        error.to_string()
    }
}
