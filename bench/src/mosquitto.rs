//! Debian's mosquitto, with the gateway's features: TLS, passwords, and an ACL.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use device_sim::Login;
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::{fixture::Fixture, process::Server};

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
        let config = fixture.write("mosquitto.conf", &config(fixture, address, &passwords, &rules))?;
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

/// A free port. The broker can't choose one itself.
async fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    Ok(listener.local_addr()?)
}
