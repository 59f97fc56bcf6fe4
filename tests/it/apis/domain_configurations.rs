//! The five domain-configuration operations, and what they rule at the doors.

use gateway::{
    door::{
        domain::DomainStatus,
        route::{Access, ApplicationProtocol, AuthenticationType, Port},
    },
    settings::DomainSettings,
};
use integration::{
    aws_api::{self, answers, call},
    device_certificate::Knock,
    mqtt_client::{MqttClient, connect},
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{ConnectReasonCode, Version};
use serde_json::{Value, json};

const NAME: &str = "iot.example.com";

/// A call about the domain configuration `d`.
fn about(operation: &str, mut more: Value) -> Value {
    more["domainConfigurationName"] = json!("d");
    call(operation, more)
}

async fn output(gateway: &TestGateway, call: Value) -> Value {
    aws_api::output(gateway.folder.path(), call).await
}

async fn failure(gateway: &TestGateway, call: Value) -> (String, String) {
    let answer = answers(gateway.folder.path(), &[call]).await.remove(0);
    let text = |member: &str| answer[member].as_str().unwrap_or_default().to_owned();
    (text("error"), text("message"))
}

/// The answer to a CONNECT without an authorizer's name over this server name; `None` if there is no handshake.
async fn knock(gateway: &TestGateway, server_name: &str, alpn: &[&str]) -> Option<ConnectReasonCode> {
    let versions = rustls::DEFAULT_VERSIONS;
    let knock = Knock { port: Port::P443, server_name, alpn, certificate: None, versions };
    let mut client = MqttClient::over(knock.tls(gateway).await.ok()?, Version::V5);
    client.send(mqtt::Packet::Connect(Box::new(connect(Version::V5, "c", "u", "p")))).await;
    match client.receive().await {
        Some(mqtt::Packet::ConnAck(ack)) => Some(ack.code),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_domain_configuration_serves_the_next_handshake_and_outlives_a_restart() {
    let (start, _own) = Start::with_script(&Step::Answer(allow_all()));
    let (start, script) = start.and_script("second", &Step::Answer(allow_all()));
    let gateway = start.run().await;
    assert_eq!(knock(&gateway, NAME, &["mqtt"]).await, None);
    let create = json!({
        "domainName": NAME, "authenticationType": "CUSTOM_AUTH", "applicationProtocol": "SECURE_MQTT",
        "authorizerConfig": {"defaultAuthorizerName": "second", "allowAuthorizerOverride": false},
    });
    let made = output(&gateway, about("CreateDomainConfiguration", create.clone())).await;
    let arn = made["domainConfigurationArn"].as_str().unwrap();
    let id = arn.strip_prefix("arn:aws:iot:us-east-1:123456789012:domainconfiguration/d/").unwrap();
    assert_eq!(id.len(), 5, "{arn}");
    // Without ALPN too, as its access says.
    assert_eq!(knock(&gateway, NAME, &[]).await, Some(ConnectReasonCode::Success));
    assert_eq!(script.calls(), 1);
    let (error, message) = failure(&gateway, about("CreateDomainConfiguration", create)).await;
    assert_eq!(error, "ResourceAlreadyExistsException", "{message}");
    let (error, message) = failure(&gateway, about("DeleteDomainConfiguration", json!({}))).await;
    assert_eq!((error.as_str(), message.contains("ENABLED")), ("InvalidRequestException", true), "{message}");

    let disabled = json!({"domainConfigurationStatus": "DISABLED"});
    output(&gateway, about("UpdateDomainConfiguration", disabled)).await;
    assert_eq!(knock(&gateway, NAME, &["mqtt"]).await, None);
    let line = gateway.logged_with(&[("reason", "DOMAIN_CONFIGURATION_DISABLED")]).await;
    assert_eq!(line["serverNameIndication"], NAME);

    let gateway = gateway.stop().await.run().await;
    assert_eq!(knock(&gateway, NAME, &["mqtt"]).await, None);
    let enabled = json!({"domainConfigurationStatus": "ENABLED", "removeAuthorizerConfig": true});
    output(&gateway, about("UpdateDomainConfiguration", enabled)).await;
    assert_eq!(knock(&gateway, NAME, &["mqtt"]).await, Some(ConnectReasonCode::Success));
    assert_eq!(script.calls(), 1, "the authorizer of the gateway");
    let described = output(&gateway, about("DescribeDomainConfiguration", json!({}))).await;
    assert!(described["authorizerConfig"].is_null(), "{described}");

    let disabled = json!({"domainConfigurationStatus": "DISABLED"});
    output(&gateway, about("UpdateDomainConfiguration", disabled)).await;
    output(&gateway, about("DeleteDomainConfiguration", json!({}))).await;
    let (error, _) = failure(&gateway, about("DescribeDomainConfiguration", json!({}))).await;
    assert_eq!(error, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_description_has_what_was_set_and_the_rest_has_defaults() {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let start = start.domain("own.example.com", AuthenticationType::CustomAuth, ApplicationProtocol::Https);
    let gateway = start.run().await;
    output(&gateway, about("CreateDomainConfiguration", json!({}))).await;
    let described = output(&gateway, about("DescribeDomainConfiguration", json!({}))).await;
    let members = [
        "domainType",
        "domainConfigurationStatus",
        "serviceType",
        "authenticationType",
        "applicationProtocol",
    ];
    let members = members.map(|member| described[member].clone());
    assert_eq!(members, ["ENDPOINT", "ENABLED", "DATA", "DEFAULT", "DEFAULT"], "{described}");
    assert_eq!(described["tlsConfig"]["securityPolicy"], "IoTSecurityPolicy_TLS13_1_2_2022_10");
    // Its own name is served.
    let server_name = described["domainName"].as_str().unwrap();
    assert_eq!(knock(&gateway, server_name, &["mqtt"]).await, Some(ConnectReasonCode::Success));

    let account = call("DescribeDomainConfiguration", json!({"domainConfigurationName": "iot:Data-ATS"}));
    assert_eq!(output(&gateway, account).await["domainType"], "AWS_MANAGED");
    let listed = output(&gateway, call("ListDomainConfigurations", json!({"pageSize": 2}))).await;
    let names = |listed: &Value| {
        let all = listed["domainConfigurations"].as_array().unwrap().iter();
        all.map(|one| one["domainConfigurationName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let marker = json!({"marker": listed["nextMarker"]});
    let rest = output(&gateway, call("ListDomainConfigurations", marker)).await;
    let all = [names(&listed), names(&rest)].concat();
    assert_eq!(all, ["d", "iot:Data-ATS", "own.example.com"]);
    assert!(rest["nextMarker"].is_null(), "{rest}");
}

#[tokio::test]
async fn what_aws_does_not_accept_is_refused() {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let start = start.domain(NAME, AuthenticationType::CustomAuth, ApplicationProtocol::SecureMqtt);
    let gateway = start.run().await;
    let file = gateway.folder.path().join("latchkey.toml");
    assert!(!file.exists());
    let of_settings = |operation: &str| call(operation, json!({"domainConfigurationName": NAME}));
    let invalid = "InvalidRequestException";
    for (call, error, part) in [
        (about("CreateDomainConfiguration", json!({"domainName": NAME})), invalid, "belongs to two"),
        (about("CreateDomainConfiguration", json!({"domainName": "localhost"})), invalid, "belongs to two"),
        (about("CreateDomainConfiguration", json!({"domainName": "a b"})), invalid, "host name"),
        (
            about("CreateDomainConfiguration", json!({"authenticationType": "AWS_X509"})),
            invalid,
            "does not go with",
        ),
        (
            about("CreateDomainConfiguration", json!({"serviceType": "JOBS"})),
            "NotImplementedException",
            "JOBS",
        ),
        (
            about("CreateDomainConfiguration", json!({"applicationProtocol": "MQTT"})),
            invalid,
            "enum value set",
        ),
        (
            about("CreateDomainConfiguration", json!({"authenticationType": "AWS_SIGV4"})),
            "NotImplementedException",
            "AWS_SIGV4",
        ),
        (of_settings("DeleteDomainConfiguration"), invalid, "change it there"),
        (about("UpdateDomainConfiguration", json!({})), "ResourceNotFoundException", "d"),
        (about("DeleteDomainConfiguration", json!({})), "ResourceNotFoundException", "d"),
        (
            call("DeleteDomainConfiguration", json!({"domainConfigurationName": "iot:Data-ATS"})),
            invalid,
            "iot:Data-ATS",
        ),
    ] {
        let (name, message) = failure(&gateway, call.clone()).await;
        assert_eq!((name.as_str(), message.contains(part)), (error, true), "{call} {message}");
    }
    let one =
        |n: usize| call("CreateDomainConfiguration", json!({"domainConfigurationName": format!("d{n}")}));
    let created = answers(gateway.folder.path(), &(1..=10).map(one).collect::<Vec<_>>()).await;
    // Nine and that of the settings are ten.
    assert!(created[..9].iter().all(|answer| answer["error"].is_null()), "{created:?}");
    assert_eq!(created[9]["error"], "LimitExceededException");
}

#[tokio::test]
async fn a_default_authorizer_alone_lets_clients_name_no_other() {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    let config = json!({"authorizerConfig": {"defaultAuthorizerName": "later"}});
    output(&gateway, about("CreateDomainConfiguration", config)).await;
    let described = output(&gateway, about("DescribeDomainConfiguration", json!({}))).await;
    let config = json!({"defaultAuthorizerName": "later", "allowAuthorizerOverride": false});
    assert_eq!(described["authorizerConfig"], config);
    let server_name = described["domainName"].as_str().unwrap();
    assert_eq!(knock(&gateway, server_name, &["mqtt"]).await, Some(ConnectReasonCode::NotAuthorized));
    let line = gateway.logged_with(&[("reason", "CUSTOM_AUTHORIZER_NOT_FOUND")]).await;
    assert_eq!(line["serverNameIndication"], server_name);
}

#[tokio::test]
async fn what_a_call_and_the_settings_file_both_define_is_an_error_that_names_both() {
    for (name, server_name, words) in [
        (
            "d",
            "other.example.com",
            &["`latchkey.toml` defines the domain configuration `d`", "so did an API call"][..],
        ),
        (
            "of-file",
            NAME,
            &["`latchkey.toml` defines the domain configuration `of-file`", "API call", "`d`", NAME],
        ),
    ] {
        let gateway = TestGateway::open_to_all().await;
        output(&gateway, about("CreateDomainConfiguration", json!({"domainName": NAME}))).await;
        let domain = DomainSettings {
            name: name.to_owned(),
            status: DomainStatus::Enabled,
            server_name: server_name.to_owned(),
            certificate: None,
            access: Access::new(AuthenticationType::Default, ApplicationProtocol::Default).unwrap(),
            default_authorizer: None,
            allow_authorizer_override: true,
        };
        let both = gateway.stop().await.with(|settings| settings.domains.push(domain));
        let error = both.try_run().await.err().unwrap().to_string();
        assert!(words.iter().all(|words| error.contains(words)), "{error}");
    }
}
