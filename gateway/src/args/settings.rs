//! What was typed, what the settings file says, and the defaults: put together, in this order.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{ALWAYS_NAMED, CONFIG_FILE, DEVICES_FILE, LocalArgs};
use crate::{
    config::{AuthorizersSettings, File},
    lambda::program::Program,
    settings::{Account, AuthorizerSettings, Settings},
};

const DATA_FOLDER: &str = ".latchkey";
const KEYRING_FILE: &str = "keyring.json";
/// The function's variable for its store.
const STORE: &str = "LATCHKEY_STORE";
/// What the gateway's own variable was called before.
const OLD_STORE: &str = "LATCHKEY_DEVICES";

/// The settings of a gateway whose own authorizer is `authorizer`. The data folder and an empty records file are made
/// where there are none.
pub(super) fn merge(args: LocalArgs, authorizer: PathBuf) -> anyhow::Result<Settings> {
    let config = config(&args);
    let mut file = config.as_deref().map_or_else(|| Ok(File::default()), File::read)?;
    let data = args.data.clone().or_else(|| file.data()).unwrap_or_else(|| DATA_FOLDER.into());
    make_private_folder(&data).with_context(|| format!("can't make the data folder `{}`", data.display()))?;
    let devices = match (args.devices.clone(), Store::of_environment()?) {
        (None, Some(Store::Other)) => None,
        (None, Some(Store::File(path))) => Some(path),
        (devices, _) => Some(devices.or_else(|| file.devices()).unwrap_or_else(|| data.join(DEVICES_FILE))),
    };
    let devices = devices.map(std::path::absolute).transpose().context("the devices file has no path")?;
    devices.as_deref().map_or(Ok(()), make_empty_store)?;
    let absolute = std::path::absolute(&data).context("the data folder has no path")?;
    let variables = variables(devices.as_deref(), &absolute);
    let program = Program::new(authorizer, variables);
    let AuthorizersSettings { authorizers, default_authorizer } = authorizers(&args, &mut file, &program)?;
    let expiry = args.limits.max_session_expiry;
    let quotas = expiry.map_or(file.quotas, |seconds| file.quotas.with_session_expiry(seconds));
    quotas.validate().context("the quotas")?;
    let listen = args.listen.or(file.listen).unwrap_or(Ipv4Addr::LOCALHOST.into());
    Ok(Settings {
        listen,
        ports: args.ports.merge(file.ports),
        names: names(listen, args.names, &file),
        data,
        config,
        authorizers,
        default_authorizer,
        domains: file.domains()?,
        registry: file.registry()?,
        limits: args.limits.merge(file.limits)?,
        close_refused: args.close_refused || file.close_refused,
        denied_publish_disconnects: args.denied_publish_disconnects || file.denied_publish_disconnects,
        quotas,
        account: Account {
            partition: args.partition.or(file.partition).unwrap_or_else(|| "aws".to_owned()),
            region: args.region.or(file.region).unwrap_or_else(|| "us-east-1".to_owned()),
            id: args.account.or(file.account).unwrap_or_else(|| "123456789012".to_owned()),
        },
    })
}

/// The store that the environment names for the function.
enum Store {
    /// A file of records, which is made if it does not exist.
    File(PathBuf),
    /// A store that is not a file. The function reads the variable itself.
    Other,
}

impl Store {
    fn of_environment() -> anyhow::Result<Option<Self>> {
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        if let Some(path) = variable(OLD_STORE) {
            anyhow::bail!(
                "{OLD_STORE} is now {STORE}, and names the store as the function does: set {STORE}=file:{path}"
            );
        }
        Ok(variable(STORE).map(|text| match text.strip_prefix("file:") {
            Some(path) if !path.is_empty() => Self::File(path.into()),
            _ => Self::Other,
        }))
    }
}

/// The settings file, if there is one.
fn config(args: &LocalArgs) -> Option<PathBuf> {
    let in_place = || Path::new(CONFIG_FILE).exists().then(|| CONFIG_FILE.into());
    args.config.clone().or_else(in_place)
}

fn authorizers(args: &LocalArgs, file: &mut File, own: &Program) -> anyhow::Result<AuthorizersSettings> {
    let mut settings = file.authorizers(args.authorizer_name.clone(), own.clone())?;
    for AuthorizerSettings { function, .. } in &mut settings.authorizers {
        args.function.apply(function, own)?;
    }
    Ok(settings)
}

fn names(listen: IpAddr, typed: Vec<String>, file: &File) -> Vec<String> {
    let mut names = ALWAYS_NAMED.map(str::to_owned).to_vec();
    names.extend(typed.into_iter().chain(file.names.iter().cloned()));
    if !listen.is_unspecified() {
        names.push(listen.to_string());
    }
    names.sort();
    names.dedup();
    names
}

/// What the authorizer is told beside what the gateway itself was; a later variable wins. Nothing on this machine makes
/// metrics of its lines, and a keyring that `latchkey fleet` made beside the records is the one that opens them.
fn variables(devices: Option<&Path>, data: &Path) -> Vec<(String, String)> {
    let unset = |name: &str| std::env::var_os(name).is_none();
    let keyring = data.join(KEYRING_FILE);
    let defaults = [
        devices.map(|devices| (STORE, format!("file:{}", devices.display()))),
        Some(("LATCHKEY_METRICS", "off".to_owned())).filter(|(name, _)| unset(name)),
        Some(("LATCHKEY_DATA_KEYS", format!("file:{}", keyring.display())))
            .filter(|(name, _)| unset(name) && keyring.is_file()),
    ];
    defaults.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The log and the CA's key are in it, so it is its owner's alone where the system can say that.
fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// A gateway without devices is a fine start: `latchkey fleet add` is the next step.
fn make_empty_store(devices: &Path) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(devices) {
        Ok(mut file) => {
            file.write_all(b"{\"version\":1,\"devices\":{}}\n").context("can't write the devices file")
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).with_context(|| format!("can't make `{}`", devices.display())),
    }
}
