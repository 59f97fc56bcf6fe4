//! One fleet on several machines: `latchkey sim --shard`, `latchkey sim merge`, and the Kubernetes Job that runs it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use device_sim::{
    Password,
    credentials_file::{self, Row},
};
use integration::{
    files,
    foreign::script::kubernetes,
    programs::program,
    running::{Finished, Running},
    test_gateway::{Start, TestGateway},
};
use serde_json::{Value, json};
use tokio::process::Command;

/// A small result, as a shard prints it.
pub(crate) fn shard(index: u32, count: u32) -> Value {
    let interval = |at_ms: u64| json!({"at_ms": at_ms, "online": 1, "connected": 1, "lost": 0, "acknowledged": 2, "failed": 0});
    json!({
        "ok": true,
        "devices": {"expected": 1, "started": 1, "connected": 1, "online": 1, "got_through": 1, "refused": 0,
            "unreachable": 0, "lost": 0},
        "messages": {"sent": 4, "acknowledged": 4, "failed": 0},
        "connect_latency_ms": null, "publish_latency_ms": null,
        "refused": {}, "unreachable": {}, "lost": {}, "failed": {},
        "sensor_failures": 0,
        "faults": {"seed": 0, "by_fault": {}, "errors_without_fault": 0, "sensor_errors": {},
            "missing": {"refused": 0, "unreachable": 0, "other": 0}},
        "expectations": [],
        "wall_time_ms": 500,
        "run": {
            "version": "0.1.0", "started_at_ms": 1_796_053_268_000_u64, "ended_at_ms": 1_796_053_268_500_u64,
            "fleet": {"devices": count, "fingerprint": "00"}, "shards": {"count": count, "indexes": [index]},
            "settings": {"endpoint": "localhost:1"},
        },
        "histograms": {"connect": "", "publish": ""},
        "timeline": {"interval_ms": 250,
            "intervals": [interval(1_796_053_268_000), interval(1_796_053_268_250)]},
        "readings": [{"device": format!("d{index}"), "temperature": [[1_796_053_268_100_u64, 21.5]],
            "humidity": [[1_796_053_268_100_u64, 45.0]]}],
        "examples": [],
    })
}

fn fleet(gateway: &TestGateway, count: usize) -> PathBuf {
    let rows = (0..count).map(|number| {
        let name = format!("sht20-{number}");
        Row {
            device: name.clone(),
            client_id: name.clone(),
            user_name: name.clone(),
            password: Password::from(gateway.add(&name, "sht20").as_str()),
        }
    });
    let path = gateway.folder.path().join("credentials.csv");
    credentials_file::append(&path, &rows.collect::<Vec<_>>()).unwrap();
    path
}

fn simulator(gateway: &TestGateway, credentials: &Path, more: &[&str]) -> Running {
    let mut command = Command::new(program("latchkey-sim"));
    command.args(["--json", "--interval", "200ms", "--endpoint"]);
    command.arg(format!("localhost:{}", gateway.address.port())).arg("--ca").arg(gateway.ca());
    command.arg("--credentials").arg(credentials).args(more);
    Running::start(command)
}

async fn merge(folder: &Path, files: &[&str], more: &[&str]) -> Finished {
    let mut command = Command::new(program("latchkey-sim"));
    command.arg("merge").args(files).args(more).current_dir(folder);
    Running::start(command).finish().await
}

/// Three processes run one fleet; the merged result is that of the fleet, and every device ran in exactly one of them.
#[tokio::test]
async fn shards_are_one_fleet() {
    let gateway = Start::with_authorizer().run().await;
    let credentials = fleet(&gateway, 7);
    let running = ["0/3", "1/3", "2/3"].map(|shard| {
        simulator(&gateway, &credentials, &["--shard", shard, "--duration", "3s", "--ramp", "20"])
    });
    let folder = gateway.folder.path();
    let mut shards = Vec::new();
    for (number, running) in running.into_iter().enumerate() {
        let finished = running.finish().await;
        assert_eq!(finished.code, Some(0), "{}{}", finished.out(), finished.err());
        fs::write(folder.join(format!("shard-{number}.json")), &finished.out).unwrap();
        shards.push(serde_json::from_slice::<Value>(&finished.out).unwrap());
    }
    let sizes = shards.iter().map(|it| it["devices"]["expected"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(sizes, [3, 2, 2]);
    for name in (0..7).map(|number| format!("sht20-{number}")) {
        gateway.logged_with(&[("eventType", "Connect"), ("status", "Success"), ("clientId", &name)]).await;
    }
    let connects = gateway.log.lines().iter().filter(|it| it["eventType"] == "Connect").count();
    assert_eq!(connects, 7, "no device is in two shards");

    let files = ["shard-2.json", "shard-0.json", "shard-1.json"];
    let finished = merge(folder, &files, &["--json", "--report", "report.html"]).await;
    assert_eq!(finished.code, Some(0), "{}", finished.err());
    let merged = serde_json::from_slice::<Value>(&finished.out).unwrap();
    let sum =
        |pointer: &str| shards.iter().map(|it| it.pointer(pointer).unwrap().as_u64().unwrap()).sum::<u64>();
    for pointer in [
        "/devices/expected",
        "/devices/got_through",
        "/messages/sent",
        "/messages/acknowledged",
        "/connect_latency_ms/count",
        "/publish_latency_ms/count",
    ] {
        assert_eq!(merged.pointer(pointer).unwrap().as_u64().unwrap(), sum(pointer), "{pointer}");
    }
    assert_eq!(merged["publish_latency_ms"]["count"], merged["messages"]["acknowledged"]);
    assert_eq!(merged["run"]["shards"], json!({"count": 3, "indexes": [0, 1, 2]}));
    let in_time = |key: &str| {
        let intervals = merged["timeline"]["intervals"].as_array().unwrap();
        intervals.iter().map(|it| it[key].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((in_time("connected"), in_time("acknowledged")), (7, sum("/messages/acknowledged")));
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("7 of 7 devices got through") && page.contains("shards 0-2 of 3"));

    let text = merge(folder, &files, &[]).await.out();
    assert!(
        text.contains("7 of 7 devices got through in ")
            && text.contains("\nshards 0-2 of 3, of a fleet of 7 devices\n")
    );
    let two = merge(folder, &files[..2], &[]).await;
    assert_eq!(two.code, Some(1));
    assert!(two.err().contains("shard 1 of 3 is missing"), "{}", two.err());
    let twice = merge(folder, &["shard-0.json", "shard-1.json", "shard-0.json"], &[]).await;
    assert_eq!((twice.code, &*twice.out()), (Some(64), ""));
    assert!(
        twice.err().contains("`shard-0.json` and `shard-0.json` overlap: both have shard 0/3"),
        "{}",
        twice.err()
    );
}

#[tokio::test]
async fn what_cannot_be_sharded_or_merged_ends_with_64() {
    let gateway = Start::with_authorizer().run().await;
    let credentials = fleet(&gateway, 2);
    let cases = [
        (&["--shard", "0/3"][..], "has 2 devices, too few for 3 shards"),
        (&["--shard", "3/3"], "shards are counted from 0: those of 3 are `0/3` to `2/3`"),
        (&["--shard", "1"], "write the shard's number, from 0, and how many there are: `0/4`"),
        (&["--devices", "1", "--shard", "0/2"], "has 1 device, too few for 2 shards"),
    ];
    for (more, message) in cases {
        let finished = simulator(&gateway, &credentials, more).finish().await;
        assert_eq!((finished.code, &*finished.out()), (Some(64), ""), "{more:?}");
        assert!(finished.err().contains(message), "{more:?}: {}", finished.err());
    }
    let folder = gateway.folder.path();
    let mut other = shard(1, 2);
    other["run"]["version"] = json!("9.0.0");
    fs::write(folder.join("a.json"), shard(0, 2).to_string()).unwrap();
    fs::write(folder.join("b.json"), other.to_string()).unwrap();
    fs::write(folder.join("c.json"), "").unwrap();
    let cases = [
        (&["a.json", "b.json"][..], "the version is `0.1.0` in the first and `9.0.0` in the second"),
        (&["a.json", "c.json"], "`c.json` is empty: its run did not end, or ran without `--json`"),
        (&["a.json", "none.json"], "can't read `none.json`"),
        (&[], "<FILE>"),
    ];
    for (files, message) in cases {
        let finished = merge(folder, files, &[]).await;
        assert_eq!((finished.code, &*finished.out()), (Some(64), ""), "{files:?}");
        assert!(finished.err().contains(message), "{files:?}: {}", finished.err());
    }
    assert!(gateway.log.lines().is_empty(), "{}", gateway.log.text());
}

/// The rows that a shard keeps, and those of all shards together, do not depend on anything but the file.
#[tokio::test]
async fn a_shard_is_the_same_each_time() {
    let gateway = Start::with_authorizer().run().await;
    let credentials = fleet(&gateway, 9);
    let mut all = BTreeSet::new();
    for index in 0..4 {
        let shard = format!("{index}/4").parse().unwrap();
        let names = || {
            let rows = credentials_file::read_fleet(&credentials, None, Some(shard)).unwrap();
            assert_eq!(rows.total, 9);
            (rows.rows.into_iter().map(|row| row.device).collect::<Vec<_>>(), rows.fingerprint)
        };
        assert_eq!(names(), names());
        for name in names().0 {
            assert!(all.insert(name), "a device is in two shards");
        }
    }
    assert_eq!(all.len(), 9);
    let whole = credentials_file::read_fleet(&credentials, None, None).unwrap();
    let fewer = credentials_file::read_fleet(&credentials, Some(8), None).unwrap();
    assert_ne!(whole.fingerprint, fewer.fingerprint);
}

/// The Job is one that Kubernetes accepts, and its pods together run each shard once.
#[tokio::test]
async fn the_job_of_kubernetes_runs_each_shard_once() {
    let job = files::root().join("deploy/sim/job.yaml");
    // The oldest version in which `backoffLimitPerIndex` is stable, and the newest.
    for version in ["1.33", "1.37"] {
        let finished = Running::start(kubernetes(&job, version)).finish().await;
        assert_eq!(finished.code, Some(0), "{}", finished.err());
        let job = serde_json::from_slice::<Value>(&finished.out).unwrap();
        let spec = &job["spec"];
        assert_eq!((&job["kind"], &spec["completionMode"]), (&json!("Job"), &json!("Indexed")));
        let pods = spec["completions"].as_u64().unwrap();
        assert_eq!(spec["parallelism"], pods, "all shards run at the same time");
        let pod = &spec["template"]["spec"];
        let [container] = pod["containers"].as_array().unwrap().as_slice() else { panic!("{pod}") };
        let arguments = container["args"].as_array().unwrap().iter().map(|it| it.as_str().unwrap());
        let arguments = arguments.collect::<Vec<_>>();
        assert!(arguments.contains(&"--json"), "{arguments:?}");
        let mut shards = BTreeSet::new();
        for index in 0..pods {
            let arguments =
                arguments.iter().map(|it| it.replace("$(JOB_COMPLETION_INDEX)", &index.to_string()));
            let arguments = arguments.collect::<Vec<_>>();
            let shard = arguments.iter().find_map(|it| it.strip_prefix("--shard=")).unwrap().to_owned();
            assert!(shard.ends_with(&format!("/{pods}")), "{shard}");
            assert!(shards.insert(shard), "{arguments:?}");
            // The program reads all of them, and misses the file that the pod has.
            let mut command = Command::new(program("latchkey-sim"));
            command.args(&arguments);
            let finished = Running::start(command).finish().await;
            assert_eq!(finished.code, Some(64));
            let mount = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
            let message = format!("there is no credentials file `{mount}/credentials.csv`");
            assert!(finished.err().contains(&message), "{}", finished.err());
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let misspelt = folder.path().join("job.yaml");
    let text = fs::read_to_string(&job).unwrap().replace("completionMode", "completionsMode");
    fs::write(&misspelt, text).unwrap();
    let finished = Running::start(kubernetes(&misspelt, "1.33")).finish().await;
    assert_eq!(finished.code, Some(1), "an unknown field is an error");
    assert!(finished.err().contains("completionsMode"), "{}", finished.err());

    let image = fs::read_to_string(files::root().join("deploy/sim/Dockerfile")).unwrap();
    assert!(image.contains("ENTRYPOINT [\"latchkey-sim\"]") && image.contains("USER 65532"), "{image}");
}
