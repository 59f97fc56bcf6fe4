//! An authorizer in another language, with that language's own runtime client.

use std::path::Path;

use gateway::lambda::{
    function::FunctionSource,
    program::{Program, RuntimeApiAddress},
};
use integration::{
    canary::{Canary, Writings},
    foreign::script::python,
    mqtt_client::{MqttClient, connect},
    refusal::refused,
    test_gateway::Start,
};
use mqtt::{ConnectReasonCode, QoS, Version};

fn authorizer(password: &str) -> Program {
    let variables = vec![("DEVICE_PASSWORD".to_owned(), password.to_owned())];
    Program {
        arguments: ["-m", "awslambdaric", "app.handler"].map(str::to_owned).to_vec(),
        folder: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/python-authorizer")),
        handler: Some("app.handler".to_owned()),
        runtime_api: RuntimeApiAddress::HostAndPort,
        ..Program::new(std::path::absolute(python()).unwrap(), variables)
    }
}

#[tokio::test]
async fn a_python_authorizer_accepts_the_right_password_and_refuses_others() {
    let (right, wrong) = (Canary::new("the right password"), Canary::new("a wrong password"));
    let gateway = Start::with_source(FunctionSource::Program(authorizer(right.secret()))).run().await;
    for version in [Version::V311, Version::V5] {
        let mut hall =
            MqttClient::connected(&gateway, connect(version, "hall", "hall?SDK=x", right.secret())).await;
        hall.publish("hall/t", "x", QoS::AtLeastOnce).await.unwrap();
        for (id, user, password) in [
            ("hall", "hall", wrong.secret()),
            ("hall", "hall", ""),
            ("hall", "other", right.secret()),
            ("other", "hall", right.secret()),
        ] {
            let connect = connect(version, id, user, password);
            refused(&gateway, connect, ConnectReasonCode::NotAuthorized).await;
        }
    }
    gateway.logged_with(&[("reason", "NOT_AUTHENTICATED")]).await;
    let mut writings = Writings::default();
    writings.add("the log", gateway.log.text());
    writings.assert_free_of(&[&right, &wrong]);
}
