//! The settings file, and the flags over it. All mistakes are reported together, each with its line.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use cli::console::ErrorList;
use device_sim::{Address, Alpn, Authorizer};
use mqtt::TopicFilter;
use mqtt::wire::dial::Proxy;
use serde::{Deserialize, Deserializer, de};

use crate::client_ids::ClientIds;
use crate::rules::{MAX_PAYLOAD_BYTES, Rules};
use crate::settings::{Limits, Ports, Settings, TlsFiles};
use crate::spool::SpoolLimits;
use crate::topic_map::TopicMap;
use crate::upstream::UpstreamSettings;

/// The file that is read if none is named.
pub const CONFIG_FILE: &str = "latchkey-bridge.toml";

/// The settings file. A key that is not here is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    endpoints: Vec<Text<Address>>,
    authorizer: Option<Text<Authorizer>>,
    no_authorizer: bool,
    ca: Option<PathBuf>,
    sni: Option<String>,
    alpn: Option<Text<Alpn>>,
    proxy: Option<Text<Proxy>>,
    connects_per_second: Option<NonZeroU32>,
    connect_wait_seconds: Option<NonZeroU64>,
    upstream_timeout_seconds: Option<NonZeroU64>,
    listen: Option<IpAddr>,
    allow_public: bool,
    data: Option<PathBuf>,
    ports: PortTable,
    tls: Option<TlsTable>,
    limits: LimitTable,
    spool: SpoolTable,
    rules: RuleTable,
    client_ids: BTreeMap<String, String>,
    map: Vec<MapTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PortTable {
    mqtt: Option<PortChoice>,
    mqtts: Option<PortChoice>,
    websocket: Option<PortChoice>,
    status: Option<PortChoice>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsTable {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitTable {
    devices: Option<NonZeroUsize>,
    handshakes: Option<NonZeroUsize>,
    connect_timeout_seconds: Option<NonZeroU64>,
    packet_bytes: Option<NonZeroU32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SpoolTable {
    device: Option<Text<Size>>,
    total: Option<Text<Size>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RuleTable {
    drop_retain: Vec<String>,
    max_payload_bytes: Option<usize>,
    keep_qos2: bool,
    keep_client_ids: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MapTable {
    device: String,
    cloud: String,
}

/// The flags, which win over the file.
#[derive(Debug, Default, Args)]
pub struct Flags {
    /// AWS's endpoint; repeat it for others that are tried after it
    ///
    /// AWS's endpoint, a custom domain, or `latchkey local`. Repeat it for others that are tried when it can't be reached.
    #[arg(long = "endpoint", value_name = "HOST:PORT", help_heading = "AWS")]
    endpoints: Vec<Address>,

    /// The authorizer to name in user names that name none [default: none]
    #[arg(long, value_name = "NAME", help_heading = "AWS")]
    authorizer: Option<Authorizer>,

    /// The only CA to trust, as a PEM file [default: Amazon's roots]
    #[arg(long, value_name = "FILE", help_heading = "AWS")]
    ca: Option<PathBuf>,

    /// The server name (SNI) [default: the endpoint's host]
    #[arg(long, value_name = "NAME", help_heading = "AWS", hide_short_help = true)]
    sni: Option<String>,

    /// The proxy: http://HOST:PORT or socks5://HOST:PORT
    ///
    /// The proxy, `http://HOST:PORT` (CONNECT) or `socks5://HOST:PORT`, with `USER:PASSWORD@` before the host if it wants
    /// that. Others can see a command line, so a password belongs in the settings file.
    #[arg(long, value_name = "URL", help_heading = "AWS")]
    proxy: Option<Proxy>,

    /// The address to listen on [default: 127.0.0.1]
    ///
    /// The address to listen on. Devices send user names, passwords and readings in clear to ports without TLS, so another
    /// address than a private one needs `--allow-public` too.
    #[arg(long, value_name = "ADDRESS", help_heading = "Devices")]
    listen: Option<IpAddr>,

    /// Listen on a public address, or on all
    #[arg(long, help_heading = "Devices")]
    allow_public: bool,

    /// The port of MQTT over TCP; `off` closes it [default: 1883]
    #[arg(long = "port", value_name = "PORT", help_heading = "Devices")]
    mqtt: Option<PortChoice>,

    /// The port of MQTT over TLS [default: 8883 with a certificate]
    #[arg(long = "port-mqtts", value_name = "PORT", help_heading = "Devices")]
    mqtts: Option<PortChoice>,

    /// The port of MQTT over WebSocket [default: off]
    #[arg(long = "port-websocket", value_name = "PORT", help_heading = "Devices")]
    websocket: Option<PortChoice>,

    /// The port of /healthz and /metrics [default: 19091]
    ///
    /// It is open to this machine only. `off` closes it.
    #[arg(long = "port-status", value_name = "PORT", help_heading = "Devices")]
    status: Option<PortChoice>,

    /// The certificate chain of the TLS port, as a PEM file
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "Devices")]
    certificate: Option<PathBuf>,

    /// The key of that certificate, as a PEM file
    #[arg(long, value_name = "FILE", requires = "certificate", help_heading = "Devices")]
    key: Option<PathBuf>,

    /// Store a device's QoS 1 messages on disk while AWS can't be reached
    ///
    /// How much of a device's QoS 1 and 2 messages is stored on disk while AWS can't be reached, such as `64MB`. Without it,
    /// nothing is stored, and a device is disconnected when its connection to AWS ends.
    #[arg(long, value_name = "SIZE", help_heading = "Devices")]
    spool: Option<Size>,

    /// The folder of the spool [default: latchkey-bridge]
    #[arg(long, value_name = "FOLDER", help_heading = "Devices")]
    data: Option<PathBuf>,
}

/// A value that is written as text.
#[derive(Debug)]
struct Text<T>(T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

/// A port, 0 for a free one, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortChoice(Option<u16>);

/// A text that is not a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a port is a number from 0 to 65535, or `off`; 0 chooses a free port")]
pub struct InvalidPort;

impl FromStr for PortChoice {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        match text {
            "off" => Ok(Self(None)),
            number => number.parse().map(|port| Self(Some(port))).map_err(|_| InvalidPort),
        }
    }
}

impl<'de> Deserialize<'de> for PortChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Port {
            Number(u16),
            Text(String),
        }
        match Port::deserialize(deserializer).map_err(|_| de::Error::custom(InvalidPort))? {
            Port::Number(port) => Ok(Self(Some(port))),
            Port::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

/// A number of bytes, such as `64MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(u64);

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size: write a number with `KB`, `MB` or `GB`, such as `64MB`")]
pub struct InvalidSize(String);

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let units = [("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
        let parsed = units.into_iter().find_map(|(unit, bytes)| {
            let number = text.strip_suffix(unit)?.trim_end().parse::<u64>().ok()?;
            number.checked_mul(bytes).filter(|&bytes| bytes > 0)
        });
        parsed.map(Self).ok_or_else(|| InvalidSize(text.to_owned()))
    }
}

/// What a settings file and flags say together.
pub struct Configuration {
    /// What needs a restart.
    pub settings: Settings,
    /// What can be replaced.
    pub rules: Rules,
    /// What an operator should know, although it works.
    pub warnings: Vec<String>,
}

/// Open files besides those of devices: listeners, the spool, the log, and what the system's libraries open.
const OTHER_FILES: u64 = 64;

impl Configuration {
    /// Allows no more devices than this many open files are enough for, and warns if that is fewer than the settings say. Each
    /// device takes two, and a connection before its CONNECT one.
    pub fn fit_open_files(&mut self, files: u64) {
        let limits = &mut self.settings.limits;
        let wanted = limits.devices as u64;
        let handshakes = (limits.handshakes as u64).min(files / 4);
        let room = files.saturating_sub(OTHER_FILES + handshakes) / 2;
        if room < wanted {
            limits.devices = usize::try_from(room).unwrap_or(usize::MAX).max(1);
            let needed = 2 * wanted + limits.handshakes as u64 + OTHER_FILES;
            self.warnings.push(format!(
                "{files} files may be open, which is enough for {} devices and not for {wanted}: allow {needed} \
                 (`ulimit -Hn`, `LimitNOFILE`), or set `devices`",
                limits.devices
            ));
        }
    }
}

/// A file and flags that can't be used: everything that is wrong.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ConfigError(#[from] ErrorList);

impl Configuration {
    /// Reads a file, if there is one, and puts the flags over it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn read(path: Option<&Path>, flags: &Flags) -> Result<Self, ConfigError> {
        let (file, folder) = File::read(path)?;
        let mut mistakes = Vec::new();
        let configuration = file.into_configuration(&folder, flags, &mut mistakes);
        match configuration {
            Some(configuration) if mistakes.is_empty() => Ok(configuration),
            _ => {
                let head = match path {
                    Some(path) => format!("the settings (`{}` and flags) can't be used", path.display()),
                    None => "the settings can't be used".to_owned(),
                };
                Err(ErrorList::new(head, mistakes).into())
            }
        }
    }

    /// The rules of a file, whose other settings may be incomplete.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn rules(path: Option<&Path>) -> Result<Rules, ConfigError> {
        let file = File::read(path)?.0;
        let mut mistakes = Vec::new();
        let rules = rules(&file.rules, file.client_ids, &file.map, &mut mistakes);
        rules.ok_or_else(|| ErrorList::new("the rules can't be used".to_owned(), mistakes).into())
    }
}

fn parse(text: &str) -> Result<File, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        // The error's own text would repeat the line, and there may be a secret in it.
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        format!("line {line}: {}", error.message())
    })
}

impl File {
    /// The file, and the folder in which its paths begin.
    fn read(path: Option<&Path>) -> Result<(Self, PathBuf), ConfigError> {
        let Some(path) = path else { return Ok((Self::default(), PathBuf::new())) };
        let text = std::fs::read_to_string(path).map_err(|error| {
            ErrorList::new(format!("can't read the settings file `{}`: {error}", path.display()), Vec::new())
        })?;
        let file = parse(&text).map_err(|line| {
            ErrorList::new(format!("the settings file `{}` can't be used", path.display()), vec![line])
        })?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Ok((file, absolute.parent().unwrap_or(Path::new("")).to_owned()))
    }

    fn into_configuration(
        self,
        folder: &Path,
        flags: &Flags,
        mistakes: &mut Vec<String>,
    ) -> Option<Configuration> {
        let in_folder = |path: PathBuf| folder.join(path);
        let listen = flags.listen.or(self.listen).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let tls = match (&flags.certificate, &flags.key, self.tls) {
            (Some(certificate), Some(key), _) => {
                Some(TlsFiles { certificate: certificate.clone(), key: key.clone() })
            }
            (_, _, Some(table)) => {
                Some(TlsFiles { certificate: in_folder(table.certificate), key: in_folder(table.key) })
            }
            _ => None,
        };
        let port = |flag: Option<PortChoice>, file: Option<PortChoice>, default: Option<u16>| {
            flag.or(file).map_or(default, |PortChoice(port)| port)
        };
        let ports = Ports {
            mqtt: port(flags.mqtt, self.ports.mqtt, Some(1_883)),
            mqtts: port(flags.mqtts, self.ports.mqtts, tls.is_some().then_some(8_883)),
            websocket: port(flags.websocket, self.ports.websocket, None),
            status: port(flags.status, self.ports.status, Some(19_091)),
        };
        if ports.mqtts.is_some() && tls.is_none() {
            mistakes.push("`mqtts` needs a certificate: set `[tls]` with `certificate` and `key`".to_owned());
        }
        if [ports.mqtt, ports.mqtts, ports.websocket].iter().all(Option::is_none) {
            mistakes.push("no port is open: open `mqtt`, `mqtts` or `websocket`".to_owned());
        }
        let clear = ports.mqtt.is_some() || ports.websocket.is_some();
        if clear && !is_private(listen) && !(flags.allow_public || self.allow_public) {
            mistakes.push(format!(
                "`{listen}` may be reached from outside, and what devices send to ports without TLS can be read on the \
                 way: choose a private address, or allow it with `allow_public`"
            ));
        }
        let mut endpoints = flags.endpoints.clone();
        if endpoints.is_empty() {
            endpoints = self.endpoints.into_iter().map(|Text(address)| address).collect();
        }
        if endpoints.is_empty() {
            mistakes.push(
                "no endpoint is set: `aws iot describe-endpoint --endpoint-type iot:Data-ATS` prints yours; write it \
                 with `:443` after it, or `localhost:10443` for `latchkey local`"
                    .to_owned(),
            );
        }
        let authorizer = flags.authorizer.clone().or(self.authorizer.map(|Text(it)| it));
        let spool_device = flags.spool.or(self.spool.device.map(|Text(size)| size));
        let spool = spool_device.map(|Size(device_bytes)| {
            let total = self.spool.total.map_or(device_bytes.max(1_000_000_000), |Text(Size(bytes))| bytes);
            SpoolLimits { device_bytes, total_bytes: total }
        });
        let settings = Settings {
            listen,
            ports,
            tls,
            upstream: UpstreamSettings {
                endpoints,
                server_name: flags.sni.clone().or(self.sni),
                ca: flags.ca.clone().or(self.ca.map(in_folder)),
                alpn: self.alpn.map_or_else(Alpn::default, |Text(alpn)| alpn),
                authorizer: authorizer.filter(|_| !self.no_authorizer),
                proxy: flags.proxy.clone().or(self.proxy.map(|Text(proxy)| proxy)),
                connects_per_second: self.connects_per_second.map_or(50, NonZeroU32::get),
                longest_wait: Duration::from_secs(self.connect_wait_seconds.map_or(20, NonZeroU64::get)),
                step_timeout: Duration::from_secs(self.upstream_timeout_seconds.map_or(10, NonZeroU64::get)),
            },
            limits: Limits {
                devices: self.limits.devices.map_or(10_000, NonZeroUsize::get),
                handshakes: self.limits.handshakes.map_or(1_000, NonZeroUsize::get),
                connect_timeout: Duration::from_secs(
                    self.limits.connect_timeout_seconds.map_or(10, NonZeroU64::get),
                ),
                packet_bytes: self.limits.packet_bytes.map_or(262_144, NonZeroU32::get),
            },
            spool,
            data: flags.data.clone().or(self.data.map(in_folder)).unwrap_or("latchkey-bridge".into()),
        };
        let rules = rules(&self.rules, self.client_ids, &self.map, mistakes);
        let mut warnings = Vec::new();
        if clear && !listen.is_loopback() {
            warnings.push(format!(
                "devices on the network of {listen} send user names, passwords and messages in clear to ports without TLS: \
                 use a network of their own, or `mqtts`"
            ));
        }
        if flags.proxy.as_ref().is_some_and(Proxy::has_credentials) {
            warnings.push("others can see the proxy's password on the command line".to_owned());
        }
        Some(Configuration { settings, rules: rules?, warnings })
    }
}

fn rules(
    table: &RuleTable,
    client_ids: BTreeMap<String, String>,
    map: &[MapTable],
    mistakes: &mut Vec<String>,
) -> Option<Rules> {
    let topics = TopicMap::new(map.iter().map(|rule| (rule.device.as_str(), rule.cloud.as_str())));
    let client_ids = ClientIds::new(client_ids, table.keep_client_ids);
    let drop_retain = table.drop_retain.iter().map(|filter| {
        TopicFilter::try_from(filter.as_str()).map_err(|error| format!("`drop_retain`: `{filter}`: {error}"))
    });
    let drop_retain = drop_retain.collect::<Result<Vec<_>, _>>().map_err(|error| mistakes.push(error));
    let topics = topics.map_err(|error| mistakes.push(format!("`[[map]]`: {error}")));
    let client_ids = client_ids.map_err(|error| mistakes.push(format!("`[client_ids]`: {error}")));
    Some(Rules {
        client_ids: client_ids.ok()?,
        topics: topics.ok()?,
        drop_retain: drop_retain.ok()?,
        max_payload_bytes: match table.max_payload_bytes {
            None => Some(MAX_PAYLOAD_BYTES),
            Some(0) => None,
            Some(bytes) => Some(bytes),
        },
        keep_qos2: table.keep_qos2,
    })
}

/// Whether an address is one of this machine or of a private network.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Configuration, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CONFIG_FILE);
        std::fs::write(&path, text).unwrap();
        Configuration::read(Some(&path), &Flags::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_listen_on_this_machine_only() {
        let Configuration { settings, rules, warnings } =
            read("endpoints = [\"iot.example.com:443\"]\n").unwrap();
        assert!(settings.listen.is_loopback() && warnings.is_empty());
        let expected = Ports { mqtt: Some(1_883), mqtts: None, websocket: None, status: Some(19_091) };
        assert_eq!((settings.ports, settings.spool), (expected, None));
        assert_eq!(settings.upstream.alpn.to_string(), "mqtt");
        assert_eq!(rules.max_payload_bytes, Some(MAX_PAYLOAD_BYTES));
    }

    #[test]
    fn all_mistakes_are_reported_and_no_secret_is() {
        let error = read(
            "listen = \"0.0.0.0\"\n[ports]\nmqtts = 8883\n[rules]\ndrop_retain = [\"a/#/b\"]\n\
             [client_ids]\nx = \"a b\"\n[[map]]\ndevice = \"a\"\ncloud = \"{b}\"\n",
        );
        let error = error.err().unwrap();
        for part in ["`mqtts` needs", "`0.0.0.0` may be reached", "no endpoint", "a/#/b", "a b", "{b}"] {
            assert!(error.contains(part), "{part} in {error}");
        }
        let error = read("\nproxy = \"http://user:tangerine@/\"\n").err().unwrap();
        assert!(error.contains("line 2: a proxy is") && !error.contains("tangerine"), "{error}");
        let error = read("endpoint = 1\n").err().unwrap();
        assert!(error.contains("line 1: unknown field `endpoint`"), "{error}");
    }

    #[test]
    fn a_public_address_has_to_be_allowed_and_a_private_one_is_warned_of() {
        let rest = "endpoints = [\"a:443\"]\n";
        for (address, allowed, warned) in [
            ("127.0.0.1", true, false),
            ("::1", true, false),
            ("192.168.1.2", true, true),
            ("10.0.0.1", true, true),
            ("fd00::1", true, true),
            ("0.0.0.0", false, true),
            ("::", false, true),
            ("203.0.113.1", false, true),
        ] {
            let listen = format!("listen = \"{address}\"\n{rest}");
            let warnings = |text: &str| read(text).map(|it| !it.warnings.is_empty());
            assert_eq!(warnings(&listen).ok(), allowed.then_some(warned), "{address}");
            assert_eq!(warnings(&format!("allow_public = true\n{listen}")), Ok(warned), "{address}");
            let closed = warnings(&format!("{listen}[ports]\nmqtt = \"off\"\n"));
            assert!(closed.unwrap_err().contains("no port is open"));
        }
    }

    #[test]
    fn devices_fit_the_open_files() {
        for (files, devices, warned) in [
            (1_048_576, 10_000, false),
            (21_064, 10_000, false),
            (21_062, 9_999, true),
            (1_024, 352, true),
            (16, 1, true),
        ] {
            let mut configuration = read("endpoints = [\"a:443\"]\n").unwrap();
            configuration.fit_open_files(files);
            let Configuration { settings, warnings, .. } = configuration;
            assert_eq!((settings.limits.devices, !warnings.is_empty()), (devices, warned), "{files}");
            assert!(warnings.iter().all(|warning| warning.contains("allow 21064")), "{warnings:?}");
        }
    }

    #[test]
    fn sizes_and_ports_are_accepted_or_refused() {
        for (text, bytes) in [("64MB", 64_000_000), ("1 GB", 1_000_000_000), ("10KB", 10_000)] {
            assert_eq!(text.parse::<Size>(), Ok(Size(bytes)));
        }
        for text in ["", "64", "0MB", "-1MB", "MB", "1TB", "99999999999999GB"] {
            assert_eq!(text.parse::<Size>(), Err(InvalidSize(text.to_owned())));
        }
        assert_eq!("off".parse::<PortChoice>(), Ok(PortChoice(None)));
        assert_eq!("65536".parse::<PortChoice>(), Err(InvalidPort));
    }
}
