//! `latchkey local env`.

use std::collections::BTreeMap;

use integration::{
    programs::program,
    running::{Finished, Running},
    test_gateway::TestGateway,
};
use tokio::process::Command;

async fn env(folder: &std::path::Path, flags: &[&str]) -> Finished {
    let mut command = Command::new(program("latchkey"));
    command.args(["local", "env", "--data"]).arg(folder).args(flags);
    Running::start(command).finish().await
}

#[tokio::test]
async fn its_variables_make_the_aws_cli_use_the_gateway() {
    let gateway = TestGateway::open_to_all().await;
    let folder = gateway.folder.path();
    let mut shell = Command::new("sh");
    let script = r#"eval "$("$0" local env --data "$1")" && "$2" -m awscli iot create-thing --thing-name of-cli && "$2" -m awscli iot describe-thing --thing-name of-cli --query thingName"#;
    shell.args(["-c", script]).arg(program("latchkey")).arg(folder);
    shell.arg(integration::foreign::script::python()).env("AWS_SESSION_TOKEN", "of another account");
    let finished = Running::start(shell).finish().await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.out(), finished.err());
    assert!(finished.out().trim().ends_with("\"of-cli\""), "{}", finished.out());
}

#[tokio::test]
async fn each_form_has_the_same_variables() {
    let gateway = TestGateway::open_to_all().await;
    let folder = gateway.folder.path();
    let json = env(folder, &["--json"]).await.out();
    let expected = serde_json::from_str::<BTreeMap<String, String>>(&json).unwrap();
    let endpoint = format!("http://{}", gateway.addresses.api.unwrap());
    for name in ["AWS_ENDPOINT_URL_IOT", "AWS_ENDPOINT_URL_IOT_DATA_PLANE", "AWS_ENDPOINT_URL_DYNAMODB"] {
        assert_eq!(expected[name], endpoint);
    }
    assert_eq!(expected["AWS_ACCESS_KEY_ID"].len(), 20);
    assert_eq!(expected["AWS_SECRET_ACCESS_KEY"].len(), 40);
    for (flags, prefix, quote) in [
        (&[][..], "export ", ""),
        (&["--export", "dotenv"], "", ""),
        (&["--export", "powershell"], "$Env:", "'"),
    ] {
        let text = env(folder, flags).await.out();
        let lines = text.lines().filter_map(|line| line.strip_prefix(prefix)?.split_once('='));
        let lines = lines.map(|(name, value)| (name.trim().to_owned(), value.trim().replace(quote, "")));
        let found = lines.filter(|(_, value)| value != "$null").collect::<BTreeMap<_, _>>();
        assert_eq!(found, expected, "{text}");
    }
}

#[tokio::test]
async fn the_key_stays_and_only_its_owner_can_read_it() {
    let gateway = TestGateway::open_to_all().await;
    let key = |folder: &std::path::Path| {
        gateway::api::key::ApiFile::read(folder).unwrap().key.secret.as_str().to_owned()
    };
    let first = key(gateway.folder.path());
    let gateway = gateway.stop().await.run().await;
    assert_eq!(key(gateway.folder.path()), first);
    let file = gateway.folder.path().join("api.json");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let exposed = env(gateway.folder.path(), &[]).await;
        assert!(exposed.code == Some(64) && exposed.err().contains("chmod 600"), "{}", exposed.err());
    }
    std::fs::remove_file(&file).unwrap();
    let missing = env(gateway.folder.path(), &[]).await;
    assert_eq!(missing.code, Some(64));
    assert!(missing.err().contains("start `latchkey local` once"), "{}", missing.err());
}
