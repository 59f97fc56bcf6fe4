//! `latchkey conform`: every case agrees on a gateway, and whatever ends a run early, what it made is removed.

mod account;
mod emulators;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use gateway::api::key::ApiFile;
use integration::{aws_api, gateway_process::GatewayProcess, programs::program, running::Running};
use serde_json::Value;
use tokio::process::Command;

/// Some cases wait for the service's own timers, and a busy machine is slow.
const LIMIT: Duration = Duration::from_mins(5);

/// A run of the command with its folder of runs.
struct Run {
    folder: tempfile::TempDir,
}

impl Run {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn start(&self, flags: &[&str]) -> Running {
        let mut command = Command::new(program("latchkey-conform"));
        command.arg("--data").arg(self.folder.path()).args(flags).current_dir(self.folder.path());
        Running::start(command)
    }

    /// Starts three cases, one of which takes 5 seconds, and waits until they run.
    async fn start_three_cases(&self) -> Running {
        let cases =
            ["--only", "function-5-seconds", "--only", "certificates-443", "--only", "authorizer-override"];
        let mut running = self.start(&[&["--local"], &cases[..]].concat());
        running.err_line("the cases", |line| line.contains("running 3 cases").then_some(())).await;
        running
    }

    /// Runs it to its end: the exit code, the report, and what it says on standard error.
    async fn report(&self, flags: &[&str]) -> (Option<i32>, Value, String) {
        let finished = self.start(&[flags, &["--json"]].concat()).finish_within(LIMIT).await;
        let report = serde_json::from_slice(&finished.out).unwrap_or_default();
        (finished.code, report, finished.err())
    }

    /// The folders of the runs.
    fn runs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect()
    }

    /// Fails unless the gateways of all runs have nothing any more that a run has made.
    async fn nothing_is_left(&self) {
        for run in self.runs() {
            let left = left(&run.join("gateway")).await;
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

/// The names of everything of a run that a gateway with this data folder has.
async fn left(data: &Path) -> Vec<String> {
    let gateway = GatewayProcess::start(data, "latchkey-authorizer", true, &[]).await;
    assert!(ApiFile::path(data).exists());
    let names = names_in(&aws_sdk_iot::Client::new(&aws_api::configuration(data))).await;
    gateway.stop().await;
    names
}

/// The names of everything that a run has made with AWS IoT.
async fn names_in(iot: &aws_sdk_iot::Client) -> Vec<String> {
    let mut names = Vec::new();
    let found = iot.list_authorizers().send().await.unwrap();
    names.extend(found.authorizers().iter().map(|it| it.authorizer_name().unwrap().to_owned()));
    let found = iot.list_policies().send().await.unwrap();
    names.extend(found.policies().iter().map(|it| it.policy_name().unwrap().to_owned()));
    let found = iot.list_certificates().send().await.unwrap();
    names.extend(found.certificates().iter().map(|it| it.certificate_id().unwrap().to_owned()));
    let found = iot.list_things().send().await.unwrap();
    names.extend(found.things().iter().map(|it| it.thing_name().unwrap().to_owned()));
    let found = iot.list_domain_configurations().send().await.unwrap();
    names.extend(
        found.domain_configurations().iter().map(|it| it.domain_configuration_name().unwrap().to_owned()),
    );
    // The gateway's own authorizer, and its own domain configurations.
    names.retain(|name| name != "latchkey" && !name.starts_with("iot:"));
    names
}

fn ids(report: &Value, verdict: &str) -> BTreeSet<String> {
    let cases = report["cases"].as_array().unwrap().iter().filter(|case| case["verdict"] == verdict);
    cases.map(|case| case["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_case_agrees_with_the_page() {
    let run = Run::new();
    let (code, report, err) = run.report(&["--local"]).await;
    let different = report["cases"].as_array().unwrap().iter().filter(|case| case["verdict"] != "agrees");
    assert_eq!(different.collect::<Vec<_>>(), Vec::<&Value>::new(), "{err}");
    assert_eq!(code, Some(0), "{err}");
    let quick = conform::case::all().unwrap().into_iter().filter(|case| case.minutes == 0);
    assert_eq!(ids(&report, "agrees"), quick.map(|case| case.id).collect());
    run.nothing_is_left().await;
}

#[tokio::test]
async fn a_gateway_with_one_behaviour_switched_fails_exactly_that_case() {
    let switches = [
        ("[quotas]\nclient_id_bytes = 200\n", "connect", "client-id-length"),
        ("[quotas]\nsubscriptions_per_connection = 60\n", "messages", "subscription-51"),
        ("[quotas]\nmin_keep_alive_seconds = 5\n", "connect", "keep-alive-minimum"),
        ("[quotas]\nuser_properties = 200\n", "messages", "user-property-count"),
    ];
    for (settings, subject, case) in switches {
        let run = Run::new();
        let file = run.folder.path().join("switched.toml");
        fs::write(&file, settings).unwrap();
        let (code, report, err) =
            run.report(&["--local", "--only", subject, "--config", file.to_str().unwrap()]).await;
        assert_eq!(ids(&report, "differs"), BTreeSet::from([case.to_owned()]), "{settings}: {err}");
        assert_eq!((code, ids(&report, "failed").len()), (Some(1), 0), "{settings}: {err}");
        let page = fs::read_dir(&run.runs()[0]).unwrap().map(|entry| entry.unwrap().path());
        let page = page.into_iter().find(|path| path.extension().is_some_and(|it| it == "md")).unwrap();
        let page = fs::read_to_string(page).unwrap();
        assert!(page.contains(&format!("### {case}\n")) && page.contains("- expected: `"), "{page}");
    }
}

#[tokio::test]
async fn an_interrupted_run_removes_what_it_made_and_goes_on_later() {
    let run = Run::new();
    let running = run.start_three_cases().await;
    running.interrupt();
    let interrupted = running.finish().await;
    assert_eq!(interrupted.code, Some(130), "{}", interrupted.err());
    assert!(
        interrupted.err().contains("`latchkey conform --local --resume` runs the other cases"),
        "{}",
        interrupted.err()
    );
    run.nothing_is_left().await;
    let (code, report, err) = run.report(&["--local", "--resume"]).await;
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(ids(&report, "agrees").len(), 3, "{report}");
    run.nothing_is_left().await;
    let (code, _, err) = run.report(&["--local", "--resume"]).await;
    assert_eq!(code, Some(64));
    assert!(err.contains("there is nothing to resume"), "{err}");
}

#[tokio::test]
async fn what_a_killed_run_left_can_be_removed() {
    let run = Run::new();
    let running = run.start_three_cases().await;
    running.kill().await;
    let data = run.runs()[0].join("gateway");
    // The killed run's gateway ends when it notices, and frees the folder then.
    let path = data.to_str().unwrap();
    let is_gateways = |entry: fs::DirEntry| {
        fs::read(entry.path().join("cmdline")).is_ok_and(|it| String::from_utf8_lossy(&it).contains(path))
    };
    let ended = || (!fs::read_dir("/proc").unwrap().flatten().any(is_gateways)).then_some(());
    integration::eventually::eventually("the end of the killed run's gateway", ended).await;
    let left = integration::eventually::within("the leftovers", left(&data)).await;
    assert!(
        left.iter().any(|name| name.starts_with("latchkey-conform-") && name.ends_with("-main")),
        "{left:?}"
    );
    let (code, _, err) = run.report(&["--local", "--clean"]).await;
    assert_eq!(code, Some(0), "{err}");
    run.nothing_is_left().await;
    let (code, _, err) = run.report(&["--local", "--clean"]).await;
    assert!(code == Some(0) && err.contains("no run left anything"), "{err}");
}

#[tokio::test]
async fn a_set_up_that_fails_in_the_middle_is_removed() {
    let run = Run::new();
    let file = run.folder.path().join("full.toml");
    // All domain configurations that an account can have.
    let domains =
        (0..10).map(|n| format!("[[domain]]\nname = \"d{n}\"\nserver_name = \"d{n}.example.com\"\n"));
    fs::write(&file, domains.collect::<String>()).unwrap();
    let flags = ["--local", "--only", "fixed-protocol-no-alpn", "--only", "certificates-443", "--config"];
    let (code, report, err) = run.report(&[&flags[..], &[file.to_str().unwrap()]].concat()).await;
    assert_eq!((code, &report["notRun"]), (Some(1), &2.into()), "{err}");
    assert!(err.contains("iot:CreateDomainConfiguration"), "{err}");
    run.nothing_is_left().await;

    // A function that does not start.
    let run = Run::new();
    let flags = ["--local", "--only", "certificates-443", "--python", "a-program-that-nobody-has"];
    let (code, _, err) = run.report(&flags).await;
    assert!(code == Some(64) && err.contains("name Python 3 with `--python`"), "{err}");
}

#[tokio::test]
async fn a_command_line_that_can_not_be_used_makes_nothing() {
    let run = Run::new();
    let cases: [(&[&str], &str); 4] = [
        (&[], "say where the cases run: `--local`, or `--stage STAGE` for an account"),
        (&["--local", "--only", "no-such-case"], "there is no case and no subject `no-such-case`"),
        (&["--stage", "dev"], "there is no `cdk-outputs.json`"),
        (&["--local", "--stage", "dev"], "cannot be used with"),
    ];
    for (flags, message) in cases {
        let (code, _, err) = run.report(flags).await;
        assert!(code == Some(64) && err.contains(message), "{flags:?}: {err}");
        assert!(run.runs().is_empty(), "{flags:?}");
    }
}

#[tokio::test]
async fn every_case_is_listed_with_its_row() {
    let run = Run::new();
    let finished = run.start(&["--list"]).finish().await;
    let out = finished.out();
    let cases = conform::case::all().unwrap();
    assert_eq!(finished.code, Some(0));
    for case in &cases {
        assert!(out.contains(&format!("  {} (", case.id)), "{} is not listed", case.id);
    }
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    assert!(out.ends_with(&format!("{} cases\n", cases.len())));
    let (_, list, _) = run.report(&["--list"]).await;
    assert_eq!(list.as_array().unwrap().len(), cases.len());
}
