//! `latchkey fleet import` against mosquitto itself: what its broker allows a user, the imported grants allow, and nothing else,
//! but for the rules that the import names.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

use fleet::{
    account::Account,
    evaluation::{Asked, Evaluation, context},
};
use integration::{
    eventually::until,
    mqtt_client::{MqttClient, connect},
    programs::program,
    running::{Finished, Running},
};
use iot_policy::{Action, PolicyDocument};
use mqtt::{Packet, PubAckCode, QoS, TopicFilter, TopicName, Version};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
};

/// Debian has the broker where a user's PATH may not lead.
const BROKERS: [&str; 3] =
    ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto"];
const PASSWORD: &str = "correct horse";
const USERS: [&str; 4] = ["dashboard", "writer", "plain", "pump-7"];
/// Publishes everything, to see who receives it. It is a user of the broker only.
const ADMIN: &str = "admin";

/// The rules, and the lines that the import names because a grant can't have them. Each of those has topics of its own.
const ACL: &str = "\
pattern write plant/%u/data
pattern read plant/%u/command
pattern readwrite client/%c/state
pattern read all/news

user dashboard
topic read plant/+/data
topic read alarms/#
topic write orders/all
topic readwrite dashboard/own

user writer
topic readwrite shared/notes
topic deny shared/secret
topic write bulk/#
topic write lost/+/x
topic read zone/#
topic deny zone/hidden

user pump-7
topic read shared/notes

user admin
topic readwrite #
";
const LOST: [(usize, &str); 2] = [(16, "lost/"), (17, "zone/")];

/// A running broker. Dropping it ends it.
struct Broker {
    address: SocketAddr,
    _running: Running,
}

impl Broker {
    async fn start(folder: &Path) -> Self {
        let found = BROKERS.into_iter().find(|path| Path::new(path).exists()).unwrap_or("mosquitto");
        // Another program may take the port before the broker does.
        for _ in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
            let (passwords, rules) = (folder.join("passwd"), folder.join("acl"));
            let config = format!(
                "listener {} 127.0.0.1\nallow_anonymous false\npassword_file {}\nacl_file {}\nlog_dest stderr\nuser root\n",
                address.port(),
                passwords.display(),
                rules.display()
            );
            fs::write(folder.join("mosquitto.conf"), config).unwrap();
            let mut command = Command::new(found);
            command.arg("-c").arg(folder.join("mosquitto.conf"));
            let mut running = Running::start(command);
            let is_over = async |running: &mut Running| running.has_ended();
            let mut is_listening = false;
            until("the broker", async || {
                is_listening = TcpStream::connect(address).await.is_ok();
                is_listening || is_over(&mut running).await
            })
            .await;
            if is_listening && !running.has_ended() {
                return Self { address, _running: running };
            }
        }
        panic!("mosquitto does not start");
    }

    async fn client(&self, user: &str, client_id: &str) -> MqttClient<TcpStream> {
        let (client, ack) =
            MqttClient::plain(self.address, connect(Version::V5, client_id, user, PASSWORD)).await;
        assert!(ack.is_some_and(|ack| u8::from(ack.code) == 0), "{user} can't connect");
        client
    }

    async fn allows_publish(&self, user: &str, client_id: &str, topic: &str) -> bool {
        let mut client = self.client(user, client_id).await;
        let ack = client.publish(topic, "x", QoS::AtLeastOnce).await.unwrap();
        match ack.code {
            PubAckCode::Success | PubAckCode::NoMatchingSubscribers => true,
            PubAckCode::NotAuthorized => false,
            other => panic!("{other:?}"),
        }
    }

    /// Whether a message reaches a client that subscribed to its topic.
    async fn delivers(&self, user: &str, client_id: &str, topic: &str) -> bool {
        let (mut client, mut admin) = (self.client(user, client_id).await, self.client(ADMIN, ADMIN).await);
        client.subscribe(&[topic], QoS::AtMostOnce).await.unwrap();
        admin.publish(topic, "x", QoS::AtLeastOnce).await.unwrap();
        // The broker has dealt with the message by now: it comes before the answer to a ping, or never.
        client.send(Packet::PingReq).await;
        match client.receive().await {
            Some(Packet::Publish(_)) => true,
            Some(Packet::PingResp) => false,
            other => panic!("{other:?}"),
        }
    }
}

/// What an imported record allows a client id.
struct Imported {
    account: Account,
    documents: Vec<PolicyDocument>,
    client_id: String,
    /// The filters that the record's grant lists for subscriptions.
    filters: Vec<String>,
}

impl Imported {
    async fn of(folder: &Path, user: &str, client_id: &str) -> Self {
        let words = ["explain", "--device", user, "--client-id", client_id, "--action", "connect"];
        let finished = fleet(folder, &words).await;
        let explained = serde_json::from_slice::<Value>(&finished.out).unwrap();
        assert_eq!(explained["outcome"], "allow", "{explained}{}", finished.err());
        let documents = explained["documents"].as_array().unwrap().iter();
        let store =
            serde_json::from_str::<Value>(&fs::read_to_string(folder.join("devices.json")).unwrap()).unwrap();
        let grant = &store["grants"][store["devices"][user]["grant"].as_str().unwrap()];
        let filters = grant["subscribe"].as_array().into_iter().flatten().map(|filter| {
            filter.as_str().unwrap().replace("{device}", user).replace("{client_id}", client_id)
        });
        Self {
            account: Account::new(None, None).unwrap(),
            documents: documents.map(|it| it.to_string().parse().unwrap()).collect(),
            client_id: client_id.to_owned(),
            filters: filters.collect(),
        }
    }

    fn allows(&self, action: Action, name: &str) -> bool {
        let scope = &self.account.scope;
        let context = context(Some(&self.client_id), action, scope, None, false);
        Evaluation::new(Asked { action, name: name.to_owned() }, &self.documents, scope, &context)
            .is_allowed()
    }

    /// Whether it can receive a topic by a subscription that it may make.
    fn receives(&self, topic: &str) -> bool {
        let name = topic.parse::<TopicName>().unwrap();
        let filters = self.filters.iter().map(String::as_str).chain([topic]);
        let mut filters =
            filters.filter(|filter| filter.parse::<TopicFilter>().is_ok_and(|it| it.matches(&name)));
        self.allows(Action::Receive, topic) && filters.any(|filter| self.allows(Action::Subscribe, filter))
    }
}

async fn fleet(folder: &Path, words: &[&str]) -> Finished {
    let mut command = Command::new(program("latchkey"));
    command.arg("fleet").arg("--json").args(words).args(["--store", "devices.json"]).current_dir(folder);
    command.env_remove("LATCHKEY_STORE").env_remove("LATCHKEY_GRANTS");
    Running::start(command).finish().await
}

fn topics(user: &str, client_id: &str) -> Vec<String> {
    let of_somebody = |name: &str| {
        [format!("plant/{name}/data"), format!("plant/{name}/command"), format!("client/{name}/state")]
    };
    let mut topics = [user, client_id, "other"].into_iter().flat_map(of_somebody).collect::<Vec<_>>();
    let literal = [
        "all/news",
        "all/news/x",
        "alarms/a",
        "alarms/a/b",
        "orders/all",
        "orders/other",
        "dashboard/own",
        "writer/own",
        "shared/notes",
        "shared/secret",
        "bulk/a",
        "bulk/a/b",
        "lost/a/x",
        "zone/a",
        "zone/hidden",
        "plant/data",
        "plant/a/b/data",
        "nothing",
    ];
    topics.extend(literal.map(str::to_owned));
    topics.sort();
    topics.dedup();
    topics
}

#[tokio::test]
async fn imported_grants_decide_as_the_broker_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("acl"), ACL).unwrap();
    fs::write(folder.join("passwd"), "").unwrap();
    for user in USERS.into_iter().chain([ADMIN]) {
        let mut command = Command::new("mosquitto_passwd");
        command.arg("-b").arg(folder.join("passwd")).args([user, PASSWORD]);
        let finished = Running::start(command).finish().await;
        assert_eq!(finished.code, Some(0), "{}", finished.err());
    }
    // The operator imports the users, without the one that was made for this test.
    let passwords = fs::read_to_string(folder.join("passwd")).unwrap();
    let users = passwords.lines().filter(|line| !line.starts_with("admin:")).collect::<Vec<_>>().join("\n");
    fs::write(folder.join("users"), users).unwrap();
    let import = [
        "import",
        "users",
        "--from",
        "mosquitto",
        "--acl",
        "acl",
        "--client-id",
        "%u",
        "--client-id",
        "%u:*",
    ];
    let refused = fleet(folder, &import).await;
    assert_eq!(refused.code, Some(64), "{}", refused.out());
    let named = LOST.map(|(line, _)| format!("line {line}: "));
    let rules = refused
        .err()
        .lines()
        .filter(|line| line.starts_with("  line"))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    assert!(
        rules.len() == LOST.len() && named.iter().all(|line| refused.err().contains(line)),
        "{}",
        refused.err()
    );
    let imported = fleet(folder, &[&import[..], &["--skip-rules"]].concat()).await;
    assert_eq!(imported.code, Some(0), "{}", imported.err());

    let broker = Broker::start(folder).await;
    let mut counts = BTreeMap::<(&str, bool), usize>::new();
    let mut differences = Vec::new();
    for user in USERS {
        for client_id in [user.to_owned(), format!("{user}:2")] {
            let imported = Imported::of(folder, user, &client_id).await;
            for topic in topics(user, &client_id) {
                let publish = (
                    broker.allows_publish(user, &client_id, &topic).await,
                    imported.allows(Action::Publish, &topic),
                );
                let read = (broker.delivers(user, &client_id, &topic).await, imported.receives(&topic));
                let is_lost = LOST.iter().any(|(_, root)| topic.starts_with(root));
                for (action, (before, after)) in [("publish", publish), ("receive", read)] {
                    *counts.entry((action, before)).or_default() += 1;
                    // Never more; and less only where the import said so.
                    if (after && !before) || (before && !after && !is_lost) {
                        differences
                            .push(format!("{user} as {client_id}, {action} {topic}: {before}, then {after}"));
                    }
                }
            }
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(counts.len() == 4 && counts.values().all(|count| *count >= 20), "{counts:?}");
}
