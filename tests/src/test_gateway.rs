//! A real gateway in this process, on a free port, with the real authorizer or a scripted function.

use std::{net::SocketAddr, path::Path, time::Duration};

use device_auth::store::document::RecordDocument;
use fleet::{
    secret::Secret,
    store_file::{NewDevice, StoreFile},
};
use gateway::{
    clock::{Clock, ManualClock},
    custom_auth::{admission::DefaultAuthorizer, signing::Signing},
    door::{
        domain::DomainStatus,
        route::{Access, ApplicationProtocol, AuthenticationType, Port},
    },
    gateway::{Addresses, Gateway, StartError},
    lambda::{
        function::{FunctionConfiguration, FunctionSource},
        functions::NamedFunction,
        program::Program,
    },
    quotas::Quotas,
    registry::{Certificate, FixedRegistry, Thing},
    settings::{AuthorizerSettings, DomainSettings, Limits, Ports, Settings},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    captured_log::CapturedLog,
    eventually::{eventually, within},
    programs::program,
    script::{Script, Step, VARIABLE, allow_all},
};

/// A running gateway. Dropping it stops it.
pub struct TestGateway {
    /// Where it listens, for AWS's port 443.
    pub address: SocketAddr,
    /// Where else.
    pub addresses: Addresses,
    /// Its data folder.
    pub folder: TempDir,
    /// Its log.
    pub log: CapturedLog,
    /// Its clock, if the test moves it.
    pub clock: Option<ManualClock>,
    settings: Settings,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// What is to be started.
pub struct Start {
    settings: Settings,
    folder: TempDir,
    clock: Option<ManualClock>,
}

impl Start {
    /// A gateway with the real authorizer and no devices yet.
    pub fn with_authorizer() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("devices.json");
        StoreFile::open(&store).unwrap().save().unwrap();
        let variables = vec![("LATCHKEY_STORE".to_owned(), format!("file:{}", store.display()))];
        let settings = settings(folder.path(), "latchkey-authorizer", variables);
        Self { settings, folder, clock: None }
    }

    /// A gateway with a function that does as the script says.
    pub fn with_script(step: &Step) -> (Self, Script) {
        let folder = tempfile::tempdir().unwrap();
        let script = Script::new(folder.path(), step);
        let variables = vec![(VARIABLE.to_owned(), script.path().display().to_string())];
        let settings = settings(folder.path(), "scripted-function", variables);
        (Self { settings, folder, clock: None }, script)
    }

    /// On a clock that the test moves.
    #[must_use]
    pub fn on_manual_clock(self) -> Self {
        Self { clock: Some(ManualClock::new()), ..self }
    }

    /// The clock that the test moves.
    pub fn clock(&self) -> &ManualClock {
        self.clock.as_ref().unwrap()
    }

    /// With other settings.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// With another program, or another way to run it.
    #[must_use]
    pub fn with_program(self, change: impl FnOnce(&mut Program)) -> Self {
        self.with_function(|function| match &mut function.source {
            FunctionSource::Program(program) => change(program),
            other => panic!("{other:?} is not a program"),
        })
    }

    /// With another function, or with more or fewer instances of it.
    #[must_use]
    pub fn with_function(self, change: impl FnOnce(&mut FunctionConfiguration)) -> Self {
        self.with(|settings| change(&mut settings.authorizers[0].function))
    }

    /// A gateway with this function in the place of a program.
    pub fn with_source(source: FunctionSource) -> Self {
        Self::with_authorizer().with_function(|function| function.source = source)
    }

    /// With the first authorizer's signing changed.
    #[must_use]
    pub fn signing(self, signing: Signing) -> Self {
        self.with(|settings| settings.authorizers[0].signing = signing)
    }

    /// With another authorizer besides the first, whose function does what the script says.
    #[must_use]
    pub fn and_script(mut self, name: &str, step: &Step) -> (Self, Script) {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let script = Script::new(&folder, step);
        let variables = vec![(VARIABLE.to_owned(), script.path().display().to_string())];
        self.settings.authorizers.push(authorizer(name, "scripted-function", variables));
        (self, script)
    }

    /// With a function for this name or ARN, which does as the script says.
    #[must_use]
    pub fn function(mut self, name: &str, step: &Step) -> (Self, Script) {
        let folder = self.folder.path().join(format!("function-{name}"));
        std::fs::create_dir(&folder).unwrap();
        let script = Script::new(&folder, step);
        let variables = vec![(VARIABLE.to_owned(), script.path().display().to_string())];
        let program = Program::new(program("scripted-function"), variables);
        let configuration = FunctionConfiguration::new(FunctionSource::Program(program));
        self.settings.functions.push(NamedFunction { name: name.to_owned(), configuration });
        (self, script)
    }

    /// With these certificates and Things in the registry.
    #[must_use]
    pub fn registered(self, certificates: Vec<Certificate>, things: Vec<Thing>) -> Self {
        self.with(|settings| settings.registry = FixedRegistry::new(things, certificates).unwrap())
    }

    /// With a domain configuration for this server name.
    #[must_use]
    pub fn domain(
        self,
        server_name: &str,
        authentication: AuthenticationType,
        protocol: ApplicationProtocol,
    ) -> Self {
        let domain = DomainSettings {
            name: server_name.to_owned(),
            status: DomainStatus::Enabled,
            server_name: server_name.to_owned(),
            certificate: None,
            access: Access::new(authentication, protocol).unwrap(),
            default_authorizer: None,
            allow_authorizer_override: true,
        };
        self.with(|settings| settings.domains.push(domain))
    }

    /// Adds a device with a generated password, which it returns.
    pub fn add(&self, name: &str, grant: &str) -> String {
        add_device(self.folder.path(), name, grant)
    }

    /// The data folder, before the start.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it.
    pub async fn run(self) -> TestGateway {
        self.try_run().await.unwrap_or_else(|error| panic!("the gateway does not start: {error}"))
    }

    /// Starts it, or tells why it does not start.
    pub async fn try_run(self) -> Result<TestGateway, StartError> {
        let (event_log, log) = CapturedLog::of_gateway();
        let clock = self.clock.clone().map_or_else(Clock::system, Clock::Manual);
        let gateway = within("the start", Gateway::start(&self.settings, clock, event_log)).await?;
        let addresses = gateway.addresses().clone();
        let stop = CancellationToken::new();
        let task = tokio::spawn(gateway.run(stop.clone().cancelled_owned()));
        let address = addresses.doors[&Port::P443];
        let Self { settings, folder, clock } = self;
        Ok(TestGateway { address, addresses, folder, log, clock, settings, stop, task: Some(task) })
    }
}

impl TestGateway {
    /// A gateway whose function lets anybody in and allows everything.
    pub async fn open_to_all() -> Self {
        Start::with_script(&Step::Answer(allow_all())).0.run().await
    }

    /// The CA's certificate, as PEM.
    pub fn ca(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Adds a device with a generated password, which it returns. A running authorizer sees it at once.
    pub fn add(&self, name: &str, grant: &str) -> String {
        add_device(self.folder.path(), name, grant)
    }

    /// Changes a device's record. A running authorizer sees it at once.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut RecordDocument)) {
        let mut store = StoreFile::open(&self.folder.path().join("devices.json")).unwrap();
        change(store.document_mut().devices.get_mut(name).unwrap());
        store.save().unwrap();
    }

    /// Moves the clock.
    pub fn advance(&self, by: Duration) {
        self.clock.as_ref().unwrap().advance(by);
    }

    /// Waits for a log line that `wanted` accepts, among all that were written so far.
    pub async fn logged(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let find = || self.log.lines().into_iter().find(|line| wanted(line));
        eventually(what, find).await
    }

    /// Waits for a log line with these values.
    pub async fn logged_with(&self, values: &[(&str, &str)]) -> Value {
        self.logged(&format!("{values:?} in the log"), |line| {
            values.iter().all(|(key, value)| line.get(*key).and_then(Value::as_str) == Some(*value))
        })
        .await
    }

    /// Stops it and waits until it has. What it leaves can be started again.
    pub async fn stop(mut self) -> Start {
        self.stop.cancel();
        within("the stop", self.task.take().unwrap()).await.unwrap();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Start { settings: self.settings.clone(), folder, clock: self.clock.clone() }
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn add_device(folder: &Path, name: &str, grant: &str) -> String {
    let mut store = StoreFile::open(&folder.join("devices.json")).unwrap();
    let secret = Secret::generate().unwrap();
    let device =
        NewDevice { name: name.try_into().unwrap(), client_ids: Vec::new(), grant: grant.to_owned() };
    store.add(device, &secret).unwrap();
    store.save().unwrap();
    secret.text().to_owned()
}

fn settings(folder: &Path, name: &str, variables: Vec<(String, String)>) -> Settings {
    let program = Program::new(program(name), Vec::new());
    Settings {
        ports: Ports { doors: Port::ALL.map(|port| (port, 0)).into(), status: Some(0), api: Some(0) },
        names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        authorizers: vec![authorizer("latchkey", name, variables)],
        default_authorizer: Some(DefaultAuthorizer::Set("latchkey".try_into().unwrap())),
        limits: Limits { connections: 1_000, handshakes: 100, ..Limits::default() },
        // Tests of small packets need less than AWS allows.
        quotas: Quotas { min_maximum_packet_bytes: 1, ..Quotas::AWS.at_any_rate() },
        ..Settings::new(folder.to_owned(), program)
    }
}

fn authorizer(name: &str, of: &str, variables: Vec<(String, String)>) -> AuthorizerSettings {
    let program = Program::new(program(of), variables);
    let mut authorizer = AuthorizerSettings::new(name.try_into().unwrap(), program);
    authorizer.function.instances = 2;
    authorizer
}
