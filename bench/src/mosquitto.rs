//! Debian's mosquitto, with the gateway's features: TLS, passwords, and an ACL.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use device_sim::Login;
use tokio::{net::TcpStream, process::Command};

use crate::{
    fixture::Fixture,
    gateway::Gateway,
    process::{Server, free_address},
};

/// Attempts to connect until it listens.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(25);

/// A running mosquitto.
pub(crate) struct Mosquitto {
    _server: Server,
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
}

impl Mosquitto {
    /// Starts one with the fixture's certificate, for these devices.
    pub(crate) async fn start(fixture: &Fixture, devices: &[Login]) -> anyhow::Result<Self> {
        let passwords = passwords(fixture, devices).await?;
        let rules = fixture.write("mosquitto.acl", "pattern write sensor/%c/temperature\n")?;
        let address = free_address().await?;
        let config = config(fixture, address, &passwords, &rules);
        Self::run(fixture, &config, address).await
    }

    /// Starts one whose clients need no TLS and no password, and that sends all their messages to a gateway: a bridge with one
    /// connection over TLS, which has as many messages in flight as AWS allows.
    pub(crate) async fn start_bridge(fixture: &Fixture, gateway: &Gateway) -> anyhow::Result<Self> {
        let address = free_address().await?;
        let Login { client_id, user_name, password } = &fixture.site_login;
        let password = std::str::from_utf8(password.expose())?;
        let config = format!(
            "listener {port} {ip}\nallow_anonymous true\nset_tcp_nodelay true\nlog_dest none\nuser root\n\
             max_inflight_messages 100\nmax_queued_messages 0\n\
             connection site\naddress localhost:{gateway}\nbridge_cafile {ca}\nbridge_alpn mqtt\n\
             bridge_protocol_version mqttv311\ntry_private false\nnotifications false\ncleansession true\n\
             remote_clientid {client_id}\nremote_username {user_name}\nremote_password {password}\n\
             topic # out 1\n",
            port = address.port(),
            ip = address.ip(),
            gateway = gateway.address.port(),
            ca = gateway.ca.display(),
        );
        Self::run(fixture, &config, address).await
    }

    async fn run(fixture: &Fixture, config: &str, address: SocketAddr) -> anyhow::Result<Self> {
        let config = fixture.write("mosquitto.conf", config)?;
        let mut command = Command::new(program("mosquitto")?);
        command.arg("-c").arg(config);
        let mut server = Server::start(command)?;
        for _ in 0..TRIES {
            anyhow::ensure!(!server.has_ended()?, "mosquitto does not start");
            if TcpStream::connect(address).await.is_ok() {
                return Ok(Self { _server: server, address });
            }
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::bail!("mosquitto does not listen on {address}")
    }
}

/// Its configuration: no log, and no Nagle's delay, as the gateway has none.
fn config(fixture: &Fixture, address: SocketAddr, passwords: &Path, rules: &Path) -> String {
    let (certificate, key) = fixture.certificate();
    let (ip, port) = (address.ip(), address.port());
    let (certificate, key) = (certificate.display(), key.display());
    let (passwords, rules) = (passwords.display(), rules.display());
    format!(
        "listener {port} {ip}\ncertfile {certificate}\nkeyfile {key}\nallow_anonymous false\n\
         password_file {passwords}\nacl_file {rules}\nset_tcp_nodelay true\nlog_dest none\n\
         # Started as root it would become another user, who can't read these files.\nuser root\n"
    )
}

/// Its password file, which its own program hashes.
async fn passwords(fixture: &Fixture, devices: &[Login]) -> anyhow::Result<PathBuf> {
    let mut text = String::new();
    for Login { user_name, password, .. } in devices {
        let password = std::str::from_utf8(password.expose())?;
        // Text can always be written.
        _ = writeln!(text, "{user_name}:{password}");
    }
    let path = fixture.write("mosquitto.passwords", &text)?;
    let hashed = Command::new(program("mosquitto_passwd")?).arg("-U").arg(&path).status().await?;
    anyhow::ensure!(hashed.success(), "mosquitto_passwd ended with {hashed}");
    Ok(path)
}

/// Finds a program. Debian's broker is in a folder that a user's PATH may not have.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|program| program.is_file()));
    found.with_context(|| {
        format!(
            "`{name}` is missing: `apt-get install mosquitto` on Debian and Ubuntu, `brew install mosquitto` on macOS"
        )
    })
}
