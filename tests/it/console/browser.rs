//! The console's pages in Chromium: read, used, attacked, and measured for accessibility.
//!
//! They are skipped where Chromium can't be installed; `make setup` says so by name, and so does the end of `make test`.

use std::{collections::BTreeMap, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway::{
    console::access,
    event_log::{EventLog, EventType, LogEntry, Status, recent::CallRecord},
    lambda::Call,
};
use integration::{
    browser::{self, Window, chromium, finish, run, start, text, value},
    console_client::ConsoleClient,
    foreign::{Device, Version as ForeignVersion},
    mqtt_client::MqttClient,
    programs::program,
    running::Running,
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{QoS, Version};
use serde_json::{Value, json};
use tokio::{process::Command, time::MissedTickBehavior};

/// A wide window and that of a phone, in both themes.
const WINDOWS: [Window; 4] =
    [(1440, 900, "light"), (1440, 900, "dark"), (390, 844, "light"), (390, 844, "dark")];
/// Connects that are refused in each tick of a rush, and the time of a tick: 1,500 a second unless the machine is too busy.
const RUSH: (usize, Duration) = (75, Duration::from_millis(50));
/// The connections of a list that is long.
const MANY: usize = 1_000;
/// Texts that a page must show and never run. The last one is long.
const HOSTILE: [&str; 4] = [
    "<img src=x onerror=alert(1)>",
    "\"><script>alert(2)</script>",
    "javascript:alert(3)\u{202e}\u{200b}\u{7}",
    "<svg/onload=alert(4)>${alert(5)}{{7*7}}",
];

fn task(browser: &Path, link: &str, window: Window, steps: &[Value]) -> Value {
    browser::task(browser, link, "target/console", window, steps)
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn link(console: &ConsoleClient) -> String {
    format!("{}/?token={}", console.origin(), console.token)
}

/// What is done with each page: axe's check, a walk through its controls, and a screenshot.
fn look(page: &str) -> [Value; 4] {
    [json!(["check", page]), json!(["walk", page]), json!(["top"]), json!(["screenshot", page])]
}

/// Stores a retained message and two shadows by the API of a console with this link.
async fn store(link: &str) {
    let (origin, token) = link.split_once("/?token=").unwrap();
    let address = origin.strip_prefix("http://").unwrap().parse().unwrap();
    let console = ConsoleClient { address, token: token.to_owned() };
    let payload = base64(br#"{"interval_s":60}"#);
    let retained = json!({"topic": "fleet/settings", "payload": payload, "qos": 1, "retain": true,
        "contentType": "application/json", "userProperties": [["by", "operations"]]});
    assert_eq!(console.post("/publish", &retained).await.0, 200);
    let document = json!({"state": {"desired": {"interval_s": 60}, "reported": {"interval_s": 30}}});
    for name in ["", "calibration"] {
        let shadow = json!({"thing": "sht20-0001", "name": name, "document": document});
        assert_eq!(console.post("/shadow", &shadow).await.0, 200);
    }
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
    store(&link).await;
    for window in WINDOWS {
        let mut steps = vec![
            json!(["open", "#/attempts", ".attempt"]),
            json!(["choose", "Outcome", "problem"]),
            json!(["waitForText", ".attempt .why", "wrong_password"]),
            json!(["click", ".attempt:has-text(\"wrong_password\")"]),
            json!(["wait", ".cause"]),
            json!(["text", "cause", ".cause"]),
            json!(["text", "steps", ".steps"]),
        ];
        if window.0 > 1000 {
            steps.push(json!(["choose", "Outcome", ""]));
            steps.push(json!(["waitForText", ".attempt .badge", "connected"]));
        }
        steps.extend(look("attempts"));
        steps.extend([
            json!(["open", "#/connections", ".row-open"]),
            json!(["click", ".row-open:has-text(\"sht20-0001\")"]),
            json!(["wait", ".connections .detail .pairs"]),
            json!(["waitForText", ".detail", "iot:Publish"]),
        ]);
        steps.extend(look("connections"));
        steps.extend([
            json!(["open", "#/client", ".forms"]),
            json!(["walk", "client"]),
            json!(["choose", "You are", "observer"]),
            json!(["fill", "Topic filter", "sensor/+/temperature"]),
            json!(["button", "Subscribe"]),
            json!(["waitForText", ".messages pre", "Cel"]),
        ]);
        steps.extend(look("client"));
        steps.extend([
            json!(["open", "#/readings", ".chart polyline"]),
            json!(["wait", ".devices .row-open"]),
            json!(["click", ".devices .row-open"]),
            json!(["wait", ".device-line, .device-dot"]),
        ]);
        steps.extend(look("readings"));
        if window.0 > 1000 {
            steps.push(json!(["click", ".devices a"]));
            steps.push(json!(["waitForText", ".attempts .attempt .who", "sht20-0001"]));
        }
        let question = "#/policy?client=sht20-0001&action=iot:Publish&resource=sensor/sht20-0002/temperature";
        steps.extend([
            json!(["open", question, ".verdict p"]),
            json!(["wait", ".limit"]),
            json!(["waitForText", ".verdict", "Denied"]),
            json!(["waitForText", "mark", "iot:Publish"]),
        ]);
        steps.extend(look("policy"));
        steps.push(json!(["open", "#/authorizers", ".figures"]));
        steps.push(json!(["waitForText", ".log", "decision"]));
        steps.extend(look("authorizers"));
        for (kind, item) in [("retained", ".item"), ("sessions", ".sessions .row-open"), ("shadows", ".item")]
        {
            steps.extend([
                json!(["open", format!("#/data?kind={kind}"), item]),
                json!(["click", item]),
                json!(["wait", ".detail.open h2"]),
            ]);
            steps.extend(look(&format!("data-{kind}")));
        }
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
        assert_eq!(events.iter().filter(|event| event["event"] == "screenshot").count(), 9);
    }
}

/// A list can be read, a story opened and closed, and what can't be undone done, without a pointer.
#[tokio::test]
async fn keyboard_alone_opens_a_story_and_deletes_what_is_stored() {
    let Some(browser) = chromium() else { return };
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    for name in ["a", "b"] {
        drop(MqttClient::anybody(&gateway, Version::V5, name).await);
        gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", name)]).await;
    }
    let retained = json!({"topic": "r", "payload": base64(b" {\"a\": 1}"), "retain": true,
        "userProperties": [["by", "a test"]]});
    assert_eq!(console.post("/publish", &retained).await.0, 200);
    let focus = "document.activeElement.innerText";
    let steps = [
        json!(["press", "Tab"]),
        json!(["value", "skip", focus]),
        json!(["open", "#/attempts", ".attempt"]),
        json!(["waitForText", ".attempt .who", "b"]),
        json!(["focus", ".attempt"]),
        json!(["press", "ArrowDown"]),
        json!(["press", "Enter"]),
        json!(["wait", ".steps"]),
        json!(["value", "story", focus]),
        json!(["press", "Escape"]),
        json!(["waitForText", ".detail", "Choose an attempt"]),
        json!(["value", "row", focus]),
        json!(["open", "#/data?kind=retained", ".item"]),
        json!(["focus", ".item"]),
        json!(["press", "Enter"]),
        json!(["wait", ".detail form"]),
        json!(["value", "payload", "document.querySelector('.detail textarea').value"]),
        json!(["focus", ".detail form button:has-text(\"Save\")"]),
        json!(["press", "Enter"]),
        json!(["waitForText", ".detail", "Saved"]),
        json!(["focus", ".item"]),
        json!(["press", "Enter"]),
        json!(["focus", ".danger"]),
        json!(["press", "Enter"]),
        json!(["waitForText", ".danger.asked", "Delete it?"]),
        json!(["value", "announced", "document.getElementById('announce').textContent"]),
        json!(["say", "asked"]),
        json!(["press", "Enter"]),
        json!(["waitForText", ".detail", "Deleted"]),
        json!(["wait", ".empty"]),
    ];
    let mut running = start(&task(&browser, &link(&console), WINDOWS[0], &steps)).await;
    running.line("the question", |line| line.contains("\"asked\"").then_some(())).await;
    let events = finish(running).await;
    let expected = [("skip", "Skip to the page"), ("story", "a connected"), ("payload", " {\"a\": 1}")];
    for (name, expected) in expected {
        assert_eq!(value(&events, name), expected, "{name}");
    }
    assert!(value(&events, "row").as_str().unwrap().contains("connect"), "the focus is in the list again");
    assert!(value(&events, "announced").as_str().unwrap().contains("Press again"));
    assert_eq!(console.get("/retained").await["messages"], json!([]));
}

/// A connect that the function refuses, in the log as a gateway writes it.
fn refused_connect(log: &EventLog, number: usize) {
    let (id, client) = (format!("rush-{number}"), format!("device-{:04}", number % 200));
    let mqtt = json!({"clientId": client, "username": client, "password": "••• (9 bytes)"});
    log.presented(&id, || json!({"protocolData": {"mqtt": mqtt}}).to_string());
    let decision = json!({"event": "decision", "outcome": "deny", "reason": "wrong_password", "device": client,
        "client_id": client, "connection_id": id, "explanation": "the password is wrong; set it again"});
    log.of_function("latchkey").write_function_line(&decision.to_string());
    let took = Duration::from_millis(2);
    log.called("latchkey", "deny", took, || CallRecord {
        connection_id: id.clone(),
        authorizer: "latchkey".to_owned(),
        call: Call::Connect,
        result: "deny",
        took,
        answer: Some(json!({"isAuthenticated": false}).to_string()),
        error: None,
    });
    log.write(&LogEntry {
        trace_id: &id,
        account_id: "123456789012",
        status: Status::Failure,
        event_type: EventType::AuthNError,
        protocol: "MQTT",
        topic_name: None,
        subscriptions: &[],
        ping: None,
        attempt: None,
        client_id: Some(&client),
        principal_id: None,
        source_ip: "192.0.2.1",
        source_port: 40_000,
        retain: None,
        server_name_indication: Some("localhost"),
        connect: None,
        reason: Some("NOT_AUTHENTICATED"),
        details: None,
        disconnect_reason: None,
        connection_id: &id,
        explanation: None,
        door: None,
        authorizer: Some("latchkey"),
        allows: &BTreeMap::new(),
        awaits_decision: false,
        took: Some(took),
    });
    log.seen(&id, || "CONNACK 0x87 Not authorized".to_owned());
}

/// 1,500 attempts a second through the log, the console's memory and the stream: the list samples and says so, its work for each
/// event is bounded, and it can be used.
#[tokio::test(flavor = "multi_thread")]
async fn page_can_be_used_with_more_than_a_thousand_attempts_a_second() {
    let Some(browser) = chromium() else { return };
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let count = "window.work = { added: 0, events: 0, long: 0 };
        const watch = (selector, seen) =>
          new MutationObserver(seen).observe(document.querySelector(selector), { childList: true });
        watch('.attempt-list', (all) => all.forEach((it) => (window.work.added += it.addedNodes.length)));
        watch('.count', () => (window.work.events += 1));
        new PerformanceObserver((all) => (window.work.long += all.getEntries().length)).observe({ type: 'longtask' });";
    let steps = [
        json!(["open", "#/attempts", ".page"]),
        json!(["say", "ready"]),
        json!(["waitForText", ".note", "The list is a sample"]),
        json!(["value", "counting", count]),
        json!(["until", "window.work.events >= 16"]),
        json!(["value", "work", "window.work"]),
        json!(["count", "rows", ".attempt"]),
        json!(["screenshot", "rush"]),
        json!(["check", "rush"]),
        // A row under the pointer stays where it is, and opens.
        json!(["hover", ".attempt"]),
        json!(["waitForText", ".note", "new ones wait until you leave the list"]),
        json!(["click", ".attempt"]),
        json!(["wait", ".steps"]),
        json!(["text", "story", ".cause"]),
        // What the sample leaves out is found.
        json!(["fill", "Device or address", "device-0123"]),
        json!(["waitForText", ".attempt .who", "device-0123"]),
        json!([
            "until",
            "![...document.querySelectorAll('.attempt .who')].some((it) => it.innerText !== 'device-0123')"
        ]),
        json!(["button", "Pause"]),
        json!(["count", "found", ".attempt"]),
        json!(["say", "used"]),
    ];
    let mut running = start(&task(&browser, &link(&console), WINDOWS[0], &steps)).await;
    running.line("the page", |line| line.contains("\"ready\"").then_some(())).await;
    let mut ticks = tokio::time::interval(RUSH.1);
    // A machine that is busy gets fewer, and no burst that keeps the gateway from its work.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut written = 0;
    let mut finished = Box::pin(finish(running));
    let events = loop {
        tokio::select! {
            events = &mut finished => break events,
            _ = ticks.tick() => {
                (written..written + RUSH.0).for_each(|number| refused_connect(gateway.log.event_log(), number));
                written += RUSH.0;
            }
        }
    };
    let work = value(&events, "work");
    let number = |name: &str| work[name].as_u64().unwrap();
    // 25 rows of the stream for each event, and none of them twice.
    assert!(number("added") > 0 && number("added") <= 25 * (number("events") + 1), "{work}");
    let count = |name: &str| {
        let found = events.iter().find(|event| event["event"] == "count" && event["name"] == name);
        found.unwrap()["count"].as_u64().unwrap()
    };
    assert!((25..=425).contains(&count("rows")), "{events:?}");
    assert!((1..=100).contains(&count("found")), "{events:?}");
    assert!(text(&events, "story").contains("the password is wrong; set it again"));
    let answer = console.get("/attempts?limit=200").await;
    let forgotten = answer["summary"]["forgotten"].as_u64().unwrap() + answer["lost"].as_u64().unwrap();
    assert!(forgotten + 5_000 >= (5 * written) as u64, "every record is counted: {answer}");
    println!("{written} attempts; the page's work for 16 events: {work}");
}

/// A list of many connections has the elements that are in view, and loads pages.
#[tokio::test]
async fn long_lists_have_few_elements_and_come_in_pages() {
    let Some(browser) = chromium() else { return };
    let (start_many, _script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start_many.with(|settings| settings.limits.connections = 2 * MANY).run().await;
    let console = ConsoleClient::new(&gateway);
    let mut clients = Vec::new();
    for begin in (0..MANY).step_by(50) {
        let names = (begin..begin + 50).map(|number| format!("many-{number:04}")).collect::<Vec<_>>();
        let connects = names.iter().map(|name| MqttClient::anybody(&gateway, Version::V5, name));
        clients.extend(futures_util::future::join_all(connects).await);
    }
    for (path, member) in [("connections", "connections"), ("sessions", "sessions")] {
        let mut names = Vec::new();
        while names.len() < MANY {
            let page = console.get(&format!("/{path}?offset={}&limit=500", names.len())).await;
            let rows = page[member].as_array().unwrap();
            assert_eq!((&page["total"], rows.len()), (&json!(MANY), 200), "{path}");
            assert!(page.to_string().len() < 200 * 400, "{path}: {} bytes", page.to_string().len());
            names.extend(rows.iter().map(|row| row["clientId"].as_str().unwrap().to_owned()));
        }
        assert!(
            names.iter().enumerate().all(|(number, name)| *name == format!("many-{number:04}")),
            "{path}"
        );
    }
    let mut steps = Vec::new();
    for (page, count) in [("#/connections", "1,000 connected"), ("#/data?kind=sessions", "1,000 sessions")] {
        steps.extend([
            json!(["open", page, ".row-open"]),
            json!(["waitForText", ".count", count]),
            json!(["waitForText", ".row-open", "many-0000"]),
            json!(["value", "elements", "document.querySelectorAll('.list *').length"]),
            json!(["value", "rows", "document.querySelector('.list').getAttribute('aria-rowcount')"]),
            json!(["value", "end", "document.querySelector('.scroller').scrollTop = 1e9"]),
            json!(["waitForText", ".row-open", "many-0999"]),
            json!(["value", "elements", "document.querySelectorAll('.list *').length"]),
            json!(["focus", ".row-open:has-text(\"many-0999\")"]),
            json!(["press", "ArrowUp"]),
            json!(["press", "Enter"]),
            json!(["waitForText", ".detail h2", "many-0998"]),
            json!(["fill", "Client id", "many-07"]),
            json!(["waitForText", ".row-open", "many-0700"]),
            json!(["until", "document.querySelector('.list').getAttribute('aria-rowcount') === '101'"]),
        ]);
    }
    let events = run(&task(&browser, &link(&console), WINDOWS[0], &steps)).await;
    let values = |name: &'static str| {
        let found = events.iter().filter(move |event| event["event"] == "value" && event["name"] == name);
        found.map(|event| event["value"].clone())
    };
    assert!(values("rows").all(|rows| rows == "1001"), "{events:?}");
    assert_eq!(values("elements").filter(|count| count.as_u64().unwrap() < 600).count(), 4, "{events:?}");
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
        json!(["choose", "QoS", "1"]),
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

/// What a hostile function writes: a line that is not JSON, and a decision.
fn hostile_function(log: &EventLog) {
    let function = log.of_function("latchkey");
    function.write_function_line("<img src=x onerror=alert(6)>\u{202e} in a line of its own");
    let decision = json!({"event": "decision", "connection_id": "<b>", "outcome": "deny", "reason": "<i>\u{202e}reason",
        "explanation": "`<img src=x onerror=alert(7)>`\u{2066}", "device": "<svg onload=alert(8)>", "client_id": "x"});
    function.write_function_line(&decision.to_string());
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
    let (long, not_utf_8) = ("<b>".repeat(43_000), [0xff, 0xfe, b'<', b'b', b'>']);
    for (topic, payload) in [("long", long.as_bytes()), ("bytes", &not_utf_8)] {
        let message = json!({"topic": topic, "payload": base64(payload), "retain": true});
        assert_eq!(console.post("/publish", &message).await.0, 200);
    }
    hostile_function(gateway.log.event_log());
    let mut steps = vec![
        json!(["open", "#/attempts", ".attempt"]),
        json!(["waitForText", ".attempt .why", "<i>\\u202ereason"]),
        json!(["click", ".attempt:has-text(\"alert(8)\")"]),
        json!(["waitForText", ".step-name", "decision"]),
        json!(["waitForText", ".detail", "alert(7)"]),
        json!(["open", "#/authorizers", ".log div"]),
        json!(["waitForText", ".log", "alert(6)>\\u202e"]),
        json!(["open", "#/policy", ".limit"]),
        json!(["fill", "Document 0", "{\"Version\":\"<img src=x onerror=alert(9)>\u{202e}\""]),
        json!(["waitForText", ".verdict", "No decision"]),
        json!(["open", "#/readings", ".page"]),
        json!(["say", "subscribed"]),
        json!(["waitForText", ".devices .row-open", "onload"]),
        json!(["click", ".devices .row-open"]),
        json!(["waitForText", ".legend", "onload"]),
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
                () = tokio::time::sleep(Duration::from_millis(300)) => {
                    let payload = base64(HOSTILE[3].as_bytes());
                    let topic = "hostile/<svg onload=alert(4)>";
                    console.post("/publish", &json!({"topic": topic, "payload": payload, "userProperties": [[HOSTILE[0], HOSTILE[1]]]})).await;
                    let (topic, payload) = ("sensor/<svg onload=alert(4)>/temperature", base64(b"{\"value\":21}"));
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

/// A page whose token does not hold any more says so, and what to do.
#[tokio::test]
async fn open_page_says_that_its_token_is_old() {
    let Some(browser) = chromium() else { return };
    let (start_first, _script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start_first.run().await;
    let console = ConsoleClient::new(&gateway);
    let steps = [
        json!(["open", "#/attempts", ".page"]),
        json!(["say", "ready"]),
        json!(["waitForText", "#link", "the console needs its token: open the link"]),
        json!(["open", "#/connections", ".page"]),
        json!(["waitForText", "#link", "the console needs its token: open the link"]),
        json!(["count", "away", "html[data-away]"]),
    ];
    let mut task = task(&browser, &link(&console), WINDOWS[0], &steps);
    task["quietWhileAway"] = true.into();
    let mut running = start(&task).await;
    running.line("the page", |line| line.contains("\"ready\"").then_some(())).await;
    let stopped = gateway.stop().await;
    std::fs::remove_file(stopped.folder().join(access::FILE)).unwrap();
    let _gateway = stopped.with(|settings| settings.ports.status = Some(console.address.port())).run().await;
    let events = finish(running).await;
    assert_eq!(events.last().unwrap()["count"], 1);
}
