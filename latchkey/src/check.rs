//! `latchkey check`: everything that a folder has for this machine or for a stage, checked as CI would check it.
//!
//! Nothing is written, and no program is started. What only a deployed stage can show is `latchkey fleet smoke`'s.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use clap::Args;
use cli::{
    console::{self, Console, Input, counted, wrapped},
    format::FormatArgs,
    output,
};
use device_auth::{location::StoreLocation, seal::KeyId};
use fleet::{
    args::StoreArgs,
    command::check::{Checked, check},
    keyring_file,
    record_store::{Access, RecordStore},
    store_file,
    store_option::{self, ConfiguredStore, Target},
};
use gateway::{certificate, config, lambda::program::Program, settings::Settings};
use serde_json::{Value, json};

/// Where the second column begins.
const INDENT: usize = 14;
const SETTINGS_FILE: &str = "latchkey.toml";
const STAGES: &str = "infra/stages";

/// Check settings, records, grants, keyring and certificates, as CI would
#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct CheckArgs {
    /// The settings file of the gateway [default: latchkey.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The data folder of the gateway [default: the settings file's, or .latchkey]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,

    /// A stage's settings, for its grants and its keyring [default: those in infra/stages]
    #[arg(long = "stage-file", value_name = "FILE")]
    stages: Vec<PathBuf>,

    /// Where the records are [default: the deployment's, or .latchkey/devices.json]
    #[arg(long, value_name = "STORE", value_parser = store_option::parse)]
    store: Option<StoreLocation>,

    /// How a store in AWS is reached.
    #[command(flatten)]
    access: StoreArgs,

    /// How the result is printed.
    #[command(flatten)]
    format: FormatArgs,
}

const HELP: &str = "\
What is not there is not checked, and said. A deployed authorizer is checked by
`latchkey fleet smoke`, all settings of a stage by `make synth`, and risks by
`latchkey fleet lint`.

Examples:
  latchkey check
      the folder of `latchkey local`, or of a deployment
  latchkey check --store dynamodb:devices --grants grants.json --json

Exit codes: 0 nothing is wrong, 1 something is, 64 it can't be checked.";

/// One part that was checked.
struct Part {
    name: &'static str,
    /// What was checked, or why nothing was.
    what: String,
    problems: Vec<String>,
}

/// Checks all parts and prints them. The exit code is 0 if nothing is wrong.
pub(crate) async fn run(args: CheckArgs) -> ExitCode {
    let mut stdout = output::stdout();
    let input = Input { terminal: false, reader: &mut io::empty() };
    let checked = async {
        let mut console = Console { format: args.format.format()?, input, output: &mut stdout };
        let parts = parts(args).await?;
        let is_right = parts.iter().all(|part| part.problems.is_empty());
        anyhow::Ok(print(&parts, &mut console).map(|()| is_right))
    };
    match checked.await {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::FAILURE,
        // The checks are done when standard output fails.
        Ok(Err(error)) => {
            console::print_error("latchkey check", &error);
            ExitCode::FAILURE
        }
        Err(error) => console::usage_error("latchkey check", &error),
    }
}

async fn parts(args: CheckArgs) -> anyhow::Result<Vec<Part>> {
    let mut parts = Vec::new();
    let settings = settings(args.config, args.data, &mut parts);
    for stage in stage_files(args.stages) {
        parts.push(stage_part(&stage).await);
    }
    let target = Target::find(ConfiguredStore::find(args.store)?, &args.access)?;
    let keys = records(&target, &mut parts).await?;
    parts.push(keyring(&settings.data, &keys));
    let mut problems = certificate::problems_of_authority(&settings.data, SystemTime::now().into());
    let pairs = settings.domains.iter().filter_map(|domain| domain.certificate.as_ref());
    let pairs = pairs.collect::<Vec<_>>();
    for (certificate, key) in &pairs {
        problems.extend(certificate::problems(certificate, key, SystemTime::now().into()));
    }
    let what =
        format!("the CA in `{}`, {}", settings.data.display(), counted(pairs.len(), "domain certificate"));
    parts.push(Part { name: "certificates", what, problems });
    Ok(parts)
}

/// The settings of the gateway. What is wrong with the file is a part; what can be read of it counts then.
fn settings(config: Option<PathBuf>, data: Option<PathBuf>, parts: &mut Vec<Part>) -> Settings {
    let file = config.or_else(|| Path::new(SETTINGS_FILE).exists().then(|| SETTINGS_FILE.into()));
    let Some(file) = file else {
        let what = format!("no `{SETTINGS_FILE}`, so the defaults");
        parts.push(Part { name: "settings", what, problems: Vec::new() });
        return Settings::new(data.unwrap_or_else(|| ".latchkey".into()), no_program());
    };
    let what = format!("`{}`", file.display());
    let (mut overrides, mut mistakes) = match config::read(&file) {
        Ok(read) => read,
        Err(error) => {
            let problems = vec![format!("can't read {what}: {error}")];
            parts.push(Part { name: "settings", what, problems });
            return Settings::new(data.unwrap_or_else(|| ".latchkey".into()), no_program());
        }
    };
    overrides.data = data.or_else(|| overrides.data.take());
    let folder = overrides.data.clone().unwrap_or_else(|| ".latchkey".into());
    let mut settings = Settings { config: Some(file), ..Settings::new(folder, no_program()) };
    overrides.apply(&mut settings, &no_program(), false, &mut mistakes);
    let problems = mistakes.check().err().map(|error| error.to_string());
    // A list has one line for each mistake, and its first line says how many there are.
    let problems = problems.iter().flat_map(|text| text.split("\n  ").skip(1).map(str::to_owned)).collect();
    parts.push(Part { name: "settings", what, problems });
    settings
}

/// The settings name the authorizer's program; it is not started here.
fn no_program() -> Program {
    Program::new(PathBuf::new(), Vec::new())
}

fn stage_files(named: Vec<PathBuf>) -> Vec<PathBuf> {
    if !named.is_empty() {
        return named;
    }
    let entries = fs::read_dir(STAGES).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files =
        entries.filter(|path| path.extension().is_some_and(|it| it == "json")).collect::<Vec<_>>();
    files.sort();
    files
}

/// The files that a stage's settings name. `make synth` checks everything else in them.
async fn stage_part(file: &Path) -> Part {
    let what = format!("`{}`", file.display());
    let read = fs::read_to_string(file).map_err(anyhow::Error::new);
    let settings = match read.and_then(|text| Ok(serde_json::from_str::<Value>(&text)?)) {
        Ok(settings) => settings,
        Err(error) => {
            let problems = vec![format!("{what} can't be read: {}", cli::error_text(error.as_ref()))];
            return Part { name: "stage", what, problems };
        }
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    let named =
        |pointer: &str| settings.pointer(pointer).and_then(Value::as_str).map(|name| folder.join(name));
    let mut problems = Vec::new();
    if let Some(path) = named("/function/grants")
        && let Err(error) = store_file::check_grants(&path)
    {
        problems.push(format!("`function.grants`: {}", cli::error_text(error.as_ref())));
    }
    if let Some(path) = named("/function/indexedFile") {
        match check_location(&StoreLocation::Indexed(path), &Access::default()).await {
            Ok(checked) => {
                problems.extend(
                    checked.problems.iter().map(|problem| format!("`function.indexedFile`: {problem}")),
                );
            }
            Err(error) => {
                problems.push(format!("`function.indexedFile`: {}", cli::error_text(error.as_ref())));
            }
        }
    }
    if let Some(path) = named("/vendorSecrets/keyring") {
        let text = fs::read_to_string(&path);
        let keyring = text.as_ref().ok().and_then(|text| serde_json::from_str::<Value>(text).ok());
        if keyring.is_none_or(|keyring| !keyring.get("kms_ciphertext").is_some_and(Value::is_string)) {
            problems.push(format!(
                "`vendorSecrets.keyring`: `{}` is not a keyring that KMS has encrypted; docs/migrating.md has the command",
                path.display()
            ));
        }
    }
    Part { name: "stage", what, problems }
}

/// The records, and the keys that they need.
async fn records(target: &Target, parts: &mut Vec<Part>) -> anyhow::Result<BTreeSet<KeyId>> {
    let store = store_option::description(&target.location);
    if let StoreLocation::File(path) | StoreLocation::Indexed(path) = &target.location
        && !path.exists()
    {
        parts.push(Part {
            name: "records",
            what: format!("no file `{}`", path.display()),
            problems: Vec::new(),
        });
        return Ok(BTreeSet::new());
    }
    let Checked { records, keys, problems, .. } = check_location(&target.location, &target.access).await?;
    let what = format!("{} and the grants in {store}", counted(records, "record"));
    parts.push(Part { name: "records", what, problems });
    Ok(keys)
}

async fn check_location(location: &StoreLocation, access: &Access) -> anyhow::Result<Checked> {
    check(&RecordStore::open(location, access).await?, false).await
}

/// The keyring of the data folder, and whether it has the keys that the records need.
fn keyring(data: &Path, needed: &BTreeSet<KeyId>) -> Part {
    let path = data.join("keyring.json");
    if !path.exists() {
        let what = format!("no file `{}`", path.display());
        let ids = needed.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>();
        let problems = if ids.is_empty() {
            Vec::new()
        } else {
            vec![format!("secrets are sealed under {}: their keyring is missing here", ids.join(", "))]
        };
        return Part { name: "keyring", what, problems };
    }
    let (what, problems) = match keyring_file::read(&path) {
        Ok(keyring) => {
            let missing = needed.iter().filter(|id| !keyring.ids().any(|it| it == *id));
            let problems =
                missing.map(|id| format!("secrets are sealed under `{id}`, which the keyring lacks"));
            (format!("{} in `{}`", counted(keyring.ids().count(), "key"), path.display()), problems.collect())
        }
        Err(error) => (format!("`{}`", path.display()), vec![cli::error_text(error.as_ref())]),
    };
    Part { name: "keyring", what, problems }
}

fn print(parts: &[Part], console: &mut Console<'_>) -> anyhow::Result<()> {
    let mut text = String::new();
    let mut all = 0_usize;
    for Part { name, what, problems } in parts {
        writeln!(text, "{}", wrapped(INDENT, &format!("{name:<INDENT$}{what}")))?;
        for problem in problems {
            writeln!(text, "{}", wrapped(INDENT, &format!("{:<INDENT$}{problem}", "  problem")))?;
        }
        all = all.saturating_add(problems.len());
    }
    match all {
        0 => text += "nothing is wrong\n",
        all => writeln!(text, "{}", counted(all, "problem"))?,
    }
    let parts_json = parts
        .iter()
        .map(|Part { name, what, problems }| json!({"part": name, "checked": what, "problems": problems}));
    let json = json!({"parts": parts_json.collect::<Value>(), "problems": all});
    let rows = parts.iter().flat_map(|part| {
        part.problems
            .iter()
            .map(|problem| json!({"part": part.name, "checked": part.what, "problem": problem}))
    });
    Ok(console.print_rows(&["part", "checked", "problem"], rows, &json, text)?)
}
