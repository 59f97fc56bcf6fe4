//! A connection from its TCP accept to its CONNACK: TLS, CONNECT, the authorizer, the policies on `iot:Connect`.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use mqtt::{Codec, ConnAck, Connect, ConnectReasonCode, DecodeError, LastWill, Packet, QoS, Version};
use server::handshake_limit::HandshakePermit;
use tokio::net::TcpStream;
use tokio_util::codec::{Encoder, Framed};
use uuid::Uuid;

use super::{
    authentication::{Authenticated, Credentials, authenticate},
    context, http,
    limits::HandshakeLimits,
    log::{Addresses, Connected, ConnectionLog},
    presence::{self, Lifecycle},
    transport::{Stream, Transport, WRITE_TIMEOUT, write},
};
use crate::{
    broker::registration::{Registration, SessionRequest},
    client_records::{ConnectionDetails, ConnectionRecord},
    custom_auth::{
        answer::Authorization,
        event::{ClientRequest, ConnectFields},
        http_request::HttpRequest,
        unnamed::Unnamed,
    },
    door::{
        AcceptedConnection, ConnectionInfo,
        route::{HTTP, HTTP_CA, Port, Protocol},
    },
    event_log::EventType,
    quotas::Quotas,
    session::{
        Effect, Session,
        enforcement::Enforcement,
        quotas::{MessageProperties, check_reserved},
        reason_string,
    },
    shared::Shared,
};

/// How long the end of a refused connection may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The first size of a connection's buffers, in bytes. Most packets of a sensor fit.
const BUFFER_BYTES: usize = 512;
/// Bytes in the write buffer that cause a flush.
const WRITE_BYTES: usize = 4_096;
/// The first bytes of HTTP requests.
const HTTP_METHODS: [&[u8]; 7] = [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"PATCH ", b"DELETE ", b"OPTIONS "];
/// The beginning of an assigned client id.
const ASSIGNED: &str = "$GEN/";

/// A connection whose client is connected.
pub(super) struct Established {
    pub(super) stream: Stream,
    pub(super) session: Session,
    pub(super) registration: Registration,
    pub(super) credentials: Option<Credentials>,
    pub(super) client_id: Arc<str>,
    /// What others know of the connection.
    pub(super) record: Arc<ConnectionRecord>,
    /// The first effects of a session that is resumed.
    pub(super) effects: Vec<Effect>,
    pub(super) log: ConnectionLog,
}

/// The origin of a CONNECT.
#[derive(Clone, Copy)]
struct ConnectOrigin<'a> {
    info: &'a ConnectionInfo,
    /// The WebSocket's upgrade request, if there was one.
    request: Option<&'a HttpRequest>,
}

/// A client that may connect.
struct Authorized {
    credentials: Option<Credentials>,
    enforcement: Enforcement,
    unnamed: Option<Unnamed>,
}

struct Handshake<'a> {
    connection_id: Uuid,
    log: ConnectionLog,
    addresses: Addresses,
    shared: &'a Arc<Shared>,
}

/// Brings a connection as far as its CONNACK. `None` if it ended before that; the log has the reason.
pub(super) async fn accept(
    stream: TcpStream,
    port: Port,
    peer: SocketAddr,
    shared: &Arc<Shared>,
) -> Option<Box<Established>> {
    let connection_id = Uuid::new_v4();
    let addresses = Addresses { peer, local: stream.local_addr().ok() };
    let log = ConnectionLog::new(shared, connection_id.to_string(), addresses);
    let mut handshake = Handshake { connection_id, log, addresses, shared };
    let permit = Arc::new(shared.handshakes.acquire());
    let (mut stream, info, request) = handshake.transport(port, stream, &permit).await?;
    let connect = handshake.connect(&mut stream, &permit).await?;
    permit.release();
    let client_id = handshake.client_id(&connect, &mut stream).await?;
    let quotas = &shared.settings.quotas;
    handshake.log.set_client(&client_id, &connect, &info, quotas);
    let origin = ConnectOrigin { info: &info, request: request.as_ref() };
    let Some(authorized) = handshake.authorize(&connect, &client_id, origin).await else {
        return handshake.refuse(&mut stream, ConnectReasonCode::NotAuthorized, "").await;
    };
    let Authorized { credentials, enforcement, unnamed } = authorized;
    let (mut session, mut registration) =
        handshake.register(&connect, &client_id, enforcement, &mut stream).await?;
    let (session_present, mut effects) = (registration.resumed.is_some(), Vec::new());
    if let Some(subscriptions) = registration.resumed.take()
        && let Some(mut outbox) = registration.outbox()
    {
        session.resume(subscriptions, &mut outbox, shared.clock.now(), &mut effects);
    }
    // 0 asks for the server's own.
    if connect.keep_alive != 0 && quotas.keep_alive(connect.keep_alive) != connect.keep_alive {
        handshake.log.unsupported_keep_alive(quotas);
    }
    let unnamed = unnamed.filter(|_| shared.unnamed.is_new(&connect.client_id));
    let details = [unnamed.map(|unnamed| unnamed.to_string()), session.findings()];
    let details = details.into_iter().flatten().collect::<Vec<_>>().join("; ");
    handshake.log.connected(Connected {
        explanation: Some(details).filter(|text| !text.is_empty()),
        authorizer: credentials.as_ref().map(|credentials| credentials.authorizer.name.as_str()),
        allows: session.allowed(),
    });
    let details = ConnectionDetails {
        source: handshake.addresses.peer,
        target: handshake.addresses.local,
        keep_alive: connect.keep_alive,
        clean_session: connect.clean_start,
        session_expiry: session.expiry(),
        thing_name: info.certificate().and_then(|certificate| certificate.things.get(&*client_id).cloned()),
    };
    let record = shared.clients.connected(&client_id, details, shared.clock.now());
    let connected = Lifecycle::Connected(record.version);
    presence::published(shared, &client_id, &handshake.log, connected).await;
    let ack = Packet::ConnAck(Box::new(session.conn_ack(&connect, session_present)));
    // A connection that breaks here is noticed, and its session ended, at the first read.
    write(&mut stream, ack, shared).await;
    _ = shared.clock.timeout(WRITE_TIMEOUT, stream.flush()).await;
    let log = handshake.log;
    Some(Box::new(Established {
        stream,
        session,
        registration,
        credentials,
        client_id,
        record,
        effects,
        log,
    }))
}

impl Handshake<'_> {
    /// Accepts TLS, and WebSocket within it. A connection of HTTPS publishes is served and ended here.
    async fn transport(
        &mut self,
        port: Port,
        stream: TcpStream,
        permit: &Arc<HandshakePermit>,
    ) -> Option<(Stream, ConnectionInfo, Option<HttpRequest>)> {
        let AcceptedConnection { stream, info } = self.tls(port, stream, permit).await?;
        self.log.set_door(&info);
        let (stream, info, request) = match info.protocol {
            Protocol::Mqtt => (Transport::Tls(stream), info, None),
            Protocol::Http(_) => {
                let context = http::HttpContext { info: &info, addresses: self.addresses };
                let http::Upgraded { stream, request, info } =
                    http::serve(stream, context, Arc::clone(permit), &self.log, self.shared).await?;
                (Transport::WebSocket(Box::new(stream)), info, Some(request))
            }
        };
        let codec = Codec::server(self.shared.settings.quotas.packet_bytes.get());
        let mut stream = Framed::with_capacity(stream, codec, BUFFER_BYTES);
        stream.set_backpressure_boundary(WRITE_BYTES);
        Some((stream, info, request))
    }

    async fn tls(
        &mut self,
        port: Port,
        stream: TcpStream,
        permit: &HandshakePermit,
    ) -> Option<AcceptedConnection> {
        // Small packets should not wait for more of them. If this can't be set, they do.
        _ = stream.set_nodelay(true);
        let accepting = Box::pin(self.shared.doors.enter(port, stream));
        let accepted = self.within_timeout(permit, "TLS_HANDSHAKE_FAILED", "handshake", accepting).await?;
        accepted
            .inspect_err(|failed| {
                self.log.handshake_failed(failed);
                self.log.seen(|| "a TLS alert, or the end of the connection during the handshake".to_owned());
            })
            .ok()
    }

    async fn within_timeout<T>(
        &self,
        permit: &HandshakePermit,
        reason: &'static str,
        what: &str,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let evicted = permit.evicted();
        let limits = HandshakeLimits { shared: self.shared, log: &self.log, evicted: &evicted };
        limits.within_timeout(reason, what, work).await
    }

    async fn connect(&self, stream: &mut Stream, permit: &HandshakePermit) -> Option<Connect> {
        match self.within_timeout(permit, "CLIENT_ERROR", "CONNECT", stream.next()).await? {
            Some(Ok(Packet::Connect(mut connect))) => {
                // Nothing reads them, and there can be thousands of CONNECTs that wait for the authorizer.
                connect.properties.user_properties = Vec::new();
                if let Some(bytes) = connect.properties.maximum_packet_size {
                    stream.codec_mut().set_peer_maximum(bytes.get());
                }
                match check(&connect, &self.shared.settings.quotas) {
                    Ok(()) => Some(*connect),
                    Err((code, details)) => self.reject(stream, code, details).await,
                }
            }
            Some(Err(error)) => {
                let details = describe(error, stream);
                self.reject(stream, error.connect_reason_code(), details).await
            }
            Some(Ok(_)) | None => {
                self.log
                    .connect_refused("CLIENT_ERROR", "the connection ended before its CONNECT".to_owned());
                None
            }
        }
    }

    /// The client id, or a new one if it is empty. No client may present one that could have been assigned.
    async fn client_id(&self, connect: &Connect, stream: &mut Stream) -> Option<Arc<str>> {
        let quota = self.shared.settings.quotas.client_id_bytes;
        let details = if connect.client_id.is_empty() {
            return Some(format!("{ASSIGNED}{}", Uuid::new_v4()).into());
        } else if connect.client_id.starts_with(ASSIGNED) {
            format!(
                "a client id that begins with `{ASSIGNED}` is assigned by the server, and can't be presented"
            )
        } else if connect.client_id.len() > quota {
            format!("the client id is longer than {quota} bytes")
        } else {
            return Some(Arc::clone(&connect.client_id));
        };
        self.reject(stream, ConnectReasonCode::ClientIdentifierNotValid, details).await
    }

    /// Asks the authorizer and its policies. `None` if the client may not connect.
    async fn authorize(
        &mut self,
        connect: &Connect,
        client_id: &Arc<str>,
        origin: ConnectOrigin<'_>,
    ) -> Option<Authorized> {
        let mqtt = ConnectFields {
            client_id: Some(&*connect.client_id).filter(|id| !id.is_empty()),
            user_name: connect.username.as_deref(),
            password: connect.password.as_deref(),
        };
        let ConnectOrigin { info, request: http } = origin;
        let sent = ClientRequest {
            connection_id: self.log.connection_id(),
            server_name: info.server_name.as_deref(),
            certificate: info.certificate().map(|certificate| &**certificate),
            http,
            mqtt: Some(mqtt),
        };
        let authenticated = authenticate(&sent, info, self.shared).await;
        let Authenticated { authorization, credentials, unnamed } =
            authenticated.inspect_err(|refusal| self.log.not_authenticated(refusal)).ok()?;
        self.log.set_principal(&authorization.principal_id);
        let enforcement = self.enforcement(connect, client_id, info, authorization);
        let denial = enforcement.connect().denial();
        let denial = denial.or_else(|| enforcement.will_denial(connect.last_will.as_ref()?));
        if let Some(rejection) = denial {
            self.log.rejected(&enforcement.with_findings(rejection));
            presence::published(self.shared, client_id, &self.log, Lifecycle::ConnectFailed).await;
            return None;
        }
        Some(Authorized { credentials, enforcement, unnamed })
    }

    /// Starts the session of a client that may connect, and registers the connection with the broker.
    async fn register(
        &self,
        connect: &Connect,
        client_id: &Arc<str>,
        enforcement: Enforcement,
        stream: &mut Stream,
    ) -> Option<(Session, Registration)> {
        let (now, settings) = (self.shared.clock.now(), Arc::clone(&self.shared.settings));
        if let Err(throttled) = self.shared.account_rates.connect(client_id, &settings.quotas, now) {
            let details = throttled.to_string();
            self.log.connect_refused("THROTTLED", details.clone());
            return self.refuse(stream, ConnectReasonCode::QuotaExceeded, &details).await;
        }
        // Without the right to a persistent session it resumes none *(guess: `PersistentConnect` begins a new session)*.
        let clean = connect.clean_start || !enforcement.allows_persistent_session();
        let rates = Arc::clone(&self.shared.account_rates);
        let session = Session::new(
            connect,
            Arc::clone(client_id),
            self.connection_id,
            enforcement,
            settings,
            rates,
            now,
        );
        let is_websocket = matches!(stream.get_ref(), Transport::WebSocket(_));
        let session = if is_websocket { session.over_websocket(now) } else { session };
        if !accepts_conn_ack(connect, session.conn_ack(connect, false), stream) {
            let details = "the CONNACK is larger than the client's Maximum Packet Size".to_owned();
            return self.reject(stream, ConnectReasonCode::PacketTooLarge, details).await;
        }
        let principal_id = Arc::clone(session.principal_id());
        let (version, expiry, limits) = (connect.version, session.expiry(), session.delivery_limits());
        let request = SessionRequest { principal_id, version, clean, expiry, limits };
        match self.shared.broker.register(client_id, request, now).await {
            Ok(registration) => Some((session, registration)),
            Err(error) => {
                self.log.not_written(EventType::Connect, &error);
                let details = "the server can't write its sessions' file";
                self.refuse(stream, ConnectReasonCode::ServerUnavailable, details).await
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
        let context = context::of_client(info, self.addresses.peer.ip(), client_id, &*self.shared.registry);
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

    /// Refuses a client for an error of its own, which goes into the log.
    async fn reject<T>(&self, stream: &mut Stream, code: ConnectReasonCode, details: String) -> Option<T> {
        self.log.connect_refused("CLIENT_ERROR", details.clone());
        self.refuse(stream, code, &details).await
    }

    /// Ends a connection whose CONNECT is refused. An MQTT 5 client gets a CONNACK, an MQTT 3.1.1 client gets none, as on
    /// AWS. Only a protocol level that is not supported is answered in 3.1.1 too, as the specification says: bridges try
    /// another level then.
    async fn refuse<T>(&self, stream: &mut Stream, code: ConnectReasonCode, details: &str) -> Option<T> {
        let mut ack = ConnAck::new(code);
        let answered = match stream.codec().version() {
            Some(Version::V5) => true,
            Some(Version::V311) => code == ConnectReasonCode::UnsupportedProtocolVersion,
            None => false,
        };
        self.log.seen(|| {
            if answered {
                format!("CONNACK 0x{:02X} ({code:?}), and the end of the connection", u8::from(code))
            } else {
                "the end of the connection, without a CONNACK: AWS sends none to MQTT 3.1.1".to_owned()
            }
        });
        if answered {
            ack.properties.reason_string = Some(reason_string::of_refusal(code, details, self.connection_id));
            write(stream, Packet::ConnAck(Box::new(ack)), self.shared).await;
        }
        stream.get_mut().refuse(answered);
        // The client may be gone already.
        _ = self.shared.clock.timeout(REFUSAL_TIMEOUT, stream.close()).await;
        None
    }
}

/// Checks a CONNECT before the authorizer is asked.
fn check(connect: &Connect, quotas: &Quotas) -> Result<(), (ConnectReasonCode, String)> {
    // MQTT 5 allows nothing else (section 4.12) *(guess: an authentication method gets 0x8C)*.
    if connect.properties.authentication_method.is_some() {
        let details = "enhanced authentication is not supported: use a user name and a password";
        return Err((ConnectReasonCode::BadAuthenticationMethod, details.to_owned()));
    }
    let min = quotas.min_maximum_packet_bytes;
    if connect.properties.maximum_packet_size.is_some_and(|bytes| bytes.get() < min) {
        // *(guess: it gets CONNACK 0x97)*
        let details = format!("the client's Maximum Packet Size is less than {min} bytes");
        return Err((ConnectReasonCode::QuotaExceeded, details));
    }
    connect.last_will.as_ref().map_or(Ok(()), |will| check_will(will, quotas))
}

/// Checks the last will. A CONNECT is refused if its will could never be published.
fn check_will(will: &LastWill, quotas: &Quotas) -> Result<(), (ConnectReasonCode, String)> {
    if will.qos == QoS::ExactlyOnce {
        return Err((ConnectReasonCode::QosNotSupported, "the last will asks for QoS 2".to_owned()));
    }
    let within = quotas
        .check(&will.topic, &will.payload)
        .and_then(|()| {
            quotas.check_properties(MessageProperties {
                content_type: will.properties.content_type.as_deref(),
                correlation_data: will.properties.correlation_data.as_deref(),
                user: &will.properties.user_properties,
            })
        })
        .and_then(|()| check_reserved(&will.topic, will.retain));
    within.map_err(|reason| {
        let code = reason.disconnect_code().and_then(|code| ConnectReasonCode::try_from(u8::from(code)).ok());
        let details = format!("the last will: {}", reason.details().unwrap_or_default());
        (code.unwrap_or(ConnectReasonCode::UnspecifiedError), details)
    })
}

/// Whether the client accepts a packet as large as its CONNACK (`[MQTT-3.1.2-24]`). If not, it would wait for ever.
fn accepts_conn_ack(connect: &Connect, ack: ConnAck, stream: &mut Stream) -> bool {
    connect.properties.maximum_packet_size.is_none()
        || stream.codec_mut().encode(Packet::ConnAck(Box::new(ack)), &mut BytesMut::new()).is_ok()
}

/// The most frequent mistakes, with their cure.
fn describe(error: DecodeError, stream: &Stream) -> String {
    let read = stream.read_buffer();
    if let Some(reason) = stream.get_ref().violation() {
        reason.details().unwrap_or_default()
    } else if HTTP_METHODS.iter().any(|method| read.starts_with(method)) {
        format!(
            "the client speaks HTTP, and this door accepts MQTT: at AWS's port 443 HTTP comes with ALPN `{HTTP}` or none, \
             with a certificate at AWS's port 8443 or with ALPN `{HTTP_CA}`"
        )
    } else {
        error.to_string()
    }
}
