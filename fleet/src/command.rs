//! What the operator's commands do.

use std::{
    io::{Read, Write},
    path::Path,
};

use anyhow::Context as _;
use authorizer::device_name::DeviceName;
use device_sim::credentials_file::{self, Row};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    args::{AddArgs, FleetArgs, FleetCommand},
    secret::Secret,
    store_file::{NewDevice, StoreFile},
};

/// Runs one command: reads a chosen password from `input`, writes what a person wants to know to `output`.
///
/// # Errors
///
/// What went wrong and what to do about it. The store is then unchanged.
pub fn run(args: FleetArgs, input: impl Read, output: &mut impl Write) -> anyhow::Result<()> {
    let FleetArgs { command, store, json } = args;
    let mut file = StoreFile::open(&store)?;
    match command {
        FleetCommand::Add(args) => add(file, args, json, input, output),
        FleetCommand::List => list(&file, json, output),
        FleetCommand::Enable(args) => switch(file, &args.name, true, json, output),
        FleetCommand::Disable(args) => switch(file, &args.name, false, json, output),
        FleetCommand::Remove(args) => {
            file.remove(&args.name)?;
            file.save()?;
            done(&args.name, "removed", json, output)
        }
    }
}

fn add(
    mut file: StoreFile,
    args: AddArgs,
    json: bool,
    input: impl Read,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let secret = if args.password_stdin { Secret::chosen(first_line(input)?)? } else { Secret::generate()? };
    let client_id = args.client_ids.first().cloned().map_or_else(|| args.name.to_string(), String::from);
    let device =
        NewDevice { name: args.name.clone(), client_ids: args.client_ids, grant: args.grant.clone() };
    file.add(device, &secret)?;
    file.save()?;
    if let Some(path) = &args.credentials {
        append_credentials(path, &args.name, &client_id, &secret)?;
    }
    let added = Added { name: &args.name, client_id: &client_id, grant: &args.grant, secret: &secret };
    if json { added.json(output) } else { added.text(&args.endpoint, output) }
}

/// The record is kept by now; if this file can't be written, the person is told how to begin again.
fn append_credentials(
    path: &Path,
    name: &DeviceName,
    client_id: &str,
    secret: &Secret,
) -> anyhow::Result<()> {
    let row = Row {
        device: name.to_string(),
        client_id: client_id.to_owned(),
        user_name: name.to_string(),
        password: secret.text().into(),
    };
    credentials_file::append(path, &[row]).with_context(|| {
        format!("`{name}` was added, but not its password; take it out with `latchkey fleet remove {name}` and add it again")
    })
}

fn list(file: &StoreFile, json: bool, output: &mut impl Write) -> anyhow::Result<()> {
    let devices = &file.document().devices;
    if json {
        let row = |(name, record): (&DeviceName, &authorizer::store::document::RecordDocument)| json!({"device": name, "enabled": record.enabled, "grant": record.grant, "client_ids": record.client_ids});
        writeln!(output, "{}", serde_json::to_string(&devices.iter().map(row).collect::<Vec<_>>())?)?;
        return Ok(());
    }
    for (name, record) in devices {
        let state = if record.enabled { "enabled" } else { "disabled" };
        writeln!(output, "{name}  {}  {state}", record.grant)?;
    }
    if devices.is_empty() {
        writeln!(output, "no devices yet; `latchkey fleet add NAME` adds one")?;
    }
    Ok(())
}

fn switch(
    mut file: StoreFile,
    name: &DeviceName,
    enabled: bool,
    json: bool,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    file.record_mut(name)?.enabled = enabled;
    file.save()?;
    done(name, if enabled { "enabled" } else { "disabled" }, json, output)
}

fn done(name: &DeviceName, what: &str, json: bool, output: &mut impl Write) -> anyhow::Result<()> {
    if json {
        writeln!(output, "{}", json!({"device": name, "done": what}))?;
    } else {
        writeln!(output, "{name} {what}")?;
    }
    Ok(())
}

fn first_line(mut input: impl Read) -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    input.read_to_string(&mut text).context("can't read the password from standard input")?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

struct Added<'a> {
    name: &'a DeviceName,
    client_id: &'a str,
    grant: &'a str,
    secret: &'a Secret,
}

impl Added<'_> {
    fn json(&self, output: &mut impl Write) -> anyhow::Result<()> {
        let Self { name, client_id, grant, secret } = self;
        let password = secret.is_generated().then(|| secret.text());
        let line = json!({
            "device": name, "client_id": client_id, "user_name": name, "password": password, "grant": grant,
        });
        writeln!(output, "{line}")?;
        Ok(())
    }

    fn text(&self, endpoint: &str, output: &mut impl Write) -> anyhow::Result<()> {
        let Self { name, client_id, grant, secret } = self;
        let (host, port) = endpoint.rsplit_once(':').context("--endpoint should read HOST:PORT")?;
        let topic = if *grant == "sht20" {
            format!("sensor/{client_id}/temperature")
        } else {
            format!("{client_id}/hello")
        };
        let (password, keeping) = if secret.is_generated() {
            (secret.text(), "shown this once: the record keeps only its hash")
        } else {
            ("the one that you chose", "the record keeps only its argon2id hash")
        };
        write!(
            output,
            "device     {name}\n\
             client id  {client_id}\n\
             password   {password}\n           {keeping}\n\
             may        {grant}\n\n\
             with the password in the variable PASSWORD, try it:\n\
             mosquitto_pub -h {host} -p {port} --cafile .latchkey/ca.pem --tls-alpn mqtt \\\n  \
             -i '{client_id}' -u '{name}?x-amz-customauthorizer-name=latchkey' -P \"$PASSWORD\" \\\n  \
             -t '{topic}' -q 1 -m hello\n",
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        fleet: FleetArgs,
    }

    fn fleet(folder: &tempfile::TempDir, words: &[&str], input: &str) -> anyhow::Result<String> {
        let store = folder.path().join("devices.json");
        let args = [&["fleet", "--store", store.to_str().unwrap()], words].concat();
        let mut output = Vec::new();
        run(Cli::try_parse_from(args)?.fleet, input.as_bytes(), &mut output)?;
        Ok(String::from_utf8(output)?)
    }

    #[test]
    fn a_device_is_added_listed_disabled_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(fleet(&folder, &["list"], "").unwrap().starts_with("no devices yet"));
        let added = fleet(&folder, &["add", "dev-1", "--json"], "").unwrap();
        let added = serde_json::from_str::<serde_json::Value>(&added).unwrap();
        assert_eq!((&added["device"], &added["client_id"]), (&json!("dev-1"), &json!("dev-1")));
        assert_eq!(fleet(&folder, &["list"], "").unwrap(), "dev-1  own-topics  enabled\n");
        assert_eq!(fleet(&folder, &["disable", "dev-1"], "").unwrap(), "dev-1 disabled\n");
        assert_eq!(fleet(&folder, &["list"], "").unwrap(), "dev-1  own-topics  disabled\n");
        assert_eq!(fleet(&folder, &["remove", "dev-1"], "").unwrap(), "dev-1 removed\n");
        assert!(
            fleet(&folder, &["enable", "dev-1"], "").unwrap_err().to_string().contains("no device `dev-1`")
        );
    }

    #[test]
    fn a_new_password_is_shown_once_a_chosen_one_never_and_neither_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let made = fleet(&folder, &["add", "dev-0", "--json"], "").unwrap();
        let made = serde_json::from_str::<serde_json::Value>(&made).unwrap()["password"].clone();
        for json in [&["--json"][..], &[]] {
            let words = [&["add", "dev-1", "--password-stdin"], json].concat();
            let text = fleet(&folder, &words, "correct horse\n").unwrap();
            assert!(!text.contains("correct horse"), "{text}");
            fleet(&folder, &["remove", "dev-1"], "").unwrap();
        }
        fleet(&folder, &["add", "dev-1", "--password-stdin"], "correct horse\n").unwrap();
        let kept = std::fs::read_to_string(folder.path().join("devices.json")).unwrap();
        assert!(!kept.contains("correct horse") && kept.contains("$argon2id$"), "{kept}");
        assert!(!kept.contains(made.as_str().unwrap()), "{kept}");
        assert!(fleet(&folder, &["add", "dev-2", "--password-stdin"], "\n").is_err());
    }
}
