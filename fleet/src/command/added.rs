//! What `latchkey fleet add` prints.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cli::{
    console::{Console, wrapped},
    output::escaped,
};
use device_auth::{
    device_name::DeviceName,
    location::StoreLocation,
    record::ClientIdRule,
    store::{document::RecordDocument, loader},
};
use device_sim::Address;
use serde_json::json;

use crate::{
    sealing::Sealing,
    secret::Secret,
    store_option::{self, Target},
};

/// Where the second column begins.
const INDENT: usize = 11;

/// A device that was added with a password.
pub(super) struct Added<'a> {
    pub(super) name: &'a DeviceName,
    /// At least one.
    pub(super) client_ids: &'a [ClientIdRule],
    pub(super) grant: &'a str,
    pub(super) secret: &'a Secret,
    /// The file that has the password in clear, if there is one.
    pub(super) credentials: Option<&'a Path>,
    pub(super) target: &'a Target,
    /// The server that the operator named.
    pub(super) endpoint: Option<&'a Address>,
}

impl Added<'_> {
    /// Prints what the device needs in order to connect. JSON has no password that a person chose.
    pub(super) fn print(&self, console: &mut Console<'_>) -> anyhow::Result<()> {
        let Self { name, client_ids, grant, secret, target, .. } = self;
        let generated = secret.is_generated().then(|| secret.text());
        let json = json!({
            "device": name, "client_id": client_ids.first(), "user_name": name, "password": generated,
            "grant": grant,
        });
        let hash = match generated {
            Some(_) => "the record has its hash and no more",
            None => "the record has its argon2id hash and no more",
        };
        let note = match (generated, self.credentials) {
            (_, Some(file)) => format!("`{}` has it in clear, {hash}", file.display()),
            (Some(_), None) => format!("shown only now: {hash}"),
            (None, None) => hash.to_owned(),
        };
        let note = wrapped(INDENT, &format!("{:INDENT$}{note}", ""));
        let password = generated.unwrap_or("the one that you chose");
        let text = format!(
            "device     {name}\n{}\npassword   {password}\n{note}\n\
             grant      {}\nrecord     {}\n\n{}",
            wrapped(INDENT, &format!("client id  {}", joined(client_ids))),
            escaped(*grant),
            place(target)?,
            self.example()?
        );
        Ok(console.print(&json, text)?)
    }

    /// A command that connects as the device: to the deployment's server, or to the local gateway.
    fn example(&self) -> anyhow::Result<String> {
        let Self { name, grant, target, .. } = self;
        let deployment = target.deployment.as_ref();
        let local = || "localhost:10443".parse::<Address>();
        let endpoint = match (self.endpoint, deployment) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(deployment)) => deployment.endpoint.clone(),
            (None, None) => local()?,
        };
        let (host, port) = (endpoint.host(), endpoint.port());
        // AWS's certificate is signed by an authority that every system knows, the gateway's by its own.
        let trust = if deployment.is_some() && self.endpoint.is_none() {
            "--tls-use-os-certs".to_owned()
        } else {
            let ca = match &target.location {
                StoreLocation::File(path) => path.with_file_name("ca.pem"),
                _ => PathBuf::from(".latchkey/ca.pem"),
            };
            format!("--cafile {}", quoted(&escaped(ca.display().to_string())))
        };
        let authorizer = deployment.map_or("latchkey".to_owned(), |it| it.authorizer.to_string());
        let client_id = match self.client_ids.first() {
            Some(ClientIdRule::Exact(id)) => id.to_string(),
            Some(ClientIdRule::Prefix(prefix)) => format!("{prefix}1"),
            None => name.to_string(),
        };
        let (opening, topic) = match *grant {
            "own-topics" => (PASSWORD.to_owned(), format!("'{client_id}/hello'")),
            "sht20" => (PASSWORD.to_owned(), format!("'sensor/{client_id}/temperature'")),
            _ => (
                format!(
                    "The grant `{grant}` says which topics it may use. Set the variable TOPIC to one of them, and \
                     PASSWORD to the password, and try it:"
                ),
                "\"$TOPIC\"".to_owned(),
            ),
        };
        Ok(format!(
            "{}\nmosquitto_pub -h {host} -p {port} {trust} --tls-alpn mqtt \\\n  -i '{client_id}' \
             -u '{name}?x-amz-customauthorizer-name={authorizer}' \\\n  -P \"$PASSWORD\" -t {topic} -q 1 -m hello\n",
            wrapped(0, &opening)
        ))
    }
}

/// Where the record is.
fn place(target: &Target) -> anyhow::Result<String> {
    Ok(match &target.location {
        StoreLocation::File(path) => {
            escaped(std::path::absolute(path).context("the store has no path")?.display().to_string())
                .to_string()
        }
        other => store_option::description(other),
    })
}

const PASSWORD: &str = "Set the variable PASSWORD to the password, and try it:";

/// A device that was added with a credential from somewhere else.
pub(super) struct AddedByOther<'a> {
    pub(super) name: &'a DeviceName,
    pub(super) record: &'a RecordDocument,
    /// How its secret is kept; none if its record has no secret.
    pub(super) sealing: Option<&'a Sealing>,
    pub(super) target: &'a Target,
}

impl AddedByOther<'_> {
    /// Prints what the device's owner has to know.
    pub(super) fn print(&self, console: &mut Console<'_>) -> anyhow::Result<()> {
        let Self { name, record, sealing, target } = self;
        let client_ids = loader::client_ids(name, record);
        let json = json!({
            "device": name, "scheme": record.scheme, "client_ids": client_ids, "grant": record.grant,
            "key": sealing.and_then(Sealing::key),
        });
        let (proof, next) = match sealing {
            Some(sealing) => (
                format!("secret     {}", sealing.description()),
                "The device connects with the client id, user name and password that it computes already.",
            ),
            None => (
                "proof      a token that the device presents; its record has no secret".to_owned(),
                "The function's settings say whose tokens it accepts.",
            ),
        };
        let text = format!(
            "device     {name}\nscheme     {}\n{}\n{}\ngrant      {}\nrecord     {}\n\n{}\n",
            record.scheme.as_str(),
            wrapped(INDENT, &format!("client id  {}", joined(&client_ids))),
            wrapped(INDENT, &proof),
            escaped(&record.grant),
            place(target)?,
            wrapped(0, next)
        );
        Ok(console.print(&json, text)?)
    }
}

/// Rules as people write them: `a, b-*`.
pub(super) fn joined(client_ids: &[ClientIdRule]) -> String {
    client_ids.iter().cloned().map(String::from).collect::<Vec<_>>().join(", ")
}

/// A path as a shell reads it.
fn quoted(path: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "_./+@:,-".contains(character);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
