//! The log of mosquitto, as `log_type all` writes it.

use std::{
    collections::HashMap,
    io::{BufRead, Read as _},
};

use super::observed::{Connected, Observed};

/// How much of a line is read.
const MAX_LINE_BYTES: u64 = 4_096;

/// Reads a log. Lines that are not known are skipped.
pub(super) fn read(mut log: impl BufRead, observed: &mut Observed) -> anyhow::Result<u64> {
    let (mut known, mut line) = (0_u64, Vec::new());
    let mut names = HashMap::<String, String>::new();
    let mut subscriber = None::<String>;
    loop {
        line.clear();
        if log.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(known);
        }
        if !line.ends_with(b"\n") {
            log.skip_until(b'\n')?;
        }
        let text = String::from_utf8_lossy(&line);
        // The time ends at the first `: `.
        let Some((_, text)) = text.trim_end().split_once(": ") else { continue };
        if let Some(topic) = text.strip_prefix('\t') {
            if let (Some(device), Some((topic, qos))) = (&subscriber, topic.rsplit_once(" (QoS ")) {
                let qos = u8::from(qos.starts_with('2')).saturating_mul(2);
                observed.subscribed(device, [(topic, qos)].into_iter());
            }
            continue;
        }
        subscriber = None;
        if let Some((client_id, device)) = connected(text, observed) {
            names.insert(client_id.to_owned(), device);
        } else if let Some(client_id) = text.strip_prefix("Received SUBSCRIBE from ") {
            subscriber = names.get(client_id).cloned();
        } else if let Some((device, message)) =
            publish(text).and_then(|it| Some((names.get(it.client_id)?, it)))
        {
            observed.published(device, message.topic, message.qos, message.bytes);
        } else {
            continue;
        }
        known = known.saturating_add(1);
    }
}

/// `New client connected from 127.0.0.1:56982 as ID (p2, c1, k60, u'USER').`
fn connected<'t>(text: &'t str, observed: &mut Observed) -> Option<(&'t str, String)> {
    let (_, text) = text.strip_prefix("New client connected from ")?.split_once(" as ")?;
    let (client_id, fields) = text.rsplit_once(" (p")?;
    let user = fields.split_once("u'").and_then(|(_, user)| user.rsplit_once('\'')).map(|(user, _)| user);
    let mut fields = fields.split(", ");
    let level = fields.next()?;
    let keep_alive = fields.find_map(|field| field.strip_prefix('k'))?;
    let keep_alive = keep_alive.trim_end_matches([')', '.']).parse().ok()?;
    let is_assigned = client_id.starts_with("auto-") && client_id.len() == "auto-".len().saturating_add(36);
    let connect = Connected { client_id, user, keep_alive, is_old: level == "1", is_assigned };
    Some((client_id, observed.connected(&connect)))
}

struct Message<'t> {
    client_id: &'t str,
    topic: &'t str,
    qos: u8,
    bytes: usize,
}

/// `Received PUBLISH from ID (d0, q2, r1, m1, 'TOPIC', ... (2 bytes))`
fn publish(text: &str) -> Option<Message<'_>> {
    let (client_id, fields) = text.strip_prefix("Received PUBLISH from ")?.split_once(" (d")?;
    let (flags, rest) = fields.split_once(", '")?;
    let (topic, size) = rest.rsplit_once("', ... (")?;
    let qos = flags.split(", ").find_map(|flag| flag.strip_prefix('q'))?.parse().ok()?;
    let bytes = size.split(' ').next()?.parse().ok()?;
    Some(Message { client_id, topic, qos, bytes })
}
