//! Reports of whole files. scapy wrote the captures; their `ClientHello`s are OpenSSL's, and the log is mosquitto's.

use std::io;

use clap::Parser;
use cli::{console::Input, format::OutputFormat};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

const HASH: &str = "$7$101$31Fsuq1+kKVX96j+$aq/nJtZbOR3Pn3aVTullQBV9X9SUv8jAeScpf2zpuh/3lxe77V5QfT0Fut6R//K9XYHmYjqwqDkDy6Cy8Dwy4A==";

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: CheckMigrationArgs,
}

/// Runs the command on an export of these users, and on files with these contents.
fn check(users: &[&str], topics: Option<&str>, captures: &[&[u8]], json: bool) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let lines = users.iter().map(|user| format!("{user}:{HASH}\n")).collect::<Vec<_>>().concat();
    let mut words = vec!["x".to_owned(), write("users", lines.as_bytes()), "--from=mosquitto".to_owned()];
    words.extend(topics.map(|topics| format!("--topics={}", write("topics", topics.as_bytes()))));
    for (number, capture) in captures.iter().enumerate() {
        words.push(format!("--capture={}", write(&format!("capture{number}"), capture)));
    }
    let mut output = Vec::new();
    let input = Input { reader: &mut io::empty(), terminal: false };
    let format = if json { OutputFormat::Json } else { OutputFormat::Table };
    run(&Cli::parse_from(words).args, &mut Console { format, input, output: &mut output })?;
    Ok(String::from_utf8(output)?)
}

fn report(users: &[&str], topics: Option<&str>, captures: &[&[u8]]) -> Value {
    serde_json::from_str(&check(users, topics, captures, true).unwrap()).unwrap()
}

fn problem<'r>(report: &'r Value, name: &str) -> &'r Value {
    let mut problems = report["problems"].as_array().unwrap().iter();
    problems.find(|problem| problem["problem"] == name).unwrap_or_else(|| panic!("no {name}: {report}"))
}

fn names(report: &Value) -> Vec<&str> {
    report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["problem"].as_str().unwrap())
        .collect()
}

#[test]
fn capture_shows_tls_and_plain_mqtt() {
    let pcap: &[u8] = include_bytes!("tests/clients.pcap");
    let pcapng: &[u8] = include_bytes!("tests/clients.pcapng");
    for capture in [pcap, pcapng] {
        let report = report(&["pump-1", "pump-2"], None, &[capture]);
        assert_eq!(
            names(&report),
            [
                "no-tls",
                "no-sni",
                "no-alpn",
                "port",
                "host",
                "mqtt-3.1",
                "reserved-topic",
                "topic-slashes",
                "qos-2",
                "keep-alive"
            ]
        );
        // Its segments are out of order, with duplicates.
        assert_eq!(problem(&report, "reserved-topic")["examples"], json!(["$SYS/broker/#"]));
        assert_eq!(problem(&report, "keep-alive")["examples"], json!(["pump-1: 0 s"]));
        assert_eq!(problem(&report, "no-sni")["addresses"], 1);
        assert_eq!(problem(&report, "host")["examples"], json!(["mqtt.example.com"]));
        assert_eq!(report["hosts"], json!({"mqtt.example.com": 1, "(no name)": 1}));
        assert_eq!(
            (&report["devices"], &report["addresses"], &report["not_in_export"]),
            (&json!(2), &json!(2), &json!(1))
        );
        assert_eq!(
            report["ways"],
            json!({"unchanged": 1, "domain": 0, "bridge": 0, "firmware": 1, "never": 0})
        );
    }
    let cut = &pcap[..pcap.len() - 10];
    assert!(names(&report(&["pump-1"], None, &[cut])).contains(&"no-tls"));
}

#[test]
fn log_of_mosquitto_is_read() {
    let log = "1796006099: mosquitto version 2.0.11 starting\n\
        1796006100: New connection from 127.0.0.1:56982 on port 1883.\n\
        1796006100: New client connected from 127.0.0.1:56982 as sub-1 (p2, c1, k60, u'bob').\n\
        1796006100: Received SUBSCRIBE from sub-1\n\
        1796006100: \ta/b/# (QoS 2)\n\
        1796006100: sub-1 2 a/b/#\n\
        1796006100: New client connected from 127.0.0.1:56986 as pub-1 (p1, c1, k3600, u'al').\n\
        1796006100: Received PUBLISH from pub-1 (d0, q1, r1, m1, 'a/b/c', ... (131073 bytes))\n\
        1796006100: New client connected from 127.0.0.1:56996 as auto-0C9E2AA4-1C2D-B2D8-D33A-D9F6485811D5 (p5, c1, k60).\n\
        1796006100: New client connected from 127.0.0.1:1 as sub-1 (p2, c1, k60, u'eve').\n";
    let ids =
        (0..5).map(|id| format!("1: New client connected from h:1 as roam-{id} (p2, c1, k60, u'roam').\n"));
    let tail = "x".repeat(4_096) + "1: New client connected from h:1 as tail-of-a-long-line (p2, c1, k60).\n";
    let log = log.to_owned() + &tail + &ids.collect::<Vec<_>>().concat();
    let report = report(&["al", "bob", "eve", "roam", "idle"], None, &[log.as_bytes()]);
    let of = |name: &str| problem(&report, name)["devices"].as_u64().unwrap();
    assert_eq!((of("qos-2"), of("mqtt-3.1"), of("keep-alive"), of("payload")), (1, 1, 1, 1));
    assert_eq!(
        (of("client-id-shared"), of("client-id-changes"), of("anonymous"), of("client-id-empty")),
        (2, 1, 0, 0)
    );
    assert_eq!(report["ways"], json!({"unchanged": 0, "domain": 2, "bridge": 2, "firmware": 1, "never": 0}));
    assert_eq!(report["not_in_export"], 1);
    let error = check(&["a"], None, &[b"hello\n"], true).unwrap_err();
    assert!(format!("{error:#}").contains("neither pcap nor pcapng"), "{error:#}");
}

#[test]
fn topics_and_rows_are_checked_and_the_last_line_sums_up() {
    let topics = "# the firmware's\nplant/a\n$share/g/1/2/3/4/5/6/7/8\n$shadow/x\n1/2/3/4/5/6/7/8/9\n";
    let printed = check(&["a", "b/c", "d"], Some(topics), &[], false).unwrap();
    assert!(
        printed.contains("topic-slashes         3 devices: a topic has at most 7 slashes\n"),
        "{printed}"
    );
    assert!(printed.contains("for example: 1/2/3/4/5/6/7/8/9\n"), "{printed}");
    assert!(printed.contains("no-record             1 device: no record can be made"), "{printed}");
    let last = "moves                 of 3 devices: 0 with nothing changed, 0 with a DNS or\n                      \
                certificate change, 0 through a bridge, 3 with new\n                      firmware, 0 not at all\n";
    assert!(printed.ends_with(last), "{printed}");
    assert!(printed.lines().all(|line| line.chars().count() <= 80), "{printed}");
}

proptest! {
    #[test]
    fn damaged_captures_are_read_or_refused(
        changes in prop::collection::vec((0..2_132_usize, prop::num::u8::ANY), 0..20), cut in 0..2_132_usize,
        is_new in prop::bool::ANY,
    ) {
        let sample: &[u8] = if is_new { include_bytes!("tests/clients.pcapng") } else { include_bytes!("tests/clients.pcap") };
        let mut bytes = sample.to_vec();
        for (at, byte) in changes {
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
        }
        bytes.truncate(cut);
        let (mut flows, mut observed) = (Flows::default(), Observed::default());
        _ = capture::read(bytes.as_slice(), |segment| flows.add(segment, &mut observed));
        _ = client_hello::parse(&bytes);
        prop_assert!(broker_log::read(bytes.as_slice(), &mut observed).is_ok());
    }
}
