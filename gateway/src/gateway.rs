//! A gateway: how it starts, accepts connections and stops.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use server::handshake_limit::HandshakeLimit;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    account_rates::AccountRates,
    api::{self, Api},
    broker::{Broker, store::StoreError},
    certificate::{self, Authority},
    client_records::ClientRecords,
    clock::Clock,
    connection,
    console::Console,
    custom_auth::{
        admission::{Authorizer, AuthorizerSet, Authorizers, AuthorizersError, DefaultAuthorizer, Origin},
        authorizer::{AuthorizerName, AuthorizerStatus},
        definition::Definition,
        unnamed::ReportedDevices,
    },
    delayed_will_limit::DelayedWillLimit,
    door::{
        Doors,
        definition::DomainDefinition,
        domain::{self, ACCOUNT_DOMAIN, Domain, Domains},
        route::{Access, Port},
        tls::Tls,
    },
    event_log::{EventLog, recent::Recent},
    lambda::{
        InvokeError,
        function::{Function, FunctionSource},
        functions::Functions,
        injected_fault::InjectedFaults,
    },
    registry::{
        self, Kind, Registry, RegistryError,
        store::{OpenError, RegistryStore},
    },
    settings::{AuthorizerSettings, DomainSettings, Settings},
    shared::Shared,
    status,
};

/// The time that connections have to end by themselves when the gateway stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// The pause after a connection could not be accepted, for example because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The memory that the events of all connections may use while they wait for an authorizer. The event of a device's
/// CONNECT needs less than 1 KiB, and the largest about 800 KiB.
const WAITING_ROOM_KIB: usize = 64 * 1024;
/// The name that an authorizer's program has in the ARN that it is told.
const LOCAL_FUNCTION: &str = "latchkey-authorizer";

/// A gateway that listens, and whose authorizers have started.
pub struct Gateway {
    listeners: BTreeMap<Port, TcpListener>,
    status: Option<TcpListener>,
    /// The console, which is on the status port.
    console: Option<Arc<Console>>,
    /// The port of AWS's APIs.
    api: Option<(TcpListener, Arc<Api>)>,
    shared: Arc<Shared>,
    /// One permit for each connection that may be open.
    connections: Arc<Semaphore>,
    addresses: Addresses,
}

/// The addresses on which a gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The address that stands for each port of AWS's.
    pub doors: BTreeMap<Port, SocketAddr>,
    /// The address of `/healthz` and `/metrics`, if they are served.
    pub status: Option<SocketAddr>,
    /// The address of AWS's APIs, if they are served.
    pub api: Option<SocketAddr>,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The gateway can't listen on a port.
    #[error("can't listen on {address}: {error}{cure}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
        /// What to do, beginning with `; `, or nothing.
        cure: String,
    },
    /// An authorizer does not start.
    #[error(transparent)]
    Authorizer(#[from] InvokeError),
    /// The sessions' file can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry can't be used.
    #[error(transparent)]
    Registry(#[from] OpenError),
    /// Any other error in the settings or on the disk.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl Gateway {
    /// Listens, makes the CA and the certificates, and starts one instance of each authorizer.
    ///
    /// # Errors
    ///
    /// When a port, the settings, the data folder or an authorizer can't be used.
    pub async fn start(settings: &Settings, clock: Clock, log: EventLog) -> Result<Self, StartError> {
        let mut listeners = BTreeMap::new();
        for (port, number) in &settings.ports.doors {
            let flag = match port {
                Port::P443 => "--port",
                Port::P8883 => "--port-8883",
                Port::P8443 => "--port-8443",
            };
            listeners.insert(*port, listen(settings.listen, *number, flag).await?);
        }
        let status = match settings.ports.status {
            Some(number) => Some(listen(Ipv4Addr::LOCALHOST.into(), number, "--port-status").await?),
            None => None,
        };
        let api = match settings.ports.api {
            Some(number) => Some(listen(Ipv4Addr::LOCALHOST.into(), number, "--port-api").await?),
            None => None,
        };
        let addresses =
            local_addresses(&listeners, status.as_ref(), api.as_ref()).context("a port has no address")?;
        let has_console = addresses.status.is_some() && settings.console.events > 0;
        let recent = has_console.then(|| Arc::new(Recent::new(settings.console.events)));
        if let Some(recent) = &recent {
            log.keep_recent(Arc::clone(recent));
        }
        let authority = Arc::new(Authority::open(&settings.data)?);
        let broker = Broker::open(&settings.data, &settings.quotas, &clock)?;
        let store = Arc::new(RegistryStore::open(settings, &clock)?);
        let registry: Arc<dyn Registry> = Arc::<RegistryStore>::clone(&store);
        let function_faults = InjectedFaults::default();
        let (authorizers, functions) =
            start_authorizers(settings, &store, &clock, &log, &function_faults).await?;
        let opened = clock.epoch().unix_millis(clock.now());
        let domains = issue_domains(settings, &authority, &registry, &authorizers, opened)?;
        let domains = with_stored_domains(domains, &store, &authority)?;
        let scope = settings.account.scope().context("the account's settings don't make an ARN")?;
        let shared = Shared {
            account_rates: AccountRates::new(clock.now()),
            clients: ClientRecords::default(),
            clock,
            log,
            broker: Arc::new(broker),
            authorizers: Authorizers::new(authorizers),
            functions,
            function_faults,
            unnamed: ReportedDevices::default(),
            doors: Doors::new(domains, settings.doors, Arc::clone(&registry), Arc::clone(&authority)),
            handshakes: HandshakeLimit::new(settings.limits.handshakes),
            delayed_wills: DelayedWillLimit::new(settings.limits.delayed_wills),
            registry,
            waiting_room: Semaphore::new(WAITING_ROOM_KIB),
            account_id: settings.account.id.as_str().into(),
            scope: Arc::new(scope),
            settings: Arc::new(settings.clone()),
            stopping: CancellationToken::new(),
            cut_off: CancellationToken::new(),
        };
        let connections = Arc::new(Semaphore::new(settings.limits.connections));
        let shared = Arc::new(shared);
        let console = match (addresses.status, recent) {
            (Some(address), Some(recent)) => {
                let (shared, addresses) = (Arc::clone(&shared), addresses.clone());
                Some(Arc::new(Console::open(shared, addresses, address, recent, &authority)?))
            }
            _ => None,
        };
        let api = match (api, addresses.api) {
            (Some(listener), Some(address)) => {
                let api = api::open(Arc::clone(&shared), store, addresses.clone(), address, authority)?;
                Some((listener, Arc::new(api)))
            }
            _ => None,
        };
        Ok(Self { listeners, status, console, api, shared, connections, addresses })
    }

    /// The addresses on which it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The link that opens the console, if there is one. It has the console's token.
    #[must_use]
    pub fn console_link(&self) -> Option<&str> {
        self.console.as_ref().map(|console| console.link())
    }

    /// Serves connections until `shutdown`, then ends them.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let connections = TaskTracker::new();
        if let Some(listener) = self.status.take() {
            connections.spawn(status::serve(listener, Arc::clone(&self.shared), self.console.take()));
        }
        if let Some((listener, api)) = self.api.take() {
            connections.spawn(api::serve(listener, api));
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
                    // At the limit this connection waits until another ends. The semaphore is never closed.
                    let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else { return };
                    let shared = Arc::clone(&self.shared);
                    let cut_off = shared.cut_off.clone().cancelled_owned();
                    connections.spawn(async move {
                        tokio::select! {
                            will = connection::serve(stream, port, peer, shared) => {
                                drop(permit);
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

async fn listen(ip: IpAddr, number: u16, flag: &str) -> Result<TcpListener, StartError> {
    let address = SocketAddr::new(ip, number);
    TcpListener::bind(address).await.map_err(|error| {
        let cure = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("; another program uses the port: stop it, or choose another port with `{flag}`")
            }
            io::ErrorKind::PermissionDenied => {
                "; ports below 1024 need privileges: the default is AWS's number plus 10,000".to_owned()
            }
            io::ErrorKind::AddrNotAvailable => {
                "; this machine does not have the address: listen on one of its own, or on all with `--listen 0.0.0.0`"
                    .to_owned()
            }
            _ => String::new(),
        };
        StartError::Listen { address, error, cure }
    })
}

/// The addresses once the system has chosen the free ports.
fn local_addresses(
    listeners: &BTreeMap<Port, TcpListener>,
    status: Option<&TcpListener>,
    api: Option<&TcpListener>,
) -> io::Result<Addresses> {
    let doors = listeners.iter().map(|(port, listener)| Ok((*port, listener.local_addr()?)));
    let doors = doors.collect::<io::Result<_>>()?;
    let [status, api] = [status, api].map(|listener| listener.map(TcpListener::local_addr).transpose());
    Ok(Addresses { doors, status: status?, api: api? })
}

/// The authorizers. One instance of each active program starts at once, so that a wrong configuration shows.
async fn start_authorizers(
    settings: &Settings,
    store: &RegistryStore,
    clock: &Clock,
    log: &EventLog,
    injected: &InjectedFaults,
) -> Result<(AuthorizerSet, Functions), StartError> {
    let local_arn = settings.account.function_arn(LOCAL_FUNCTION);
    let now = clock.epoch().unix_millis(clock.now());
    let mut authorizers = Vec::new();
    for authorizer in settings.authorizers.clone() {
        let AuthorizerSettings { name, status, signing, caching_for_http, function } = authorizer;
        let function_arn = match &function.source {
            FunctionSource::FunctionArn(arn) => arn.as_str().to_owned(),
            FunctionSource::Program(_) | FunctionSource::InvokeUrl(_) => local_arn.clone(),
        };
        let log = log.of_function(name.as_str());
        let function = Function::new(function, &local_arn, clock, &log, injected).await;
        let function = function.with_context(|| format!("the authorizer `{name}` can't be called"))?;
        if status == AuthorizerStatus::Active {
            function.warm_up().await?;
        }
        let definition = Definition {
            function_arn,
            token_key_name: signing.token_key_name().map(|name| name.as_str().to_owned()),
            keys: signing.keys(),
            status,
            caching_for_http,
            created_at: now,
            modified_at: now,
        };
        authorizers.push(Authorizer {
            name,
            signing,
            function: Arc::new(function),
            origin: Origin::Settings,
            definition,
        });
    }
    let own = authorizers.first().map(|first| (LOCAL_FUNCTION.to_owned(), Arc::clone(&first.function)));
    let named = settings.functions.clone();
    let functions = Functions::new(named, own, &settings.account, clock, log, injected).await;
    let functions = functions.context("a function can't be called")?;
    let set = AuthorizerSet::new(authorizers, settings.default_authorizer.clone());
    let set = with_stored(set.context("the authorizers can't be used")?, store, &functions)?;
    Ok((set, functions))
}

/// Adds the authorizers that API calls have made, and the default one that a call has set.
fn with_stored(
    mut set: AuthorizerSet,
    store: &RegistryStore,
    functions: &Functions,
) -> anyhow::Result<AuthorizerSet> {
    let twice = |name: &AuthorizerName| {
        let path = store.settings_file().to_owned();
        RegistryError::Twice { kind: Kind::Authorizer, name: name.to_string(), path }
    };
    for (name, definition) in store.read(registry::authorizers::all)? {
        if set.get(&name).is_some() {
            return Err(twice(&name).into());
        }
        let authorizer = Authorizer::of_api(name, definition, functions)?;
        set = set.with(authorizer).context("the authorizers can't be used")?;
    }
    match (store.read(registry::authorizers::default)?, set.default_authorizer()) {
        (Some(name), Some(DefaultAuthorizer::Set(of_file))) => Err(anyhow!(
            "the settings file `{}` makes the authorizer `{of_file}` the default one, and an API call has set `{name}`: remove \
             `default_authorizer` from the file, or start without it and call ClearDefaultAuthorizer",
            store.settings_file().display()
        )),
        (Some(name), _) if set.get(&name).is_none() => {
            Err(AuthorizersError::NoDefault(name)).context("the authorizers can't be used")
        }
        (Some(name), _) => Ok(set.with_default(Some(DefaultAuthorizer::SetByApi(name)))),
        (None, _) => Ok(set),
    }
}

/// Adds the domain configurations that API calls have made.
fn with_stored_domains(
    mut domains: Domains,
    store: &Arc<RegistryStore>,
    authority: &Authority,
) -> anyhow::Result<Domains> {
    let registry: Arc<dyn Registry> = Arc::<RegistryStore>::clone(store);
    for (name, definition) in store.read(registry::domain_configurations::all)? {
        let path = store.settings_file().to_owned();
        if domains.find_by_name(&name).is_some() {
            return Err(RegistryError::Twice { kind: Kind::DomainConfiguration, name, path }.into());
        }
        if let Some(of_file) = domains.find(Some(&definition.server_name)) {
            bail!(
                "the settings file `{}` defines the domain configuration `{}`, and an API call the domain configuration \
                 `{name}`, both for the domain name `{}`: remove the entry from the file, or delete `{name}` with an API call \
                 while the entry is not in the file",
                path.display(),
                of_file.name.escape_debug(),
                definition.server_name.escape_debug(),
            );
        }
        let about = format!("the domain configuration `{}`", name.escape_debug());
        let domain = Domain::of_api(name, definition, authority, &registry).context(about)?;
        domains = domains.with(domain)?;
    }
    Ok(domains)
}

/// The domain configurations of the account and the settings with their certificates. They have their status since `opened`.
fn issue_domains(
    settings: &Settings,
    authority: &Authority,
    registry: &Arc<dyn Registry>,
    authorizers: &AuthorizerSet,
    opened: i64,
) -> anyhow::Result<Domains> {
    let server_name = settings.names.first().cloned().unwrap_or_default();
    let default = Domain {
        name: ACCOUNT_DOMAIN.to_owned(),
        origin: domain::Origin::Account,
        definition: DomainDefinition::new(server_name, false, opened),
        access: Access::BY_TABLE,
        default_authorizer: None,
        tls: Tls::new(authority.issue(&settings.names)?, Arc::clone(registry))?,
    };
    let mut domains = Domains::new(default, &settings.names);
    for domain in &settings.domains {
        let issued = issue_domain(domain, authority, registry, authorizers, opened);
        let issued = issued.with_context(|| format!("the domain configuration `{}`", domain.name))?;
        if domains.find_by_name(&domain.name).is_some() {
            bail!("there are two domain configurations with the name `{}`", domain.name);
        }
        domains = domains.with(issued)?;
    }
    Ok(domains)
}

fn issue_domain(
    settings: &DomainSettings,
    authority: &Authority,
    registry: &Arc<dyn Registry>,
    authorizers: &AuthorizerSet,
    opened: i64,
) -> anyhow::Result<Domain> {
    if let Some(name) = &settings.default_authorizer
        && authorizers.get(name).is_none()
    {
        bail!("its default authorizer `{name}` does not exist");
    }
    let key = match &settings.certificate {
        Some((certificate, key)) => certificate::read(certificate, key)?,
        None => authority.issue(std::slice::from_ref(&settings.server_name))?,
    };
    let (authentication_type, application_protocol) = settings.access.pair();
    Ok(Domain {
        name: settings.name.clone(),
        origin: domain::Origin::Settings,
        definition: DomainDefinition {
            status: settings.status,
            authentication_type,
            application_protocol,
            default_authorizer: settings.default_authorizer.as_ref().map(ToString::to_string),
            allow_authorizer_override: settings.allow_authorizer_override,
            ..DomainDefinition::new(settings.server_name.clone(), true, opened)
        },
        access: settings.access,
        default_authorizer: settings.default_authorizer.clone(),
        tls: Tls::new(key, Arc::clone(registry))?,
    })
}
