//! Runs one case: its lines in order, until a line is not what was expected.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use mqtt::{
    Connect, Disconnect, DisconnectReasonCode, LastWill, Packet, Publish, PublishProperties, QoS, TopicName,
    Version,
};

use crate::{
    case::{Case, Line, MAIN, Step},
    connection::{Connection, HttpRequest, fits},
    journal::Resource,
    observed::{self, Observed},
    world::World,
};

/// What one run of a case has shown.
#[derive(Debug)]
pub struct Outcome {
    /// Whether each line was as expected.
    pub verdict: Verdict,
    /// What the clients did and saw.
    pub transcript: Vec<String>,
    /// The first bytes that each connection received, as hex.
    pub received: BTreeMap<String, String>,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was as the page says.
    Agrees,
    /// A line was not.
    Differs {
        /// The line that was expected.
        expected: String,
        /// The line that came.
        observed: String,
    },
    /// The case could not be run.
    Failed(String),
}

/// A run of one case.
struct Run<'a> {
    world: &'a World,
    names: Names<'a>,
    connections: BTreeMap<String, Connection>,
    /// What is observed without a connection, or before there is one.
    pending: BTreeMap<String, Vec<Observed>>,
    transcript: Vec<String>,
    received: BTreeMap<String, String>,
    /// When the last messages were sent.
    published: tokio::time::Instant,
}

/// What placeholders stand for.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    world: &'a World,
    /// The prefix of this run's topics and client ids.
    prefix: &'a str,
}

/// Runs a case. `attempt` is in its topics and client ids, so that no attempt sees what another one left.
pub async fn run(world: &World, case: &Case, attempt: Attempt<'_>) -> Outcome {
    let names = Names { world, prefix: attempt.prefix };
    let (connections, pending, received) = Default::default();
    let (transcript, published) = (Vec::new(), tokio::time::Instant::now());
    let mut run = Run { world, names, connections, pending, transcript, received, published };
    let verdict = match run.play(case).await {
        Ok(verdict) => verdict,
        Err(error) => Verdict::Failed(format!("{error:#}")),
    };
    run.leave().await;
    let hidden = |line: String| world.without_secrets(&line).replace(attempt.prefix, "{t}");
    let verdict = match verdict {
        Verdict::Agrees => Verdict::Agrees,
        Verdict::Differs { expected, observed } => {
            Verdict::Differs { expected: hidden(expected), observed: hidden(observed) }
        }
        Verdict::Failed(error) => Verdict::Failed(hidden(error)),
    };
    let transcript = run.transcript.into_iter().map(hidden).collect();
    Outcome { verdict, transcript, received: run.received }
}

/// One attempt of a case.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The prefix of its topics and client ids.
    pub prefix: &'a str,
}

impl<'a> Names<'a> {
    /// The names of one attempt of a case.
    pub fn new(world: &'a World, prefix: &'a str) -> Self {
        Self { world, prefix }
    }

    /// A text with its placeholders replaced; `connection` is the one that the text is about.
    #[must_use]
    pub fn expand(&self, text: &str, connection: &str) -> String {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            result.push_str(before);
            let value =
                after.split_once('}').and_then(|(name, after)| Some((self.value(name, connection)?, after)));
            if let Some((value, after)) = value {
                result.push_str(&value);
                rest = after;
            } else {
                result.push('{');
                rest = after;
            }
        }
        result + rest
    }

    /// What `{name}` stands for; none if it is no placeholder, as the braces of JSON and of policy variables.
    fn value(&self, name: &str, connection: &str) -> Option<String> {
        let (name, argument) =
            name.split_once(':').map_or((name, None), |(name, argument)| (name, Some(argument)));
        Some(match (name, argument) {
            ("t", None) => self.prefix.to_owned(),
            ("word", None) => self.prefix.replace('-', ""),
            ("id", other) => format!("{}{}", self.prefix, other.unwrap_or(connection)),
            ("arn", None) => self.world.arn_prefix(),
            ("thing", Some(certificate)) => self.world.thing_name(certificate),
            ("name", Some(certificate)) => self.world.authorizer_name(certificate),
            ("host", None) => self.world.host.clone(),
            ("authorizer", other) => self.world.authorizer_name(other.unwrap_or(MAIN)),
            ("domain", Some(domain)) => {
                self.world.domains.get(domain).cloned().unwrap_or_else(|| "unknown.invalid".to_owned())
            }
            ("cert", Some(name)) => self.world.certificates.get(name)?.id.clone(),
            ("script", other) => format!("{}.{}", self.world.key, self.script(other.unwrap_or(MAIN))),
            ("signature", None) => self.world.sign(0, &self.value("script", connection)?),
            ("signature-2", None) => self.world.sign(1, &self.value("script", connection)?),
            ("signature-plus", None) => self.world.sign(0, &(self.value("script", connection)? + "+x")),
            ("encoded", Some(other)) => {
                let value = self.value(other, connection)?;
                let first = value.bytes().next()?;
                format!("%{first:02X}{}", value.get(1..)?)
            }
            ("uri", Some(other)) => uri_encoded(&self.value(other, connection)?),
            ("x", Some(count)) => "x".repeat(count.parse().ok()?),
            ("spaces", Some(count)) => " ".repeat(count.parse().ok()?),
            ("umlauts", Some(count)) => "ü".repeat(count.parse().ok()?),
            // The prefix with as many characters as make it so long.
            ("fill", Some(count)) => {
                let missing = count.parse::<usize>().ok()?.checked_sub(self.prefix.len())?;
                self.prefix.to_owned() + &"x".repeat(missing)
            }
            _ => return None,
        })
    }

    /// The name under which the function has a script.
    #[must_use]
    pub fn script(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }
}

fn uri_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            encoded + &char::from(byte).to_string()
        }
        other => format!("{encoded}%{other:02X}"),
    })
}

impl Run<'_> {
    async fn play(&mut self, case: &Case) -> anyhow::Result<Verdict> {
        for line in &case.lines {
            let (connection, expected) = match line {
                Line::Do(step) => {
                    let failed = self.perform(step).await.with_context(|| described(step))?;
                    self.transcript.push(format!("> {}", described(step)));
                    let Some(observed) = failed else { continue };
                    return Ok(self.differs(&step.connection, "CONNACK 0x00", &observed));
                }
                Line::Expect { connection, text } => (connection, self.names.expand(text, connection)),
            };
            let observed = self.next(connection).await?;
            if !observed.is(&expected) {
                return Ok(self.differs(connection, &expected, &observed));
            }
            self.transcript.push(format!("< {connection} {observed}"));
        }
        Ok(Verdict::Agrees)
    }

    fn differs(&mut self, connection: &str, expected: &str, observed: &Observed) -> Verdict {
        self.transcript.push(format!("< {connection} {observed}    (expected: {expected})"));
        Verdict::Differs {
            expected: format!("{connection} {expected}"),
            observed: format!("{connection} {observed}"),
        }
    }

    /// What a connection sees next.
    async fn next(&mut self, name: &str) -> anyhow::Result<Observed> {
        if let Some(waiting) = self.pending.get_mut(name)
            && !waiting.is_empty()
        {
            return Ok(waiting.remove(0));
        }
        let limit = self.world.answer_limit;
        Ok(self.connection(name)?.next(limit).await)
    }

    fn connection(&mut self, name: &str) -> anyhow::Result<&mut Connection> {
        self.connections.get_mut(name).with_context(|| format!("there is no connection `{name}`"))
    }

    fn observe(&mut self, name: &str, observed: Observed) {
        self.pending.entry(name.to_owned()).or_default().push(observed);
    }

    fn text(&self, step: &Step, name: &str) -> Option<String> {
        step.argument(name).map(|text| self.names.expand(text, &step.connection))
    }

    fn word(&self, step: &Step, index: usize) -> anyhow::Result<String> {
        let word = step.words.get(index).with_context(|| format!("`{}` needs a word more", step.verb))?;
        Ok(self.names.expand(word, &step.connection))
    }

    /// Does what a line says. What a line that has to succeed sees instead is returned.
    #[expect(clippy::too_many_lines, reason = "one arm for each verb")]
    async fn perform(&mut self, step: &Step) -> anyhow::Result<Option<Observed>> {
        let name = step.connection.clone();
        match step.verb.as_str() {
            "tls" => self.tls(step).await?,
            "ws" => self.web_socket(step).await?,
            "connect" => self.connect(step).await?,
            "open" => {
                self.connect(step).await?;
                let observed = self.next(&name).await?;
                if !observed.is("CONNACK 0x00…") {
                    return Ok(Some(observed));
                }
            }
            "publish" => self.publish(step).await?,
            "subscribe" => {
                let filters =
                    step.words.iter().map(|word| self.names.expand(word, &name)).collect::<Vec<_>>();
                filters.iter().try_for_each(|filter| fits(filter))?;
                let options = step.number("qos", 1)? | if step.argument("nolocal").is_some() { 4 } else { 0 };
                let id = step.argument("id").map(str::parse).transpose().context("an id is a number")?;
                self.connection(&name)?.send_filters(&filters, Some((options, id))).await;
            }
            "unsubscribe" => {
                let filters =
                    step.words.iter().map(|word| self.names.expand(word, &name)).collect::<Vec<_>>();
                self.connection(&name)?.send_filters(&filters, None).await;
            }
            "ack" => self.connection(&name)?.acknowledge().await,
            "ping" => self.connection(&name)?.send(Packet::PingReq).await?,
            "disconnect" => {
                let code = step.words.first().map_or("0x00", String::as_str);
                let code = match code {
                    "0x00" => DisconnectReasonCode::NormalDisconnection,
                    "0x04" => DisconnectReasonCode::DisconnectWithWillMessage,
                    other => bail!("`{other}` is not a code that a client sends"),
                };
                self.connection(&name)?.send(Packet::Disconnect(Disconnect::new(code))).await?;
            }
            "close" => self.connection(&name)?.close().await,
            "cut" => self.connection(&name)?.cut(),
            "bytes" => {
                let bytes = hex::decode(self.word(step, 0)?).context("bytes are hexadecimal")?;
                self.connection(&name)?.send_bytes(&bytes).await;
            }
            "wait" => {
                let seconds = self.word(step, 0)?.parse::<f64>().context("seconds are a number")?;
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            }
            // How many messages come until the answer to a PINGREQ.
            "drain" => {
                let limit = self.world.answer_limit;
                let connection = self.connection(&name)?;
                connection.send(Packet::PingReq).await?;
                let mut count = 0;
                let last = loop {
                    let observed = connection.next(limit).await;
                    if observed.text.split(' ').next() != step.words.first().map(String::as_str) {
                        break observed;
                    }
                    count += 1;
                };
                self.observe(&name, Observed::plain(format!("{count} then {last}")));
            }
            // The next lines in the order of their texts, because the service may send them in any order.
            "sort" => {
                let count = self.word(step, 0)?.parse::<usize>().context("a count is a number")?;
                let mut lines = Vec::new();
                for _ in 0..count {
                    lines.push(self.next(&name).await?);
                }
                lines.sort_by(|one, other| one.text.cmp(&other.text));
                self.pending.entry(name).or_default().extend(lines);
            }
            // Counts and acknowledges what comes within some seconds.
            "collect" => {
                let seconds = self.word(step, 1)?.parse::<f64>().context("seconds are a number")?;
                let until = tokio::time::Instant::now() + Duration::from_secs_f64(seconds);
                let connection = self.connection(&name)?;
                let mut count = 0;
                loop {
                    let left = until.saturating_duration_since(tokio::time::Instant::now());
                    let observed = connection.next(left).await;
                    if observed.text.split(' ').next() != step.words.first().map(String::as_str) {
                        break;
                    }
                    count += 1;
                }
                self.observe(&name, Observed::plain(count.to_string()));
            }
            // How many whole seconds it takes from the last PUBLISH line until so many have come.
            "took" => {
                let count = self.word(step, 1)?.parse::<usize>().context("a count is a number")?;
                let (limit, begin) = (self.world.answer_limit, self.published);
                let connection = self.connection(&name)?;
                let mut ended = None;
                for _ in 0..count {
                    let observed = connection.next(limit).await;
                    if observed.text.split(' ').next() != step.words.first().map(String::as_str) {
                        ended = Some(observed);
                        break;
                    }
                }
                let seconds = begin.elapsed().as_secs();
                self.observe(&name, ended.unwrap_or_else(|| Observed::plain(format!("{seconds} s"))));
            }
            // The codes of so many answers of a shadow.
            "received-codes" => {
                let (limit, mut counts) = (self.world.answer_limit, BTreeMap::<String, usize>::new());
                for _ in 0..self.word(step, 0)?.parse::<usize>().context("a count is a number")? {
                    let connection = self.connection(&name)?;
                    connection.message = None;
                    let observed = connection.next(limit).await;
                    let payload = connection.message.as_ref().map(|message| message.payload.clone());
                    let body = payload
                        .and_then(|payload| serde_json::from_slice::<serde_json::Value>(&payload).ok());
                    let code = body.and_then(|body| body.get("code").map(ToString::to_string));
                    *counts.entry(code.unwrap_or(observed.text)).or_default() += 1;
                }
                let mut counts = counts.into_iter();
                let first = counts.next().map(|(code, count)| format!("{code}: {count}")).unwrap_or_default();
                let text = counts.fold(first, |text, (code, _)| format!("{text}, {code} too"));
                self.observe(&name, Observed::plain(text));
            }
            // What comes within so many seconds.
            "silence" | "within" => {
                let limit = Duration::from_secs_f64(self.word(step, 0)?.parse()?);
                let observed = self.connection(&name)?.next(limit).await;
                self.observe(&name, observed);
            }
            // How many messages come before the one with this payload.
            "until" => {
                let (payload, limit) = (self.word(step, 0)?, self.world.answer_limit);
                let connection = self.connection(&name)?;
                let mut count = 0;
                let text = loop {
                    let observed = connection.next(limit).await;
                    if observed.text.ends_with(&format!(" {payload}")) {
                        break format!("{count} before");
                    }
                    if !observed.text.starts_with("PUBLISH") {
                        break observed.text;
                    }
                    count += 1;
                };
                self.observe(&name, Observed::plain(text));
            }
            // The first line with this text.
            "skip-to" => {
                let (text, limit) = (self.word(step, 0)?, self.world.answer_limit);
                let connection = self.connection(&name)?;
                let observed = loop {
                    let observed = connection.next(limit).await;
                    let is_last = ["silence", "end", "refused"].contains(&observed.text.as_str());
                    if is_last || observed.text.contains(&text) {
                        break observed;
                    }
                };
                self.observe(&name, observed);
            }
            "received" => {
                let bytes = self.connection(&name)?.received().len();
                self.observe(&name, Observed::plain(format!("{bytes} bytes")));
            }
            "properties" => {
                let answer = self.connection(&name)?.connack.as_ref().context("there was no CONNACK")?;
                let text = observed::properties(answer);
                self.observe(&name, Observed::plain(text));
            }
            "http" => self.http(step).await?,
            "statuses" => self.statuses(step).await?,
            "trace-ids" => {
                let script = self.word(step, 0)?;
                let seen = self.connection(&name)?.trace_ids.clone();
                let events = self.world.events(&self.names.script(&script), seen.len()).await?;
                let ids = events.iter().filter_map(|event| event.pointer("/connectionMetadata/id")?.as_str());
                let ids = ids.collect::<BTreeSet<_>>();
                let found = seen.iter().filter(|id| ids.contains(id.as_str())).count();
                self.observe(&name, Observed::plain(format!("{found} of {} are ids of events", seen.len())));
            }
            "event" => {
                let (script, pointer) = (self.word(step, 0)?, step.words.get(1).map_or("", String::as_str));
                let events = self.world.events(&self.names.script(&script), 1).await?;
                let event = events.last().and_then(|event| event.pointer(pointer));
                let text = event
                    .map_or_else(|| "nothing".to_owned(), |value| observed::normalised(&value.to_string()));
                self.observe(&name, Observed::plain(text));
            }
            "calls" => {
                let script = self.word(step, 0)?;
                let events = self.world.events(&self.names.script(&script), 0).await?;
                self.observe(&name, Observed::plain(format!("{} calls", events.len())));
            }
            other => bail!("`{other}` is not a verb"),
        }
        Ok(None)
    }

    async fn tls(&mut self, step: &Step) -> anyhow::Result<()> {
        let port = step.words.first().map_or("443", String::as_str);
        let port = port.parse().context("a port is a number")?;
        let default = if port == 443 { "mqtt" } else { "none" };
        let alpn = step.argument("alpn").unwrap_or(default);
        self.dial(step, port, alpn).await?;
        if step.argument("speak") == Some("3")
            && let Some(connection) = self.connections.get_mut(&step.connection)
        {
            connection.speak(Version::V311);
        }
        Ok(())
    }

    async fn dial(&mut self, step: &Step, port: u16, alpn: &str) -> anyhow::Result<()> {
        let alpn = alpn.split(',').filter(|protocol| *protocol != "none").collect::<Vec<_>>();
        let sni = self.text(step, "sni");
        let target =
            self.world.target(port, &alpn, sni.as_deref(), step.argument("cert"), step.argument("tls"))?;
        match Connection::open(target).await? {
            Ok(connection) => {
                self.keep(&step.connection);
                self.connections.insert(step.connection.clone(), connection);
            }
            Err(observed) => self.observe(&step.connection, observed),
        }
        Ok(())
    }

    async fn web_socket(&mut self, step: &Step) -> anyhow::Result<()> {
        self.dial(step, 443, "none").await?;
        let headers = step.arguments("header").map(|header| self.header(header, &step.connection));
        let headers = headers.collect::<anyhow::Result<Vec<_>>>()?;
        let host = self.text(step, "host").unwrap_or_else(|| self.world.host.clone());
        let query = self.text(step, "query").map(|query| format!("?{query}")).unwrap_or_default();
        let path = step.argument("path").unwrap_or("/mqtt").to_owned() + &query;
        let Some(connection) = self.connections.get_mut(&step.connection) else { return Ok(()) };
        if let Some(observed) = connection.upgrade(&host, &path, &headers).await? {
            self.observe(&step.connection, observed);
        }
        Ok(())
    }

    fn header(&self, header: &str, connection: &str) -> anyhow::Result<(String, String)> {
        let header = self.names.expand(header, connection);
        let (name, value) = header.split_once(": ").with_context(|| format!("`{header}` is not a header"))?;
        Ok((name.to_owned(), value.to_owned()))
    }

    async fn connect(&mut self, step: &Step) -> anyhow::Result<()> {
        if !self.is_known(&step.connection) {
            self.dial(step, 443, "mqtt").await?;
        }
        let version = match step.words.first().map_or("5", String::as_str) {
            "3" => Version::V311,
            "5" => Version::V5,
            other => bail!("`{other}` is not a version: 3 is 3.1.1, 5 is 5"),
        };
        let id = self.text(step, "id").unwrap_or_else(|| self.names.expand("{id}", &step.connection));
        let mut connect = Connect::new(version, id);
        connect.keep_alive = step.number("keepalive", 1_200)?;
        connect.clean_start = step.number("clean", 1)? == 1;
        if !step.has("plain") {
            let script =
                self.names.expand(&format!("{{script:{}}}", step.argument("as").unwrap_or(MAIN)), "");
            let parameters = match (self.text(step, "parameters"), step.argument("authorizer")) {
                (Some(parameters), _) => parameters,
                (None, Some("none")) => String::new(),
                (None, name) => {
                    format!(
                        "?x-amz-customauthorizer-name={}",
                        self.world.authorizer_name(name.unwrap_or(MAIN))
                    )
                }
            };
            let user = self.text(step, "user").unwrap_or_else(|| "user".to_owned()) + &parameters;
            let password = self.text(step, "password").unwrap_or(script);
            connect.username = Some(user.into());
            connect.password = (!step.has("no-password")).then(|| Bytes::from(password));
        }
        let properties = &mut connect.properties;
        properties.session_expiry_interval = step.number("expiry", 0)?;
        properties.receive_maximum =
            step.argument("receive-max").map(str::parse::<NonZeroU16>).transpose()?;
        properties.maximum_packet_size =
            step.argument("max-packet").map(str::parse::<NonZeroU32>).transpose()?;
        properties.authentication_method = step.argument("method").map(Into::into);
        properties.topic_alias_maximum = step.number("alias-max", 0)?;
        if let Some(will) = self.text(step, "will") {
            let (topic, payload) = will.split_once(' ').context("a will has a topic and a payload")?;
            let mut last_will = LastWill::new(topic.parse()?, Bytes::from(payload.to_owned()));
            last_will.qos = if step.has("will-qos-2") {
                QoS::ExactlyOnce
            } else if step.has("will-qos-1") {
                QoS::AtLeastOnce
            } else {
                QoS::AtMostOnce
            };
            last_will.retain = step.has("will-retain");
            last_will.properties.delay_interval = step.argument("will-delay").map(str::parse).transpose()?;
            if last_will.retain {
                self.world.plan(&Resource::Retained(topic.to_owned()))?;
            }
            connect.last_will = Some(last_will);
        }
        let Some(connection) = self.connections.get_mut(&step.connection) else { return Ok(()) };
        connection.speak(version);
        connection.holds = step.has("hold");
        connection.send(Packet::Connect(Box::new(connect))).await
    }

    async fn publish(&mut self, step: &Step) -> anyhow::Result<()> {
        let topic = self.word(step, 0)?;
        let size = step.number("size", 0_usize)?;
        let payload = match self.text(step, "payload") {
            Some(payload) => payload.into_bytes(),
            None if size > 0 => vec![b'x'; size],
            None => b"hello".to_vec(),
        };
        if step.argument("retain").is_some() && !topic.starts_with('$') {
            self.world.plan(&Resource::Retained(topic.clone()))?;
        }
        if let Some(shadow) = Resource::shadow_of(&topic) {
            self.world.plan(&shadow)?;
        }
        let user_properties = step.arguments("user").map(|pair| {
            let pair = self.names.expand(pair, &step.connection);
            let (name, value) = pair.split_once(':').context("a user property is `NAME:VALUE`")?;
            Ok((name.into(), value.into()))
        });
        let mut user_properties = user_properties.collect::<anyhow::Result<Vec<_>>>()?;
        if let Some(many) = step.words.iter().find_map(|word| word.strip_prefix("user-properties-")) {
            let many = many.parse().context("a count of user properties is a number")?;
            user_properties.extend(std::iter::repeat_n((Arc::from("n"), Arc::from("v")), many));
        }
        let properties = PublishProperties {
            message_expiry_interval: step.argument("expiry").map(str::parse).transpose()?,
            content_type: self.text(step, "content-type").map(Into::into),
            correlation_data: self.text(step, "correlation").map(Bytes::from),
            response_topic: self.text(step, "response").map(|topic| topic.parse()).transpose()?,
            topic_alias: step.argument("alias").map(str::parse).transpose()?,
            user_properties,
            ..PublishProperties::default()
        };
        let qos = match step.number("qos", 1)? {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        let topic = topic.parse::<TopicName>()?;
        self.published = tokio::time::Instant::now();
        for _ in 0..step.number("count", 1)? {
            let connection = self.connection(&step.connection)?;
            let mut message = Publish::new(topic.clone(), payload.clone());
            message.qos = qos;
            message.retain = step.argument("retain").is_some();
            message.packet_id =
                if qos == QoS::AtMostOnce { None } else { NonZeroU16::new(connection.next_packet_id()) };
            message.properties =
                (properties != PublishProperties::default()).then(|| Arc::new(properties.clone()));
            connection.send(Packet::Publish(message)).await?;
        }
        Ok(())
    }

    async fn http(&mut self, step: &Step) -> anyhow::Result<()> {
        self.dial_http(step).await?;
        let limit = self.world.answer_limit;
        // Of several requests the last answer counts; `{n}` is the number of each.
        let count = step.number("count", 1_usize)?;
        for number in 1..=count {
            let mut request = self.http_request(step)?;
            request.path = request.path.replace("{n}", &format!("{number:02}"));
            self.plan_request(&request)?;
            let Some(connection) = self.connections.get_mut(&step.connection) else { return Ok(()) };
            let observed = connection.request(request, limit).await?;
            if number == count {
                self.observe(&step.connection, observed);
            }
        }
        Ok(())
    }

    async fn dial_http(&mut self, step: &Step) -> anyhow::Result<()> {
        if self.is_known(&step.connection) {
            return Ok(());
        }
        let certificate = step.argument("cert").is_some();
        let port = step.number("port", if certificate { 8443 } else { 443 })?;
        let default = if certificate && port == 443 { "x-amzn-http-ca" } else { "none" };
        self.dial(step, port, step.argument("alpn").unwrap_or(default)).await
    }

    /// Sends the same request many times, on some connections at a time.
    async fn statuses(&mut self, step: &Step) -> anyhow::Result<()> {
        let (count, connections) = (step.number("count", 1_usize)?, step.number("connections", 1_usize)?);
        let mut open = Vec::new();
        for _ in 0..connections {
            self.connections.remove(&step.connection);
            self.dial_http(step).await?;
            open.extend(self.connections.remove(&step.connection));
        }
        let (request, limit) = (self.http_request(step)?, self.world.answer_limit);
        let begin = tokio::time::Instant::now();
        let each = count.div_ceil(connections);
        let sent = open.iter_mut().map(|connection| {
            let request = &request;
            async move {
                let mut statuses = Vec::new();
                for _ in 0..each {
                    statuses.push(connection.request(request.clone(), limit).await?.text);
                }
                anyhow::Ok(statuses)
            }
        });
        let answers = futures_util::future::try_join_all(sent).await?;
        let status = |text: &String| text.split(' ').nth(1).unwrap_or("no answer").to_owned();
        let mut counts = BTreeMap::<String, usize>::new();
        answers.iter().flatten().for_each(|text| *counts.entry(status(text)).or_default() += 1);
        let accepted = counts.remove("200").unwrap_or_default();
        let mut text = format!("200: {accepted}");
        for other in counts.keys() {
            text = text + ", " + other + " too";
        }
        if step.has("timed") {
            text = format!("{text} in {} s", begin.elapsed().as_secs());
        }
        self.observe(&step.connection, Observed::plain(text));
        Ok(())
    }

    fn http_request(&self, step: &Step) -> anyhow::Result<HttpRequest> {
        let certificate = step.argument("cert").is_some();
        let (method, mut path) = (self.word(step, 0)?, self.word(step, 1)?);
        if let Some(query) = self.text(step, "query") {
            path = format!("{path}?{query}");
        }
        let mut headers =
            vec![("host".to_owned(), self.text(step, "host").unwrap_or_else(|| self.world.host.clone()))];
        if !certificate && step.argument("authorizer") != Some("none") {
            let authorizer = self.world.authorizer_name(step.argument("authorizer").unwrap_or(MAIN));
            headers.push(("x-amz-customauthorizer-name".to_owned(), authorizer));
        }
        let script = self.names.expand(&format!("{{script:{}}}", step.argument("as").unwrap_or(MAIN)), "");
        match step.argument("auth") {
            Some("none") => {}
            Some("basic") => {
                let credentials = STANDARD.encode(format!("user:{script}"));
                headers.push(("authorization".to_owned(), format!("Basic {credentials}")));
            }
            Some("bearer") => headers.push(("authorization".to_owned(), format!("Bearer {script}"))),
            Some(other) => bail!("`{other}` is not a kind of credentials"),
            None if certificate => {}
            None => headers.push(("x-conform".to_owned(), script)),
        }
        for header in step.arguments("header") {
            headers.push(self.header(header, &step.connection)?);
        }
        let size = step.number("size", 0_usize)?;
        let body = match self.text(step, "body") {
            Some(body) => body.into_bytes(),
            None => vec![b'x'; size],
        };
        Ok(HttpRequest { method, path, headers, body })
    }

    /// Writes into the journal what a request may leave.
    fn plan_request(&self, request: &HttpRequest) -> anyhow::Result<()> {
        let path = request.path.as_str();
        if let Some(topic) =
            path.strip_prefix("/topics/").map(|topic| topic.split('?').next().unwrap_or_default())
        {
            if path.contains("retain=true") {
                self.world.plan(&Resource::Retained(topic.to_owned()))?;
            }
            if let Some(shadow) = Resource::shadow_of(topic) {
                self.world.plan(&shadow)?;
            }
        }
        if let Some((thing, rest)) = path.strip_prefix("/things/").and_then(|rest| rest.split_once("/shadow"))
        {
            let name = rest.strip_prefix("?name=").map(str::to_owned);
            self.world.plan(&Resource::Shadow { thing: thing.to_owned(), name })?;
        }
        Ok(())
    }

    /// Whether there is a connection of this name, or the refusal of one.
    fn is_known(&self, name: &str) -> bool {
        self.connections.contains_key(name)
            || self.pending.get(name).is_some_and(|waiting| !waiting.is_empty())
    }

    /// Keeps what an earlier connection of this name received.
    fn keep(&mut self, name: &str) {
        if let Some(connection) = self.connections.remove(name)
            && !connection.received().is_empty()
        {
            let text = hex::encode(connection.received());
            self.received
                .entry(name.to_owned())
                .and_modify(|it| *it = format!("{it} {text}"))
                .or_insert(text);
        }
    }

    /// Ends all connections in the way of a client that leaves.
    async fn leave(&mut self) {
        let names = self.connections.keys().cloned().collect::<Vec<_>>();
        for name in names {
            if let Some(connection) = self.connections.get_mut(&name) {
                if connection.version() == Version::V311 || connection.connack.is_some() {
                    let end = Disconnect::new(DisconnectReasonCode::NormalDisconnection);
                    // The connection may have ended.
                    _ = connection.send(Packet::Disconnect(end)).await;
                }
                connection.close().await;
            }
            self.keep(&name);
        }
    }
}

/// A step as the case has it.
fn described(step: &Step) -> String {
    let named = step.named.iter().map(|(name, value)| format!("{name}={value}"));
    let parts = [step.connection.clone(), step.verb.clone()]
        .into_iter()
        .chain(step.words.iter().cloned())
        .chain(named);
    parts.collect::<Vec<_>>().join(" ")
}

/// The prefix of an attempt's topics and client ids: without a slash, because topics have a limited number of them.
///
/// # Errors
///
/// When there are too many cases or attempts for the prefix's length.
pub fn prefix(run: &str, number: usize, attempt: usize) -> anyhow::Result<String> {
    ensure!(number < 1_000 && attempt < 10, "there are fewer cases and attempts");
    let attempt = if attempt == 0 { String::new() } else { format!("n{attempt}") };
    Ok(format!("lc{run}-{number:03}{attempt}"))
}
