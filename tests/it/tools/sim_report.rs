//! The report of `latchkey sim --report` in Chromium: what it shows is what the JSON has, on every width, in both themes.
//!
//! The tests are skipped where Chromium can't be installed, as those of the console.

use std::{
    fs,
    path::{Path, PathBuf},
};

use device_sim::{
    Password,
    credentials_file::{self, Row},
};
use integration::{
    browser::{self, Window, chromium, value},
    programs::program,
    running::{Finished, Running},
    test_gateway::{Start, TestGateway},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const WINDOWS: [Window; 4] =
    [(1440, 900, "light"), (1440, 900, "dark"), (390, 844, "light"), (390, 844, "dark")];
/// A device's name, which the report shows, and never runs.
const HOSTILE: &str = "<img src=x onerror=alert(1)>\u{202e}\"'&";
const CHARTS: [&str; 8] = [
    "online",
    "connects",
    "connect-latency",
    "publish-latency",
    "messages",
    "refusals",
    "temperature",
    "humidity",
];

/// A fleet of devices that get through, and one with a wrong password that tries again.
fn credentials(gateway: &TestGateway, devices: usize) -> PathBuf {
    let row = |name: &str, id: &str, password: &str| Row {
        device: name.to_owned(),
        client_id: id.to_owned(),
        user_name: id.to_owned(),
        password: Password::from(password),
    };
    let ids = (1..=devices).map(|number| format!("sht20-{number:04}"));
    let mut rows = ids.map(|id| row(&id, &id, &gateway.add(&id, "sht20"))).collect::<Vec<_>>();
    gateway.add("intruder", "sht20");
    rows.push(row(HOSTILE, "intruder", "wrong"));
    let path = gateway.folder.path().join("credentials.csv");
    credentials_file::append(&path, &rows).unwrap();
    path
}

async fn simulate(gateway: &TestGateway, credentials: &Path, report: &Path, more: &[&str]) -> Finished {
    let mut command = Command::new(program("latchkey-sim"));
    command.args(["--json", "--endpoint", &format!("localhost:{}", gateway.address.port())]);
    command.arg("--ca").arg(gateway.ca()).arg("--credentials").arg(credentials);
    command.arg("--report").arg(report).args(more);
    Running::start(command).finish().await
}

/// The steps that read all of a report.
fn steps(name: &str) -> Vec<Value> {
    vec![
        json!([
            "value",
            "fields",
            "[...document.querySelectorAll('[data-field]')].map(it => [it.dataset.field, it.value, it.textContent])"
        ]),
        json!([
            "value",
            "charts",
            "Object.fromEntries([...document.querySelectorAll('figure.chart')].map(it => [it.id, {
                points: [...it.querySelectorAll('.plot svg path:not(.grid)')]
                    .map(path => (path.getAttribute('d').match(/[MLVh]/g) ?? []).length),
                height: it.querySelector('.plot')?.getBoundingClientRect().height,
                drawn: Math.max(0, ...[...it.querySelectorAll('.plot svg path.line, .plot svg path.bar')]
                    .map(path => path.getBoundingClientRect().width)),
                title: it.querySelector('.plot title')?.textContent,
                legend: [...it.querySelectorAll('.legend li')].map(li => li.textContent),
                rows: [...it.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.textContent)),
            }]))"
        ]),
        json!([
            "value",
            "elements",
            "document.querySelectorAll('img, script, iframe, object, form, b, [style], [onerror]').length"
        ]),
        json!([
            "value",
            "faults",
            "[...document.querySelectorAll('[aria-label=\"Faults on demand\"] tbody tr')]
                .map(row => [...row.cells].map(cell => cell.textContent))"
        ]),
        json!(["value", "expectations", "[...document.querySelectorAll('.problems li.met')].map(it => it.textContent)"]),
        json!(["value", "theme", "getComputedStyle(document.documentElement).backgroundColor"]),
        json!(["value", "tables", "document.querySelectorAll('details').forEach(it => it.open = true)"]),
        json!(["check", name]),
        json!(["value", "closed", "document.querySelectorAll('details').forEach(it => it.open = false)"]),
        json!(["screenshot", name, true]),
    ]
}

async fn opened(browser: &Path, page: &Path, window: Window, name: &str) -> Vec<Value> {
    let link = format!("file://{}", page.display());
    let mut task = browser::task(browser, &link, "target/report", window, &steps(name));
    task["ready"] = json!("main section");
    browser::run(&task).await
}

/// Every number of the page is that of the JSON, at the place that it names.
fn assert_fields(events: &[Value], summary: &Value) {
    let fields = value(events, "fields").as_array().unwrap();
    assert!(fields.len() >= 8, "{fields:?}");
    for field in fields {
        // The page has the escape of what does not show.
        let pointer = field[0].as_str().unwrap().replace("\\u202e", "\u{202e}");
        let expected = summary.pointer(&pointer).unwrap_or_else(|| panic!("the JSON has no {pointer}"));
        assert_eq!(field[1].as_str().unwrap(), expected.to_string(), "{field}");
        assert!(!field[2].as_str().unwrap().is_empty(), "{field}");
    }
}

/// The values of a timeline as the page has them: up to 60, so two are added up as often as that takes. Of devices that
/// are connected the last number counts.
fn on_the_page(timeline: &Value, key: &str) -> Vec<u64> {
    let mut length = timeline["interval_ms"].as_u64().unwrap();
    let intervals = timeline["intervals"].as_array().unwrap().iter();
    let values = intervals.map(|it| (it["at_ms"].as_u64().unwrap(), it[key].as_u64().unwrap()));
    let mut values = values.collect::<Vec<_>>();
    while values.len() > 60 {
        length *= 2;
        let mut longer = Vec::<(u64, u64)>::new();
        for (at, value) in values {
            match longer.last_mut().filter(|last| last.0 == at - at % length) {
                Some(last) => last.1 = if key == "online" { value } else { last.1 + value },
                None => longer.push((at - at % length, value)),
            }
        }
        values = longer;
    }
    values.into_iter().map(|(_, value)| value).collect()
}

#[tokio::test]
async fn every_chart_shows_what_the_json_has() {
    let Some(browser) = chromium() else { return };
    let gateway = Start::with_authorizer().run().await;
    let credentials = credentials(&gateway, 12);
    let page = gateway.folder.path().join("report.html");
    let more = ["--duration", "8s", "--ramp", "4", "--interval", "150ms", "--retries", "9"];
    let finished = simulate(&gateway, &credentials, &page, &more).await;
    let summary = serde_json::from_slice::<Value>(&finished.out).unwrap();
    assert_eq!(finished.code, Some(1), "one device is refused: {}", finished.err());
    for window in WINDOWS {
        let events = opened(&browser, &page, window, "report").await;
        assert_fields(&events, &summary);
        assert_eq!(value(&events, "elements"), 0, "no element was made of a text");
        let charts = value(&events, "charts");
        assert_eq!(charts.as_object().unwrap().len(), CHARTS.len());
        for id in CHARTS {
            let chart = &charts[id];
            let points = chart["points"].as_array().unwrap().iter().map(|it| it.as_u64().unwrap());
            // A device that is refused tries again after a growing time, so there are few bars.
            let least = if id == "refusals" { 4 } else { 8 };
            assert!(points.clone().max().unwrap() >= least, "`{id}` is empty: {chart}");
            assert!(chart["height"].as_f64().unwrap() > 200.0, "{chart}");
            assert!(chart["drawn"].as_f64().unwrap() > 5.0, "{chart}");
            assert!(!chart["title"].as_str().unwrap().is_empty(), "{chart}");
        }
        // The tables have the timeline's own numbers.
        for (id, column, key) in
            [("online", 1, "online"), ("connects", 2, "connected"), ("messages", 3, "acknowledged")]
        {
            let rows = charts[id]["rows"].as_array().unwrap();
            let shown = rows.iter().map(|row| row[column].as_str().unwrap()).collect::<Vec<_>>();
            let expected = on_the_page(&summary["timeline"], key);
            assert_eq!(shown, expected.iter().map(u64::to_string).collect::<Vec<_>>(), "{id}");
        }
        let readings = summary["readings"].as_array().unwrap();
        let names = readings.iter().map(|it| it["device"].clone()).collect::<Vec<_>>();
        assert_eq!((names.len(), charts["temperature"]["legend"].as_array().unwrap()), (4, &names));
        let points = readings.iter().map(|it| it["humidity"].as_array().unwrap().len()).sum::<usize>();
        assert_eq!(charts["humidity"]["rows"].as_array().unwrap().len(), points);
    }
    let light = |window| opened(&browser, &page, window, "report");
    let (one, two) = (light(WINDOWS[0]).await, light(WINDOWS[1]).await);
    assert_ne!(value(&one, "theme"), value(&two, "theme"), "the page follows the reader's theme");
}

/// A file of a shard comes from elsewhere: each of its texts is shown as text.
#[tokio::test]
async fn hostile_text_in_a_result_is_shown_and_never_runs() {
    let Some(browser) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut shard = super::sim_shards::shard(0, 1);
    spoil(&mut shard);
    shard["refused"] = json!({HOSTILE: 3});
    shard["timeline"]["intervals"][0]["refused"] = json!({HOSTILE: 3});
    shard["examples"] =
        json!([{"outcome": "refused", "reason": HOSTILE, "device": HOSTILE, "message": HOSTILE}]);
    shard["faults"]["by_fault"] = json!({"wrong_password": {"devices": 1, "got_through": 0, "refused": {HOSTILE: 3},
        "unreachable": {}, "lost": {}, "failed": {}, "sensor_errors": {}}});
    shard["expectations"] =
        json!([{"of": "refused", "share": "10%", "tolerance": "0", "expected": 0, "seen": 0, "met": null}]);
    let (page, merged) = merged(&folder, &shard).await;
    for window in [WINDOWS[0], WINDOWS[2]] {
        let events = opened(&browser, &page, window, "hostile").await;
        assert_fields(&events, &merged);
        let faults = value(&events, "faults").as_array().unwrap();
        assert_eq!(faults[0], json!(["wrong-password", "1", "0", "3", "0", "0", "0", "0"]));
        let expectations = value(&events, "expectations").to_string();
        assert!(expectations.contains("to be refused"), "{expectations}");
        assert_eq!(value(&events, "elements"), 0, "no element was made of a text");
    }
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("&lt;img src=x onerror=alert(1)&gt;\\u202e&quot;&#39;&amp;"), "{html}");
    assert!(!html.contains("<img") && !html.contains('\u{202e}'));
}

/// A run in which nothing happened has a page too.
#[tokio::test]
async fn a_run_without_a_connect_has_a_page_that_says_so() {
    let Some(browser) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut shard = super::sim_shards::shard(0, 1);
    for key in ["connect_latency_ms", "publish_latency_ms"] {
        shard[key] = json!(null);
    }
    shard["histograms"] = json!({"connect": "", "publish": ""});
    shard["timeline"]["intervals"] = json!([]);
    shard["readings"] = json!([]);
    shard["messages"] = json!({"sent": 0, "acknowledged": 0, "failed": 0});
    let (page, _) = merged(&folder, &shard).await;
    let events = opened(&browser, &page, WINDOWS[2], "empty").await;
    let charts = value(&events, "charts").as_object().unwrap();
    assert!(charts.values().all(|chart| chart["points"] == json!([])), "{charts:?}");
}

#[tokio::test]
async fn a_report_that_cannot_be_written_is_said_before_the_run() {
    let gateway = Start::with_authorizer().run().await;
    let credentials = credentials(&gateway, 1);
    let nowhere = gateway.folder.path().join("none/report.html");
    let finished = simulate(&gateway, &credentials, &nowhere, &["--duration", "1s"]).await;
    assert_eq!((finished.code, &*finished.out()), (Some(64), ""));
    let message = format!("there is no folder for the report `{}`: make it first", nowhere.display());
    assert!(finished.err().contains(&message), "{}", finished.err());
    // A folder has the name: the result is printed all the same.
    let folder = gateway.folder.path().to_owned();
    let finished = simulate(&gateway, &credentials, &folder, &["--duration", "1s"]).await;
    assert_eq!(finished.code, Some(1));
    assert!(serde_json::from_slice::<Value>(&finished.out).is_ok());
    assert!(finished.err().contains("can't write the report"), "{}", finished.err());
}

/// Puts a hostile text into each text of a result that may have any.
fn spoil(shard: &mut Value) {
    shard["run"]["version"] = json!(HOSTILE);
    shard["run"]["fleet"]["fingerprint"] = json!(HOSTILE);
    shard["run"]["settings"] = json!({"endpoint": HOSTILE, HOSTILE: HOSTILE});
    for device in shard["readings"].as_array_mut().unwrap() {
        device["device"] = json!(HOSTILE);
    }
}

/// Merges one shard, and returns the page and the result.
async fn merged(folder: &TempDir, shard: &Value) -> (PathBuf, Value) {
    let (file, page) = (folder.path().join("shard.json"), folder.path().join("report.html"));
    fs::write(&file, shard.to_string()).unwrap();
    let mut command = Command::new(program("latchkey-sim"));
    command.args(["merge", "--json", "--report"]).arg(&page).arg(&file);
    let finished = Running::start(command).finish().await;
    let result = serde_json::from_slice(&finished.out);
    (page, result.unwrap_or_else(|error| panic!("{error}: {}", finished.err())))
}
