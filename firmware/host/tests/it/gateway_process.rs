//! The gateway with the real authorizer, and the tool that makes its devices.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use app::configuration::partition::Key;
use configure::Entries;
use device_sim::{Alpn, Client, Endpoint, Login, Options, Password, Target};
use serde_json::{Value, json};

use crate::door::Door;

/// Records of devices, and the gateway that serves them. Dropping it kills it.
pub(crate) struct Gateway {
    folder: tempfile::TempDir,
    process: Child,
    address: SocketAddr,
    door: Door,
}

impl Gateway {
    /// Starts one on a free port, whose only records are a grant for a viewer and the viewer.
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    /// The same, and this client certificate may connect as `sht20` and publish its temperature.
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
        Self { folder, process, address, door: Door::to(address) }
    }

    /// Ends it as a power cut does.
    pub(crate) fn stop(&mut self) {
        self.door.set(None);
        self.kill();
    }

    /// Brings it back, not yet for devices.
    pub(crate) fn start_again(&mut self) {
        (self.process, self.address) = run(self.folder.path());
    }

    /// Lets devices find it again.
    pub(crate) fn open(&self) {
        self.door.set(Some(self.address));
    }

    /// Adds a device with a password, and gives the entries of its configuration.
    pub(crate) fn device(&self, name: &str, grant: &str, time_port: u16) -> Entries {
        let credentials = self.folder.path().join("credentials.csv");
        add(
            self.folder.path(),
            &[name, "--grant", grant, "--credentials", credentials.to_str().unwrap()],
            "",
        );
        let mut entries = self.entries(time_port);
        entries.set(Key::Authorizer, "latchkey");
        configure::credentials::take(&credentials, name, &mut entries).unwrap();
        entries
    }

    /// Adds a vendor's device that has this secret.
    pub(crate) fn vendors(&self, name: &str, scheme: &str, secret: &str) {
        let arguments = [name, "--scheme", scheme, "--grant", "sht20", "--secret-stdin", "--plain"];
        add(self.folder.path(), &arguments, secret);
    }

    /// The entries of a device that this gateway does not know.
    pub(crate) fn entries(&self, time_port: u16) -> Entries {
        crate::device::entries(self.door.port, time_port, &fs::read_to_string(self.ca()).unwrap())
    }

    /// A client that sees every sensor's topics, and does not come by the devices' door.
    pub(crate) async fn viewer(&self) -> Client {
        let address = format!("localhost:{}", self.address.port()).parse().unwrap();
        let target = Target { address, sni: None, alpn: Alpn::default(), ca: Some(self.ca()) };
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

    /// A place for a device's own files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn ca(&self) -> PathBuf {
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
    // Read on, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    (process, address)
}

/// Runs `latchkey fleet add` with this on its standard input.
fn add(folder: &Path, arguments: &[&str], input: &str) {
    use std::io::Write as _;
    let mut command = Command::new(program("latchkey"));
    command.args(["fleet", "add", "--store"]).arg(folder.join("devices.json")).args(arguments);
    let mut process =
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(process.wait().unwrap().success(), "latchkey fleet add {arguments:?}");
}

/// One of the root workspace's programs, from `FIRMWARE_TEST_PROGRAMS` or its own target folder.
fn program(name: &str) -> PathBuf {
    let folder = env::var_os("FIRMWARE_TEST_PROGRAMS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debug"), PathBuf::from);
    let path = folder.join(name);
    assert!(path.exists(), "`{}` is missing; `make firmware-test` builds it", path.display());
    path
}
