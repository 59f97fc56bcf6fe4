//! `latchkey pub` and `latchkey sub` against the gateway and a broker, as a person and as a script uses them.

use std::fs;

use device_sim::{
    Password,
    credentials_file::{self, Row},
};
use integration::{
    device_certificate::DeviceCertificate,
    devices,
    eventually::eventually,
    foreign::mosquitto::Broker,
    programs::program,
    running::{Finished, Running},
    test_gateway::{Start, TestGateway},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// A gateway with two devices and a viewer of one, and the folder of a person who ran `latchkey local` there: CA and
/// credentials are in `.latchkey`.
struct Local {
    gateway: TestGateway,
    folder: TempDir,
}

const PASSWORD: &str = "a password for hall-1";

impl Local {
    async fn start() -> Self {
        Self::of(Start::with_authorizer().run().await)
    }

    fn of(gateway: TestGateway) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join(".latchkey");
        fs::create_dir(&data).unwrap();
        fs::copy(gateway.ca(), data.join("ca.pem")).unwrap();
        let rows = [("hall-1", PASSWORD), ("hall-2", "another")].map(|(name, password)| {
            devices::add(gateway.folder.path(), name, "own-topics", password.as_bytes());
            Row {
                device: name.to_owned(),
                client_id: name.to_owned(),
                user_name: name.to_owned(),
                password: Password::from(password),
            }
        });
        credentials_file::append(&data.join("credentials.csv"), &rows).unwrap();
        Self { gateway, folder }
    }

    fn latchkey(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program("latchkey"));
        command.args(words).current_dir(self.folder.path()).env_remove("LATCHKEY_PASSWORD");
        if !words.contains(&"--endpoint") {
            command.args(["--endpoint", &format!("localhost:{}", self.gateway.address.port())]);
        }
        command
    }

    async fn run(&self, words: &[&str]) -> Finished {
        Running::start(self.latchkey(words)).finish().await
    }

    /// `latchkey sub` of `hall-1`, as soon as its subscription is there. The gateway has seen as many before.
    async fn subscriber(&self, before: usize, more: &[&str]) -> Running {
        let running = Running::start(self.latchkey(&[&["sub", "-t", "hall-1/#"], more].concat()));
        eventually("a subscription", || {
            let subscribed = self.gateway.log.lines();
            let subscribed = subscribed.iter().filter(|line| line["eventType"] == "Subscribe").count();
            (subscribed > before).then_some(())
        })
        .await;
        running
    }
}

#[track_caller]
fn ended(finished: &Finished, code: i32, err: &str) {
    assert_eq!(finished.code, Some(code), "{}{}", finished.out(), finished.err());
    assert!(finished.err().contains(err), "{}", finished.err());
    assert!(!finished.err().contains(PASSWORD) && !finished.out().contains(PASSWORD));
}

/// An HTTPS publish is another connection with the same device's credentials, so the subscriber stays connected.
const HTTPS: [&str; 2] = ["--transport", "https"];

#[tokio::test]
async fn what_pub_sends_sub_shows_without_an_option_but_the_topic() {
    let local = Local::start().await;
    let subscriber = local.subscriber(0, &["-n", "3", "-v"]).await;
    let published =
        local.run(&[&["pub", "-t", "hall-1/a", "-m", "21.5", "--json"][..], &HTTPS].concat()).await;
    ended(&published, 0, "publishing at localhost:");
    assert_eq!(published.out(), "{\"published\":1}\n");
    fs::write(local.folder.path().join("file"), "from a file").unwrap();
    ended(&local.run(&[&["pub", "-t", "hall-1/b", "-f", "file"][..], &HTTPS].concat()).await, 0, "");
    let mut piped =
        Running::start(local.latchkey(&[&["pub", "-t", "hall-1/c", "-s", "--quiet"][..], &HTTPS].concat()));
    piped.input(b"two\nlines \x1b[2J\xff").await;
    let piped = piped.finish().await;
    ended(&piped, 0, "");
    assert_eq!(piped.err(), "");
    let shown = subscriber.finish().await;
    ended(&shown, 0, "subscribing at localhost:");
    let lines = "hall-1/a 21.5\nhall-1/b from a file\nhall-1/c two\\u000alines \\u001b[2J\u{fffd}\n";
    assert_eq!(shown.out(), lines);
}

#[tokio::test]
async fn lines_of_a_pipe_are_messages_in_their_order_and_the_connection_stays_between_them() {
    let local = Local::start().await;
    let subscriber = local.subscriber(0, &["--count", "3", "--quiet"]).await;
    let mut piped = Running::start(local.latchkey(&[&["pub", "-t", "hall-1/l", "-l"][..], &HTTPS].concat()));
    piped.input(b"one\n\nthree").await;
    ended(&piped.finish().await, 0, "");
    let shown = subscriber.finish().await;
    ended(&shown, 0, "");
    assert_eq!((shown.out().as_str(), shown.err().as_str()), ("one\n\nthree\n", ""));
    let mut long = Running::start(local.latchkey(&["pub", "-t", "hall-1/l", "-l"]));
    long.input(&vec![b'x'; 128 * 1024 + 1]).await;
    ended(&long.finish().await, 64, "a line of standard input has more than 131072 bytes");
}

#[tokio::test]
async fn retain_will_properties_and_quality_go_with_a_message() {
    let local = Local::start().await;
    let grant = json!({
        "publish": ["hall-1/*"], "subscribe": ["hall-1/*"], "receive": ["hall-1/*"], "retain": ["hall-1/*"],
        "last_will": true, "persistent_session": true,
    });
    let mut store =
        fleet::store_file::StoreFile::open(&local.gateway.folder.path().join("devices.json")).unwrap();
    store.document_mut().grants.insert("all".to_owned(), serde_json::from_value(grant).unwrap());
    store.document_mut().devices.get_mut("hall-1").unwrap().grant = "all".to_owned();
    store.save().unwrap();
    let words = [
        "pub",
        "-t",
        "hall-1/r",
        "-m",
        "kept",
        "-r",
        "-q",
        "1",
        "--content-type",
        "text/plain",
        "--response-topic",
        "hall-1/answer",
        "--correlation-data",
        "7",
        "--message-expiry",
        "600",
        "--user-property",
        "unit=Cel",
        "--user-property",
        "unit=K",
        "--will-topic",
        "hall-1/gone",
        "--will-payload",
        "lost",
        "--will-qos",
        "1",
        "--will-retain",
    ];
    ended(&local.run(&words).await, 0, "");
    let shown = local.run(&["sub", "-t", "hall-1/r", "-n", "1", "--json", "-W", "20"]).await;
    ended(&shown, 0, "");
    let message = serde_json::from_slice::<Value>(&shown.out).unwrap();
    let expiry = message["message_expiry_seconds"].as_u64().unwrap();
    assert!((1..=600).contains(&expiry), "{message}");
    assert_eq!(
        message,
        json!({
            "topic": "hall-1/r", "qos": 1, "retain": true, "payload": "kept", "content_type": "text/plain",
            "response_topic": "hall-1/answer", "correlation_data_base64": "Nw==", "message_expiry_seconds": expiry,
            "user_properties": [["unit", "Cel"], ["unit", "K"]],
        })
    );
    // No retained message, so its time is over; then the message is deleted by an empty one.
    for version in ["5", "3.1.1"] {
        ended(&local.run(&["sub", "-t", "hall-1/r", "-R", "-W", "1", "-V", version]).await, 27, "");
    }
    ended(&local.run(&["pub", "-t", "hall-1/r", "-n", "-r"]).await, 0, "");
    let none = local.run(&["sub", "-t", "hall-1/r", "-W", "1"]).await;
    ended(&none, 27, "");
    assert_eq!(none.out(), "");
    // A kept session has what came while its client was away.
    let kept = ["sub", "-t", "hall-1/k", "-c", "-x", "600", "-W", "1"];
    ended(&local.run(&kept).await, 27, "");
    ended(&local.run(&[&["pub", "-t", "hall-1/k", "-m", "waited"][..], &HTTPS].concat()).await, 0, "");
    let shown = local.run(&["sub", "-t", "hall-1/k", "-c", "-n", "1", "-W", "20"]).await;
    ended(&shown, 0, "");
    assert_eq!(shown.out(), "waited\n");
}

#[tokio::test]
async fn payloads_are_indented_as_they_are_or_byte_for_byte() {
    let local = Local::start().await;
    let json = "{\"value\":21.50,\"unit\":\"Cel\"}";
    for (seen, (option, wanted)) in [
        ("--quiet", format!("{json}\n")),
        ("--pretty", "{\n  \"value\": 21.50,\n  \"unit\": \"Cel\"\n}\n".to_owned()),
        ("--raw", format!("{json}\n")),
    ]
    .into_iter()
    .enumerate()
    {
        let subscriber = local.subscriber(seen, &["-n", "1", option]).await;
        ended(&local.run(&[&["pub", "-t", "hall-1/j", "-m", json][..], &HTTPS].concat()).await, 0, "");
        let shown = subscriber.finish().await;
        ended(&shown, 0, "");
        assert_eq!(shown.out(), wanted, "{option}");
    }
    let subscriber = local.subscriber(3, &["-n", "1", "--raw"]).await;
    fs::write(local.folder.path().join("bytes"), b"\x1b\x00\xff").unwrap();
    ended(&local.run(&[&["pub", "-t", "hall-1/j", "-f", "bytes"][..], &HTTPS].concat()).await, 0, "");
    assert_eq!(subscriber.finish().await.out, b"\x1b\x00\xff\n");
}

#[tokio::test]
async fn another_device_and_a_password_from_anywhere_but_an_argument() {
    let local = Local::start().await;
    ended(&local.run(&["pub", "-t", "hall-2/t", "-m", "x", "--device", "hall-2"]).await, 0, "as `hall-2`");
    ended(
        &local.run(&["pub", "-t", "hall-2/t", "-m", "x", "--device", "hall-3"]).await,
        64,
        "no device `hall-3`",
    );
    let by_hand = ["pub", "-t", "hall-1/t", "-m", "x", "-u", "hall-1"];
    let mut command = local.latchkey(&by_hand);
    command.env("LATCHKEY_PASSWORD", PASSWORD);
    ended(&Running::start(command).finish().await, 0, "");
    let mut piped = Running::start(local.latchkey(&[&by_hand[..], &["--password-stdin"]].concat()));
    piped.input(format!("{PASSWORD}\r\n").as_bytes()).await;
    ended(&piped.finish().await, 0, "");
    // It takes the place of the credentials file's.
    let mut wrong = Running::start(local.latchkey(&["pub", "-t", "hall-1/t", "-m", "x", "--password-stdin"]));
    wrong.input(b"wrong\n").await;
    ended(&wrong.finish().await, 1, "not authorized");
    let file = local.folder.path().join("password");
    fs::write(&file, PASSWORD).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let with_file = [&by_hand[..], &["--password-file", "password"]].concat();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        ended(&local.run(&with_file).await, 64, "others can read or change the password");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        ended(&local.run(&with_file).await, 0, "");
    }
    ended(&local.run(&by_hand).await, 64, "a user name needs a password");
    let argument = local.run(&[&by_hand[..], &["-P", PASSWORD]].concat()).await;
    assert_eq!(argument.code, Some(64));
    assert!(argument.err().contains("others can see arguments"), "{}", argument.err());
}

#[tokio::test]
async fn what_goes_wrong_has_an_exit_code_and_the_next_step() {
    let local = Local::start().await;
    let hint = "`latchkey doctor` finds out why";
    let denied = ["-t", "another/topic"];
    for version in ["5", "3.1.1"] {
        let published = local.run(&[&["pub", "-m", "x", "-V", version][..], &denied].concat()).await;
        ended(&published, 1, hint);
        ended(&local.run(&[&["sub", "-V", version][..], &denied].concat()).await, 1, hint);
    }
    ended(
        &local.run(&["pub", "-t", "t", "-m", "x", "--endpoint", "localhost:1"]).await,
        1,
        "nothing listens",
    );
    let usage = [
        (&["pub", "-t", "a/#", "-m", "x"][..], "invalid value 'a/#'"),
        (&["pub", "-t", "t"], "required"),
        (&["pub", "-t", "t", "-m", "x", "-f", "y"], "cannot be used with"),
        (&["pub", "-t", "t", "-f", "missing"], "cannot read the file `missing`"),
        (&["pub", "-t", "t", "-m", "x", "-q", "2"], "use 0 or 1"),
        (&["pub", "-t", "t", "-m", "x", "-V", "3.1.1", "--content-type", "x"], "need MQTT 5"),
        (&["pub", "-t", "t", "-m", "x", "--cert", "c.pem"], "--key"),
        (&["pub", "-t", "t", "-m", "x", "--scheme", "unknown"], "invalid value 'unknown'"),
        (&["pub", "-t", "t", "-m", "x", "--scheme", "token"], "--token-key-name"),
        (&["pub", "-t", "t", "-m", "x", "--proxy", "http://u:p@localhost:1"], "LATCHKEY_PROXY"),
        (&["sub", "-t", "t", "--transport", "https"], "nothing can be received over HTTPS"),
        (&["sub"], "--topic"),
    ];
    for (words, message) in usage {
        ended(&local.run(words).await, 64, message);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_ends_a_subscription_cleanly() {
    let local = Local::start().await;
    for (before, (more, code)) in [(&[][..], 0), (&["-n", "1"], 130)].into_iter().enumerate() {
        let subscriber = local.subscriber(before, more).await;
        subscriber.interrupt();
        ended(&subscriber.finish().await, code, "");
    }
    let disconnects = || {
        let lines = local.gateway.log.lines();
        let clean =
            lines.iter().filter(|line| line["disconnectReason"] == "CLIENT_INITIATED_DISCONNECT").count();
        (clean == 2).then_some(())
    };
    eventually("two clean disconnects", disconnects).await;
}

#[tokio::test]
async fn a_certificate_and_a_broker_without_tls_are_ways_in_too() {
    let device = DeviceCertificate::new("device");
    let start = Start::with_authorizer().registered(vec![device.registered()], Vec::new());
    let local = Local::of(start.run().await);
    device.write(local.folder.path(), "device");
    let certificate = ["--cert", "device.pem", "--key", "device.key", "-i", "device"];
    for transport in ["mqtt", "https"] {
        let words = [&["pub", "-t", "t", "-m", "x", "--transport", transport][..], &certificate].concat();
        ended(&local.run(&words).await, 0, "as `device`");
    }
    let folder = local.folder.path();
    // A port that was free a moment ago: the broker can't choose one itself.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let socket = folder.join("mosquitto.sock");
    let configuration =
        format!("listener {port} 127.0.0.1\nlistener 0 {}\nallow_anonymous true\n", socket.display());
    let _broker = Broker::start(folder, &configuration, socket.clone());
    eventually("the broker", || std::net::TcpStream::connect(("127.0.0.1", port)).ok()).await;
    let endpoint = format!("127.0.0.1:{port}");
    let plain = ["--endpoint", &endpoint, "--transport", "tcp", "--no-authorizer"];
    let words = [&["pub", "-t", "kept", "-m", "plain", "-r"][..], &plain].concat();
    ended(&local.run(&words).await, 0, "");
    let shown =
        local.run(&[&["sub", "-t", "kept", "-n", "1", "-W", "20", "-V", "3.1.1"][..], &plain].concat()).await;
    ended(&shown, 0, "");
    assert_eq!(shown.out(), "plain\n");
}
