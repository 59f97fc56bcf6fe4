//! A gateway: its parts put together, its ports, its start and its end.

mod domains;
mod listeners;

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    broker::{Broker, store::StoreError},
    certificate::Authority,
    clock::Clock,
    connect_rate::ConnectRate,
    connection,
    custom_auth::authorizers::{Authorizer, AuthorizerStatus, Authorizers},
    door::{Doors, port::Port},
    event_log::EventLog,
    handshake_limit::HandshakeLimit,
    lambda::{InvokeError, backend::Backend},
    registry::Registry,
    settings::{AuthorizerSettings, Settings},
    shared::Shared,
    status,
};

/// How long connections have to say goodbye when the gateway stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// A pause when no connection can be accepted, for lack of open files for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What those may hold together who wait for an authorizer: a device's CONNECT has less than one KiB, the largest about
/// 800 once it is JSON.
const WAITING_ROOM_KIB: usize = 64 * 1024;

/// A gateway that listens, and whose authorizer has started.
pub struct Gateway {
    listeners: BTreeMap<Port, TcpListener>,
    status: Option<TcpListener>,
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    addresses: Addresses,
}

/// Where a gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// By AWS's ports.
    pub doors: BTreeMap<Port, SocketAddr>,
    /// `/healthz` and `/metrics`.
    pub status: Option<SocketAddr>,
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
        cure: String,
    },
    /// The authorizer does not start: its own words say why.
    #[error(transparent)]
    Authorizer(#[from] InvokeError),
    /// The sessions' file can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl Gateway {
    /// Listens, makes the CA and the certificates, and starts one instance of each authorizer.
    ///
    /// # Errors
    ///
    /// What keeps it from starting.
    pub async fn start(settings: &Settings, clock: Clock, log: EventLog) -> Result<Self, StartError> {
        let (listeners, status) = listeners::listen(settings).await?;
        let addresses = listeners::addresses(&listeners, status.as_ref()).context("a port has no address")?;
        let authority = Authority::open(&settings.data)?;
        let broker = Broker::open(&settings.data, &clock)?;
        let registry: Arc<dyn Registry> = Arc::new(settings.registry.clone());
        let authorizers = authorizers(settings, &clock, &log).await?;
        let domains = domains::read(settings, &authority, &registry, &authorizers)?;
        let scope = settings.account.scope().context("the account's settings make no ARN")?;
        let shared = Shared {
            connect_rate: ConnectRate::new(clock.now()),
            clock,
            log,
            broker: Arc::new(broker),
            authorizers,
            doors: Doors::new(domains, Arc::clone(&registry)),
            handshakes: HandshakeLimit::new(settings.limits.handshakes),
            registry,
            waiting_room: Semaphore::new(WAITING_ROOM_KIB),
            account_id: settings.account.id.as_str().into(),
            scope: Arc::new(scope),
            settings: Arc::new(settings.clone()),
            stopping: CancellationToken::new(),
            cut_off: CancellationToken::new(),
        };
        let slots = Arc::new(Semaphore::new(settings.limits.connections));
        Ok(Self { listeners, status, shared: Arc::new(shared), slots, addresses })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Serves connections until `shutdown`, then ends them.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let connections = TaskTracker::new();
        if let Some(listener) = self.status.take() {
            connections.spawn(status::serve(listener, Arc::clone(&self.shared)));
        }
        let doors = self.listeners.iter().map(|(port, listener)| self.accept(*port, listener, &connections));
        tokio::select! {
            _ = futures_util::future::join_all(doors) => {}
            () = shutdown => {}
        }
        self.shared.stopping.cancel();
        connections.close();
        if tokio::time::timeout(FAREWELL, connections.wait()).await.is_err() {
            self.shared.cut_off.cancel();
            connections.wait().await;
        }
        self.shared.log.flush();
    }

    async fn accept(&self, port: Port, listener: &TcpListener, connections: &TaskTracker) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Whoever came waits for the next one to leave. The semaphore is never closed.
                    let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
                    let shared = Arc::clone(&self.shared);
                    let cut_off = shared.cut_off.clone().cancelled_owned();
                    connections.spawn(async move {
                        tokio::select! {
                            will = connection::serve(stream, port, peer, shared) => {
                                drop(slot);
                                if let Some(will) = will {
                                    will.publish().await;
                                }
                            }
                            () = cut_off => {}
                        }
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
    for authorizer in settings.authorizers.clone() {
        let AuthorizerSettings { name, status, signing, caching_for_http, function } = authorizer;
        let function = Backend::new(function, &settings.account, clock, log).await;
        let function = function.with_context(|| format!("the authorizer `{name}` can't be called"))?;
        if status == AuthorizerStatus::Active {
            function.warm_up().await?;
        }
        authorizers.push(Authorizer { name, status, signing, caching_for_http, function });
    }
    let authorizers = Authorizers::new(authorizers, settings.default_authorizer.clone());
    Ok(authorizers.context("the authorizers can't be used")?)
}
