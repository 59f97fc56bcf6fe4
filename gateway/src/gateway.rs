//! A gateway: its parts put together, its port, its start and its end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use iot_policy::{Scope, limits::MQTT5_MAXIMUM_PACKET_SIZE};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    broker::Broker,
    certificate::Authority,
    clock::Clock,
    connection,
    custom_auth::registry::{Authorizer, Authorizers, Status},
    door::{self, Door},
    event_log::EventLog,
    lambda::{InvokeError, backend::Backend},
    session::Rules,
    settings::{AuthorizerSettings, Settings},
};

/// How long connections have to say goodbye when the gateway stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// A pause when no connection can be accepted, for lack of open files for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection shares.
pub struct Shared {
    /// The time.
    pub clock: Clock,
    /// The log.
    pub log: EventLog,
    /// The message broker.
    pub broker: Arc<Broker>,
    /// The authorizers.
    pub authorizers: Authorizers,
    /// The front door.
    pub door: Door,
    /// What resources are named with.
    pub scope: Arc<Scope>,
    /// What AWS's documents leave open.
    pub rules: Rules,
    /// Whether a refused CONNECT is answered.
    pub answer_refused_connects: bool,
    /// The largest packet that is taken, in bytes.
    pub max_packet_bytes: u32,
    /// Cancelled when the gateway stops.
    pub stopping: CancellationToken,
}

/// A gateway that listens, and whose authorizer has started.
pub struct Gateway {
    listener: TcpListener,
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    address: SocketAddr,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port can't be had.
    #[error("can't listen on {address}: {error}{cure}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        error: io::Error,
        /// What to do.
        cure: &'static str,
    },
    /// The authorizer does not start: its own words say why.
    #[error(transparent)]
    Authorizer(#[from] InvokeError),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl Gateway {
    /// Listens, makes the CA and the certificate, and starts one instance of each authorizer.
    ///
    /// # Errors
    ///
    /// What keeps it from starting.
    pub async fn start(settings: &Settings, clock: Clock, log: EventLog) -> Result<Self, StartError> {
        let listener = listen(settings.listen).await?;
        let address = listener.local_addr().context("the port has no address")?;
        let authority = Authority::open(&settings.data)?;
        let config = authority.server_config(&settings.names, &door::PROTOCOLS)?;
        let authorizers = authorizers(settings, &clock, &log).await?;
        let shared = Shared {
            clock,
            log,
            broker: Arc::new(Broker::default()),
            authorizers,
            door: Door::new(config, &settings.names),
            scope: Arc::new(settings.account.scope().context("the account's settings make no ARN")?),
            rules: settings.rules,
            answer_refused_connects: settings.answer_refused_connects,
            max_packet_bytes: MQTT5_MAXIMUM_PACKET_SIZE,
            stopping: CancellationToken::new(),
        };
        let slots = Arc::new(Semaphore::new(settings.max_connections));
        Ok(Self { listener, shared: Arc::new(shared), slots, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves connections until `shutdown`, then ends them.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let connections = TaskTracker::new();
        tokio::select! {
            () = self.accept(&connections) => {}
            () = shutdown => {}
        }
        self.shared.stopping.cancel();
        connections.close();
        // Whoever has not ended by then is cut off when the process ends.
        _ = tokio::time::timeout(FAREWELL, connections.wait()).await;
    }

    async fn accept(&self, connections: &TaskTracker) {
        loop {
            // The semaphore is never closed.
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let shared = Arc::clone(&self.shared);
                    connections.spawn(async move {
                        connection::serve(stream, peer, shared).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// The authorizers. An instance of each program that may be used starts at once, so that a wrong configuration shows.
async fn authorizers(settings: &Settings, clock: &Clock, log: &EventLog) -> Result<Authorizers, StartError> {
    let mut authorizers = Vec::new();
    for AuthorizerSettings { name, status, signing, function } in settings.authorizers.clone() {
        let function = Backend::new(function, &settings.account, clock, log).await;
        let function = function.with_context(|| format!("the authorizer `{name}` can't be called"))?;
        if status == Status::Active {
            function.warm_up().await?;
        }
        authorizers.push(Authorizer { name, status, signing, function });
    }
    let authorizers = Authorizers::new(authorizers, settings.default_authorizer.clone());
    Ok(authorizers.context("the authorizers can't be used")?)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| {
        let cure = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "; another program has the port: stop it, or choose another with `--port`"
            }
            io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges: the default is 10443",
            _ => "",
        };
        StartError::Listen { address, error, cure }
    })
}
