//! The gateway's process, with the real authorizer, and a page of its console.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use device_sim::{Endpoint, Target};
use gateway::console::access::ConsoleFile;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Command,
    task::JoinSet,
};

use crate::{
    fixture::{Fixture, SERVER_NAME},
    process::{AUTHORIZER, GATEWAY, Memory, Server, program},
};

/// Switches off AWS's rates, which mosquitto does not have.
const WITHOUT_RATES: &str = "[quotas]\nconnects_per_second = 0\nconnects_per_second_per_client_id = 0\n\
                             publishes_per_second = 0\nbytes_per_second = 0\npackets_per_second = 0\nsubscriptions_per_second = 0\n\
                             shadow_requests_per_second = 0\nshadow_requests_per_second_per_shadow = 0\n";

/// What the console of a gateway is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsoleUse {
    /// There is none.
    Off,
    /// No page is open, as in every other measurement.
    NoPage,
    /// A page shows attempts, and another one all messages.
    Page,
}

/// A running gateway.
pub(crate) struct Gateway {
    server: Server,
    /// The data folder.
    pub(crate) data: PathBuf,
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    endpoint: Endpoint,
    /// The CA of its default domain.
    pub(crate) ca: PathBuf,
    status: SocketAddr,
    page: Option<Page>,
}

/// The streams of open pages. Dropping this closes them.
pub(crate) struct Page {
    /// The number of events of each stream, under the name of what it has.
    shown: Vec<(&'static str, Arc<AtomicU64>)>,
    _streams: JoinSet<anyhow::Result<()>>,
}

#[derive(Deserialize)]
struct Ready {
    address: SocketAddr,
    status: SocketAddr,
}

impl Gateway {
    /// Starts one with the fixture's certificate and devices.
    pub(crate) async fn start(fixture: &Fixture) -> anyhow::Result<Self> {
        Self::start_with(fixture, "bench", ConsoleUse::NoPage).await
    }

    /// Starts one with data of its own, under this name.
    pub(crate) async fn start_with(
        fixture: &Fixture,
        name: &str,
        console: ConsoleUse,
    ) -> anyhow::Result<Self> {
        let events = if console == ConsoleUse::Off { "[console]\nevents = 0\n" } else { "" };
        let config = format!(
            "[[domain]]\nname = \"bench\"\nserver_name = \"{SERVER_NAME}\"\ncertificate = \"server.pem\"\n\
             key = \"server.key\"\n{events}{WITHOUT_RATES}"
        );
        let config = fixture.write(&format!("{name}.toml"), &config)?;
        let data = fixture.folder().join(name);
        let mut command = Command::new(program(GATEWAY)?);
        command
            .args(["--json", "--stop-with-stdin", "--port", "0", "--port-status", "0", "--data"])
            .arg(&data);
        command.arg("--devices").arg(fixture.records()).arg("--config").arg(config);
        command.arg("--authorizer").arg(program(AUTHORIZER)?);
        let mut server = Server::start(command)?;
        let line = server.line().await?;
        let Ready { address, status } = serde_json::from_str(&line).context("the gateway is not ready")?;
        let endpoint = endpoint(address, &fixture.ca())?;
        let page = match console {
            ConsoleUse::Page => Some(Page::open(status, &ConsoleFile::read(&data)?.token).await?),
            ConsoleUse::Off | ConsoleUse::NoPage => None,
        };
        Ok(Self { server, address, endpoint, ca: data.join("ca.pem"), data, status, page })
    }

    /// The page of its console that is open.
    pub(crate) fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    /// How devices reach it.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How many messages it has got from clients, by its own metric.
    pub(crate) async fn messages(&self) -> anyhow::Result<u64> {
        let stream = TokioIo::new(TcpStream::connect(self.status).await?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection);
        let request = Request::get("/metrics").header(HOST, self.status.to_string());
        let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        ensure!(answer.status() == StatusCode::OK, "the gateway's metrics answer {}", answer.status());
        let text = answer.into_body().collect().await?.to_bytes();
        let text = std::str::from_utf8(&text)?;
        let value =
            text.lines().find_map(|line| line.strip_prefix("latchkey_messages_total{direction=\"in\"} "));
        value.context("the gateway does not count messages")?.parse().context("not a number")
    }

    /// Reads its memory.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        self.server.memory()
    }

    /// Reads the processor time that it has used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        self.server.cpu()
    }

    /// Reads the processor time that its threads have used, to the nanosecond.
    pub(crate) fn threads_cpu(&self) -> anyhow::Result<Duration> {
        self.server.threads_cpu()
    }
}

impl Page {
    /// Opens the streams of the page that shows attempts, and of the test client as an observer of every topic.
    async fn open(status: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let (mut shown, mut streams) = (Vec::new(), JoinSet::new());
        for (name, query) in [("attempts", "of=attempts"), ("messages", "of=messages&filter=%23")] {
            let mut stream = TcpStream::connect(status).await?;
            let head = format!(
                "GET /console/v1/events?{query} HTTP/1.1\r\nHost: {status}\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            let mut lines = BufReader::new(stream).lines();
            let answer = lines.next_line().await?.unwrap_or_default();
            anyhow::ensure!(answer.contains("200"), "the console does not open a stream: {answer}");
            let events = Arc::<AtomicU64>::default();
            shown.push((name, Arc::clone(&events)));
            let event = format!("event: {name}");
            streams.spawn(async move {
                while let Some(line) = lines.next_line().await? {
                    events.fetch_add(u64::from(line == event), Ordering::Relaxed);
                }
                anyhow::Ok(())
            });
        }
        Ok(Self { shown, _streams: streams })
    }

    /// Waits until the stream of this name has had an event: otherwise the measurement was one without a page.
    pub(crate) async fn has_shown(&self, name: &str) -> anyhow::Result<()> {
        let found = self.shown.iter().find(|(found, _)| *found == name);
        let (_, events) = found.with_context(|| format!("the page has no stream of {name}"))?;
        let shown = async {
            while events.load(Ordering::Relaxed) == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let shown = tokio::time::timeout(Duration::from_secs(10), shown).await;
        shown.with_context(|| format!("the page has shown no {name}"))
    }
}

fn endpoint(address: SocketAddr, ca: &Path) -> anyhow::Result<Endpoint> {
    let address = address.to_string().parse()?;
    let (sni, ca) = (Some(SERVER_NAME.to_owned()), Some(ca.to_owned()));
    Ok(Endpoint::new(Target { sni, ca, ..Target::new(address) })?)
}
