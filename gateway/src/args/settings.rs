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

/// The settings of a gateway whose own authorizer is `authorizer`. The data folder and an empty records file are made
/// where there are none.
pub(super) fn merge(args: LocalArgs, authorizer: PathBuf) -> anyhow::Result<Settings> {
    let config = config(&args);
    let mut file = config.as_deref().map_or_else(|| Ok(File::default()), File::read)?;
    let data = args.data.clone().or_else(|| file.data()).unwrap_or_else(|| DATA_FOLDER.into());
    make_private_folder(&data).with_context(|| format!("can't make the data folder `{}`", data.display()))?;
    let devices = args.devices.clone().or_else(|| file.devices()).unwrap_or_else(|| data.join(DEVICES_FILE));
    let devices = std::path::absolute(&devices).context("the devices file has no path")?;
    make_empty_store(&devices)?;
    let absolute = std::path::absolute(&data).context("the data folder has no path")?;
    let variables = variables(&devices, &absolute);
    let program = Program::new(authorizer, variables);
    let AuthorizersSettings { authorizers, default_authorizer } = authorizers(&args, &mut file, &program)?;
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
        quotas: file.quotas.merge(args.limits.max_session_expiry).context("the quotas")?,
        account: Account {
            partition: args.partition.or(file.partition).unwrap_or_else(|| "aws".to_owned()),
            region: args.region.or(file.region).unwrap_or_else(|| "us-east-1".to_owned()),
            id: args.account.or(file.account).unwrap_or_else(|| "123456789012".to_owned()),
        },
    })
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
fn variables(devices: &Path, data: &Path) -> Vec<(String, String)> {
    let unset = |name: &str| std::env::var_os(name).is_none();
    let keyring = data.join(KEYRING_FILE);
    let defaults = [
        Some(("LATCHKEY_STORE", format!("file:{}", devices.display()))),
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
