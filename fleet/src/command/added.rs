//! What is said of a device that was just added.

use std::{io::Write, path::Path};

use anyhow::Context as _;
use device_auth::{device_name::DeviceName, record::ClientIdRule, store::document::RecordDocument};
use device_sim::Address;
use serde_json::json;

use crate::{sealing::Sealing, secret::Secret};

/// The device, and where it is kept and connects to.
pub(super) struct Added<'a> {
    pub(super) name: &'a DeviceName,
    /// At least one.
    pub(super) client_ids: &'a [ClientIdRule],
    pub(super) grant: &'a str,
    pub(super) secret: &'a Secret,
    pub(super) store: &'a Path,
    pub(super) endpoint: &'a Address,
}

impl Added<'_> {
    /// One line for scripts. A password that a person chose is not in it.
    pub(super) fn json(&self, output: &mut impl Write) -> anyhow::Result<()> {
        let Self { name, client_ids, grant, secret, .. } = self;
        let password = secret.is_generated().then(|| secret.text());
        let line = json!({
            "device": name, "client_id": client_ids.first(), "user_name": name, "password": password,
            "grant": grant,
        });
        writeln!(output, "{line}")?;
        Ok(())
    }

    /// Everything that is needed to let the device connect.
    pub(super) fn text(&self, output: &mut impl Write) -> anyhow::Result<()> {
        let Self { name, client_ids, grant, secret, store, .. } = self;
        let client_ids = client_ids.iter().cloned().map(String::from).collect::<Vec<_>>().join(", ");
        let record = std::path::absolute(store).context("the store has no path")?;
        let (password, keeping) = if secret.is_generated() {
            (secret.text(), "shown this once: the record keeps only its hash")
        } else {
            ("the one that you chose", "the record keeps only its argon2id hash")
        };
        write!(
            output,
            "device     {name}\n\
             client id  {client_ids}\n\
             password   {password}\n           {keeping}\n\
             may        {grant}\n\
             record     {}\n\n",
            record.display()
        )?;
        self.try_it(output)
    }

    fn try_it(&self, output: &mut impl Write) -> anyhow::Result<()> {
        let Self { name, grant, endpoint, .. } = self;
        let (host, port) = (endpoint.host(), endpoint.port());
        let ca = quoted(&self.store.with_file_name("ca.pem").display().to_string());
        let client_id = self.example_id();
        let topic = match *grant {
            "own-topics" => Some(format!("{client_id}/hello")),
            "sht20" => Some(format!("sensor/{client_id}/temperature")),
            _ => None,
        };
        let (opening, topic) = match topic {
            Some(topic) => {
                ("with the password in the variable PASSWORD, try it:".to_owned(), format!("'{topic}'"))
            }
            None => (
                format!(
                    "its grant `{grant}` says which topics; with one in the variable TOPIC and the password in \
                     PASSWORD, try it:"
                ),
                "\"$TOPIC\"".to_owned(),
            ),
        };
        write!(
            output,
            "{opening}\n\
             mosquitto_pub -h {host} -p {port} --cafile {ca} --tls-alpn mqtt \\\n  \
             -i '{client_id}' -u '{name}?x-amz-customauthorizer-name=latchkey' -P \"$PASSWORD\" \\\n  \
             -t {topic} -q 1 -m hello\n",
        )?;
        Ok(())
    }

    /// A client id that the first rule allows.
    fn example_id(&self) -> String {
        match self.client_ids.first() {
            Some(ClientIdRule::Exact(id)) => id.to_string(),
            Some(ClientIdRule::Prefix(prefix)) => format!("{prefix}1"),
            None => self.name.to_string(),
        }
    }
}

/// A device that has its credential from somebody else, and where it is kept.
pub(super) struct AddedByOther<'a> {
    pub(super) name: &'a DeviceName,
    pub(super) record: &'a RecordDocument,
    pub(super) client_ids: &'a [ClientIdRule],
    /// How its secret is kept, if its record has one.
    pub(super) sealing: Option<&'a Sealing>,
    pub(super) store: &'a Path,
}

impl AddedByOther<'_> {
    /// One line for scripts.
    pub(super) fn json(&self, output: &mut impl Write) -> anyhow::Result<()> {
        let Self { name, record, client_ids, sealing, .. } = self;
        let line = json!({
            "device": name, "scheme": record.scheme, "client_ids": client_ids, "grant": record.grant,
            "key": sealing.and_then(Sealing::key),
        });
        writeln!(output, "{line}")?;
        Ok(())
    }

    /// What its owner has to know.
    pub(super) fn text(&self, output: &mut impl Write) -> anyhow::Result<()> {
        let Self { name, record, client_ids, sealing, store } = self;
        let client_ids = client_ids.iter().cloned().map(String::from).collect::<Vec<_>>().join(", ");
        let store = std::path::absolute(store).context("the store has no path")?;
        let (proof, next) = match sealing {
            Some(sealing) => (
                format!("secret     {}", sealing.told()),
                "it connects with the client id, user name and password that it computes already",
            ),
            None => (
                "proof      a token that it presents; there is nothing to keep".to_owned(),
                "the function's settings say whose tokens it takes",
            ),
        };
        let scheme = record.scheme.as_str();
        write!(
            output,
            "device     {name}\nscheme     {scheme}\nclient id  {client_ids}\n{proof}\nmay        {}\n\
             record     {}\n\n{next}\n",
            record.grant,
            store.display()
        )?;
        Ok(())
    }
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "_./+@:,-".contains(character);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
