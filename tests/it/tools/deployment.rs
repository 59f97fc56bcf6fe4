//! What `make deploy` wrote, as the simulator finds it.

use std::fs;

use integration::{cloud::outputs, programs::program, running::Running};
use tokio::process::Command;

async fn sim(folder: &std::path::Path, more: &[&str]) -> String {
    let mut command = Command::new(program("latchkey"));
    command.args(["sim", "--duration", "1s"]).args(more).current_dir(folder);
    let finished = Running::start(command).finish().await;
    assert_eq!(finished.code, Some(64), "{}", finished.err());
    finished.err()
}

#[tokio::test]
async fn the_simulator_goes_where_it_was_deployed_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let local = "latchkey sim: there is no credentials file `.latchkey/credentials.csv`";
    let said = sim(folder.path(), &[]).await;
    assert!(said.starts_with(local) && said.contains(": `latchkey fleet add NAME "), "{said}");
    fs::write(folder.path().join("cdk-outputs.json"), outputs("dev").to_string()).unwrap();
    let said = sim(folder.path(), &[]).await;
    let using = "using the stage `dev` of `cdk-outputs.json`: device.example.com:443, authorizer `latchkey-dev`, \
                 account 123456789012, region us-east-1\nlatchkey sim: there is no credentials file \
                 `.latchkey/credentials-dev.csv`: `latchkey fleet provision --count 1` writes one, or";
    assert!(said.starts_with(using), "{said}");
    let said = sim(folder.path(), &["--endpoint", "localhost:10443"]).await;
    assert!(said.starts_with(local), "a named endpoint wins: {said}");
    fs::write(folder.path().join("cdk-outputs.json"), "{").unwrap();
    let said = sim(folder.path(), &[]).await;
    assert!(
        said.starts_with("latchkey sim: `cdk-outputs.json` is not what `make deploy` writes (EOF"),
        "{said}"
    );
}
