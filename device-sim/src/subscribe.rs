//! `latchkey sub`: shows the messages that one device receives.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;
use cli::{console, exit, output, signal};
use mqtt::TopicFilter;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::client::{Client, Closed, ConnectError, Message, RequestError};
use crate::endpoint::{Endpoint, Transport};
use crate::publish::announce;
use crate::single::{ClientArgs, ClientError, QoSValue, WillArgs, qos};

/// Show the messages that one device receives, here or on AWS
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "they are switches of a command line")]
pub struct SubArgs {
    /// A topic filter; the option may be given several times
    #[arg(short, long, value_name = "FILTER", required = true)]
    pub topic: Vec<TopicFilter>,

    /// The highest QoS: 0 or 1
    #[arg(short, long, value_name = "QOS", default_value = "1", value_parser = qos)]
    pub qos: QoSValue,

    /// End after N messages
    #[arg(short = 'n', short_alias = 'C', long, value_name = "N")]
    pub count: Option<NonZeroU64>,

    /// End after this time
    #[arg(short = 'W', long, value_name = "SECONDS")]
    pub timeout: Option<NonZeroU64>,

    /// Show the topic before the payload
    #[arg(short, long)]
    pub verbose: bool,

    /// Show no retained messages
    #[arg(short = 'R', long)]
    pub no_retained: bool,

    /// Keep the session, and receive what came while this client was away
    #[arg(short = 'c', long)]
    pub keep_session: bool,

    /// Seconds for which a kept session outlives the connection (MQTT 5)
    #[arg(short = 'x', long, value_name = "SECONDS", default_value = "3600", requires = "keep_session")]
    pub session_expiry: u32,

    /// Show each message as a line of JSON, with topic, QoS and properties
    #[arg(long, conflicts_with_all = ["pretty", "raw"])]
    pub json: bool,

    /// Indent payloads that are JSON [default on a terminal]
    #[arg(long, conflicts_with = "raw")]
    pub pretty: bool,

    /// Write payloads byte for byte, to a pipe or a file only
    #[arg(long, conflicts_with = "verbose")]
    pub raw: bool,

    /// Print nothing but messages and errors
    #[arg(long)]
    pub quiet: bool,

    /// The last will.
    #[command(flatten)]
    pub will: WillArgs,

    /// The device and its connection.
    #[command(flatten)]
    pub client: ClientArgs,
}

const EXAMPLES: &str = "\
Examples:
  latchkey sub -t 'my-device/#' -v
  latchkey sub -t my-device/hello -n 1 -W 10
  latchkey sub -t 'my-device/#' --json | jq .payload

Endpoint, CA, ALPN protocol and authorizer are those of `latchkey local`, or of
cdk-outputs.json; the device is the first of the credentials file.
Exit codes: 0 all messages came, or Ctrl-C without -n; 1 not connected, not
accepted or lost; 27 the time of -W is over; 64 the command line or a file is
wrong; 130 Ctrl-C before all messages of -n came. `latchkey doctor` finds out
why.";

/// The exit code of `mosquitto_sub` when the time of `-W` is over.
const TIMED_OUT: u8 = 27;

/// Why a run can't go on.
#[derive(Debug, thiserror::Error)]
enum SubError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("nothing can be received over HTTPS: use `--transport mqtt` or `websocket`")]
    Https,
    #[error("`--raw` writes the bytes of others, which a terminal could obey: send them to a pipe or a file")]
    RawTerminal,
    #[error("{0}{HINT}")]
    Connect(#[from] ConnectError),
    #[error("`{filter}`: {error}{HINT}")]
    Subscribe { filter: TopicFilter, error: RequestError },
    #[error("{0}{HINT}")]
    Lost(#[from] Closed),
}

/// What to do next.
const HINT: &str = "; `latchkey doctor` finds out why";

/// Runs the command on this process's standard streams.
pub async fn run(args: &SubArgs) -> ExitCode {
    match receive(args).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            console::status(&format!("latchkey sub: {error}"));
            let is_usage = matches!(error, SubError::Client(_) | SubError::Https | SubError::RawTerminal);
            if is_usage { ExitCode::from(exit::USAGE) } else { ExitCode::FAILURE }
        }
    }
}

async fn receive(args: &SubArgs) -> Result<u8, SubError> {
    let mut client = args.client.client(Path::new("."))?;
    if client.settings.target.transport == Transport::Https {
        return Err(SubError::Https);
    }
    let mut printer = Printer::new(args).ok_or(SubError::RawTerminal)?;
    client.options.last_will = args.will.last_will();
    client.options.clean_start = !args.keep_session;
    client.options.session_expiry = if args.keep_session { args.session_expiry } else { 0 };
    let endpoint = Endpoint::new(client.settings.target.clone()).map_err(ClientError::from)?;
    if !args.quiet {
        announce("subscribing", &client);
    }
    let deadline = args.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.get()));
    let over = async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = messages(args, &mut printer, &endpoint, &client.login, &client.options) => ended,
        () = over => Ok(TIMED_OUT),
    }
}

async fn messages(
    args: &SubArgs,
    printer: &mut Printer,
    endpoint: &Endpoint,
    login: &crate::login::Login,
    options: &crate::client::Options,
) -> Result<u8, SubError> {
    let mut client = Client::connect(endpoint, login, options).await?;
    for filter in &args.topic {
        let subscribed = if args.no_retained {
            client.subscribe_without_retained(filter.clone(), args.qos.0).await
        } else {
            client.subscribe(filter.clone(), args.qos.0).await
        };
        subscribed.map_err(|error| SubError::Subscribe { filter: filter.clone(), error })?;
    }
    let mut left = args.count.map(NonZeroU64::get);
    while left != Some(0) {
        let message = tokio::select! {
            message = client.next_message() => message?,
            () = signal::ctrl_c() => {
                client.disconnect().await;
                return Ok(if left.is_some() { exit::INTERRUPTED } else { 0 });
            }
        };
        // MQTT 3.1.1 has no way to ask for it.
        if args.no_retained && message.retain {
            continue;
        }
        if printer.print(&message).is_err() {
            // A reader that has closed standard output wants no more.
            break;
        }
        left = left.map(|left| left - 1);
    }
    client.disconnect().await;
    Ok(0)
}

/// How messages are written.
struct Printer {
    form: Form,
    verbose: bool,
    pretty: bool,
}

enum Form {
    Text(output::Output<io::Stdout>),
    Json(output::Output<io::Stdout>),
    Raw(io::Stdout),
}

impl Printer {
    /// Nothing if the bytes of others would reach a terminal.
    fn new(args: &SubArgs) -> Option<Self> {
        let out = output::stdout();
        let pretty = args.pretty || out.is_terminal();
        let form = match (args.raw, args.json) {
            (true, _) => Form::Raw(output::raw_stdout()?),
            (_, true) => Form::Json(out),
            _ => Form::Text(out),
        };
        Some(Self { form, verbose: args.verbose, pretty })
    }

    fn print(&mut self, message: &Message) -> io::Result<()> {
        match &mut self.form {
            Form::Raw(out) => {
                out.write_all(&message.payload)?;
                out.write_all(b"\n")?;
                out.flush()
            }
            Form::Json(out) => {
                writeln!(out, "{}", json_of(message))?;
                out.flush()
            }
            Form::Text(out) => {
                if self.verbose {
                    write!(out, "{} ", output::escaped(message.topic.as_str()))?;
                }
                match std::str::from_utf8(&message.payload) {
                    Ok(text) if self.pretty && is_json_container(text) => {
                        out.write_all(indented(text).as_bytes())?;
                    }
                    // A line end in a payload would look like the next message.
                    Ok(text) => out.write_all(output::escaped(text).as_bytes())?,
                    Err(_) => write!(out, "{}", output::escaped(String::from_utf8_lossy(&message.payload)))?,
                }
                writeln!(out)?;
                out.flush()
            }
        }
    }
}

/// A message with everything that came with it.
fn json_of(message: &Message) -> Value {
    let mut value = json!({
        "topic": message.topic.as_str(), "qos": u8::from(message.qos), "retain": message.retain,
    });
    let Some(members) = value.as_object_mut() else { return value };
    match std::str::from_utf8(&message.payload) {
        Ok(text) => members.insert("payload".to_owned(), text.into()),
        Err(_) => {
            members.insert("payload_base64".to_owned(), BASE64_STANDARD.encode(&message.payload).into())
        }
    };
    let Some(properties) = &message.properties else { return value };
    let user = properties.user_properties.iter().map(|(name, value)| json!([**name, **value]));
    let user = user.collect::<Vec<_>>();
    let all = [
        ("content_type", properties.content_type.as_deref().map(Value::from)),
        ("response_topic", properties.response_topic.as_ref().map(|topic| topic.as_str().into())),
        (
            "correlation_data_base64",
            properties.correlation_data.as_ref().map(|it| BASE64_STANDARD.encode(it).into()),
        ),
        ("message_expiry_seconds", properties.message_expiry_interval.map(Value::from)),
        ("user_properties", (!user.is_empty()).then(|| user.into())),
    ];
    members.extend(all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    value
}

fn is_json_container(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Valid JSON with one member a line. Members keep their order and numbers their digits.
fn indented(json: &str) -> String {
    let (mut text, mut depth, mut in_string, mut escape) = (String::new(), 0_usize, false, false);
    let mut characters = json.chars().filter(|c| !c.is_ascii_control()).peekable();
    while let Some(character) = characters.next() {
        if in_string {
            text.push(character);
            in_string = escape || character != '"';
            escape = character == '\\' && !escape;
            continue;
        }
        match character {
            ' ' => {}
            '"' => {
                in_string = true;
                text.push('"');
            }
            '{' | '[' => {
                text.push(character);
                while characters.next_if(|next| *next == ' ').is_some() {}
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    new_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(character);
            }
            ',' => {
                text.push(',');
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            other => text.push(other),
        }
    }
    text
}

fn new_line(text: &mut String, depth: usize) {
    // Writing to a string never fails.
    _ = write!(text, "\n{:width$}", "", width = depth * 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_otherwise_as_it_came() {
        let cases = [
            ("{}", "{}"),
            ("[ ]", "[]"),
            (
                r#"{"b":1.0,"a":[1,{"x":"a, {b}: \"c\\"}]}"#,
                "{\n  \"b\": 1.0,\n  \"a\": [\n    1,\n    {\n      \"x\": \"a, {b}: \\\"c\\\\\"\n    }\n  ]\n}",
            ),
            ("{\r\n\t\"a\" : 10000000000000000000000 }", "{\n  \"a\": 10000000000000000000000\n}"),
        ];
        for (json, text) in cases {
            assert!(is_json_container(json), "{json}");
            assert_eq!(indented(json), text);
        }
        for text in ["21.5", "{", "{a:1}", "text", ""] {
            assert!(!is_json_container(text), "{text}");
        }
    }

    #[test]
    fn a_line_of_json_has_what_came_with_a_message() {
        let mut message = Message {
            topic: "a/b".parse().unwrap(),
            payload: "21.5".into(),
            qos: mqtt::QoS::AtLeastOnce,
            retain: true,
            properties: None,
        };
        assert_eq!(json_of(&message), json!({"topic": "a/b", "qos": 1, "retain": true, "payload": "21.5"}));
        message.payload = vec![0xff].into();
        let properties = mqtt::PublishProperties {
            content_type: Some("x".into()),
            user_properties: vec![("k".into(), "v".into()), ("k".into(), "w".into())],
            ..mqtt::PublishProperties::default()
        };
        message.properties = Some(std::sync::Arc::new(properties));
        assert_eq!(
            json_of(&message),
            json!({
                "topic": "a/b", "qos": 1, "retain": true, "payload_base64": "/w==", "content_type": "x",
                "user_properties": [["k", "v"], ["k", "w"]],
            })
        );
    }
}
