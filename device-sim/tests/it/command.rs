//! The whole command: arguments in, streams and exit code out.

use std::io::{self, Write};

use clap::{CommandFactory, Parser};
use device_sim::command::{Exit, Streams, run_with};
use device_sim::credentials_file::{self, Row};
use device_sim::{Password, SimArgs};
use serde_json::Value;

use crate::server::{Manner, Seen, Server};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    sim: SimArgs,
}

/// The result of a run.
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

/// Makes a credentials file next to the server's CA, and the arguments for both.
pub(crate) fn args(server: &Server, client_ids: &[&str], more: &[&str]) -> SimArgs {
    let credentials = server.folder.path().join("credentials.csv");
    let rows: Vec<Row> = client_ids.iter().map(|id| row(id)).collect();
    credentials_file::append(&credentials, &rows).unwrap();
    let endpoint = server.address().to_string();
    let (ca, credentials) = (server.ca.to_str().unwrap(), credentials.to_str().unwrap());
    let fixed = ["sim", "--endpoint", &endpoint, "--ca", ca, "--credentials", credentials];
    Cli::parse_from(fixed.iter().chain(more)).sim
}

/// Runs the command, and checks that no password comes out.
pub(crate) async fn run(args: &SimArgs, shutdown: impl Future<Output = ()>) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut streams = Streams { out: &mut out, err: &mut err, terminal: false };
    let exit = run_with(args, &mut streams, shutdown).await;
    let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
    assert!(!out.contains("hunter2") && !err.contains("hunter2"), "{out}{err}");
    Ran { exit, out, err }
}

pub(crate) fn row(client_id: &str) -> Row {
    Row {
        device: format!("{client_id}-name"),
        client_id: client_id.to_owned(),
        user_name: client_id.to_owned(),
        password: Password::from(format!("hunter2-of-{client_id}").as_str()),
    }
}

/// Completes when the server has answered `times` messages of each device.
pub(crate) async fn published(server: &mut Server, client_ids: &[&str], times: usize) {
    let mut ids: Vec<String> = client_ids.iter().flat_map(|id| vec![(*id).to_owned(); times]).collect();
    server
        .until(|seen| {
            if let Seen::Publish(id, _) = seen
                && let Some(place) = ids.iter().position(|wanted| *wanted == id)
            {
                ids.swap_remove(place);
            }
            ids.is_empty().then_some(())
        })
        .await;
}

#[tokio::test]
async fn every_device_connects_publishes_and_disconnects() {
    let mut server = Server::kind().await;
    let ids = ["sht20-0001", "sht20-0002", "sht20-0003"];
    let args = args(&server, &ids, &["--readings"]);
    let ran = run(&args, published(&mut server, &ids, 2)).await;
    assert_eq!(ran.exit, Exit::Through, "{}", ran.err);

    let lines: Vec<&str> = ran.out.lines().filter(|line| line.starts_with("sht20-0001-name")).collect();
    let [temperature, humidity] = lines[..] else { panic!("{}", ran.out) };
    assert!(temperature.starts_with("sht20-0001-name  temperature ") && temperature.ends_with(" Cel"));
    assert!(humidity.starts_with("sht20-0001-name  humidity ") && humidity.ends_with(" %RH"));
    assert!(ran.out.contains("\n3 of 3 devices got through in "), "{}", ran.out);
    assert!(ran.out.contains("\nmessages  6 sent, 6 acknowledged, 0 failed\n"), "{}", ran.out);
    assert!(ran.out.lines().all(|line| line.chars().count() <= 72), "{}", ran.out);

    let mut left = 3;
    server
        .until(|seen| {
            left -= u32::from(matches!(seen, Seen::Disconnect(_)));
            (left == 0).then_some(())
        })
        .await;
}

#[tokio::test]
async fn the_user_name_names_the_authorizer_unless_no_authorizer_is_set() {
    let cases = [
        (&[][..], "sht20?x-amz-customauthorizer-name=latchkey"),
        (&["--authorizer", "other"], "sht20?x-amz-customauthorizer-name=other"),
        (&["--no-authorizer"], "sht20"),
    ];
    for (more, user_name) in cases {
        let mut server = Server::kind().await;
        let args = args(&server, &["sht20"], more);
        let connect = server.until(|seen| match seen {
            Seen::Connect(connect) => Some(connect),
            _ => None,
        });
        let mut sent = None;
        run(&args, async { sent = connect.await.username }).await;
        assert_eq!(sent.as_deref(), Some(user_name));
    }
}

#[tokio::test]
async fn with_json_standard_output_has_nothing_else() {
    let mut server = Server::kind().await;
    let args = args(&server, &["a", "b"], &["--json", "--readings", "--mqtt", "3.1.1"]);
    let ran = run(&args, published(&mut server, &["a", "b"], 2)).await;
    let json = ran.json();
    assert_eq!((ran.exit, &json["ok"]), (Exit::Through, &Value::Bool(true)), "{json}");
    assert_eq!(json["devices"]["got_through"], 2);
    assert_eq!(json["messages"], serde_json::json!({"sent": 4, "acknowledged": 4, "failed": 0}));
    for (latency, count) in [("connect_latency_ms", 2), ("publish_latency_ms", 4)] {
        assert_eq!(json[latency]["count"], count);
        let [p50, p95, p99, max] =
            ["p50", "p95", "p99", "max"].map(|name| json[latency][name].as_f64().unwrap());
        assert!(0.0 < p50 && p50 <= p95 && p95 <= p99 && p99 <= max, "{json}");
    }
    assert!(ran.err.contains("a-name  humidity "), "{}", ran.err);
}

#[tokio::test]
async fn a_refused_device_fails_the_run_and_not_the_others() {
    let refuse_b = |connect: &mqtt::Connect| match &*connect.client_id {
        "b" => Manner::Refuse(mqtt::ConnectReasonCode::BadUserNameOrPassword),
        _ => Manner::Kind,
    };
    let mut server = Server::start(refuse_b).await;
    let args = args(&server, &["b", "a"], &["--json"]);
    let ran = run(&args, published(&mut server, &["a"], 2)).await;
    let json = ran.json();
    assert_eq!((ran.exit, &json["ok"]), (Exit::NotThrough, &Value::Bool(false)));
    assert_eq!(json["refused"], serde_json::json!({"bad_user_name_or_password": 1}));
    let devices = &json["devices"];
    assert_eq!(
        (&devices["expected"], &devices["got_through"], &devices["refused"]),
        (&2.into(), &1.into(), &1.into())
    );
    let warning = "b-name: the server refused the connection: bad user name or password (0x86); \
                   the log of `latchkey local`, or on AWS the log of the function, says why\n";
    assert!(ran.err.contains(warning), "{}", ran.err);
}

#[tokio::test]
async fn the_run_ends_when_no_device_is_left() {
    let server = Server::start(|_| Manner::CloseOnConnect).await;
    let args = args(&server, &["a", "b"], &["--json", "--quiet"]);
    let ran = run(&args, std::future::pending()).await;
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::NotThrough, ""));
    assert_eq!(ran.json()["refused"], serde_json::json!({"closed_before_connack": 2}));
    assert_eq!(ran.json()["connect_latency_ms"], Value::Null);
}

#[tokio::test]
async fn the_run_ends_when_its_time_is_over() {
    let server = Server::kind().await;
    let args = args(&server, &["a"], &["--duration", "10ms", "--interval", "10ms"]);
    let ran = run(&args, std::future::pending()).await;
    assert!(ran.out.contains("of 1 device got through"), "{}", ran.out);
}

#[tokio::test]
async fn devices_limits_the_number_of_devices() {
    let mut server = Server::kind().await;
    let args_of_one = args(&server, &["a", "b"], &["--devices", "1", "--json"]);
    let ran = run(&args_of_one, published(&mut server, &["a"], 1)).await;
    assert_eq!(ran.json()["devices"]["expected"], 1);
    let args_of_four = args(&server, &["c"], &["--devices", "4"]);
    let ran = run(&args_of_four, std::future::pending()).await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Usage, ""));
    assert!(ran.err.ends_with("has 3 devices, and `--devices` is 4\n"), "{}", ran.err);
}

#[tokio::test]
async fn a_wrong_setting_is_reported_and_ends_with_64() {
    let server = Server::kind().await;
    let cases = [
        (&["--ca", "/nowhere/ca.pem"], "latchkey sim: there is no CA file `/nowhere/ca.pem`"),
        (&["--credentials", "/nowhere/c.csv"], "latchkey sim: there is no credentials file `/nowhere/c.csv`"),
        (&["--sni", "not a name"], "latchkey sim: `not a name` is not a server name"),
    ];
    for (more, message) in cases {
        let mut args = args(&server, &[], &[]);
        let credentials = server.folder.path().join(format!("{}.csv", more[0]));
        credentials_file::append(&credentials, &[row("a")]).unwrap();
        args.connection.credentials = Some(credentials);
        match more {
            ["--ca", ca] => args.connection.ca = Some(ca.into()),
            ["--credentials", file] => args.connection.credentials = Some(file.into()),
            [_, sni] => args.connection.sni = Some((*sni).to_owned()),
        }
        let ran = run(&args, std::future::pending()).await;
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::Usage, ""));
        assert!(ran.err.starts_with(message), "{}", ran.err);
    }
}

#[tokio::test]
async fn a_wrong_line_of_the_fleet_file_ends_with_64_its_place_and_its_reason() {
    let server = Server::kind().await;
    let mut args = args(&server, &[], &[]);
    let file = server.folder.path().join("fleet.csv");
    args.connection.credentials = Some(file.clone());
    let rows = [
        ("a,b,c,hunter2\nd,e/f,g,hunter2\n", "line 3, column 4", "the client id contains '/'"),
        ("a,b,c,hunter2\nd,e,f\n", "line 3, column 6", "a row has 4 fields, this one has 3"),
        ("a,b,,hunter2\n", "line 2, column 5", "`user_name` is empty"),
    ];
    for (rows, place, reason) in rows {
        std::fs::write(&file, format!("device,client_id,user_name,password\n{rows}")).unwrap();
        let ran = run(&args, std::future::pending()).await;
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::Usage, ""), "{rows}");
        let said = format!("latchkey sim: {place} of the credentials file `{}`: {reason}", file.display());
        assert!(ran.err.starts_with(&said), "{}", ran.err);
    }
}

#[tokio::test]
async fn a_closed_standard_output_ends_the_run() {
    let server = Server::kind().await;
    let args = args(&server, &["a"], &["--readings"]);
    let (mut out, mut err) = (Closed, Vec::new());
    let mut streams = Streams { out: &mut out, err: &mut err, terminal: false };
    assert_eq!(run_with(&args, &mut streams, std::future::pending()).await, Exit::NotThrough);
}

#[test]
fn the_help_fits_and_names_every_default() {
    let mut command = Cli::command().term_width(100);
    command.clone().debug_assert();
    let help = command.render_long_help().to_string();
    for default in
        ["localhost:10443", ".latchkey/ca.pem", ".latchkey/credentials.csv", "latchkey", "50", "5s", "64"]
    {
        assert!(help.contains(default), "{default} in {help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}

/// A pipe whose reader has closed it.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}
