//! `latchkey local env`: the variables with which the AWS CLI and the SDKs use the gateway's APIs.

use std::{fmt::Write as _, io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use cli::{console, output};
use serde_json::{Map, Value};

use super::settings;
use crate::api::key::ApiFile;

/// The flags of `env`.
#[derive(Args)]
pub struct EnvArgs {
    /// The gateway's data folder [default: as `latchkey local` has it]
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,

    /// The gateway's settings file [default: latchkey.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// For which program the variables are written
    #[arg(long, value_enum, default_value_t = Export::Shell, value_name = "FORMAT")]
    pub export: Export,

    /// Print one JSON object
    #[arg(long, conflicts_with = "export")]
    pub json: bool,
}

/// What reads the variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Export {
    /// A POSIX shell: `eval "$(latchkey local env)"`
    Shell,
    /// A `.env` file
    Dotenv,
    /// `PowerShell`
    Powershell,
}

/// Variables of another account that would be used together with the gateway's key.
const CLEARED: [&str; 2] = ["AWS_SESSION_TOKEN", "AWS_PROFILE"];

pub(super) fn run(args: EnvArgs) -> ExitCode {
    let printed = text(args).and_then(|text| Ok(output::stdout().write_all(text.as_bytes())?));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => console::usage_error("latchkey local env", &error),
    }
}

fn text(args: EnvArgs) -> anyhow::Result<String> {
    let data = settings::data_folder(args.config, args.data)?;
    anyhow::ensure!(
        ApiFile::path(&data).exists(),
        "there is no `{}`: start `latchkey local` once, or name its folder with `--data`",
        ApiFile::path(&data).display()
    );
    let variables = variables(&ApiFile::read(&data)?);
    if args.json {
        let object = variables.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value)));
        return Ok(format!("{}\n", Value::Object(object.collect::<Map<_, _>>())));
    }
    let mut text = String::new();
    for (name, value) in variables {
        match args.export {
            Export::Shell => writeln!(text, "export {name}={value}"),
            Export::Dotenv => writeln!(text, "{name}={value}"),
            Export::Powershell => writeln!(text, "$Env:{name} = '{value}'"),
        }
        .context("a text can be written")?;
    }
    for name in CLEARED {
        match args.export {
            Export::Shell => writeln!(text, "unset {name}"),
            Export::Dotenv => Ok(()),
            Export::Powershell => writeln!(text, "$Env:{name} = $null"),
        }
        .context("a text can be written")?;
    }
    Ok(text)
}

/// The variables; no value has a character that a shell reads in its own way.
fn variables(file: &ApiFile) -> Vec<(&'static str, String)> {
    let endpoint = |name| (name, file.endpoint.clone());
    vec![
        endpoint("AWS_ENDPOINT_URL_IOT"),
        endpoint("AWS_ENDPOINT_URL_IOT_DATA_PLANE"),
        endpoint("AWS_ENDPOINT_URL_DYNAMODB"),
        ("AWS_ACCESS_KEY_ID", file.key.id.clone()),
        ("AWS_SECRET_ACCESS_KEY", file.key.secret.as_str().to_owned()),
        // The AWS CLI and boto3 read the second, the other SDKs the first.
        ("AWS_REGION", file.region.clone()),
        ("AWS_DEFAULT_REGION", file.region.clone()),
    ]
}
