//! Connections to AWS IoT Core, a custom domain or `latchkey local`: one for each device, with the device's own credentials.

pub mod pacing;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use device_sim::{Address, Alpn, Authorizer, Endpoint, EndpointError, Target};
use mqtt::wire::dial::{DialError, Proxy, dial};
use mqtt::wire::{ReceiveError, SendError, Wire};
use mqtt::{Codec, ConnAck, Connect, ConnectReasonCode, DecodeError, Packet};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::client::TlsStream;

use self::pacing::{Held, Pacing, Presented};

/// The largest packet that AWS IoT Core sends (AWS General Reference, "AWS IoT Core endpoints and quotas").
const MAX_PACKET: u32 = 149_504;
/// Acknowledgements and pings are a few bytes.
const READ_SIZE: usize = 512;

/// A connection that the server has accepted.
pub type UpstreamWire = Wire<TlsStream<TcpStream>>;

/// How to reach the server.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// The addresses, of which the first that answers is used.
    pub endpoints: Vec<Address>,
    /// The server name (SNI); each endpoint's host without it.
    pub server_name: Option<String>,
    /// The only CA to trust; Amazon's roots without it.
    pub ca: Option<PathBuf>,
    /// The ALPN protocol.
    pub alpn: Alpn,
    /// The authorizer that is named where a user name has none.
    pub authorizer: Option<Authorizer>,
    /// The proxy, if there is one.
    pub proxy: Option<Proxy>,
    /// How many connects a second of all devices.
    pub connects_per_second: u32,
    /// How long a device waits for its connect.
    pub longest_wait: Duration,
    /// The time for TCP and TLS to one endpoint, and then for the CONNACK.
    pub step_timeout: Duration,
}

/// The way to the server. All devices share it.
pub struct Upstream {
    endpoints: Vec<Endpoint>,
    /// The endpoint that answered last.
    preferred: AtomicUsize,
    proxy: Option<Proxy>,
    authorizer: Option<Authorizer>,
    step_timeout: Duration,
    pacing: Mutex<Pacing>,
    key: hmac::Key,
}

/// Why a device is not connected upstream.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The bridge did not ask the server.
    #[error("{}", held(.0))]
    Held(Held),
    /// No endpoint could be reached.
    #[error("AWS can't be reached: {0}")]
    Unreachable(String),
    /// The server refused the device.
    #[error("AWS refused the device{}", .reason_string.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// Its code. AWS gives MQTT 3.1.1 none, and it is [`ConnectReasonCode::NotAuthorized`].
        code: ConnectReasonCode,
        /// Its words, which only MQTT 5 has.
        reason_string: Option<Arc<str>>,
        /// How long the same credentials are not tried again.
        held_for: Duration,
    },
    /// The CONNECT can't be sent, or its answer is not one.
    #[error("{0}")]
    Protocol(String),
}

impl Upstream {
    /// Reads the CA. Nothing is sent.
    ///
    /// # Errors
    ///
    /// If the CA or the server name can't be used.
    pub fn new(settings: &UpstreamSettings) -> Result<Self, EndpointError> {
        let endpoints = settings.endpoints.iter().map(|address| {
            Endpoint::new(Target {
                sni: settings.server_name.clone(),
                alpn: settings.alpn.clone(),
                ca: settings.ca.clone(),
                ..Target::new(address.clone())
            })
        });
        let mut key = [0; 32];
        // Without random numbers TLS would fail before this matters.
        getrandom::fill(&mut key).unwrap_or_default();
        Ok(Self {
            endpoints: endpoints.collect::<Result<_, _>>()?,
            preferred: AtomicUsize::new(0),
            proxy: settings.proxy.clone(),
            authorizer: settings.authorizer.clone(),
            step_timeout: settings.step_timeout,
            pacing: Mutex::new(Pacing::new(
                settings.connects_per_second,
                settings.longest_wait,
                Instant::now(),
            )),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
        })
    }

    /// The authorizer that is named where a user name has none.
    #[must_use]
    pub fn authorizer(&self) -> Option<&Authorizer> {
        self.authorizer.as_ref()
    }

    /// Since when the server can't be reached, if it can't.
    #[must_use]
    pub fn outage_since(&self) -> Option<Instant> {
        self.pacing().outage_since()
    }

    /// A digest of what a device presents, for this process alone.
    #[must_use]
    pub fn presented(&self, connect: &Connect) -> Presented {
        let mut context = hmac::Context::with_key(&self.key);
        let parts = [
            connect.client_id.as_bytes(),
            connect.username.as_deref().unwrap_or_default().as_bytes(),
            connect.password.as_deref().unwrap_or_default(),
        ];
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut presented = [0; 32];
        for (to, from) in presented.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        presented
    }

    /// Connects for a device, when it is its turn.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn connect(&self, connect: &Connect) -> Result<(UpstreamWire, ConnAck), ConnectError> {
        let presented = self.presented(connect);
        let slot = self
            .pacing()
            .reserve(&connect.client_id, &presented, Instant::now())
            .map_err(ConnectError::Held)?;
        sleep_until(slot).await;
        self.pacing().begin(Instant::now()).map_err(ConnectError::Held)?;
        let _attempt = Attempt(&self.pacing);
        let stream = match self.open().await {
            Ok(stream) => stream,
            Err(error) => {
                self.pacing().unreached(Instant::now(), random());
                return Err(ConnectError::Unreachable(error));
            }
        };
        let codec = Codec::client(connect.version, MAX_PACKET);
        let mut wire = Wire::over(stream, codec, READ_SIZE);
        let answered = timeout(self.step_timeout, shake_hands(&mut wire, connect)).await;
        let late = format!("no answer to CONNECT within {} s", self.step_timeout.as_secs());
        match answered.unwrap_or_else(|_| Err(unreachable(&late))) {
            Ok(answer) => {
                self.pacing().accepted(&connect.client_id);
                if let Some(bytes) = answer.properties.maximum_packet_size {
                    wire.set_peer_maximum(bytes.get());
                }
                Ok((wire, answer))
            }
            Err(ConnectError::Refused { code, reason_string, .. }) => {
                let held_for = self.pacing().refused(
                    &connect.client_id,
                    presented,
                    code,
                    reason_string.clone(),
                    Instant::now(),
                );
                Err(ConnectError::Refused { code, reason_string, held_for })
            }
            Err(error) => {
                self.pacing().unanswered(Instant::now(), random());
                Err(error)
            }
        }
    }

    /// A TLS connection to the first endpoint that answers, beginning with the one that answered last.
    async fn open(&self) -> Result<TlsStream<TcpStream>, String> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut errors = Vec::new();
        for turn in 0..self.endpoints.len() {
            let number = (first + turn) % self.endpoints.len();
            let Some(endpoint) = self.endpoints.get(number) else { continue };
            let error = match timeout(self.step_timeout, self.open_endpoint(endpoint)).await {
                Ok(Ok(stream)) => {
                    self.preferred.store(number, Ordering::Relaxed);
                    return Ok(stream);
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    let seconds = self.step_timeout.as_secs();
                    format!("`{}` does not answer within {seconds} s", endpoint.address())
                }
            };
            errors.push(error);
        }
        Err(errors.join("; "))
    }

    async fn open_endpoint(&self, endpoint: &Endpoint) -> Result<TlsStream<TcpStream>, String> {
        let address = endpoint.address();
        let tcp = dial(address.host(), address.port(), self.proxy.as_ref());
        let tcp = tcp.await.map_err(|error: DialError| cli::error_text(&error))?;
        let (connector, name) = endpoint.tls();
        let stream = connector.connect(name, tcp).await;
        stream.map_err(|error| format!("`{address}`: {}", device_sim::client::tls_error(error, endpoint)))
    }

    fn pacing(&self) -> MutexGuard<'_, Pacing> {
        self.pacing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt to connect, which a device that is gone gives up.
struct Attempt<'a>(&'a Mutex<Pacing>);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).end();
    }
}

/// A number that spreads attempts.
#[must_use]
pub fn random() -> u32 {
    let random = aws_lc_rs::rand::generate(&aws_lc_rs::rand::SystemRandom::new());
    random.map_or(0, |random| u32::from_be_bytes(random.expose()))
}

async fn shake_hands(wire: &mut UpstreamWire, connect: &Connect) -> Result<ConnAck, ConnectError> {
    let sent = wire.send_secret(Packet::Connect(Box::new(connect.clone()))).await;
    sent.map_err(|error| match error {
        SendError::Io(error) => unreachable(&error.to_string()),
        SendError::Encode(error) => ConnectError::Protocol(format!("the CONNECT can't be sent: {error}")),
    })?;
    match wire.next().await {
        Ok(Some(Packet::ConnAck(answer))) if answer.code == ConnectReasonCode::Success => Ok(*answer),
        Ok(Some(Packet::ConnAck(answer))) => {
            let (code, reason_string) = (answer.code, answer.properties.reason_string);
            Err(ConnectError::Refused { code, reason_string, held_for: Duration::ZERO })
        }
        // AWS refuses MQTT 3.1.1 so. A connection that breaks is no refusal.
        Ok(None) => Err(ConnectError::Refused {
            code: ConnectReasonCode::NotAuthorized,
            reason_string: None,
            held_for: Duration::ZERO,
        }),
        Err(ReceiveError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(ConnectError::Refused {
                code: ConnectReasonCode::NotAuthorized,
                reason_string: None,
                held_for: Duration::ZERO,
            })
        }
        Ok(Some(_)) => Err(ConnectError::Protocol(DecodeError::NotConnAck.to_string())),
        Err(ReceiveError::Io(error)) => Err(unreachable(&error.to_string())),
        Err(ReceiveError::Decode(error)) => Err(ConnectError::Protocol(error.to_string())),
    }
}

fn unreachable(error: &str) -> ConnectError {
    ConnectError::Unreachable(format!("the connection broke before the answer to CONNECT: {error}"))
}

fn held(held: &Held) -> String {
    match held {
        Held::Refused { for_another, .. } => format!(
            "AWS has refused the same credentials; they are tried again in {} s, and others at once",
            for_another.as_secs() + 1
        ),
        Held::Storm => "the device connects too often: it may connect once in 6 s".to_owned(),
        Held::Busy => "too many devices wait for a connection: raise `connects_per_second`".to_owned(),
        Held::Outage => "AWS can't be reached; the bridge tries again soon".to_owned(),
    }
}
