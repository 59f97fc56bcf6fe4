//! AWS IoT Core with a custom authorizer, on this machine, for tests of your own.
//!
//! A [`Gateway`] is `latchkey local` on free ports, with its data in a temporary folder: real TLS, the real authorizer, the
//! policies that it returns enforced. It ends when it is dropped. Its [`Device`]s have fresh passwords.
//!
//! ```no_run
//! use latchkey_testkit::{Gateway, QoS};
//!
//! # async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! let gateway = Gateway::start().await?;
//! for device in gateway.devices(10)? {
//!     let mut client = device.connect().await?;
//!     client.publish(format!("{}/hello", device.name).parse()?, "hi", QoS::AtLeastOnce).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The program `latchkey` is where the variable `LATCHKEY_PROGRAM` says, or in the folder of cargo's build that has the test, or
//! on the `PATH`.
//! [`Gateway::advance`] moves the gateway's clock, so that refreshes and the ends of sessions come at once, and
//! [`Gateway::set_faults`], [`Gateway::cut`] and [`Gateway::refresh`] let things go wrong.

use std::{
    ffi::OsString,
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use bytes::Bytes;
use device_auth::device_name::DeviceName;
pub use device_sim::{Client, QoS, Version};
use device_sim::{ConnectError, Endpoint, EndpointError, Login, Options, Password, Target};
use fleet::{
    secret::Secret,
    store_file::{NewDevice, StoreFile},
};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, header::CONTENT_TYPE, header::HOST};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

/// The variable that names the program `latchkey`.
pub const PROGRAM: &str = "LATCHKEY_PROGRAM";

/// The grant of a device: everything under its own client id.
pub const OWN_TOPICS: &str = "own-topics";

/// How long the gateway may take to start.
const START: Duration = Duration::from_mins(1);

/// Why something can't be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program can't be started.
    #[error(
        "can't start `{program}`: {error}; install it with `cargo install --locked --path latchkey`, or name it in \
         `{PROGRAM}`"
    )]
    Program {
        /// The program.
        program: String,
        /// What the system says.
        error: io::Error,
    },
    /// The gateway ended during its start, or was not ready in time.
    #[error("the gateway did not start: {0}")]
    Start(String),
    /// A file of the gateway's can't be read or written.
    #[error("can't use `{path}`: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// The device could not be added.
    #[error("can't add the device `{name}`: {error}")]
    Device {
        /// Its name.
        name: String,
        /// What is wrong.
        error: String,
    },
    /// The endpoint's certificate can't be read.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The test API refused a request, or can't be reached.
    #[error("the test API can't do `{request}`: {details}")]
    TestApi {
        /// The request.
        request: String,
        /// What it says.
        details: String,
    },
}

/// How a gateway is started.
#[derive(Debug, Default)]
pub struct Builder {
    program: Option<PathBuf>,
    settings: Option<String>,
    arguments: Vec<OsString>,
}

/// A running gateway. Dropping it stops it and removes its data.
pub struct Gateway {
    // Dropped first, so that the process has ended before its folder is removed.
    _process: Child,
    folder: TempDir,
    ready: Ready,
}

/// What the gateway says of itself when it is ready.
#[derive(Deserialize)]
struct Ready {
    address: SocketAddr,
    ca: PathBuf,
    log: PathBuf,
    status: SocketAddr,
    api: Option<SocketAddr>,
}

/// A device that the gateway's authorizer knows.
#[derive(Clone)]
pub struct Device {
    /// Its name, which is also its client id and its user name.
    pub name: String,
    password: String,
    endpoint: Endpoint,
}

/// What goes wrong on purpose. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Faults {
    /// The next CONNECTs that are refused as above AWS's quota.
    pub throttled_connects: u32,
    /// By how many milliseconds each call of the authorizer's function takes longer.
    pub function_delay_ms: u64,
    /// How each call of the authorizer's function fails.
    pub function_failure: Option<FunctionFailure>,
}

/// How a call of the authorizer's function fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FunctionFailure {
    /// It reports an error.
    Error,
    /// It does not answer within AWS's limit.
    Timeout,
}

impl Builder {
    /// The program `latchkey`, if it is not on the `PATH`.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// The text of a settings file (`latchkey.toml`): quotas, authorizers, domain configurations, Things.
    #[must_use]
    pub fn settings(mut self, toml: impl Into<String>) -> Self {
        self.settings = Some(toml.into());
        self
    }

    /// A further argument of `latchkey local`.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Starts the gateway and waits until devices can connect.
    ///
    /// # Errors
    ///
    /// When the program is not there, or the gateway does not start.
    pub async fn start(self) -> Result<Gateway, Error> {
        let program = self.program.unwrap_or_else(find_program);
        let folder =
            tempfile::tempdir().map_err(|error| file_error(Path::new("a temporary folder"), &error))?;
        if let Some(settings) = self.settings {
            let path = folder.path().join("latchkey.toml");
            std::fs::write(&path, settings).map_err(|error| file_error(&path, &error))?;
        }
        let mut command = Command::new(&program);
        command.args(["local", "--json", "--test-api", "--stop-with-stdin", "--data"]).arg(folder.path());
        for port in ["--port", "--port-8883", "--port-8443", "--port-status", "--port-api"] {
            command.args([port, "0"]);
        }
        command.args(self.arguments).current_dir(folder.path()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = command.spawn();
        let mut process =
            started.map_err(|error| Error::Program { program: program.display().to_string(), error })?;
        let line = match timeout(START, first_line(&mut process)).await {
            Ok(line) => line?,
            Err(_) => return Err(Error::Start(format!("it was not ready within {START:?}"))),
        };
        let ready = serde_json::from_str(&line).map_err(|error| Error::Start(error.to_string()))?;
        Ok(Gateway { _process: process, folder, ready })
    }
}

impl Gateway {
    /// Starts a gateway with the default settings.
    ///
    /// # Errors
    ///
    /// When the program `latchkey` is not there, or the gateway does not start.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// A gateway with settings of your own.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where devices connect: what stands for AWS's port 443.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.ready.address
    }

    /// The CA certificate that devices have to trust, as PEM.
    #[must_use]
    pub fn ca(&self) -> &Path {
        &self.ready.ca
    }

    /// Where AWS's own APIs are served.
    #[must_use]
    pub fn api(&self) -> Option<SocketAddr> {
        self.ready.api
    }

    /// Where `/healthz`, `/metrics` and the test API are served.
    #[must_use]
    pub fn status(&self) -> SocketAddr {
        self.ready.status
    }

    /// The gateway's folder, with its log and the file of device records.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Adds a device with a fresh password, which may use everything under its own client id.
    ///
    /// # Errors
    ///
    /// When the name can't be a device's, or there is such a device already.
    pub fn device(&self, name: &str) -> Result<Device, Error> {
        self.device_with_grant(name, OWN_TOPICS)
    }

    /// Adds a device with a fresh password and this grant.
    ///
    /// # Errors
    ///
    /// When the name can't be a device's, there is such a device already, or the grant does not exist.
    pub fn device_with_grant(&self, name: &str, grant: &str) -> Result<Device, Error> {
        let mut devices = self.add(std::iter::once(name.to_owned()), grant)?;
        devices
            .pop()
            .ok_or_else(|| Error::Device { name: name.to_owned(), error: "it was not added".to_owned() })
    }

    /// Adds devices `device-1`, `device-2` and so on.
    ///
    /// # Errors
    ///
    /// When there are such devices already.
    pub fn devices(&self, count: usize) -> Result<Vec<Device>, Error> {
        self.add((1..=count).map(|n| format!("device-{n}")), OWN_TOPICS)
    }

    fn add(&self, names: impl Iterator<Item = String>, grant: &str) -> Result<Vec<Device>, Error> {
        let path = self.folder.path().join("devices.json");
        let store_error =
            |error: anyhow::Error| Error::File { path: path.clone(), error: format!("{error:#}") };
        let ca = Some(self.ready.ca.clone());
        let address = format!("localhost:{}", self.ready.address.port()).parse();
        let address = address.map_err(|error| Error::Start(format!("{error}")))?;
        let endpoint = Endpoint::new(Target { ca, ..Target::new(address) })?;
        let mut store = StoreFile::open(&path).map_err(store_error)?;
        let mut devices = Vec::new();
        for name in names {
            let device_error = |error: String| Error::Device { name: name.clone(), error };
            let secret = Secret::generate().map_err(|error| device_error(format!("{error:#}")))?;
            let parsed = DeviceName::try_from(name.as_str());
            let parsed = parsed.map_err(|error| device_error(error.to_string()))?;
            let device = NewDevice { name: parsed, client_ids: Vec::new(), grant: grant.to_owned() };
            store.add(device, &secret).map_err(|error| device_error(format!("{error:#}")))?;
            let password = secret.text().to_owned();
            devices.push(Device { name, password, endpoint: endpoint.clone() });
        }
        store.save().map_err(store_error)?;
        Ok(devices)
    }

    /// Moves the gateway's clock ahead. Refreshes, the ends of connections and sessions, and other timers come as if the time
    /// had passed. The function's own clock stays as it is.
    ///
    /// # Errors
    ///
    /// When the gateway can't be reached.
    pub async fn advance(&self, by: Duration) -> Result<(), Error> {
        let milliseconds = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.call(Method::POST, "/clock/advance", &json!({"milliseconds": milliseconds})).await.map(drop)
    }

    /// Replaces what goes wrong on purpose.
    ///
    /// # Errors
    ///
    /// When the gateway can't be reached.
    pub async fn set_faults(&self, faults: Faults) -> Result<(), Error> {
        self.call(Method::PUT, "/faults", &json!(faults)).await.map(drop)
    }

    /// Breaks a client's connection, as when its link fails.
    ///
    /// # Errors
    ///
    /// When no client with this id is connected.
    pub async fn cut(&self, client_id: &str) -> Result<(), Error> {
        self.call(Method::POST, "/connections/cut", &json!({"clientId": client_id})).await.map(drop)
    }

    /// Lets the authorizer decide again about a client that is connected.
    ///
    /// # Errors
    ///
    /// When no client with this id is connected.
    pub async fn refresh(&self, client_id: &str) -> Result<(), Error> {
        self.call(Method::POST, "/connections/refresh", &json!({"clientId": client_id})).await.map(drop)
    }

    /// The lines of the gateway's log so far: one JSON object an event. Show them when a test fails.
    ///
    /// # Errors
    ///
    /// When the log can't be read.
    pub fn log(&self) -> Result<Vec<Value>, Error> {
        let path = &self.ready.log;
        let text = std::fs::read_to_string(path).map_err(|error| file_error(path, &error))?;
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, Error> {
        let name = format!("{method} {path}");
        let failed = |details: String| Error::TestApi { request: name.clone(), details };
        let stream = TcpStream::connect(self.ready.status).await;
        let stream = TokioIo::new(stream.map_err(|error| failed(error.to_string()))?);
        let handshake = hyper::client::conn::http1::handshake(stream).await;
        let (mut sender, connection) = handshake.map_err(|error| failed(error.to_string()))?;
        let request = Request::builder()
            .method(method)
            .uri(format!("/test/v1{path}"))
            .header(HOST, self.ready.status.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| failed(error.to_string()))?;
        let exchange = async {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            Ok::<_, hyper::Error>((parts.status, body.collect().await?.to_bytes()))
        };
        let (status, body) = tokio::select! {
            exchanged = exchange => exchanged.map_err(|error| failed(error.to_string()))?,
            Err(error) = connection => return Err(failed(error.to_string())),
        };
        let answer = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let message = answer.get("message").and_then(Value::as_str).unwrap_or("it gives no reason");
        Err(failed(format!("{status}: {message}")))
    }
}

impl Device {
    /// Its password, for a client of your own.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Connects it with MQTT 5 over TLS with ALPN `mqtt`.
    ///
    /// # Errors
    ///
    /// Why the gateway refuses it.
    pub async fn connect(&self) -> Result<Client, ConnectError> {
        self.connect_as(&self.name, self.password.as_bytes()).await
    }

    /// Connects with this client id and this password, which may be wrong ones.
    ///
    /// # Errors
    ///
    /// Why the gateway refuses it.
    pub async fn connect_as(&self, client_id: &str, password: &[u8]) -> Result<Client, ConnectError> {
        let login = Login {
            client_id: client_id.to_owned(),
            user_name: self.name.clone(),
            password: Password::from(password.to_vec()),
        };
        Client::connect(&self.endpoint, &login, &Options::default()).await
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The program that the environment names, or the one in the folder of cargo's build (`target/debug` for a test in
/// `target/debug/deps`), or the one on the `PATH`.
fn find_program() -> PathBuf {
    if let Some(program) = std::env::var_os(PROGRAM) {
        return program.into();
    }
    let name = format!("latchkey{}", std::env::consts::EXE_SUFFIX);
    let test = std::env::current_exe().ok();
    let built = test.as_deref().and_then(|test| Some(test.parent()?.parent()?.join(&name)));
    built.filter(|program| program.exists()).unwrap_or_else(|| name.into())
}

fn file_error(path: &Path, error: &io::Error) -> Error {
    Error::File { path: path.to_owned(), error: error.to_string() }
}

/// The line that the gateway prints when it is ready; what it wrote to standard error if it ended before that.
async fn first_line(process: &mut Child) -> Result<String, Error> {
    let mut line = String::new();
    if let Some(stdout) = process.stdout.take() {
        let read = BufReader::new(stdout).read_line(&mut line).await;
        read.map_err(|error| Error::Start(error.to_string()))?;
    }
    if !line.is_empty() {
        return Ok(line);
    }
    let mut written = String::new();
    if let Some(mut stderr) = process.stderr.take() {
        let read = stderr.read_to_string(&mut written).await;
        read.map_err(|error| Error::Start(error.to_string()))?;
    }
    Err(Error::Start(written.trim().to_owned()))
}
