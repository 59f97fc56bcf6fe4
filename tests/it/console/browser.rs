//! The console's pages in Chromium: read, used, attacked, and measured for accessibility.
//!
//! They are skipped where Chromium can't be installed; `make setup` says so by name, and so does the end of `make test`.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use integration::{
    console_client::ConsoleClient,
    files,
    foreign::{Device, Version as ForeignVersion, script::in_console_browser},
    mqtt_client::MqttClient,
    programs::program,
    running::Running,
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{QoS, Version};
use serde_json::{Value, json};
use tokio::process::Command;

/// A wide window and that of a phone, in both themes.
const WINDOWS: [(u32, u32, &str); 4] =
    [(1360, 860, "light"), (1360, 860, "dark"), (390, 844, "light"), (390, 844, "dark")];
/// Texts that a page must show and never run. The last one is long.
const HOSTILE: [&str; 4] = [
    "<img src=x onerror=alert(1)>",
    "\"><script>alert(2)</script>",
    "javascript:alert(3)\u{202e}\u{200b}\u{7}",
    "<svg/onload=alert(4)>${alert(5)}{{7*7}}",
];

/// Chromium, or nothing where it can't be installed.
fn chromium() -> Option<PathBuf> {
    let file = files::root().join("target/tools/chromium");
    let text = std::fs::read_to_string(&file).expect("`make setup` looks for Chromium");
    Some(PathBuf::from(text.trim())).filter(|path| path != Path::new("none"))
}

fn task(browser: &Path, link: &str, (width, height, scheme): (u32, u32, &str), steps: &[Value]) -> Value {
    json!({
        "browser": browser, "link": link, "folder": files::root().join("target/console"), "width": width, "height": height,
        "scheme": scheme, "steps": steps,
    })
}

async fn start(task: &Value) -> Running {
    let mut running = Running::start(in_console_browser("browser.js"));
    running.input(task.to_string().as_bytes()).await;
    running
}

/// What the script found; the test fails if that is a problem.
async fn finish(running: Running) -> Vec<Value> {
    let finished = running.finish().await;
    let (out, err) = (finished.out(), finished.err());
    let events = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    let is_problem = |event: &&Value| {
        ["console", "error", "dialog", "foreign", "axe", "wide", "failed"]
            .iter()
            .any(|kind| event["event"] == *kind)
    };
    let problems = events.iter().filter(is_problem).collect::<Vec<_>>();
    assert!(problems.is_empty() && finished.code == Some(0), "{problems:#?}{err}");
    events
}

async fn run(task: &Value) -> Vec<Value> {
    finish(start(task).await).await
}

/// The text that a step wrote under this name.
fn text<'a>(events: &'a [Value], name: &str) -> &'a str {
    let found = events.iter().find(|event| event["event"] == "text" && event["name"] == name);
    found.unwrap_or_else(|| panic!("no text `{name}` in {events:?}"))["text"].as_str().unwrap()
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn link(console: &ConsoleClient) -> String {
    format!("{}/?token={}", console.origin(), console.token)
}

/// Every page against the demo's fleet, in each window: no error, no finding, nothing from elsewhere.
#[tokio::test]
async fn each_page_shows_the_demos_fleet() {
    let Some(browser) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program("latchkey"));
    command.args(["demo", "--keep", "--devices", "6", "--seconds", "2", "--data"]);
    command.arg(folder.path().join("demo")).current_dir(folder.path());
    let mut demo = Running::start(command);
    let link = demo
        .line("the console's link", |line| {
            let link = line.strip_prefix("console")?.trim();
            link.starts_with("http://127.0.0.1:").then(|| link.to_owned())
        })
        .await;
    for window in WINDOWS {
        let is_wide = window.0 > 1000;
        let mut steps = vec![
            json!(["open", "#/attempts", ".attempt"]),
            json!(["choose", "Outcome", "problem"]),
            json!(["waitForText", ".attempt .why", "wrong_password"]),
            json!(["click", ".attempt:has-text(\"wrong_password\")"]),
            json!(["wait", ".cause"]),
            json!(["text", "cause", ".cause"]),
            json!(["text", "steps", ".steps"]),
        ];
        if is_wide {
            steps.push(json!(["choose", "Outcome", ""]));
            steps.push(json!(["waitForText", ".attempt .badge", "connected"]));
        }
        steps.extend([
            json!(["check", "attempts"]),
            json!(["screenshot", "attempts"]),
            json!(["open", "#/connections", ".row-open"]),
            json!(["click", ".row-open:has-text(\"sht20-0001\")"]),
            json!(["wait", ".connections .detail .pairs"]),
            json!(["waitForText", ".detail", "iot:Publish"]),
            json!(["check", "connections"]),
            json!(["screenshot", "connections"]),
            json!(["open", "#/client", ".forms"]),
            json!(["choose", "You are", "observer"]),
            json!(["fill", "Topic filter", "sensor/+/temperature"]),
            json!(["button", "Subscribe"]),
            json!(["waitForText", ".messages pre", "Cel"]),
            json!(["check", "client"]),
            json!(["screenshot", "client"]),
            json!(["open", "#/readings", ".chart polyline"]),
            json!(["wait", ".devices .row-open"]),
            json!(["click", ".devices .row-open"]),
            json!(["wait", ".device-line, .device-dot"]),
            json!(["check", "readings"]),
            json!(["screenshot", "readings"]),
            json!([
                "open",
                "#/policy?client=sht20-0001&action=iot:Publish&resource=sensor/sht20-0002/temperature",
                ".verdict p"
            ]),
            json!(["wait", ".limit"]),
            json!(["waitForText", ".verdict", "Denied"]),
            json!(["check", "policy"]),
            json!(["screenshot", "policy"]),
            json!(["open", "#/authorizers", ".figures"]),
            json!(["waitForText", ".log", "decision"]),
            json!(["check", "authorizers"]),
            json!(["screenshot", "authorizers"]),
            json!(["open", "#/data?kind=sessions", ".sessions .row-open"]),
            json!(["click", ".sessions .row-open"]),
            json!(["wait", ".detail .pairs"]),
            json!(["check", "data"]),
            json!(["screenshot", "data"]),
        ]);
        let events = run(&task(&browser, &link, window, &steps)).await;
        let cause = text(&events, "cause");
        assert!(cause.contains("wrong_password") && cause.contains("The client saw CONNACK 0x87"), "{cause}");
        let story = text(&events, "steps");
        for step in ["tls", "event", "authorizer", "decision", "client saw"] {
            assert!(story.contains(step), "{step} is not in {story}");
        }
        let opened = events.iter().find(|event| event["event"] == "opened").unwrap();
        assert!(!opened["url"].as_str().unwrap().contains("token"), "{opened}");
        assert!(opened["bytes"].as_u64().unwrap() < 200_000, "{opened}");
        assert_eq!(events.iter().filter(|event| event["event"] == "screenshot").count(), 7);
    }
}

#[tokio::test]
async fn device_connects_with_its_password_publishes_and_reads_its_own_message() {
    let Some(browser) = chromium() else { return };
    let gateway = Start::with_authorizer().run().await;
    let (console, password) = (ConsoleClient::new(&gateway), gateway.add("hall-1", "own-topics"));
    let steps = [
        json!(["open", "#/client", ".forms"]),
        json!(["fill", "Client id", "hall-1"]),
        json!(["fill", "Password", "wrong"]),
        json!(["button", "Connect"]),
        json!(["waitForText", ".state", "Not connected"]),
        json!(["text", "refused", ".state.bad"]),
        json!(["fill", "Password", password]),
        json!(["choose", "Version", "3"]),
        json!(["button", "Connect"]),
        json!(["waitForText", ".state", "Connected as"]),
        json!(["fill", "Topic filter", "hall-1/#"]),
        json!(["button", "Subscribe"]),
        json!(["wait", ".chips li"]),
        json!(["fill", "Topic", "hall-1/a"]),
        json!(["fill", "Payload", "{\"value\":21.5}"]),
        json!(["button", "Publish"]),
        json!(["waitForText", ".messages li", "hall-1/a"]),
        json!(["text", "message", ".messages pre"]),
        json!(["fill", "Topic filter", "hall-2/#"]),
        json!(["button", "Subscribe"]),
        json!(["waitForText", ".alert", "the connection ended before the answer"]),
    ];
    let events = run(&task(&browser, &link(&console), WINDOWS[0], &steps)).await;
    assert!(text(&events, "refused").contains("CONNACK 0x87 not authorized"), "{}", text(&events, "refused"));
    assert_eq!(text(&events, "message"), "{\n  \"value\": 21.5\n}");
    gateway.logged_with(&[("event", "decision"), ("outcome", "allow"), ("client_id", "hall-1")]).await;
    gateway.logged_with(&[("eventType", "Subscribe"), ("status", "Failure"), ("clientId", "hall-1")]).await;
}

#[tokio::test]
async fn message_of_the_test_client_reaches_mosquitto() {
    let Some(browser) = chromium() else { return };
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let device = Device::new(&gateway, "viewer", "p");
    let mut mosquitto = device.mosquitto_sub(ForeignVersion::V5, "page/#", &["-C", "2"]);
    gateway.logged_with(&[("eventType", "Subscribe"), ("clientId", "viewer")]).await;
    let steps = [
        json!(["open", "#/client", ".forms"]),
        json!(["fill", "Client id", "page"]),
        json!(["fill", "Password", "p"]),
        json!(["button", "Connect"]),
        json!(["waitForText", ".state", "Connected as"]),
        json!(["fill", "Topic", "page/one"]),
        json!(["fill", "Payload", "21.5 °C"]),
        json!(["choose", "Quality", "1"]),
        json!(["click", "summary:has-text(\"Properties\")"]),
        json!(["fill", "Content type", "text/plain"]),
        json!(["fill", "User properties", "a: b"]),
        json!(["button", "Publish"]),
        json!(["waitForText", ".state", "Acknowledged"]),
        json!(["choose", "You are", "observer"]),
        json!(["fill", "Topic", "page/two"]),
        json!(["button", "Publish"]),
        json!(["waitForText", ".state", "outside every policy"]),
    ];
    run(&task(&browser, &link(&console), WINDOWS[0], &steps)).await;
    mosquitto.line("both messages", |line| (line == "page/two 21.5 °C").then_some(())).await;
    assert_eq!(mosquitto.out(), "page/one 21.5 °C\npage/two 21.5 °C\n");
}

/// Client ids, topics, payloads, user names and shadows that are HTML or script are shown, and nothing runs.
#[tokio::test]
async fn hostile_text_is_shown_and_never_runs() {
    let Some(browser) = chromium() else { return };
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let mut clients = Vec::new();
    for text in HOSTILE {
        let mut client = MqttClient::anybody(&gateway, Version::V5, text).await;
        client.subscribe(&[&format!("in/{}", text.replace(['#', '+', '\u{7}'], ""))], QoS::AtMostOnce).await;
        clients.push(client);
    }
    for text in HOSTILE {
        let topic = format!("hostile/{}", text.replace(['#', '+', '\u{7}', '/'], ""));
        let payload = base64(text.as_bytes());
        let body = json!({"topic": topic, "payload": payload, "qos": 1, "retain": true, "contentType": text.replace('\u{7}', "")});
        assert_eq!(console.post("/publish", &body).await.0, 200);
    }
    let document = json!({"state": {"desired": {"x": HOSTILE}}});
    assert_eq!(console.post("/shadow", &json!({"thing": "lamp", "document": document})).await.0, 200);
    let long = base64("<b>".repeat(43_000).as_bytes());
    assert_eq!(
        console.post("/publish", &json!({"topic": "long", "payload": long, "retain": true})).await.0,
        200
    );
    let not_utf_8 = base64(&[0xff, 0xfe, b'<', b'b', b'>']);
    assert_eq!(
        console.post("/publish", &json!({"topic": "bytes", "payload": not_utf_8, "retain": true})).await.0,
        200
    );
    let mut steps = vec![
        json!(["open", "#/attempts", ".attempt"]),
        json!(["waitForText", ".attempt .who", "onerror"]),
        json!(["waitForText", ".attempt .who", "\\u202e\\u200b\\u0007"]),
        json!(["click", ".attempt:has-text(\"onerror\")"]),
        json!(["wait", ".steps"]),
        json!(["open", "#/connections", ".row-open"]),
        json!(["click", ".row-open:has-text(\"onerror\")"]),
        json!(["wait", ".detail .pairs"]),
        json!(["open", "#/connections?client=%3Cimg%20src%3Dx%20onerror%3Dalert(9)%3E", ".detail .empty"]),
        json!(["open", "#/attempts?text=%3Cscript%3Ealert(9)%3C%2Fscript%3E", ".filters"]),
        json!([
            "open",
            "#/policy?client=%3Cscript%3E&resource=%3Cimg%20src%3Dx%20onerror%3Dalert(9)%3E",
            ".verdict p"
        ]),
        json!(["open", "#/data?kind=retained", ".item"]),
    ];
    for part in ["onerror", "bytes", "long"] {
        steps.push(json!(["click", format!(".item:has-text(\"{part}\")")]));
        steps.push(json!(["waitForText", ".detail h2", part]));
    }
    steps.extend([
        json!(["open", "#/data?kind=shadows", ".item"]),
        json!(["click", ".item"]),
        json!(["wait", ".detail pre"]),
        json!(["open", "#/data?kind=sessions", ".sessions .row-open"]),
        json!(["open", "#/client", ".forms"]),
        json!(["choose", "You are", "observer"]),
        json!(["fill", "Topic filter", "hostile/#"]),
        json!(["button", "Subscribe"]),
        json!(["wait", ".chips li"]),
        json!(["say", "subscribed"]),
        json!(["waitForText", ".messages .topic", "onload"]),
        json!(["waitForText", ".messages pre", "alert(4)"]),
        json!([
            "value",
            "scripts",
            "document.querySelectorAll('main img, main script, main svg, main b').length"
        ]),
        json!(["check", "hostile"]),
    ]);
    let mut running = start(&task(&browser, &link(&console), WINDOWS[0], &steps)).await;
    running.line("the subscription", |line| line.contains("\"subscribed\"").then_some(())).await;
    // The observer may not have subscribed yet when the page says so: it is told again and again.
    let finished = async {
        let mut events = Box::pin(finish(running));
        loop {
            tokio::select! {
                events = &mut events => return events,
                () = tokio::time::sleep(std::time::Duration::from_millis(300)) => {
                    let payload = base64(HOSTILE[3].as_bytes());
                    let topic = "hostile/<svg onload=alert(4)>";
                    console.post("/publish", &json!({"topic": topic, "payload": payload})).await;
                }
            }
        }
    };
    let events = finished.await;
    let made = events.iter().find(|event| event["event"] == "value").unwrap();
    assert_eq!(made["value"], 0, "no element was made of a text");
}

/// A page that stays open finds the gateway again, with the same token, and shows what happens from then on.
#[tokio::test]
async fn open_page_goes_on_after_a_restart() {
    let Some(browser) = chromium() else { return };
    let (start_first, _script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start_first.run().await;
    let console = ConsoleClient::new(&gateway);
    let steps = [
        json!(["open", "#/attempts", ".page"]),
        json!(["say", "ready"]),
        json!(["waitForText", "#link", "does not answer"]),
        json!(["say", "away"]),
        json!(["waitForText", ".attempt .who", "after-the-restart"]),
        json!(["count", "away", "html[data-away]"]),
    ];
    let mut task = task(&browser, &link(&console), WINDOWS[0], &steps);
    // The browser itself reports connections that are refused.
    task["quietWhileAway"] = true.into();
    let mut running = start(&task).await;
    running.line("the page", |line| line.contains("\"ready\"").then_some(())).await;
    let stopped = gateway.stop().await;
    running.line("that it is away", |line| line.contains("\"away\"").then_some(())).await;
    let gateway = stopped.with(|settings| settings.ports.status = Some(console.address.port())).run().await;
    let _client = MqttClient::anybody(&gateway, Version::V5, "after-the-restart").await;
    let events = finish(running).await;
    assert_eq!(events.last().unwrap()["count"], 0);
}
