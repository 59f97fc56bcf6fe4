//! The gateway with the real authorizer as processes, and a proxy in front of it.

use std::env;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use app::configuration::partition::Key;
use configure::Entries;
use device_sim::{Client, Endpoint, Login, Options, Password, Target};
use serde_json::{Value, json};

/// The records of devices, and a gateway that serves them. Dropping it kills the process.
pub(crate) struct Gateway {
    folder: tempfile::TempDir,
    process: Child,
    address: SocketAddr,
    proxy: Proxy,
}

impl Gateway {
    /// Starts a gateway on a free port. Its only record is the viewer's.
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    /// The same, with a client certificate that may connect as `sht20` and publish its temperature.
    pub(crate) fn start_with_certificate(pem: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arn = |resource: &str| format!("arn:aws:iot:us-east-1:123456789012:{resource}");
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "iot:Connect", "Resource": arn("client/sht20") },
            { "Effect": "Allow", "Action": "iot:Publish", "Resource": arn("topic/sensor/sht20/temperature") },
        ] });
        let settings = "[[policy]]\nname = \"sht20\"\nfile = \"policy.json\"\n\n\
                        [[certificate]]\nfile = \"device.pem\"\npolicies = [\"sht20\"]\n";
        fs::write(folder.path().join("policy.json"), policy.to_string()).unwrap();
        fs::write(folder.path().join("device.pem"), pem).unwrap();
        fs::write(folder.path().join("latchkey.toml"), settings).unwrap();
        Self::start_in(folder)
    }

    fn start_in(folder: tempfile::TempDir) -> Self {
        let grants = json!({ "viewer": { "subscribe": ["sensor/#"], "receive": ["sensor/*"] }, "witness": {
            "publish": ["sensor/{client_id}/temperature", "sensor/{client_id}/humidity", "sensor/{client_id}/gone"],
            "last_will": true,
        } });
        let store = json!({ "version": 1, "grants": grants, "devices": {} });
        fs::write(folder.path().join("devices.json"), store.to_string()).unwrap();
        add(folder.path(), &["viewer", "--grant", "viewer", "--password-stdin"], "a viewer's password");
        let (process, address) = run(folder.path());
        Self { folder, process, address, proxy: Proxy::start(address) }
    }

    /// Kills the gateway.
    pub(crate) fn stop(&mut self) {
        self.proxy.set_target(None);
        self.kill();
    }

    /// Starts the gateway again. Devices can't reach it before [`open`](Self::open).
    pub(crate) fn restart(&mut self) {
        (self.process, self.address) = run(self.folder.path());
    }

    /// Lets devices reach the gateway again.
    pub(crate) fn open(&self) {
        self.proxy.set_target(Some(self.address));
    }

    /// Adds a device with a password, and returns the entries of its configuration.
    pub(crate) fn add_device(&self, name: &str, grant: &str, time_port: u16) -> Entries {
        let credentials = self.folder.path().join("credentials.csv");
        add(
            self.folder.path(),
            &[name, "--grant", grant, "--credentials", credentials.to_str().unwrap()],
            "",
        );
        let mut entries = self.entries(time_port);
        entries.set(Key::Authorizer, "latchkey");
        entries.read_credentials(&credentials, name).unwrap();
        entries
    }

    /// Adds a device of a vendor's scheme with this secret.
    pub(crate) fn add_vendor_device(&self, name: &str, scheme: &str, secret: &str) {
        let arguments = [name, "--scheme", scheme, "--grant", "sht20", "--secret-stdin", "--plain"];
        add(self.folder.path(), &arguments, secret);
    }

    /// The entries of a device without a record.
    pub(crate) fn entries(&self, time_port: u16) -> Entries {
        crate::device::entries(self.proxy.port, time_port, &fs::read_to_string(self.ca()).unwrap())
    }

    /// A client that is subscribed to every sensor's topics. It does not use the proxy.
    pub(crate) async fn viewer(&self) -> Client {
        let address = format!("localhost:{}", self.address.port()).parse().unwrap();
        let target = Target { ca: Some(self.ca()), ..Target::new(address) };
        let login = Login {
            client_id: "viewer".to_owned(),
            user_name: "viewer".to_owned(),
            password: Password::from("a viewer's password"),
        };
        let endpoint = Endpoint::new(target).unwrap();
        let mut client = Client::connect(&endpoint, &login, &Options::default()).await.unwrap();
        client.subscribe("sensor/#".parse().unwrap(), device_sim::QoS::AtLeastOnce).await.unwrap();
        client
    }

    /// The folder of the gateway, which also has the devices' files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its name and its port, without the proxy.
    pub(crate) fn endpoint(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// The file of its CA.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn kill(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(folder: &Path) -> (Child, SocketAddr) {
    let mut process = Command::new(program("latchkey-gateway"))
        .args([
            "--json",
            "--stop-with-stdin",
            "--function-env",
            "LATCHKEY_ALLOW_PLAIN_SECRETS=true",
            "--port",
            "0",
        ])
        .arg("--authorizer")
        .arg(program("latchkey-authorizer"))
        .arg("--data")
        .arg(folder)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let address = loop {
        let line = lines.next().expect("the gateway's greeting").unwrap();
        let greeting: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(address) = greeting["address"].as_str() {
            break address.parse().unwrap();
        }
    };
    // Keep reading, so that the gateway never blocks on a full pipe.
    thread::spawn(move || lines.for_each(drop));
    (process, address)
}

/// Runs `latchkey fleet add` with this standard input.
fn add(folder: &Path, arguments: &[&str], input: &str) {
    let mut command = Command::new(program("latchkey"));
    command.args(["fleet", "add", "--store"]).arg(folder.join("devices.json")).args(arguments);
    let mut process =
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(process.wait().unwrap().success(), "latchkey fleet add {arguments:?}");
}

/// A program of the root workspace, from `FIRMWARE_TEST_PROGRAMS` or the workspace's target folder.
pub(crate) fn program(name: &str) -> PathBuf {
    let folder = env::var_os("FIRMWARE_TEST_PROGRAMS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debug"), PathBuf::from);
    let path = folder.join(name);
    assert!(path.exists(), "`{}` is missing; `make firmware-test` builds it", path.display());
    path
}

/// Forwards a port that stays the same to a gateway that is stopped and started. A port that the gateway itself had
/// released could be taken by another process.
struct Proxy {
    port: u16,
    target: Arc<Mutex<Option<SocketAddr>>>,
}

impl Proxy {
    fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Arc::new(Mutex::new(Some(target)));
        let current = Arc::clone(&target);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let target = *current.lock().unwrap();
                if let Some(server) = target.and_then(|address| TcpStream::connect(address).ok()) {
                    forward(&client, &server);
                }
            }
        });
        Self { port, target }
    }

    /// Forwards new connections to this address, or closes them at once if there is none.
    fn set_target(&self, target: Option<SocketAddr>) {
        *self.target.lock().unwrap() = target;
    }
}

fn forward(client: &TcpStream, server: &TcpStream) {
    for (from, to) in [(client, server), (server, client)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || {
            _ = io::copy(&mut from, &mut to);
            _ = to.shutdown(Shutdown::Both);
            _ = from.shutdown(Shutdown::Both);
        });
    }
}
