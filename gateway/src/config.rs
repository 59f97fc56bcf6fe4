//! What a person can set: on the command line, and in the settings file.
//!
//! [`Overrides`] has each setting once, for both; what nobody sets keeps the default that [`Settings::new`] has.

pub mod authorizer;
pub mod domain;
pub mod ports;
pub mod registry;
pub mod removed;

use std::{
    io,
    net::IpAddr,
    num::{NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use cli::console::ErrorList;
use serde::{Deserialize, Deserializer, de};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use self::{
    authorizer::{AuthorizerTable, FunctionTable},
    domain::DomainTable,
    ports::PortOverrides,
    registry::{CertificateTable, PolicyTable, ThingTable},
    removed::RemovedFlags,
};
use crate::{
    custom_auth::{admission::DefaultAuthorizer, authorizer::AuthorizerName},
    delayed_will_limit::DelayedWills,
    door::DoorRequirements,
    event_log::levels::LogLevels,
    lambda::program::Program,
    quotas::Quotas,
    settings::{AuthorizerSettings, Limits, Settings},
};

/// The most records of attempts that the console may keep: about 2 GiB of memory.
const MAX_CONSOLE_EVENTS: usize = 500_000;

/// The keys of the settings file, most of which are flags too. A key that is not here is an error.
#[derive(Args, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    /// The folder of the settings file, to which the paths in its tables are relative.
    #[arg(skip)]
    #[serde(skip)]
    folder: PathBuf,

    /// The address to listen on; 0.0.0.0 lets devices on your network in [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<IpAddr>,

    /// A host name or address by which devices reach this machine; repeat for more
    ///
    /// The gateway's certificate is for these names, and for localhost, 127.0.0.1 and `::1`; with `--listen 0.0.0.0` also for
    /// this machine's own addresses.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<HostName>,

    /// The folder for the CA (ca.pem), the device records and the log [default: .latchkey]
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,

    /// The file of device records [default: devices.json in the data folder]
    ///
    /// The variable `LATCHKEY_STORE` wins over the default, and over the settings file.
    #[arg(long, value_name = "FILE")]
    pub devices: Option<PathBuf>,

    /// The ports of this machine that stand for AWS's.
    #[command(flatten)]
    ports: PortOverrides,

    /// The authorizer of clients that name none [default: latchkey]
    ///
    /// Clients name one in their user name, after `x-amz-customauthorizer-name=`. Without a settings file that has
    /// authorizers this is the name of the only one.
    #[arg(
        long = "authorizer-name", value_name = "NAME", help_heading = "Authorizer",
        value_parser = |name: &str| AuthorizerName::try_from(name)
    )]
    #[serde(deserialize_with = "authorizer_name")]
    default_authorizer: Option<AuthorizerName>,

    /// The gateway's own limits.
    #[command(flatten)]
    limits: LimitOverrides,

    /// AWS's quotas.
    #[arg(skip)]
    quotas: Quotas,

    /// What a client needs for a handshake where AWS's pages disagree.
    #[arg(skip)]
    doors: DoorRequirements,

    /// The log's levels.
    #[arg(skip)]
    logging: LogLevels,

    /// The console's settings.
    #[arg(skip)]
    console: ConsoleTable,

    /// The longest time that a session outlives its connection [default: 3600]
    ///
    /// AWS's limit is 604800, seven days.
    #[arg(long, value_name = "SECONDS", help_heading = "Limits", hide_short_help = true)]
    #[serde(skip)]
    max_session_expiry: Option<u32>,

    /// The AWS region that policies name [default: us-east-1]
    #[arg(long, help_heading = "AWS")]
    region: Option<String>,

    /// The AWS account that policies name, 12 digits [default: 123456789012]
    #[arg(long, help_heading = "AWS")]
    account: Option<String>,

    /// The AWS partition that policies name [default: aws]
    #[arg(long, help_heading = "AWS", hide_short_help = true, value_parser = ["aws", "aws-cn", "aws-us-gov"])]
    partition: Option<String>,

    /// Flags that no longer exist.
    #[command(flatten)]
    #[serde(skip)]
    removed: RemovedFlags,

    #[arg(skip)]
    authorizer: Vec<Spanned<AuthorizerTable>>,
    #[arg(skip)]
    function: Vec<Spanned<FunctionTable>>,
    #[arg(skip)]
    domain: Vec<Spanned<DomainTable>>,
    #[arg(skip)]
    thing: Vec<Spanned<ThingTable>>,
    #[arg(skip)]
    certificate: Vec<Spanned<CertificateTable>>,
    #[arg(skip)]
    policy: Vec<Spanned<PolicyTable>>,
}

/// The table `[limits]` of the settings file, and the flags `--max-…` and `--connect-timeout`.
#[derive(Args, Clone, Copy, Debug, Default, Deserialize)]
#[command(next_help_heading = "Limits")]
#[serde(deny_unknown_fields, default)]
pub struct LimitOverrides {
    /// The most open connections; the next one waits [default: 15000]
    #[arg(long = "max-connections", value_name = "N")]
    connections: Option<NonZeroUsize>,

    /// The most connections before their CONNECT or first request [default: 1000]
    ///
    /// One more than that ends the oldest of them.
    #[arg(long = "max-handshakes", value_name = "N", hide_short_help = true)]
    handshakes: Option<NonZeroUsize>,

    /// The time for a TLS handshake, and then for a CONNECT or the start of a request [default: 10]
    #[arg(long = "connect-timeout", value_name = "SECONDS", hide_short_help = true)]
    connect_timeout_seconds: Option<NonZeroU64>,

    /// The most last wills that wait for their delay; one more goes out at once [default: 20000]
    #[arg(long = "max-delayed-wills", value_name = "N", hide_short_help = true)]
    delayed_wills: Option<usize>,

    /// The most bytes of such wills together [default: 67108864]
    #[arg(long = "max-delayed-will-bytes", value_name = "BYTES", hide_short_help = true)]
    delayed_will_bytes: Option<usize>,
}

/// The table `[console]` of the settings file.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleTable {
    /// The records of attempts that are kept in memory; 0 is no console.
    events: Option<usize>,
}

/// A host name or an address by which devices reach the gateway.
#[derive(Clone, Debug)]
pub struct HostName(String);

/// A text that can't be a host name or an address.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a name is a host name or an address, such as `192.168.1.10`")]
pub struct InvalidHostName;

/// What is wrong with the settings, all of it.
#[derive(Debug, Default)]
pub struct Mistakes {
    /// The settings file and its text, which lines are counted in.
    file: Option<(PathBuf, String)>,
    found: Vec<Mistake>,
}

#[derive(Debug)]
struct Mistake {
    /// The byte of the settings file at which it is, if it is at one place.
    offset: Option<usize>,
    message: String,
}

/// Reads a settings file. Keys that can't be used are left out, and are among the mistakes.
///
/// # Errors
///
/// When the file can't be read.
pub fn read(path: &Path) -> io::Result<(Overrides, Mistakes)> {
    let text = std::fs::read_to_string(path)?;
    let (mut overrides, found) = parse(&text);
    // An authorizer's program may run in another folder than the gateway does.
    let folder = std::path::absolute(path)?.parent().unwrap_or(Path::new("")).to_owned();
    for file in [&mut overrides.data, &mut overrides.devices].into_iter().flatten() {
        *file = folder.join(&*file);
    }
    Ok((Overrides { folder, ..overrides }, Mistakes { file: Some((path.to_owned(), text)), found }))
}

/// Deserializes what can be deserialized: a key that can't be used is taken out, and the rest tried again.
fn parse(text: &str) -> (Overrides, Vec<Mistake>) {
    let (mut document, errors) = DeTable::parse_recoverable(text);
    let mistake = |error: toml::de::Error| Mistake {
        offset: error.span().map(|span| span.start),
        message: explain(&error),
    };
    let mut mistakes = errors.into_iter().map(mistake).collect::<Vec<_>>();
    if !mistakes.is_empty() {
        // What follows from half a line would be mistakes that nobody made.
        return (Overrides::default(), mistakes);
    }
    loop {
        match Overrides::deserialize(toml::de::Deserializer::from(document.clone())) {
            Ok(overrides) => return (overrides, mistakes),
            Err(error) => {
                let removed = error.span().is_some_and(|span| remove(document.get_mut(), span.start));
                mistakes.push(mistake(error));
                if !removed {
                    return (Overrides::default(), mistakes);
                }
            }
        }
    }
}

/// An error with its key, in TOML's words and without the value: there may be a secret in it.
fn explain(error: &toml::de::Error) -> String {
    if let Some(reason) = removed::explain(error.message()) {
        return reason;
    }
    let message = in_words(error.message());
    // The text of an error without its input is the message, and the key in a line of its own.
    let text = error.to_string();
    let key = text.lines().last().and_then(|line| line.strip_prefix("in `")?.strip_suffix('`'));
    // These messages name their key.
    match key.filter(|_| !message.starts_with("unknown field ") && !message.starts_with("missing field ")) {
        Some(key) => format!("`{key}`: {message}"),
        None => message,
    }
}

/// serde's message about a value of another type or range, without Rust's names.
fn in_words(message: &str) -> String {
    if message == "invalid IP address syntax" {
        return "it is not an IP address, such as `127.0.0.1` or `0.0.0.0`".to_owned();
    }
    let is_type = message.starts_with("invalid type: ");
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    let Some((found, expected)) = rest.and_then(|rest| rest.rsplit_once(", expected ")) else {
        return message.to_owned();
    };
    let found = match found.split(['"', '`']).next().unwrap_or_default().trim_end() {
        "string" => "a string",
        "integer" => "a whole number",
        "floating point" => "a number with a fraction",
        "boolean" => "`true` or `false`",
        "map" => "a table",
        "sequence" => "a list",
        other => other,
    };
    let expected = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number",
        "a boolean" => "`true` or `false`",
        "a map" => "a table",
        "a sequence" => "a list",
        other if other.starts_with("struct ") => "a table",
        other if other.starts_with("a nonzero ") => "a whole number of at least 1",
        other => other,
    };
    if is_type {
        format!("it is {found}, and should be {expected}")
    } else {
        format!("its value can't be used: it should be {expected}")
    }
}

/// Removes the innermost key or element that begins at this byte or whose value does.
fn remove(table: &mut DeTable<'_>, offset: usize) -> bool {
    for (_, value) in table.iter_mut() {
        let removed = match value.get_mut() {
            DeValue::Table(table) => remove(table, offset),
            DeValue::Array(array) => {
                let inside = array.iter_mut().any(|element| match element.get_mut() {
                    DeValue::Table(table) => remove(table, offset),
                    _ => false,
                });
                let count = array.len();
                if !inside {
                    *array = array.clone().into_iter().filter(|e| e.span().start != offset).collect();
                }
                inside || array.len() < count
            }
            _ => false,
        };
        if removed {
            return true;
        }
    }
    let begins = |(key, value): &(&Spanned<_>, &Spanned<_>)| {
        key.span().start == offset || value.span().start == offset
    };
    let key = table.iter().find(begins).map(|(key, _)| key.clone());
    key.and_then(|key| table.remove(&key)).is_some()
}

impl Overrides {
    /// These, and where they set nothing `file`.
    #[must_use]
    pub fn or(self, file: Self) -> Self {
        Self {
            listen: self.listen.or(file.listen),
            names: self.names.into_iter().chain(file.names).collect(),
            data: self.data.or(file.data),
            devices: self.devices.or(file.devices),
            ports: self.ports.or(file.ports),
            default_authorizer: self.default_authorizer.or(file.default_authorizer),
            limits: self.limits.or(file.limits),
            max_session_expiry: self.max_session_expiry,
            region: self.region.or(file.region),
            account: self.account.or(file.account),
            partition: self.partition.or(file.partition),
            removed: self.removed,
            ..file
        }
    }

    /// Changes `settings` accordingly. What a table `[[authorizer]]` leaves out is as in `own`, the gateway's own
    /// authorizer; what can't be used goes to `mistakes`.
    pub fn apply(self, settings: &mut Settings, own: &Program, aws_ports: bool, mistakes: &mut Mistakes) {
        let folder = &self.folder;
        if let Some(listen) = self.listen {
            settings.listen = listen;
        }
        settings.names.extend(self.names.into_iter().map(|HostName(name)| name));
        if !settings.listen.is_unspecified() {
            settings.names.push(settings.listen.to_string());
        }
        settings.names.sort();
        settings.names.dedup();
        settings.ports = self.ports.ports(aws_ports);
        self.limits.apply(&mut settings.limits, mistakes);
        settings.quotas = match self.max_session_expiry {
            Some(seconds) => self.quotas.with_session_expiry(seconds),
            None => self.quotas,
        };
        settings.doors = self.doors;
        settings.logging = self.logging;
        if let Some(events) = self.console.events {
            let is_accepted = events <= MAX_CONSOLE_EVENTS;
            let wrong = || anyhow::anyhow!("`events` is at most {MAX_CONSOLE_EVENTS}").context("`[console]`");
            mistakes.note(None, is_accepted.then_some(()).ok_or_else(wrong));
            settings.console.events = events.min(MAX_CONSOLE_EVENTS);
        }
        mistakes.note(None, settings.quotas.validate().context("the quotas"));
        let account = &mut settings.account;
        for (set, value) in [
            (self.region, &mut account.region),
            (self.account, &mut account.id),
            (self.partition, &mut account.partition),
        ] {
            if let Some(set) = set {
                *value = set;
            }
        }
        mistakes.note(None, account.scope().context("`region`, `account` and `partition` don't make an ARN"));
        self.removed.check(mistakes);
        if self.authorizer.is_empty() {
            let default = match self.default_authorizer {
                Some(name) => DefaultAuthorizer::Set(name),
                None => DefaultAuthorizer::Implied(AuthorizerName::latchkey()),
            };
            settings.authorizers = vec![AuthorizerSettings::new(default.name().clone(), own.clone())];
            settings.default_authorizer = Some(default);
        } else {
            settings.default_authorizer = self.default_authorizer.map(DefaultAuthorizer::Set);
            settings.authorizers = self
                .authorizer
                .into_iter()
                .filter_map(|table| {
                    let (offset, table) = (table.span().start, table.into_inner());
                    let name = table.name.clone();
                    let authorizer = table.settings(folder, own);
                    mistakes.note(offset, authorizer.with_context(|| format!("the authorizer `{name}`")))
                })
                .collect();
        }
        settings.functions = self
            .function
            .into_iter()
            .filter_map(|table| {
                let (offset, table) = (table.span().start, table.into_inner());
                let name = table.name.clone();
                let function = table.settings(folder, own);
                mistakes.note(offset, function.with_context(|| format!("the function `{name}`")))
            })
            .collect();
        settings.domains = self
            .domain
            .into_iter()
            .filter_map(|table| {
                let (offset, table) = (table.span().start, table.into_inner());
                let name = table.name.clone();
                let domain = table.settings(folder);
                mistakes.note(offset, domain.with_context(|| format!("the domain configuration `{name}`")))
            })
            .collect();
        settings.registry = registry::read(self.thing, self.certificate, self.policy, folder, mistakes);
    }
}

impl LimitOverrides {
    fn or(self, file: Self) -> Self {
        Self {
            connections: self.connections.or(file.connections),
            handshakes: self.handshakes.or(file.handshakes),
            connect_timeout_seconds: self.connect_timeout_seconds.or(file.connect_timeout_seconds),
            delayed_wills: self.delayed_wills.or(file.delayed_wills),
            delayed_will_bytes: self.delayed_will_bytes.or(file.delayed_will_bytes),
        }
    }

    /// With fewer connections than by default, handshakes may use half of them unless they are set too.
    fn apply(self, limits: &mut Limits, mistakes: &mut Mistakes) {
        if let Some(connections) = self.connections.map(NonZeroUsize::get) {
            limits.connections = connections;
            limits.handshakes = limits.handshakes.min(connections.div_ceil(2));
        }
        if let Some(handshakes) = self.handshakes.map(NonZeroUsize::get) {
            limits.handshakes = handshakes;
            if handshakes >= limits.connections && limits.connections > 1 {
                mistakes.add(
                    None,
                    "`--max-handshakes` (`handshakes`) has to be less than `--max-connections` (`connections`): new \
                     connections could keep all others out",
                );
            }
        }
        if let Some(seconds) = self.connect_timeout_seconds {
            limits.connect_timeout = Duration::from_secs(seconds.get());
        }
        let DelayedWills { number, bytes } = limits.delayed_wills;
        limits.delayed_wills = DelayedWills {
            number: self.delayed_wills.unwrap_or(number),
            bytes: self.delayed_will_bytes.unwrap_or(bytes),
        };
    }
}

impl Mistakes {
    /// Adds a mistake, at this byte of the settings file.
    fn add(&mut self, offset: impl Into<Option<usize>>, message: impl Into<String>) {
        self.found.push(Mistake { offset: offset.into(), message: message.into() });
    }

    /// The value, or `None` and one more mistake.
    fn note<T, E: Into<anyhow::Error>>(
        &mut self,
        offset: impl Into<Option<usize>>,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(offset, cli::error_text(error.into().as_ref()))).ok()
    }

    /// Whether there are none.
    ///
    /// # Errors
    ///
    /// When there are some.
    pub fn check(mut self) -> Result<(), ErrorList> {
        self.found.sort_by_key(|mistake| mistake.offset.unwrap_or(usize::MAX));
        let place = |mistake: &Mistake| match (&self.file, mistake.offset) {
            (Some((_, text)), Some(offset)) => {
                let line = text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
                format!("line {line}: ")
            }
            _ => String::new(),
        };
        let lines = self.found.iter().map(|mistake| place(mistake) + &mistake.message);
        let mut lines = lines.collect::<Vec<_>>();
        let file = self.file.as_ref().map(|(path, _)| format!("the settings file `{}`", path.display()));
        let head = match (lines.len(), file) {
            (0, _) => return Ok(()),
            (1, Some(file)) => format!("{file}: {}", lines.remove(0)),
            (count, Some(file)) => format!("{file} has {count} mistakes:"),
            (_, None) => lines.remove(0),
        };
        Err(ErrorList::new(head, lines))
    }
}

impl FromStr for HostName {
    type Err = InvalidHostName;

    fn from_str(text: &str) -> Result<Self, InvalidHostName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte);
        if !text.is_empty() && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidHostName)
        }
    }
}

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

fn authorizer_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AuthorizerName>, D::Error> {
    let name = String::deserialize(deserializer)?;
    AuthorizerName::try_from(&*name).map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        custom_auth::{authorizer::AuthorizerStatus, signing::Signing},
        lambda::function::{FunctionConfiguration, FunctionSource},
    };

    fn program() -> Program {
        Program::new("own".into(), vec![("A".to_owned(), "1".to_owned())])
    }

    fn program_of(authorizer: &AuthorizerSettings) -> (&Program, usize) {
        let FunctionConfiguration { source: FunctionSource::Program(program), instances } =
            &authorizer.function
        else {
            panic!("{authorizer:?}")
        };
        (program, *instances)
    }

    /// The settings of a file in `folder` with this text, and everything that is wrong with it.
    fn settings(typed: Overrides, text: &str, folder: &str) -> (Settings, Result<(), ErrorList>) {
        let (file, found) = parse(text);
        let mut mistakes = Mistakes { file: Some(("f.toml".into(), text.to_owned())), found };
        let mut settings = Settings::new("data".into(), program());
        let file = Overrides { folder: folder.into(), ..file };
        typed.or(file).apply(&mut settings, &program(), false, &mut mistakes);
        (settings, mistakes.check())
    }

    fn read(text: &str, folder: &str) -> Settings {
        let (settings, result) = settings(Overrides::default(), text, folder);
        result.unwrap();
        settings
    }

    fn error(text: &str) -> String {
        let (_, result) = settings(Overrides::default(), text, "/no/such/folder");
        result.map_or_else(|error| error.to_string(), |()| "it can be used".to_owned())
    }

    #[test]
    fn key_that_an_authorizer_leaves_out_has_its_default() {
        let text = "default_authorizer = 'b'\n[[authorizer]]\nname = 'a'\n[[authorizer]]\nname = 'b'\n\
            status = 'INACTIVE'\ntoken_key_name = 'T'\nprogram = 'bin/other'\ninstances = 1\nenv = { B = '2' }\n\
            enable_caching_for_http = true\n";
        let settings = read(text, "folder");
        assert_eq!(settings.default_authorizer, Some(DefaultAuthorizer::Set("b".try_into().unwrap())));
        let [a, b] = &settings.authorizers[..] else { panic!("{:?}", settings.authorizers) };
        assert_eq!((a.name.as_str(), a.status, a.caching_for_http), ("a", AuthorizerStatus::Active, false));
        assert!(matches!(a.signing, Signing::Disabled(None)));
        let (program, instances) = program_of(a);
        assert_eq!((program.path.to_str(), instances), (Some("own"), 4));
        assert_eq!((b.status, b.caching_for_http), (AuthorizerStatus::Inactive, true));
        assert!(matches!(&b.signing, Signing::Disabled(Some(key)) if key.as_str() == "T"));
        let (program, instances) = program_of(b);
        assert_eq!((program.path.clone(), instances), (Path::new("folder").join("bin/other"), 1));
        assert_eq!(program.variables.last().unwrap(), &("B".to_owned(), "2".to_owned()));
    }

    #[test]
    fn file_without_authorizers_has_one_that_a_flag_or_the_file_names() {
        for (text, flag, name) in
            [("", None, "latchkey"), ("default_authorizer = 'a'", None, "a"), ("", Some("b"), "b")]
        {
            let default_authorizer = flag.map(|name| AuthorizerName::try_from(name).unwrap());
            let (settings, result) =
                settings(Overrides { default_authorizer, ..Overrides::default() }, text, "");
            result.unwrap();
            let default = settings.default_authorizer.unwrap();
            assert_eq!(default.name().as_str(), name);
            let is_implied = matches!(default, DefaultAuthorizer::Implied(_));
            assert_eq!(is_implied, text.is_empty() && flag.is_none(), "{text} {flag:?}");
            assert_eq!(settings.authorizers.len(), 1);
            assert_eq!(settings.authorizers[0].name.as_str(), name);
        }
    }

    #[test]
    fn flag_wins_over_the_file() {
        let typed = Overrides {
            region: Some("eu-west-1".to_owned()),
            max_session_expiry: Some(20),
            names: vec!["b".parse().unwrap()],
            ..Overrides::default()
        };
        let text = "region = 'eu-central-1'\naccount = '000000000000'\nnames = ['a']\n\
            [quotas]\nsession_expiry_seconds = 10\ntopic_slashes = 3";
        let (settings, result) = settings(typed, text, "");
        result.unwrap();
        assert_eq!(settings.account.function_arn("f"), "arn:aws:lambda:eu-west-1:000000000000:function:f");
        assert_eq!(settings.names, ["127.0.0.1", "::1", "a", "b", "localhost"]);
        assert_eq!(settings.quotas.session_expiry, Duration::from_secs(20));
        assert_eq!(settings.quotas.topic_slashes, 3);
    }

    #[test]
    fn handshakes_never_use_all_connections() {
        let limits = |text: &str| {
            let (settings, result) = settings(Overrides::default(), &format!("[limits]\n{text}"), "");
            let limits = (settings.limits.connections, settings.limits.handshakes);
            result.map(|()| limits).map_err(|error| error.to_string())
        };
        assert_eq!(limits(""), Ok((15_000, 1_000)));
        assert_eq!(limits("connections = 500"), Ok((500, 250)));
        assert_eq!(limits("connections = 1"), Ok((1, 1)));
        assert_eq!(limits("connections = 500\nhandshakes = 499"), Ok((500, 499)));
        let error = limits("connections = 500\nhandshakes = 500").unwrap_err();
        assert!(error.contains("has to be less than `--max-connections`"), "{error}");
    }

    #[test]
    fn delayed_wills_have_a_number_and_bytes_and_a_flag_wins() {
        let limits = LimitOverrides { delayed_wills: Some(7), ..LimitOverrides::default() };
        let typed = Overrides { limits, ..Overrides::default() };
        let (settings, result) = settings(typed, "[limits]\ndelayed_wills = 5\ndelayed_will_bytes = 0", "");
        result.unwrap();
        assert_eq!(settings.limits.delayed_wills, DelayedWills { number: 7, bytes: 0 });
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let text = "listen = 'here'\nregoin = 'eu-west-1'\n[ports]\n443 = 70000\n8883 = 'none'\n[limits]\n\
            handshakes = 0\n[[authorizer]]\nname = 'a'\nstatus = 'OFF'\nsignnig = true\n[[authorizer]]\n\
            signing = true\n[[authorizer]]\nname = 'b'\nsigning = true\n[[domain]]\nname = 'd'\n\
            server_name = 'a b'\n[[thing]]\nname = 'a.b'\n[[certificate]]\nfile = 'c'\npolicies = ['p']\n\
            [[policy]]\nname = 'p'\nfile = 'p.json'\n[quotas]\npayload_bytes = 200000\n";
        let error = error(text);
        assert!(error.starts_with("the settings file `f.toml` has 14 mistakes:\n"), "{error}");
        for part in [
            "line 1: `listen`: it is not an IP address",
            "line 2: unknown field `regoin`",
            "line 4: `ports.443`: a port is",
            "line 5: `ports.8883`: a port is",
            "line 7: `limits.handshakes`: its value can't be used: it should be a whole number of at least 1",
            "line 10: `authorizer.status`: unknown variant `OFF`",
            "line 11: unknown field `signnig`",
            "line 12: missing field `name`",
            "line 14: the authorizer `b`: `signing = true` needs",
            "line 17: the domain configuration `d`: `server_name`",
            "line 20: the thing `a.b`",
            "line 22: the certificate `/no/such/folder/c`",
            "line 25: the policy `p`",
        ] {
            assert!(error.contains(&format!("\n  {part}")), "{part}: {error}");
        }
    }

    #[test]
    fn mistake_is_reported_with_its_line_and_its_cure() {
        let table = |rest: &str| format!("[[authorizer]]\nname = 'a'\n{rest}");
        let domain = |rest: &str| format!("[[domain]]\nname = 'd'\nserver_name = 'd.example.com'\n{rest}");
        for (text, part) in [
            ("x = 1".to_owned(), "f.toml`: line 1: unknown field"),
            ("x =\ny = 1".to_owned(), "line 1"),
            ("\nclose_refused = false".to_owned(), "line 2: `close_refused` was removed: AWS was measured"),
            ("denied_publish_disconnects = 1".to_owned(), "`denied_publish_disconnects` was removed: AWS"),
            ("names = ['a b']".to_owned(), "line 1: `names`: a name is a host name"),
            (
                "default_authorizer = 'a b'".to_owned(),
                "line 1: `default_authorizer`: an authorizer's name has",
            ),
            ("region = ''".to_owned(), "don't make an ARN"),
            ("[ports]\n443 = 70000".to_owned(), "line 2"),
            ("[ports]\n8883 = 'none'".to_owned(), "a port is a number from 0 to 65535, or `off`"),
            ("[limits]\nhandshakes = 0".to_owned(), "line 2"),
            (table("signnig = true"), "line 3"),
            (table("status = 'OFF'"), "line 3"),
            (table("instances = 0"), "line 3: `authorizer.instances`: its value can't be used"),
            (
                table("instances = 'many'"),
                "`authorizer.instances`: it is a string, and should be a whole number",
            ),
            (
                table("signing = 1"),
                "`authorizer.signing`: it is a whole number, and should be `true` or `false`",
            ),
            (table("arguments = 'x'"), "`authorizer.arguments`: it is a string, and should be a list"),
            (table("program = ['x']"), "`authorizer.program`: it is a list, and should be "),
            ("quotas = 1".to_owned(), "`quotas`: it is a whole number, and should be a table"),
            ("[[authorizer]]\nname = 'a b'".to_owned(), "the authorizer `a b`: an authorizer's name has"),
            ("[[authorizer]]".to_owned(), "missing field `name`"),
            (table("signing = true"), "needs a `token_key_name`"),
            (table("signing = true\ntoken_key_name = 'T'"), "signing needs at least one public key"),
            (table("signing = true\ntoken_key_name = 'x-amz-T'"), "a token key name has"),
            (table("keys = { k = 'k.pem' }"), "`keys` without `signing = true`"),
            (table("signing = true\ntoken_key_name = 'T'\nkeys = { k = 'k.pem' }"), "the key `k` in `"),
            ("[[domain]]\nname = 'd'".to_owned(), "missing field `server_name`"),
            (
                "[[domain]]\nname = 'd'\nserver_name = 'a b'".to_owned(),
                "`d`: `server_name` has to be a host name",
            ),
            (domain("key = 'k'"), "`certificate` and `key` need each other"),
            (domain("authentication_type = 'AWS_X509'"), "AWS_X509 does not go with"),
            (domain("authentication_type = 'AWS_SIGV4'"), "does not support AWS_SIGV4"),
            (domain("application_protocol = 'MQTT'"), "line 4"),
            (domain("allow_authorizer_override = false"), "needs a `default_authorizer`"),
            ("[[thing]]\nname = 'a.b'".to_owned(), "the thing `a.b`: a thing's name has"),
            ("[[thing]]\nname = 'a'\n[[thing]]\nname = 'a'".to_owned(), "two things with the name `a`"),
            ("[[certificate]]\nfile = 'c'".to_owned(), "the certificate `/no/such/folder/c`"),
            ("[[certificate]]\nfile = 'c'\npolicies = ['p']".to_owned(), "no policy with the name `p`"),
            (
                "[[policy]]\nname = 'p'\nfile = 'p.json'".to_owned(),
                "the policy `p` in `/no/such/folder/p.json`",
            ),
        ] {
            assert!(error(&text).contains(part), "{text}: {}", error(&text));
        }
    }

    /// An authorizer's variables and arguments may hold secrets, also where they have the wrong type.
    #[test]
    fn mistake_does_not_repeat_the_value() {
        for rest in [
            "env = 'TOKEN=s3cret'",
            "env = { TOKEN = ['s3cret'] }",
            "arguments = 's3cret'",
            "instances = 's3cret'",
        ] {
            let error = error(&format!("[[authorizer]]\nname = 'a'\n{rest}"));
            assert!(error.contains("line 3: `authorizer.") && !error.contains("s3cret"), "{error}");
        }
    }
}
