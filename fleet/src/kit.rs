//! `latchkey fleet kit`: one device's connection, as a configuration for its platform.

pub mod platform;
pub mod read;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use cli::{
    console::{Console, status},
    output::escaped,
};
use device_auth::{record::Record, scheme::Scheme, store::snapshot::Snapshot};
use device_sim::{connection_settings::ConnectionSettings, endpoint::AMAZON_ROOTS};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use self::platform::{Platform, Quoting};
use crate::{args::KitArgs, inspect};

/// The keep-alive of every kit: AWS accepts 30 to 1,200 seconds.
const KEEP_ALIVE_SECONDS: &str = "60";

/// The values of a template, each by its name.
struct Values {
    platform: Platform,
    values: Vec<(&'static str, String)>,
}

/// Prints the configuration; with `--with-secret` it goes to a file that only its owner can read.
///
/// # Errors
///
/// When the device has no record, its scheme needs no configuration, or a file can't be read or written.
pub fn run(args: &KitArgs, records: &Snapshot, console: &mut Console<'_>) -> anyhow::Result<bool> {
    let settings = ConnectionSettings::find(&args.connection, &args.deployment, Path::new("."))?;
    let record = inspect::record(records, &args.name)?;
    ensure!(
        record.proof.scheme() == Scheme::Password,
        "the device has the scheme `{}`: it computes its client id, user name and password itself, so only host, port and \
         CA change on it",
        record.proof.scheme().as_str()
    );
    let platform = args.platform;
    let ca = ca(&settings)?;
    let values = Values::new(args, &record, &settings, &ca)?;
    let notes = notes(platform, &settings, args.write_ca.as_deref());
    if let Some(path) = &args.write_ca {
        fs::write(path, &ca).with_context(|| format!("can't write `{}`", path.display()))?;
        status(&format!("wrote the CA to `{}`", path.display()));
    }
    if let Some(path) = &args.with_secret {
        write_with_secret(args, &settings, &values, path)?;
    } else {
        let text = values.fill(platform.password().0)?;
        let json = json!({
            "device": args.name, "platform": clap_name(platform), "configuration": text, "notes": notes,
        });
        console.print(&json, &text)?;
    }
    for note in &notes {
        status(&format!("note: {note}"));
    }
    Ok(true)
}

fn clap_name(platform: Platform) -> Option<String> {
    use clap::ValueEnum as _;
    platform.to_possible_value().map(|value| value.get_name().to_owned())
}

/// The trusted CA as PEM, without anything between its certificates.
fn ca(settings: &ConnectionSettings) -> anyhow::Result<String> {
    let text = match &settings.target.ca {
        Some(path) => fs::read_to_string(path)
            .with_context(|| format!("can't read the CA `{}`: name another with `--ca`", path.display()))?,
        None => AMAZON_ROOTS.to_owned(),
    };
    let mut is_inside = false;
    let lines = text.lines().filter(|line| {
        is_inside |= line.starts_with("-----BEGIN");
        let keep = is_inside;
        is_inside &= !line.starts_with("-----END");
        keep
    });
    let pem = lines.flat_map(|line| [line.trim_end(), "\n"]).collect::<String>();
    ensure!(!pem.is_empty(), "the CA is not a PEM file: name another with `--ca`");
    Ok(pem)
}

/// Writes the configuration with the password into a new file that only its owner can read.
fn write_with_secret(
    args: &KitArgs,
    settings: &ConnectionSettings,
    values: &Values,
    path: &Path,
) -> anyhow::Result<()> {
    let rows = settings.rows(None).context("`--with-secret` needs the file of passwords")?;
    let row = rows.into_iter().find(|row| row.device == args.name.as_str());
    let row =
        row.with_context(|| format!("`{}` has no device `{}`", settings.credentials.display(), args.name))?;
    let password = std::str::from_utf8(row.password.expose()).context("the password is not text")?;
    let password = quoted(password, args.platform.password().1)?;
    let text = Zeroizing::new(values.fill(&password)?);
    let unwritable = || format!("can't write `{}`: name a file that does not exist", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // Only its owner can read a temporary file.
    let mut file =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).with_context(unwritable)?;
    file.write_all(text.as_bytes()).with_context(unwritable)?;
    file.persist_noclobber(path).with_context(unwritable)?;
    status(&format!(
        "wrote the configuration with the password to `{}`: only its owner can read it",
        path.display()
    ));
    Ok(())
}

/// What a person has to know.
fn notes(platform: Platform, settings: &ConnectionSettings, written_ca: Option<&Path>) -> Vec<String> {
    let mut notes = Vec::new();
    if !platform.has_alpn() && settings.target.alpn.protocol().is_some() {
        notes.push(
            "this platform can't offer an ALPN protocol, and AWS IoT Core's own endpoint accepts a password on port 443 \
             with ALPN `mqtt` only. A domain of your own with a domain configuration of type CUSTOM_AUTH and SECURE_MQTT \
             should need none (not measured): docs/deploy.md makes one, and `--endpoint DOMAIN:443 --alpn none` \
             makes the kit for it"
                .to_owned(),
        );
    }
    let needs_file = platform.template().contains("ca_file") || platform.template().contains("ca.pem");
    if needs_file && settings.target.ca.is_none() && written_ca.is_none() {
        notes.push("the CA is a file of its own: `--write-ca FILE` writes Amazon's roots".to_owned());
    }
    notes.extend(platform.note().map(str::to_owned));
    notes
}

impl Values {
    fn new(args: &KitArgs, record: &Record, settings: &ConnectionSettings, ca: &str) -> anyhow::Result<Self> {
        let client_id = inspect::client_id(args.client_id.as_ref(), record)?;
        ensure!(record.allows(&client_id), "the record does not allow the client id `{client_id}`");
        let client_id = client_id.to_string();
        let target = &settings.target;
        let (host, port) = (target.address.host().to_owned(), target.address.port());
        let user_name = settings.authorizer.as_ref().map(|authorizer| authorizer.name_in(args.name.as_str()));
        let definition = record.grant.definition();
        let topic = |templates: &[device_auth::grant::TopicTemplate]| {
            let value =
                |name: &str| if name == "client_id" { Some(client_id.as_str()) } else { record.value(name) };
            templates.first().and_then(|template| template.fill(value).ok())
        };
        let publish =
            topic(&definition.publish).map_or("no topic".to_owned(), |topic| topic.replace('*', "hello"));
        let subscribe =
            topic(&definition.subscribe).map_or("no topic".to_owned(), |topic| topic.replace('*', "#"));
        let ca_path = args.write_ca.clone().or(target.ca.clone()).unwrap_or_else(|| PathBuf::from("ca.pem"));
        let ca_path = std::path::absolute(&ca_path).unwrap_or(ca_path);
        let prefix = publish.rsplit_once('/').map_or(publish.as_str(), |(prefix, _)| prefix).to_owned();
        let lines = || ca.lines();
        let values = vec![
            ("url", format!("mqtts://{host}:{port}")),
            ("sni", target.sni.clone().unwrap_or_else(|| host.clone())),
            ("host", host),
            ("port", port.to_string()),
            ("alpn", target.alpn.protocol().unwrap_or_default().to_owned()),
            ("client_id", client_id),
            ("name", args.name.to_string()),
            ("authorizer", settings.authorizer.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("user_name", user_name.unwrap_or_else(|| args.name.to_string())),
            ("keep_alive", KEEP_ALIVE_SECONDS.to_owned()),
            ("publish", publish),
            ("subscribe", subscribe),
            ("prefix", prefix),
            ("ca_file", ca_path.display().to_string()),
            ("ca", ca.to_owned()),
            ("ca_c", lines().map(|line| format!("    \"{line}\\n\"")).collect::<Vec<_>>().join("\n")),
            ("ca_indented", lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")),
        ];
        Ok(Self { platform: args.platform, values })
    }

    /// The platform's template. Without an ALPN protocol, the lines about it are left out.
    fn template(&self) -> String {
        let has_alpn = self.values.iter().any(|(name, value)| *name == "alpn" && !value.is_empty());
        let lines = self.platform.template().lines();
        let lines = lines.filter(|line| has_alpn || !line.to_ascii_lowercase().contains("alpn"));
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// The template with its values: `@NAME@` as it is, `@"NAME"@` as a string in JSON's form, `@'NAME'@` as a word of a
    /// shell.
    fn fill(&self, password: &str) -> anyhow::Result<String> {
        let mut text = String::new();
        let template = self.template();
        for (index, part) in template.split('@').enumerate() {
            if index % 2 == 0 {
                text.push_str(part);
                continue;
            }
            let name = part.trim_matches(['"', '\'']);
            if name == "password" {
                text.push_str(password);
                continue;
            }
            let value = self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
            let value = value.with_context(|| format!("the template has an unknown value `{name}`"))?;
            let quoting = match part.chars().next() {
                Some('"') => Quoting::Json,
                Some('\'') => Quoting::Shell,
                _ if self.platform.is_plain() => Quoting::Plain,
                _ => {
                    text.push_str(value);
                    continue;
                }
            };
            text.push_str(&quoted(value, quoting)?);
        }
        Ok(text)
    }
}

/// A value as a platform reads it.
fn quoted(value: &str, quoting: Quoting) -> anyhow::Result<Zeroizing<String>> {
    Ok(Zeroizing::new(match quoting {
        Quoting::Json => Value::from(value).to_string(),
        Quoting::PythonBytes => {
            ensure!(value.is_ascii(), "the password has characters that Python's bytes can't have");
            format!("b{}", Value::from(value))
        }
        Quoting::Shell => format!("'{}'", value.replace('\'', r"'\''")),
        Quoting::Plain => {
            ensure!(
                !value.contains(['"', '\\', ';'])
                    && !value.chars().any(|c| c.is_whitespace() || c.is_control()),
                "`{}` has a blank, a quote or a `;`, which this platform's configuration can't have",
                escaped(value)
            );
            value.to_owned()
        }
    }))
}

#[cfg(test)]
mod tests;
