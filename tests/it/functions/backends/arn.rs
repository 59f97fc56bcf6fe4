//! A function in AWS, which [`FakeFunction`] plays.

use std::time::Duration;

use bytes::Bytes;
use gateway::{
    clock::{Clock, ManualClock},
    lambda::{Call, InvokeError, aws::AwsFunction},
};
use integration::{
    aws,
    canary::{Canary, Writings},
    eventually::{eventually, within},
    fake_function::{Act, FakeFunction},
    gateway_process::GatewayProcess,
    script::allow_all,
};
use serde_json::{Value, json};

use super::{AT_FAULT, faults, slots};

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:latchkey-authorizer:live";

fn called(function: &FakeFunction, clock: Clock) -> AwsFunction {
    AwsFunction::new(ARN.parse().unwrap(), &aws::configuration(&function.endpoint()), slots(clock))
}

async fn invoke(function: &AwsFunction, event: &str) -> Result<Bytes, InvokeError> {
    within("the call", function.invoke(Call::Connect, || Bytes::from(event.to_owned()))).await
}

#[tokio::test]
async fn each_fault_is_an_error_that_names_its_cause_and_no_call_is_repeated() {
    let secret = Canary::new("the event");
    let event = json!({"secret": secret.secret()}).to_string();
    let function = FakeFunction::start(Act::Answer(json!("answer"))).await;
    let lambda = called(&function, Clock::system());
    assert_eq!(invoke(&lambda, &event).await.unwrap(), "\"answer\"");
    let cases = [
        (
            Act::aws_error(404, "ResourceNotFoundException"),
            "`ResourceNotFoundException`; the function, alias or version does not exist",
        ),
        (Act::aws_error(403, "AccessDeniedException"), "`AccessDeniedException`; these credentials need"),
        (Act::aws_error(403, "UnrecognizedClientException"), "these credentials are not valid"),
        (Act::aws_error(429, "TooManyRequestsException"), "accepts no more calls at a time"),
        (Act::aws_error(500, "ServiceException"), "answered the call with `ServiceException`"),
        (Act::aws_error(500, "no name"), "answered the call with status 500"),
        (Act::Status(302, "location: /elsewhere\r\n"), "answered the call with status 302"),
    ];
    let mut writings = Writings::default();
    for (act, details) in faults().into_iter().chain(cases) {
        function.set(act);
        let calls = function.calls().len();
        let error = invoke(&lambda, &event).await.unwrap_err();
        assert!(error.to_string().contains(details), "{details}: {error}");
        assert_eq!(function.calls().len(), calls + 1, "{details}");
        writings.add("an error", format!("{error} {error:?}"));
    }
    writings.assert_free_of(&[&secret]);
}

#[tokio::test]
async fn a_call_is_abandoned_after_five_seconds() {
    for act in [Act::Hold, Act::slow_body()] {
        let function = FakeFunction::start(act).await;
        let manual = ManualClock::new();
        let lambda = called(&function, Clock::Manual(manual.clone()));
        let clock = async {
            eventually("the call", || (function.calls().len() == 1).then_some(())).await;
            manual.advance(Duration::from_secs(5));
        };
        let (answer, ()) = tokio::join!(invoke(&lambda, "{}"), clock);
        assert_eq!(answer, Err(InvokeError::Timeout(Duration::from_secs(5))));
    }
}

/// What a function in AWS needs of the environment.
fn environment(endpoint: &str) -> Vec<(&str, &str)> {
    vec![
        ("AWS_ENDPOINT_URL_LAMBDA", endpoint),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/no/such/file"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/no/such/file"),
    ]
}

/// The log's line about a client that was refused. It may be written after the client has its answer.
async fn line(folder: &std::path::Path, client_id: &str) -> Value {
    eventually("the line of the refused client", || {
        let log = std::fs::read_to_string(folder.join("events.jsonl")).unwrap();
        // The last line may be half written.
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["clientId"] == client_id && line["status"] == "Failure")
    })
    .await
}

#[tokio::test]
async fn a_gateway_with_an_arn_accepts_and_refuses() {
    let function = FakeFunction::start(Act::Answer(allow_all())).await;
    let (folder, endpoint) = (tempfile::tempdir().unwrap(), function.endpoint());
    let flags = ["--json", "--function-arn", ARN];
    let gateway = GatewayProcess::start_with(folder.path(), &flags, &environment(&endpoint)).await;
    assert_eq!(function.connections(), 0, "nothing is called at the start");
    let connect = async |id| gateway.connect(device_sim::Version::V5, id, "u", b"p").await;
    connect("a").await.unwrap();
    let call = function.calls().pop().unwrap();
    let path = format!("POST /2015-03-31/functions/{}/invocations HTTP/1.1\r\n", ARN.replace(':', "%3A"));
    assert!(call.head.starts_with(&path), "{}", call.head);
    assert!(call.head.contains("/eu-west-1/lambda/aws4_request"), "{}", call.head);
    assert_eq!(call.event["protocolData"]["mqtt"]["clientId"], "a");
    function.set(Act::Answer(json!({"isAuthenticated": false})));
    assert!(connect("b").await.is_err());
    assert_eq!(line(folder.path(), "b").await["reason"], "NOT_AUTHENTICATED");
    function.set(Act::aws_error(403, "AccessDeniedException"));
    assert!(connect("c").await.is_err());
    let failed = line(folder.path(), "c").await;
    assert_eq!(failed["reason"], AT_FAULT);
    let details = "`AccessDeniedException`; these credentials need `lambda:InvokeFunction` on the function";
    assert_eq!(failed["explanation"], format!("`{ARN}` answered the call with {details}"));
    assert_eq!(function.calls().len(), 3);
}

#[tokio::test]
async fn without_credentials_every_connect_is_refused_and_the_log_says_why() {
    let function = FakeFunction::start(Act::Answer(allow_all())).await;
    let (folder, endpoint) = (tempfile::tempdir().unwrap(), function.endpoint());
    let mut variables = environment(&endpoint);
    variables.retain(|(name, _)| !name.contains("KEY"));
    let flags = ["--json", "--function-arn", ARN];
    let gateway = GatewayProcess::start_with(folder.path(), &flags, &variables).await;
    assert!(gateway.connect(device_sim::Version::V5, "c", "u", b"p").await.is_err());
    let failed = line(folder.path(), "c").await;
    assert_eq!(failed["reason"], AT_FAULT);
    assert!(failed["explanation"].as_str().unwrap().contains("are there credentials"), "{failed}");
    assert_eq!(function.connections(), 0);
}
