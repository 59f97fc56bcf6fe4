//! `latchkey pub`: publishes messages as one device.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::{fs, thread};

use bytes::Bytes;
use clap::{ArgGroup, Args};
use cli::{console, exit, output, signal};
use mqtt::{Publish, PublishProperties, TopicName, UserProperty, Version};
use tokio::sync::mpsc;

use crate::client::{ConnectError, RequestError};
use crate::device::Connection;
use crate::endpoint::{Endpoint, Transport};
use crate::single::{ClientArgs, ClientError, QoSValue, SingleClient, WillArgs, qos};

/// Publish messages as one device, here or on AWS
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("source").required(true))]
#[expect(clippy::struct_excessive_bools, reason = "they are switches of a command line")]
pub struct PubArgs {
    /// The topic
    #[arg(short, long, value_name = "TOPIC")]
    pub topic: TopicName,

    /// The payload
    #[arg(short, long, value_name = "TEXT", group = "source")]
    pub message: Option<String>,

    /// Publish a file's content
    #[arg(short, long, value_name = "FILE", group = "source")]
    pub file: Option<PathBuf>,

    /// Publish each line of standard input as a message
    #[arg(short = 'l', long, group = "source", conflicts_with = "password_stdin")]
    pub stdin_line: bool,

    /// Publish all of standard input as one message
    #[arg(short = 's', long, group = "source", conflicts_with = "password_stdin")]
    pub stdin_file: bool,

    /// Publish an empty payload, which deletes a retained message
    #[arg(short = 'n', long, group = "source")]
    pub null_message: bool,

    /// The QoS: 0 or 1
    #[arg(short, long, value_name = "QOS", default_value = "1", value_parser = qos)]
    pub qos: QoSValue,

    /// Retain the message
    #[arg(short, long)]
    pub retain: bool,

    /// Publish it N times
    #[arg(long, value_name = "N", default_value = "1")]
    pub repeat: NonZeroU32,

    /// Print the number of messages as JSON
    #[arg(long)]
    pub json: bool,

    /// Print nothing but errors
    #[arg(long)]
    pub quiet: bool,

    /// The message's properties.
    #[command(flatten)]
    pub properties: PropertyArgs,

    /// The last will.
    #[command(flatten)]
    pub will: WillArgs,

    /// The device and its connection.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// The properties of a message (MQTT 5).
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Properties (MQTT 5)")]
pub struct PropertyArgs {
    /// The type of the payload: `application/json`
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,

    /// The topic for an answer
    #[arg(long, value_name = "TOPIC")]
    pub response_topic: Option<TopicName>,

    /// What an answer repeats
    #[arg(long, value_name = "TEXT")]
    pub correlation_data: Option<String>,

    /// Seconds after which the message is dropped
    #[arg(long, value_name = "SECONDS")]
    pub message_expiry: Option<NonZeroU32>,

    /// A user property; the option may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = user_property)]
    pub user_property: Vec<(String, String)>,
}

const EXAMPLES: &str = "\
Examples:
  latchkey pub -t my-device/hello -m 21.5
  latchkey pub -t my-device/config -m '{\"a\":1}' -r --content-type application/json
  sensors | latchkey pub -t my-device/log -l
  latchkey pub -t my-device/t -m x -i my-device -u my-device --password-stdin

Endpoint, CA, ALPN protocol and authorizer are those of `latchkey local`, or of
cdk-outputs.json; the device is the first of the credentials file.
Exit codes: 0 published, 1 not connected, not accepted or lost, 64 the command
line or a file is wrong, 130 Ctrl-C. `latchkey doctor` finds out why.";

/// Why a run ended.
#[derive(Debug, thiserror::Error)]
enum PubError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(
        "message properties need MQTT 5, and are not sent over HTTPS: leave them out, or connect in another way"
    )]
    Properties,
    #[error("cannot read the file `{path}`: {1}", path = .0.display())]
    File(PathBuf, io::Error),
    #[error("cannot read standard input: {0}")]
    Stdin(io::Error),
    #[error("{0}{HINT}")]
    Connect(#[from] ConnectError),
    #[error("{error} (after {}){HINT}", console::counted(published, "message"))]
    Request { error: RequestError, published: u64 },
    #[error("a line of standard input has more than {MAX_PAYLOAD} bytes, AWS's largest payload")]
    LongLine,
}

/// What to do next.
const HINT: &str = "; `latchkey doctor` finds out why";
/// AWS IoT Core's largest payload (AWS General Reference, "AWS IoT Core endpoints and quotas").
const MAX_PAYLOAD: usize = 128 * 1024;

impl PubError {
    const fn is_usage(&self) -> bool {
        !matches!(self, Self::Connect(_) | Self::Request { .. })
    }
}

/// What is wrong with a user property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write it as NAME=VALUE")]
struct UserPropertyError;

fn user_property(text: &str) -> Result<(String, String), UserPropertyError> {
    let (name, value) = text.split_once('=').ok_or(UserPropertyError)?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs the command on this process's standard streams.
pub async fn run(args: &PubArgs) -> ExitCode {
    let published = tokio::select! {
        result = publish_all(args) => result,
        // Dropping the connection closes it, as the end of the process would.
        () = signal::ctrl_c() => return ExitCode::from(exit::INTERRUPTED),
    };
    match published {
        Ok(count) => {
            if args.json {
                let line = serde_json::json!({"published": count});
                writeln!(output::stdout(), "{line}").unwrap_or_default();
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            console::status(&format!("latchkey pub: {error}"));
            if error.is_usage() { ExitCode::from(exit::USAGE) } else { ExitCode::FAILURE }
        }
    }
}

async fn publish_all(args: &PubArgs) -> Result<u64, PubError> {
    let mut client = args.client.client(Path::new("."))?;
    client.options.last_will = args.will.last_will();
    let properties = args.properties.properties();
    let is_plain =
        client.options.version == Version::V311 || client.settings.target.transport == Transport::Https;
    if properties.is_some() && is_plain {
        return Err(PubError::Properties);
    }
    let mut message = Publish::new(args.topic.clone(), Bytes::new());
    (message.qos, message.retain, message.properties) = (args.qos.0, args.retain, properties.map(Arc::new));
    let payload = args.payload()?;
    let endpoint = Endpoint::new(client.settings.target.clone()).map_err(ClientError::from)?;
    if !args.quiet {
        announce("publishing", &client);
    }
    let SingleClient { login, options, authorization, .. } = &client;
    let mut connection = Connection::open(&endpoint, login, options, *authorization).await?;
    let mut published = 0;
    if let Some(payload) = payload {
        message.payload = payload;
        for _ in 0..args.repeat.get() {
            let sent = connection.publish(message.clone()).await;
            sent.map_err(|error| PubError::Request { error, published })?;
            published += 1;
        }
    } else {
        let mut lines = stdin_lines();
        loop {
            // The connection is kept alive while no line comes.
            let line = tokio::select! {
                biased;
                closed = connection.closed() => {
                    return Err(PubError::Request { error: closed.into(), published });
                }
                line = lines.recv() => line,
            };
            let Some(line) = line else { break };
            let sent = connection.publish(Publish { payload: line?, ..message.clone() }).await;
            sent.map_err(|error| PubError::Request { error, published })?;
            published += 1;
        }
    }
    connection.disconnect().await;
    Ok(published)
}

/// Says which server and device were found.
pub(crate) fn announce(what: &str, client: &SingleClient) {
    let address = &client.settings.target.address;
    console::status(&format!("{what} at {address} as `{}`", client.device));
}

impl PubArgs {
    /// The one payload, or nothing if lines are to be read.
    fn payload(&self) -> Result<Option<Bytes>, PubError> {
        if let Some(text) = &self.message {
            return Ok(Some(Bytes::copy_from_slice(text.as_bytes())));
        }
        if let Some(file) = &self.file {
            let bytes = fs::read(file).map_err(|error| PubError::File(file.clone(), error))?;
            return Ok(Some(bytes.into()));
        }
        if self.stdin_file {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map_err(PubError::Stdin)?;
            return Ok(Some(bytes.into()));
        }
        Ok(self.null_message.then(Bytes::new))
    }
}

impl PropertyArgs {
    fn properties(&self) -> Option<PublishProperties> {
        let properties = PublishProperties {
            message_expiry_interval: self.message_expiry.map(NonZeroU32::get),
            response_topic: self.response_topic.clone(),
            correlation_data: self
                .correlation_data
                .as_ref()
                .map(|text| Bytes::copy_from_slice(text.as_bytes())),
            content_type: self.content_type.as_deref().map(Arc::from),
            user_properties: self.user_property.iter().map(user_property_of).collect(),
            ..PublishProperties::default()
        };
        (properties != PublishProperties::default()).then_some(properties)
    }
}

fn user_property_of((name, value): &(String, String)) -> UserProperty {
    (name.as_str().into(), value.as_str().into())
}

/// The lines of standard input, without their ends. They are read on a thread of their own, which waits while one line is
/// not published yet.
fn stdin_lines() -> mpsc::Receiver<Result<Bytes, PubError>> {
    let (lines, received) = mpsc::channel(1);
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            // A byte more than the largest payload and its line end shows that it is too long.
            let read = (&mut stdin).take(MAX_PAYLOAD as u64 + 2).read_until(b'\n', &mut line);
            line.pop_if(|last| *last == b'\n');
            let item = match read {
                Ok(0) => return,
                Ok(_) if line.len() > MAX_PAYLOAD => Err(PubError::LongLine),
                Ok(_) => Ok(line.into()),
                Err(error) => Err(PubError::Stdin(error)),
            };
            if lines.blocking_send(item).is_err() {
                return;
            }
        }
    });
    received
}
