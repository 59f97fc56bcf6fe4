//! One command of each other family on a terminal of 80 columns, without a terminal, and with a reader that goes away: what reads
//! a log, `capacity`, `revoke`, `kit`, `check`, `completions` and `man`.

use std::{fs, path::Path};

use integration::{
    fake_aws::{Act, FakeAws},
    foreign::script::{Events, attempts, in_python},
    programs::program,
    running::{Finished, Running},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const HASH: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";
const LOG: [&str; 4] = ["--log", "events.jsonl", "--since", "36500d"];

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let record = json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": "own-topics"});
    let disabled = json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": "own-topics", "enabled": false});
    let store = json!({"version": 1, "devices": {"hall-1": record, "hall-2": disabled, "hall-3": record}});
    fs::write(folder.path().join("devices.json"), store.to_string()).unwrap();
    let decision = |time: &str, outcome: &str, device: &str, more: Value| {
        let mut line = json!({"timestamp": format!("2026-01-15T10:00:{time}Z"), "event": "decision", "outcome": outcome,
            "device": device, "client_id": device});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line.to_string()
    };
    let of_aws = |day: &str, event: &str, status: &str, more: Value| {
        let mut line = json!({"timestamp": format!("2026-01-{day}"), "eventType": event, "status": status,
            "clientId": "hall-1", "sourceIp": "10.0.0.7", "connection_id": "c1"});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line.to_string()
    };
    let lines = [
        decision("00.000", "allow", "hall-1", json!({"grant": "own-topics", "connection_id": "c1"})),
        of_aws("15 10:00:00.010", "Connect", "Success", json!({})),
        decision("05.000", "deny", "hall-3", json!({"reason": "wrong_password", "connection_id": "c2"})),
        of_aws(
            "15 10:00:06.010",
            "Publish-In",
            "Failure",
            json!({"topicName": "other/topic", "reason": "AUTHORIZATION_FAILURE"}),
        ),
        of_aws("16 09:00:07.010", "Disconnect", "Failure", json!({"disconnectReason": "DUPLICATE_CLIENTID"})),
    ];
    fs::write(folder.path().join("events.jsonl"), lines.join("\n") + "\n").unwrap();
    fs::write(folder.path().join("ca.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    folder
}

const LOGS: &str = "\
2026-01-15
10:00:00Z  allow  hall-1  grant `own-topics`
10:00:05Z  deny   hall-3  wrong_password  no verifier that is not expired
                 matches the password; check the password and the verifiers'
                 `expires_at`
10:00:06Z  deny   hall-1 from 10.0.0.7  publish other/topic
                 AUTHORIZATION_FAILURE  the policies do not allow it; `latchkey
                 fleet explain` says which statement decides
2026-01-16
09:00:07Z  end    hall-1 from 10.0.0.7  DUPLICATE_CLIENTID  another connection
                 with the same client id took over; give each device a client id
                 of its own, or wait longer before a new connection
";
const STATS: &str = "\
log          the log `events.jsonl`, the last 99years 11months 5days 9h 50m 24s
connects     1; at most 1 in a minute, at 2026-01-15T10:00:00Z
refusals     2
             1 AUTHORIZATION_FAILURE (by AWS IoT), `hall-1` for example, last
             2026-01-15T10:00:06Z: the policies do not allow it; `latchkey fleet
             explain` says which statement decides
             1 wrong_password, `hall-3` for example, last 2026-01-15T10:00:05Z:
             no verifier that is not expired matches the password; check the
             password and the verifiers' `expires_at`
faults       0
take-overs   `hall-1` 1 time; each device needs a client id of its own
not seen     0 of 2 enabled devices
";
const STATUS: &str = "\
store        the file `devices.json`
records      3: 2 enabled, 1 disabled
log          the log `events.jsonl`, the last 99years 11months 5days 9h 50m 24s
live         1 of 2 enabled devices: connected or refreshed in this time, and
             not disconnected since
connects     1; at most 1 in a minute, at 2026-01-15T10:00:00Z
refusals     1 AUTHORIZATION_FAILURE (by AWS IoT), 1 wrong_password
faults       none
";
const CAPACITY: &str = "\
cold start       500 CONNECTs a second, all devices after 72 s; 22.1 executions
                 at a time if all are new, 250 read units a second
                 the devices try 600 a second, and the account refuses the rest
                 until they try again
steady state     0.833 CONNECTs and 10 refreshes a second; 0.113 executions at a
                 time of 10.4 ms, 5.4 read units a second
messages         1,200 a second published, 0 delivered
quota            120 % of 500 CONNECTs a second, at a cold start (AWS General
                 Reference, \"AWS IoT Core endpoints and quotas\")
quota            7.2 % of 500,000 connections at a time (AWS IoT developer
                 guide, \"AWS IoT limits\")
quota            6 % of 20,000 messages a second from all devices (AWS General
                 Reference, \"AWS IoT Core endpoints and quotas\")
quota            5 % of 10,000 requests a second of the function, at a cold
                 start (Lambda developer guide, \"Lambda quotas\")
quota            2.2 % of 1,000 executions at a time, at a cold start (Lambda
                 developer guide, \"Lambda quotas\")
quota            2.2 % of 1,000 new execution environments in 10 s, at a cold
                 start (Lambda developer guide, \"Lambda scaling behavior\")
quota            2.1 % of 12,000 read units a second of a new table, at a cold
                 start (DynamoDB developer guide, \"On-demand capacity mode\")
quota            2 % of 100 messages a second from one device, whose round goes
                 out at once (AWS General Reference, \"AWS IoT Core endpoints and
                 quotas\")
quota            0.625 % of 40,000 read units a second of the table, at a cold
                 start (DynamoDB developer guide, \"Quotas\")
quota            0 % of 20,000 messages a second to all subscribers (AWS General
                 Reference, \"AWS IoT Core endpoints and quotas\")
month            1,555,200,000 connection minutes, 3,110,400,000 messages,
                 28,080,000 calls, 154,440 GB-seconds, 14,040,000 read units
strangers        who try as often as the account lets them, for a month:
                 1,296,000,000 calls, 7,128,000 GB-seconds, 648,000,000 read
                 units
bill             needs prices: `--prices-template FILE` writes a file to fill in
";
const KIT: &str = "\
# user_config_override.h, then build Tasmota:
#   #define USE_MQTT_TLS
#   #define USE_MQTT_TLS_CA_CERT
#   #define USE_MQTT_AWS_IOT_LIGHT
# Then in the console:
Backlog SetOption103 1; MqttHost localhost; MqttPort 10443
Backlog MqttClient hall-1; MqttUser hall-1?x-amz-customauthorizer-name=latchkey
MqttPassword PASSWORD
# FullTopic has to lead to topics of the grant, such as hall-1/hello.
";
const CHECK: &str = "\
settings      no `latchkey.toml`, so the defaults
records       3 records and the grants in the file `devices.json`
keyring       no file `.latchkey/keyring.json`
certificates  the CA in `.latchkey`, 0 domain certificates
nothing is wrong
";

/// The commands: their words, and what they print, if it is known.
fn families() -> Vec<(Vec<&'static str>, Option<&'static str>)> {
    let fleet = |words: &[&'static str], more: &[&'static str]| {
        [&["fleet", "--store", "devices.json"], words, more].concat()
    };
    let kit = ["kit", "hall-1", "--for", "tasmota", "--endpoint", "localhost:10443", "--ca", "ca.pem"];
    vec![
        (fleet(&["logs"], &LOG), Some(LOGS)),
        (fleet(&["stats"], &LOG), Some(STATS)),
        (fleet(&["status"], &LOG), Some(STATUS)),
        (fleet(&["capacity", "--devices", "36000", "--connect-quota", "500"], &[]), Some(CAPACITY)),
        (fleet(&kit, &[]), Some(KIT)),
        (vec!["check", "--store", "devices.json"], Some(CHECK)),
        (vec!["completions", "bash"], None),
        (vec!["completions", "zsh"], None),
        (vec!["completions", "fish"], None),
        (vec!["completions", "powershell"], None),
        (vec!["man", "fleet", "add"], None),
    ]
}

async fn plain(folder: &Path, words: &[&str], variables: &[(String, String)]) -> Finished {
    let mut command = Command::new(program("latchkey"));
    command.args(words).current_dir(folder).env_remove("LATCHKEY_STORE").envs(variables.iter().cloned());
    Running::start(command).finish().await
}

async fn scripted(folder: &Path, list: &[&[&str]], more: &Value) -> Vec<Events> {
    let latchkey = program("latchkey");
    let list = list.iter().map(|words| {
        let command = [&[latchkey.to_str().unwrap()], *words].concat();
        let mut attempt = json!({"command": command, "folder": folder});
        attempt.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        attempt
    });
    attempts(in_python("terminal.py"), &list.collect::<Vec<_>>()).await
}

#[tokio::test]
async fn the_same_lines_reach_a_terminal_and_a_file() {
    let folder = folder();
    let families = families();
    let words = families.iter().map(|(words, _)| words.as_slice()).collect::<Vec<_>>();
    let on_terminal = scripted(folder.path(), &words, &json!({})).await;
    for ((words, expected), on_terminal) in families.iter().zip(on_terminal) {
        let finished = plain(folder.path(), words, &[]).await;
        assert_eq!(finished.code, Some(0), "{words:?}: {}", finished.err());
        let (text, out) = (on_terminal[0]["text"].as_str().unwrap(), finished.out());
        // The notes on standard error come before or after.
        assert!(text.contains(&out), "{words:?}: {text}");
        assert_eq!(on_terminal[0]["code"], 0, "{words:?}");
        assert!(!out.contains('\u{1b}') && !finished.err().contains('\u{1b}'), "{words:?}");
        if let Some(expected) = expected {
            assert_eq!(out, *expected, "{words:?}");
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{words:?}: {text}");
        } else {
            assert!(out.len() > 500 && out.contains("latchkey"), "{words:?}: {out}");
        }
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_each_command_without_a_panic() {
    let folder = folder();
    let families = families();
    let words = families.iter().map(|(words, _)| words.as_slice()).collect::<Vec<_>>();
    let closed = scripted(folder.path(), &words, &json!({"closed": true})).await;
    for ((words, _), events) in families.iter().zip(closed) {
        let (text, code) = (events[0]["text"].as_str().unwrap(), &events[0]["code"]);
        assert!(!text.contains("panicked"), "{words:?}: {text}");
        // `logs` is often read by `head` or `grep -m 1`, which is not a failure.
        let expected = i32::from(!words.contains(&"logs"));
        assert_eq!(code, expected, "{words:?}: {text}");
        assert_eq!(text.contains("Broken pipe"), expected == 1, "{words:?}: {text}");
    }
}

#[tokio::test]
async fn listings_have_csv_with_one_line_for_each_row() {
    let folder = folder();
    let csv = async |words: &[&str]| {
        let words = [&["fleet", "--store", "devices.json", "--output", "csv"], words].concat();
        let finished = plain(folder.path(), &words, &[]).await;
        assert_eq!(finished.code, Some(0), "{words:?}: {}", finished.err());
        finished.out()
    };
    let logs = csv(&[&["logs"][..], &LOG].concat()).await;
    let lines = logs.lines().collect::<Vec<_>>();
    assert_eq!(lines.len(), 5, "{logs}");
    let header = "time,event,outcome,device,client_id,address,topic,reason,decided_by,function,explanation,connection_id";
    assert_eq!(lines[0], header);
    let first = "2026-01-15T10:00:00.000Z,connect,allow,hall-1,hall-1,10.0.0.7,,,function,has_line,grant `own-topics`,c1";
    assert_eq!(lines[1], first);
    assert!(lines[4].contains(",DUPLICATE_CLIENTID,aws_iot,,\"another connection"), "{logs}");
    // A text of a client stays in its row, and does not move the cursor.
    let hostile = json!({"timestamp": "2026-01-17 10:00:00.000", "eventType": "Connect", "status": "Failure",
        "clientId": "a\nb\u{1b}[2J,\"c\"", "reason": "AUTHORIZATION_FAILURE"});
    fs::write(folder.path().join("hostile.jsonl"), format!("{hostile}\n")).unwrap();
    let logs = csv(&["logs", "--log", "hostile.jsonl", "--since", "36500d"]).await;
    assert!(logs.lines().count() == 2 && logs.contains(",\"a\\u000ab\\u001b[2J,\"\"c\"\"\","), "{logs}");
    let none = csv(&["logs", "--log", "events.jsonl", "--since", "36500d", "--device", "hall-9"]).await;
    assert_eq!(none, format!("{header}\n"));

    let header = "kind,name,count,decided_by,function_has_line,example,last\n";
    let counts = "connects of a minute,2026-01-15T10:00:00Z,1,,,,\n\
        refusal,AUTHORIZATION_FAILURE,1,aws_iot,true,hall-1,2026-01-15T10:00:06Z\n\
        refusal,wrong_password,1,function,true,hall-3,2026-01-15T10:00:05Z\ntake-over,hall-1,1,,,,\n";
    let counted = csv(&[&["stats"][..], &LOG].concat()).await;
    assert_eq!(counted, format!("{header}connects,,1,,,,\nleft out,,0,,,,\n{counts}"));
    let status = csv(&[&["status"][..], &LOG].concat()).await;
    let records =
        "records,disabled,1,,,,\nrecords,enabled,2,,,,\nrecords,not_records,0,,,,\nrecords,total,3,,,,\n";
    assert_eq!(status, format!("{header}{records}connects,,1,,,,\nlive,,1,,,,\nleft out,,0,,,,\n{counts}"));

    let capacity = csv(&["capacity", "--devices", "36000", "--connect-quota", "500"]).await;
    let quota = "quota,\"CONNECTs a second, at a cold start\",600.0,500.0,,,,\"AWS General Reference, ";
    assert!(capacity.contains(&format!("\n{quota}")), "{capacity}");
    assert!(capacity.contains("\ncold_start,connects_per_second,500.0,,,,,\n"), "{capacity}");
    fs::write(folder.path().join("passwd"), "hall-1:$7$101$AAAA$BBBB\n").unwrap();
    let migration = csv(&["check-migration", "--from", "mosquitto", "passwd"]).await;
    assert!(migration.starts_with("problem,way,devices,addresses,reason,cure,examples\n"), "{migration}");
    assert!(migration.lines().count() > 1, "{migration}");
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Connect",
        "Resource": "arn:aws:iot:us-east-1:123456789012:client/hall-1"}]});
    fs::write(folder.path().join("policy.json"), policy.to_string()).unwrap();
    let tested = csv(&["policy", "test", "policy.json", "--client", "hall-1", "--connect"]).await;
    let row = "iot:Connect,arn:aws:iot:us-east-1:123456789012:client/hall-1,allow,";
    assert!(tested.starts_with(&format!("action,resource,outcome,because,near_miss\n{row}")), "{tested}");
}

#[tokio::test]
async fn revoke_has_the_same_lines_on_a_terminal_and_in_a_file() {
    // A data plane without any connection.
    let aws = FakeAws::start([Act::error(404, "ResourceNotFoundException")]).await;
    let variables = [
        ("AWS_ENDPOINT_URL", aws.endpoint()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_CONFIG_FILE", "no-such-file"),
        ("AWS_SHARED_CREDENTIALS_FILE", "no-such-file"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let map = variables.iter().cloned().collect::<std::collections::BTreeMap<_, _>>();
    let words = ["fleet", "--store", "devices.json", "revoke", "hall-1", "--dry-run"];
    let folder = folder();
    let before = fs::read_to_string(folder.path().join("devices.json")).unwrap();
    let finished = plain(folder.path(), &words, &variables).await;
    assert_eq!(finished.code, Some(0), "{}", finished.err());
    let out = finished.out();
    assert!(out.contains("hall-1") && !out.contains('\u{1b}'), "{out}");
    let on_terminal = scripted(folder.path(), &[&words[..]], &json!({"variables": map})).await;
    let text = on_terminal[0][0]["text"].as_str().unwrap();
    assert!(text.contains(&out) && on_terminal[0][0]["code"] == 0, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let more = json!({"closed": true, "variables": map});
    let closed = scripted(folder.path(), &[&words[..]], &more).await;
    let (text, code) = (closed[0][0]["text"].as_str().unwrap(), &closed[0][0]["code"]);
    assert!(*code == 1 && text.contains("Broken pipe") && !text.contains("panicked"), "{code}: {text}");
    assert_eq!(fs::read_to_string(folder.path().join("devices.json")).unwrap(), before);
}
