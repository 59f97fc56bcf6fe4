//! What a run on an account makes besides AWS IoT, on a service that others wrote: moto. LocalStack needs Docker or a
//! download for a function.

use conform::{
    host::{AccountHost, Bundle, FunctionHost},
    journal::Journal,
};
use integration::{aws, emulator::Emulator};
use serde_json::json;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn the_function_comes_and_goes() {
    let emulator = Emulator::moto().await;
    let aws = aws::configuration(emulator.endpoint());
    let folder = tempfile::tempdir().unwrap();
    let host = FunctionHost::Account(Box::new(AccountHost::new(&aws, "123456789012", "us-east-1")));
    let journal = Journal::open(folder.path()).unwrap();
    let name = "latchkey-conform-abc123";
    let scripts = json!({"a.main": {"raises": true}}).as_object().unwrap().clone();
    let bundle = Bundle { scripts, key_sha256: "00".to_owned() };
    let arn = host.create(name, &bundle, &journal, &CancellationToken::default()).await.unwrap();
    assert!(arn.ends_with(":function:latchkey-conform-abc123"), "{arn}");
    let authorizer = "arn:aws:iot:us-east-1:123456789012:authorizer/latchkey-conform-abc123-main";
    host.allow(name, "latchkey-conform-abc123-main", authorizer).await.unwrap();
    let lambda = aws_sdk_lambda::Client::new(&aws);
    let policy = lambda.get_policy().function_name(name).send().await.unwrap().policy.unwrap();
    assert!(policy.contains(authorizer) && policy.contains("iot.amazonaws.com"), "{policy}");
    let found = lambda.get_function_configuration().function_name(name).send().await.unwrap();
    assert_eq!((found.handler(), found.timeout()), (Some("function.handler"), Some(10)));

    let (iam, logs) = (aws_sdk_iam::Client::new(&aws), aws_sdk_cloudwatchlogs::Client::new(&aws));
    let there = async || {
        let roles = iam.list_roles().send().await.unwrap();
        let groups = logs.describe_log_groups().send().await.unwrap();
        let functions = lambda.list_functions().send().await.unwrap();
        let ours = |found: Option<&str>| usize::from(found.is_some_and(|it| it.contains(name)));
        roles.roles().iter().map(|it| ours(Some(it.role_name()))).sum::<usize>()
            + groups.log_groups().iter().map(|it| ours(it.log_group_name())).sum::<usize>()
            + functions.functions().iter().map(|it| ours(it.function_name())).sum::<usize>()
    };
    assert_eq!((there().await, journal.present().len()), (3, 3));
    // The second time there is nothing to delete, which is as good.
    for _ in 0..2 {
        for resource in journal.present() {
            host.remove(&resource).await.unwrap();
        }
        assert_eq!(there().await, 0);
    }
}
