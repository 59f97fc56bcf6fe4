//! `latchkey conform --stage`: the whole command on an account, of which the gateway plays AWS IoT, and the tests Lambda, IAM and
//! CloudWatch Logs. Nothing is left of any run, however it ends.

use std::fs;

use integration::{
    cloud::outputs,
    eventually::until,
    fake_account::{FakeAccount, Fault},
    foreign::script::{attempts, in_python},
};
use serde_json::json;

use super::*;

/// Cases with each kind of thing that a run makes: authorizers, one of them with keys; domain configurations; certificates, one
/// of them with a Thing; events, which are in the function's log; retained messages and shadows.
const CASES: [&str; 11] = [
    "event-mqtt",
    "event-https",
    "signing-keys",
    "custom-auth-x509-event",
    "fixed-protocol-ports",
    "disabled-domain",
    "certificate-not-registered",
    "policy-thing-certificate",
    "policy-retain",
    "shadow-rest-names",
    "https-shadow-update",
];
/// The calls of a set-up, by a part of their requests, with what each makes.
const STEPS: [&str; 14] = [
    "POST /certificate/register-no-ca",
    "POST /policies/",
    "PUT /target-policies/",
    "POST /things/",
    "PUT /things/",
    "Logs_20140328.CreateLogGroup",
    "Logs_20140328.PutRetentionPolicy",
    "Action=CreateRole",
    "Action=PutRolePolicy",
    "POST /2015-03-31/functions HTTP",
    "/configuration",
    "/policy HTTP",
    "POST /authorizer/",
    "POST /domainConfigurations/",
];

/// A run on an account.
struct OnAccount {
    run: Run,
    gateway: GatewayProcess,
    data: tempfile::TempDir,
    account: FakeAccount,
}

impl OnAccount {
    async fn new(slow: bool) -> Self {
        let (run, data, account) = (Run::new(), tempfile::tempdir().unwrap(), FakeAccount::start(slow).await);
        let settings = data.path().join("latchkey.toml");
        let function = format!(
            "[[function]]\nname = \"latchkey-conform-*\"\ninvoke_url = \"{}\"\ninstances = 8\n",
            account.invoke_url()
        );
        let ports = "[ports]\n8883 = 0\n8443 = 0\napi = 0\n";
        fs::write(&settings, format!("{ports}{function}")).unwrap();
        let authorizer = program("latchkey-authorizer").display().to_string();
        let flags = ["--json", "--authorizer", &authorizer, "--config", settings.to_str().unwrap()];
        let gateway = GatewayProcess::start_with(data.path(), &flags, &[]).await;
        let ApiFile { endpoint, .. } = ApiFile::read(data.path()).unwrap();
        account.send_iot_to(&endpoint);
        let this = Self { run, gateway, data, account };
        let outputs = outputs("dev");
        let thing_type = outputs["latchkey-dev"]["ThingTypeName"].as_str().unwrap();
        this.iot().create_thing_type().thing_type_name(thing_type).send().await.unwrap();
        this.write_outputs(&outputs);
        this
    }

    fn iot(&self) -> aws_sdk_iot::Client {
        aws_sdk_iot::Client::new(&aws_api::configuration(self.data.path()))
    }

    fn write_outputs(&self, outputs: &Value) {
        fs::write(self.run.folder.path().join("cdk-outputs.json"), outputs.to_string()).unwrap();
    }

    /// The environment of the command.
    fn variables(&self) -> Vec<(String, String)> {
        let ApiFile { key, .. } = ApiFile::read(self.data.path()).unwrap();
        let nothing = self.data.path().join("no-such-file").display().to_string();
        let variables = [
            ("AWS_ENDPOINT_URL", self.account.endpoint()),
            ("AWS_ACCESS_KEY_ID", &key.id),
            ("AWS_SECRET_ACCESS_KEY", key.secret.as_str()),
            ("AWS_CONFIG_FILE", &nothing),
            ("AWS_SHARED_CREDENTIALS_FILE", &nothing),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn words(&self, flags: &[&str]) -> Vec<String> {
        let data = self.run.folder.path().display().to_string();
        let mut words = ["--stage", "dev", "--data", &data].map(str::to_owned).to_vec();
        words.extend(["--ca".to_owned(), self.gateway.ca().display().to_string()]);
        let ports = self.gateway.ports.iter().filter(|(port, _)| port.parse::<u16>().is_ok());
        words.extend(ports.flat_map(|(port, address)| ["--connect".to_owned(), format!("{port}={address}")]));
        words.extend(flags.iter().map(|&flag| flag.to_owned()));
        words
    }

    fn start(&self, flags: &[&str]) -> Running {
        let mut command = Command::new(program("latchkey-conform"));
        for name in ["AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"] {
            command.env_remove(name);
        }
        command.args(self.words(flags)).envs(self.variables()).current_dir(self.run.folder.path());
        Running::start(command)
    }

    async fn report(&self, flags: &[&str]) -> (Option<i32>, Value, String) {
        let finished = self.start(&[flags, &["--json"]].concat()).finish_within(LIMIT).await;
        let report = serde_json::from_slice(&finished.out).unwrap_or_default();
        (finished.code, report, finished.err())
    }

    /// Everything of runs that is in the account.
    async fn remains(&self) -> Vec<String> {
        let mut remains = self.account.remains();
        remains.extend(names_in(&self.iot()).await);
        remains
    }
}

fn only<'a>(cases: &[&'a str]) -> Vec<&'a str> {
    cases.iter().flat_map(|case| ["--only", case]).collect()
}

#[tokio::test]
async fn a_run_on_an_account_makes_what_it_needs_and_leaves_nothing() {
    let on = OnAccount::new(true).await;
    let (code, report, err) = on.report(&[&["--yes"], &only(&CASES)[..]].concat()).await;
    let different = report["cases"].as_array().unwrap().iter().filter(|case| case["verdict"] != "agrees");
    assert_eq!(different.collect::<Vec<_>>(), Vec::<&Value>::new(), "{err}");
    assert_eq!((code, ids(&report, "agrees").len()), (Some(0), CASES.len()), "{err}");
    assert_eq!(on.remains().await, Vec::<String>::new(), "{err}");
    // Lambda could not use the role at first, and the function was not active at first.
    let calls = on.account.calls();
    let count = |operation: &str| calls.iter().filter(|it| *it == operation).count();
    assert_eq!((count("CreateFunction"), count("GetFunctionConfiguration")), (2, 2), "{calls:?}");
    // Each authorizer may call the function, and nothing else may.
    let permissions = on.account.permissions();
    let arn = "arn:aws:iot:us-east-1:123456789012:authorizer/latchkey-conform-";
    assert!(!permissions.is_empty() && permissions.iter().all(|it| it.starts_with(arn)), "{permissions:?}");
    assert!(
        permissions.iter().any(|it| it.ends_with("-main"))
            && permissions.iter().any(|it| it.ends_with("-signed"))
    );
}

#[tokio::test]
async fn a_set_up_that_fails_at_any_step_is_removed() {
    let on = OnAccount::new(false).await;
    let cases = only(&["disabled-domain", "policy-thing-certificate"]);
    for step in STEPS {
        on.account.fail(step, Fault::Refuse("AccessDeniedException"));
        let (code, report, err) = on.report(&[&["--yes"], &cases[..]].concat()).await;
        assert_eq!((code, &report["notRun"]), (Some(1), &2.into()), "{step}: {err}");
        assert!(err.contains("the credentials may not "), "{step}: {err}");
        assert_eq!(on.remains().await, Vec::<String>::new(), "{step}: {err}");
    }
}

#[tokio::test]
async fn what_a_run_left_that_was_killed_at_any_step_is_removed() {
    let on = OnAccount::new(false).await;
    let cases = only(&["disabled-domain", "policy-thing-certificate"]);
    for (number, step) in STEPS.into_iter().step_by(2).enumerate() {
        // Either the call was carried out, and the killed process did not see it, or it was not.
        on.account.fail(step, if number % 2 == 0 { Fault::Hold } else { Fault::HoldBefore });
        let running = on.start(&[&["--yes"], &cases[..]].concat());
        until(step, async || on.account.held() > 0).await;
        running.kill().await;
        on.account.recover();
        assert_ne!(on.remains().await, Vec::<String>::new(), "{step}");
        let (code, _, err) = on.report(&["--clean"]).await;
        assert_eq!(code, Some(0), "{step}: {err}");
        assert_eq!(on.remains().await, Vec::<String>::new(), "{step}: {err}");
    }
    // The last one goes on, with what it did not finish.
    let (code, report, err) = on.report(&["--yes", "--resume"]).await;
    assert_eq!((code, ids(&report, "agrees").len()), (Some(0), 2), "{err}");
    assert_eq!(on.remains().await, Vec::<String>::new(), "{err}");
}

#[tokio::test]
async fn a_killed_run_is_removed_and_finished_by_resume() {
    let on = OnAccount::new(true).await;
    // The function is not active yet when the next process wants to delete it.
    on.account.fail("/configuration", Fault::HoldBefore);
    let running = on.start(&[&["--yes"], &only(&["event-mqtt", "policy-retain"])[..]].concat());
    until("a call about the new function", async || on.account.held() > 0).await;
    running.kill().await;
    on.account.recover();
    let (code, report, err) = on.report(&["--yes", "--resume"]).await;
    assert_eq!((code, ids(&report, "agrees").len()), (Some(0), 2), "{err}");
    assert_eq!(on.remains().await, Vec::<String>::new(), "{err}");
    let deletions = on.account.calls().iter().filter(|it| *it == "DeleteFunction").count();
    assert_eq!(deletions, 3, "the first one came too early");
}

#[tokio::test]
async fn ctrl_c_removes_what_was_made_during_the_set_up_and_during_a_case() {
    let on = OnAccount::new(false).await;
    // Lambda never gets to use the role, and the run waits for that.
    on.account.fail("POST /2015-03-31/functions HTTP", Fault::Refuse("InvalidParameterValueException"));
    let cases = only(&["function-5-seconds", "certificates-443"]);
    let mut running = on.start(&[&["--yes"], &cases[..]].concat());
    running.err_line("the function", |line| line.contains("making the function").then_some(())).await;
    until("the role", async || on.account.remains().iter().any(|it| it.starts_with("role "))).await;
    running.interrupt();
    let interrupted = running.finish().await;
    assert_eq!(interrupted.code, Some(130), "{}", interrupted.err());
    assert_eq!(on.remains().await, Vec::<String>::new(), "{}", interrupted.err());

    on.account.recover();
    let mut running = on.start(&["--yes", "--resume"]);
    running.err_line("the cases", |line| line.contains("running 2 cases").then_some(())).await;
    running.interrupt();
    let interrupted = running.finish().await;
    assert_eq!(interrupted.code, Some(130), "{}", interrupted.err());
    let resume = "`latchkey conform --stage dev --resume` runs the other cases";
    assert!(interrupted.err().contains(resume), "{}", interrupted.err());
    assert_eq!(on.remains().await, Vec::<String>::new(), "{}", interrupted.err());
    let (code, report, err) = on.report(&["--yes", "--resume"]).await;
    assert_eq!((code, ids(&report, "agrees").len()), (Some(0), 2), "{err}");
    assert_eq!(on.remains().await, Vec::<String>::new(), "{err}");
}

#[tokio::test]
async fn what_can_not_be_removed_is_named_and_stays_in_the_journal() {
    let on = OnAccount::new(false).await;
    on.account.fail("Action=DeleteRole&", Fault::Refuse("AccessDenied"));
    let (code, report, err) = on.report(&["--yes", "--only", "policy-retain"]).await;
    assert_eq!((code, ids(&report, "agrees").len()), (Some(1), 1), "{err}");
    let left = on.remains().await;
    assert!(left.len() == 1 && left[0].starts_with("role latchkey-conform-"), "{left:?}");
    let name = left[0].strip_prefix("role ").unwrap();
    assert!(err.contains(&format!("not removed: the role `{name}`")), "{err}");
    assert!(err.contains("`latchkey conform --stage dev --clean` tries again"), "{err}");
    on.account.recover();
    let (code, _, err) = on.report(&["--clean"]).await;
    assert_eq!((code, on.remains().await), (Some(0), Vec::new()), "{err}");
}

#[tokio::test]
async fn the_run_begins_after_yes_on_a_terminal_and_in_the_stages_own_account_only() {
    let on = OnAccount::new(false).await;
    // Without a terminal it does not begin.
    let (code, _, err) = on.report(&["--only", "policy-retain"]).await;
    let error = err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(code == Some(64) && error.contains("pass `--yes` to begin without the question"), "{err}");
    let attempt = |typed: &str| {
        let latchkey = program("latchkey-conform").display().to_string();
        let command = [vec![latchkey], on.words(&["--only", "policy-retain"])].concat();
        let variables = on.variables().into_iter().collect::<std::collections::BTreeMap<_, _>>();
        json!({"command": command, "folder": on.run.folder.path(), "typed": typed, "variables": variables})
    };
    let events = attempts(in_python("terminal.py"), &[attempt("n\n"), attempt("\n"), attempt("y\n")]).await;
    let text = |number: usize| events[number][0]["text"].as_str().unwrap();
    for (number, events) in events.iter().enumerate() {
        let one_line = text(number).split_whitespace().collect::<Vec<_>>().join(" ");
        let (question, _) = text(number).split_once("Begin?").unwrap();
        assert!(question.lines().all(|line| line.chars().count() <= 80), "{question}");
        for part in [
            "In the account 123456789012 and the region us-east-1,",
            "a function in Lambda, its role, and a log group 1 authorizer, which calls that function 1 case makes",
            "less than US$ 0.01",
            "It takes about 3 minutes",
            "Begin? [y/N]",
        ] {
            assert!(one_line.contains(part), "{part} in {}", text(number));
        }
        assert_eq!(text(number).contains("nothing was made"), number < 2, "{}", text(number));
        assert_eq!(events[0]["code"], 0, "{}", text(number));
    }
    assert!(text(2).contains("1 case agrees"), "{}", text(2));
    assert_eq!(on.remains().await, Vec::<String>::new());

    // A journal of another account's run stays as it is.
    on.account.fail("Action=DeleteRole&", Fault::Refuse("AccessDenied"));
    on.report(&["--yes", "--only", "policy-retain"]).await;
    on.account.recover();
    for (name, value) in [("Account", "999999999999"), ("Region", "eu-west-1")] {
        let mut other = outputs("dev");
        other["latchkey-dev"][name] = value.into();
        on.write_outputs(&other);
        for flags in [&["--yes"][..], &["--clean"], &["--yes", "--resume"]] {
            let (code, _, err) = on.report(flags).await;
            assert!(code == Some(64), "{err}");
            assert!(name == "Region" || err.contains("these credentials lead to"), "{err}");
            assert_eq!(on.remains().await.len(), 1, "{err}");
        }
    }
    on.write_outputs(&outputs("dev"));
    let (code, _, err) = on.report(&["--clean"]).await;
    assert_eq!((code, on.remains().await), (Some(0), Vec::new()), "{err}");
}
