//! The settings that follow from the command line, the settings file and the defaults, and the files that they need.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};

use super::{CONFIG_FILE, DEVICES_FILE, LocalArgs};
use crate::{
    config::{self, Mistakes, Overrides},
    lambda::program::Program,
    settings::Settings,
};

const DATA_FOLDER: &str = ".latchkey";
const KEYRING_FILE: &str = "keyring.json";
/// The function's variable for its store.
const STORE: &str = "LATCHKEY_STORE";
/// What the gateway's own variable was called before.
const OLD_STORE: &str = "LATCHKEY_DEVICES";

/// The settings of a gateway whose own authorizer is the program `authorizer`. The data folder and an empty records
/// file are made where there are none.
pub(super) fn merge(args: LocalArgs, authorizer: PathBuf) -> anyhow::Result<Settings> {
    let config = args.config.or_else(|| Path::new(CONFIG_FILE).exists().then(|| CONFIG_FILE.into()));
    let (file, mut mistakes) = match &config {
        Some(path) => config::read(path).map_err(|error| {
            let cure = match error.kind() {
                io::ErrorKind::NotFound => "; `latchkey local init` writes one",
                io::ErrorKind::IsADirectory => "; name a file with `--config`",
                io::ErrorKind::PermissionDenied => "; it has to be a file that you may read",
                io::ErrorKind::InvalidData => "; it has to be text in UTF-8",
                _ => "",
            };
            anyhow!("can't read the settings file `{}`: {error}{cure}", path.display())
        })?,
        None => (Overrides::default(), Mistakes::default()),
    };
    let typed_devices = args.overrides.devices.clone();
    let overrides = args.overrides.or(file);
    let data = overrides.data.clone().unwrap_or_else(|| DATA_FOLDER.into());
    let devices = match (typed_devices, Store::of_environment()?) {
        (None, Some(Store::Other)) => None,
        (None, Some(Store::File(path))) => Some(path),
        _ => Some(overrides.devices.clone().unwrap_or_else(|| data.join(DEVICES_FILE))),
    };
    let devices = devices.map(std::path::absolute).transpose().context("the devices file has no path")?;
    let absolute = std::path::absolute(&data).context("the data folder has no path")?;
    let program = Program::new(authorizer, variables(devices.as_deref(), &absolute));
    let mut settings = Settings { config, test_api: args.test_api, ..Settings::new(data, program.clone()) };
    overrides.apply(&mut settings, &program, args.aws_ports, &mut mistakes);
    mistakes.check()?;
    for authorizer in &mut settings.authorizers {
        args.function.apply(&mut authorizer.function, &program)?;
    }
    make_private_folder(&settings.data).map_err(|error| {
        let cure = match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                "; a file has its name: remove the file, or name another folder with `--data`"
            }
            io::ErrorKind::PermissionDenied => "; name a folder that you may write with `--data`",
            _ => "",
        };
        anyhow!("can't make the data folder `{}`: {error}{cure}", settings.data.display())
    })?;
    devices.as_deref().map_or(Ok(()), make_empty_store)?;
    Ok(settings)
}

/// The data folder of the gateway that these flags, or the settings file, are for.
pub(super) fn data_folder(config: Option<PathBuf>, data: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let config = config.or_else(|| Path::new(CONFIG_FILE).exists().then(|| CONFIG_FILE.into()));
    let of_file = match config.filter(|_| data.is_none()) {
        // The gateway itself reports what is wrong with the file.
        Some(path) => {
            config::read(&path)
                .with_context(|| format!("can't read the settings file `{}`", path.display()))?
                .0
                .data
        }
        None => None,
    };
    Ok(data.or(of_file).unwrap_or_else(|| DATA_FOLDER.into()))
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

/// The variables of the gateway's own authorizer; the last of two with one name counts. Nothing on this machine makes
/// metrics of its log lines. A keyring that `latchkey fleet` made in the data folder opens the sealed secrets.
fn variables(devices: Option<&Path>, data: &Path) -> Vec<(String, String)> {
    let unset = |name: &str| std::env::var_os(name).is_none();
    let keyring = data.join(KEYRING_FILE);
    let defaults = [
        devices.map(|devices| (STORE, format!("file:{}", devices.display()))),
        Some(("LATCHKEY_METRICS", "off".to_owned())).filter(|(name, _)| unset(name)),
        Some(("LATCHKEY_DATA_KEYS", format!("file:{}", keyring.display()))).filter(|(name, _)| unset(name)),
    ];
    defaults.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The folder holds the log and the CA's key, so only its owner can open it where the system has such permissions.
fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// A gateway can start without devices: `latchkey fleet add` is the next step.
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
        Err(error) => {
            let cure = match error.kind() {
                io::ErrorKind::NotFound => "; make its folder, or name another file with `--devices`",
                _ => "; name a file that you may write with `--devices`",
            };
            Err(anyhow!("can't make the devices file `{}`: {error}{cure}", devices.display()))
        }
    }
}
