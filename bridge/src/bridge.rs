//! The running bridge: its start, what it reads again, and its end.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use device_sim::EndpointError;
use server::database_file::FileError;
use server::handshake_limit::HandshakeLimit;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Configuration, Flags};
use crate::downstream::{self, Listener};
use crate::log::{Level, Line, Log};
use crate::metrics::Metrics;
use crate::rules::Rules;
use crate::settings::TlsFiles;
use crate::shared::{Sessions, Shared};
use crate::spool::Spool;
use crate::tls::{self, DateProblem, DateWatch, ServerTls, TlsError};
use crate::upstream::Upstream;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the end of the bridge waits for its devices.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A bridge that listens.
pub struct Bridge {
    shared: Arc<Shared>,
    listeners: Vec<(Listener, TcpListener)>,
    status: Option<TcpListener>,
    rules: watch::Sender<Arc<Rules>>,
    tls: watch::Sender<Option<Arc<ServerTls>>>,
}

/// A bridge that does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port can't be opened.
    #[error("can't listen on {address} for `{what}`: {error}")]
    Listen {
        /// What is spoken there.
        what: &'static str,
        /// Address and port.
        address: SocketAddr,
        /// The system's error.
        error: io::Error,
    },
    /// The certificate of the TLS port can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The way to AWS can't be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The data folder can't be made.
    #[error("can't create the data folder `{path}`: {error}", path = .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The spool can't be used.
    #[error(transparent)]
    Spool(#[from] FileError),
    /// The certificate of the TLS port is not valid now.
    #[error("{details}: {cure}")]
    CertificateDates {
        /// What is wrong.
        details: String,
        /// What to do.
        cure: String,
    },
}

impl Bridge {
    /// Opens everything. No device is served yet.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(configuration: Configuration, log: Log, metrics: Metrics) -> Result<Self, StartError> {
        let Configuration { settings, rules, warnings } = configuration;
        let upstream = Upstream::new(&settings.upstream)?;
        let tls = settings.tls.as_ref().map(ServerTls::read).transpose()?;
        if let Some(tls) = &tls {
            metrics.certificate(tls.validity);
        }
        let spool = match settings.spool {
            Some(limits) => {
                let path = settings.data.clone();
                std::fs::create_dir_all(&path).map_err(|error| StartError::Folder { path, error })?;
                Some(Spool::open(&settings.data, limits, log.clone(), metrics.clone())?)
            }
            None => None,
        };
        let mut listeners = Vec::new();
        let ports = [
            (Listener::Mqtt, settings.ports.mqtt),
            (Listener::Mqtts, settings.ports.mqtts),
            (Listener::WebSocket, settings.ports.websocket),
        ];
        for (listener, port) in ports {
            if let Some(port) = port {
                listeners.push((listener, listen(listener.as_str(), settings.listen, port).await?));
            }
        }
        let status = match settings.ports.status {
            Some(port) => Some(listen("status", IpAddr::V4(Ipv4Addr::LOCALHOST), port).await?),
            None => None,
        };
        for warning in warnings {
            log.bridge(&Line {
                level: Level::Warning,
                reason: "WARNING",
                details: Some(warning),
                ..Line::default()
            });
        }
        let (rules, rules_receiver) = watch::channel(Arc::new(rules));
        let (tls, tls_receiver) = watch::channel(tls);
        let shared = Arc::new(Shared {
            rules: rules_receiver,
            tls: tls_receiver,
            upstream,
            spool,
            log,
            metrics,
            handshakes: HandshakeLimit::new(settings.limits.handshakes),
            devices: Semaphore::new(settings.limits.devices.min(Semaphore::MAX_PERMITS)),
            sessions: Sessions::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            settings,
        });
        Ok(Self { shared, listeners, status, rules, tls })
    }

    /// Where devices reach it, by what is spoken there; `status` too.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<&'static str, SocketAddr> {
        let listeners = self.listeners.iter().map(|(listener, socket)| (listener.as_str(), socket));
        let all = listeners.chain(self.status.iter().map(|socket| ("status", socket)));
        all.filter_map(|(name, socket)| Some((name, socket.local_addr().ok()?))).collect()
    }

    /// Serves devices until `stop` completes. Files that `source` names are read again when they change.
    pub async fn run(self, source: (Option<PathBuf>, Flags), stop: impl Future<Output = ()>) {
        let Self { shared, listeners, status, rules, tls } = self;
        for (listener, socket) in listeners {
            shared.tasks.spawn(downstream::serve(listener, socket, Arc::clone(&shared)));
        }
        if let Some(socket) = status {
            shared.tasks.spawn(crate::status::serve(socket, Arc::clone(&shared)));
        }
        let reload = Reload::new(source, &shared, rules, tls);
        tokio::select! {
            () = stop => {}
            () = reload.run() => {}
        }
        shared.stopping.cancel();
        shared.tasks.close();
        // A device that does not read may be cut off.
        _ = timeout(STOP_TIMEOUT, shared.tasks.wait()).await;
        if let Some(spool) = &shared.spool {
            spool.close().await;
        }
        shared.log.bridge(&Line { reason: "STOPPED", ..Line::default() });
        shared.log.flush();
    }
}

/// Reads what the settings name, without listening, and returns what an operator should know although it works.
///
/// # Errors
///
/// [`StartError`]; a certificate that is not valid now is one too.
pub fn check(configuration: &Configuration) -> Result<Vec<String>, StartError> {
    let Configuration { settings, warnings, .. } = configuration;
    Upstream::new(&settings.upstream)?;
    let mut warnings = warnings.clone();
    let tls = settings.tls.as_ref().map(ServerTls::read).transpose()?;
    if let Some(validity) = tls.map(|tls| tls.validity)
        && let Some(problem) = validity.problem(tls::now())
    {
        let [details, cure] = validity.explain(problem);
        match problem {
            DateProblem::ExpiresSoon => warnings.push(format!("{details}: {cure}")),
            DateProblem::Expired | DateProblem::NotYetValid => {
                return Err(StartError::CertificateDates { details, cure });
            }
        }
    }
    Ok(warnings)
}

async fn listen(what: &'static str, address: IpAddr, port: u16) -> Result<TcpListener, StartError> {
    let address = SocketAddr::new(address, port);
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { what, address, error })
}

/// Watches the settings file and the certificate.
struct Reload<'a> {
    file: Option<PathBuf>,
    flags: Flags,
    shared: &'a Arc<Shared>,
    rules: watch::Sender<Arc<Rules>>,
    tls: watch::Sender<Option<Arc<ServerTls>>>,
    seen: Vec<Option<Seen>>,
    dates: DateWatch,
}

/// By what a change of a file is noticed.
type Seen = (SystemTime, u64);

impl<'a> Reload<'a> {
    fn new(
        (file, flags): (Option<PathBuf>, Flags),
        shared: &'a Arc<Shared>,
        rules: watch::Sender<Arc<Rules>>,
        tls: watch::Sender<Option<Arc<ServerTls>>>,
    ) -> Self {
        let mut reload =
            Self { file, flags, shared, rules, tls, seen: Vec::new(), dates: DateWatch::default() };
        reload.seen = reload.look();
        reload
    }

    fn tls_files(&self) -> Option<&TlsFiles> {
        self.shared.settings.tls.as_ref()
    }

    fn look(&self) -> Vec<Option<Seen>> {
        let tls = self.tls_files();
        let paths = [self.file.as_ref(), tls.map(|tls| &tls.certificate), tls.map(|tls| &tls.key)];
        let seen = |path: Option<&PathBuf>| {
            let metadata = std::fs::metadata(path?).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        paths.into_iter().map(seen).collect()
    }

    async fn run(mut self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look_at_dates();
            let seen = self.look();
            // A file may be written in several steps, and is read once it stays as it is; one that is gone is not read.
            if seen == self.seen
                || seen.iter().zip(&self.seen).any(|(now, then)| now.is_none() && then.is_some())
            {
                continue;
            }
            ticks.tick().await;
            if self.look() == seen {
                self.seen = seen;
                self.read();
            }
        }
    }

    fn look_at_dates(&mut self) {
        let validity = self.tls.borrow().as_ref().map(|tls| tls.validity);
        if let Some(line) = validity.and_then(|validity| self.dates.line(validity, tls::now())) {
            self.shared.log.bridge(&line);
        }
    }

    fn read(&self) {
        let failed = |error: String| Line {
            level: Level::Error,
            reason: "NOT_RELOADED",
            details: Some(error),
            explanation: Some("what was in force stays in force".to_owned()),
            ..Line::default()
        };
        let line = match self.tls_files().map(ServerTls::read).transpose() {
            Ok(tls) => {
                if let Some(tls) = &tls {
                    self.shared.metrics.certificate(tls.validity);
                }
                self.tls.send_replace(tls);
                None
            }
            Err(error) => Some(failed(error.to_string())),
        };
        let line = line.or_else(|| match Configuration::read(self.file.as_deref(), &self.flags) {
            Ok(configuration) => {
                self.rules.send_replace(Arc::new(configuration.rules));
                None
            }
            Err(error) => Some(failed(error.to_string())),
        });
        let reloaded = Line {
            reason: "RELOADED",
            explanation: Some(
                "certificate and rules hold for connections from now on; other settings need a restart"
                    .to_owned(),
            ),
            ..Line::default()
        };
        self.shared.log.bridge(&line.unwrap_or(reloaded));
    }
}
