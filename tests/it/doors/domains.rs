//! Domain configurations: their certificates, their authorizers, and who may choose another.

use gateway::{
    door::{
        DoorRequirements,
        domain::DomainStatus,
        route::{ApplicationProtocol, AuthenticationType, Port},
    },
    gateway::StartError,
    settings::Settings,
};
use integration::{
    captured_log::words,
    device_certificate::{DeviceCertificate, Knock},
    eventually::within,
    http_client::HttpClient,
    mqtt_client::{MqttClient, connect, tls},
    script::{Script, Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{ConnectReasonCode, Version};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;

const NAME: &str = "iot.example.com";

fn start() -> (Start, Script) {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    (start.domain(NAME, AuthenticationType::CustomAuth, ApplicationProtocol::SecureMqtt), script)
}

fn by_name<'a>(server_name: &'a str, alpn: &'a [&'a str]) -> Knock<'a> {
    Knock { port: Port::P443, server_name, alpn, certificate: None, versions: rustls::DEFAULT_VERSIONS }
}

/// What a client with this user name is answered, and the log's reason if that is a refusal.
async fn answer(gateway: &TestGateway, knock: Knock<'_>, id: &str, user_name: &str) -> ConnectReasonCode {
    let mut client = MqttClient::over(knock.tls(gateway).await.unwrap(), Version::V5);
    client.send(mqtt::Packet::Connect(Box::new(connect(Version::V5, id, user_name, "p")))).await;
    match client.receive().await {
        Some(mqtt::Packet::ConnAck(ack)) => ack.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_server_name_chooses_the_domain_configuration() {
    let gateway = start().0.run().await;
    // Its own rules: MQTT without any ALPN. The default domain takes that for HTTP.
    assert_eq!(answer(&gateway, by_name(NAME, &[]), "a", "u").await, ConnectReasonCode::Success);
    assert_eq!(
        answer(&gateway, by_name("IOT.EXAMPLE.COM", &["mqtt"]), "b", "u").await,
        ConnectReasonCode::Success
    );
    let stream = by_name("localhost", &[]).tls(&gateway).await.unwrap();
    let mut other = MqttClient::over(stream, Version::V5);
    other.send(mqtt::Packet::Connect(Box::new(connect(Version::V5, "c", "u", "p")))).await;
    assert_eq!(other.receive().await, None, "MQTT at the HTTP door");
    let line = gateway.logged_with(&[("eventType", "Connect"), ("clientId", "a")]).await;
    assert_eq!(line["serverNameIndication"], NAME);
    // The certificate is for that name alone.
    let certificate = |stream: &tokio_rustls::client::TlsStream<tokio::net::TcpStream>| {
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let own = certificate(&by_name(NAME, &[]).tls(&gateway).await.unwrap());
    let default = certificate(&tls(&gateway, "localhost", &["mqtt"]).await.unwrap());
    let without_sni = certificate(&tls(&gateway, "127.0.0.1", &["mqtt"]).await.unwrap());
    assert_ne!(own, default);
    assert_eq!(default, without_sni, "no server name is the default domain's");
}

#[tokio::test]
async fn a_domain_uses_its_configured_certificate() {
    let (start, _script) = start();
    let elsewhere = tempfile::tempdir().unwrap();
    // Signed by the same authority, so that the test's client trusts it.
    let (chain, key) = integration::device_certificate::server_certificate(start.folder(), NAME);
    std::fs::write(elsewhere.path().join("chain.pem"), &chain).unwrap();
    std::fs::write(elsewhere.path().join("key.pem"), &key).unwrap();
    let files = (elsewhere.path().join("chain.pem"), elsewhere.path().join("key.pem"));
    let gateway = start.with(|settings| settings.domains[0].certificate = Some(files)).run().await;
    let stream = by_name(NAME, &["mqtt"]).tls(&gateway).await.unwrap();
    let presented = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(presented, CertificateDer::from_pem_slice(chain.as_bytes()).unwrap());
}

#[tokio::test]
async fn a_domains_default_authorizer_serves_clients_that_name_none() {
    let (start, first) = start();
    let (start, second) = start.and_script("second", &Step::Answer(allow_all()));
    let name = "second".try_into().unwrap();
    let gateway = start.with(|settings| settings.domains[0].default_authorizer = Some(name)).run().await;
    let named = "u?x-amz-customauthorizer-name=latchkey";
    for (n, (server_name, user_name, calls)) in
        [(NAME, "u", (0, 1)), ("localhost", "u", (1, 1)), (NAME, named, (2, 1))].into_iter().enumerate()
    {
        let code = answer(&gateway, by_name(server_name, &["mqtt"]), &format!("c{n}"), user_name).await;
        assert_eq!(code, ConnectReasonCode::Success, "{server_name} {user_name}");
        assert_eq!((first.calls(), second.calls()), calls, "{server_name} {user_name}");
    }
}

#[tokio::test]
async fn what_the_stricter_page_requires_is_refused_if_it_is_set() {
    let https = "https.example.com";
    for is_required in [false, true] {
        let start = start().0.domain(https, AuthenticationType::CustomAuth, ApplicationProtocol::Https);
        let required = DoorRequirements { require_server_name: is_required, require_alpn: is_required };
        let gateway = start.with(|settings| settings.doors = required).run().await;
        let at_8883 = |alpn| Knock { port: Port::P8883, ..by_name(NAME, alpn) };
        // An address is not a server name, so a client that connects to one sends none.
        for (knock, is_stricter) in [
            (by_name(NAME, &["mqtt"]), false),
            (by_name(NAME, &[]), true),
            (at_8883(&["mqtt"]), true),
            (at_8883(&[]), true),
            (by_name(https, &[]), false),
            (by_name("localhost", &["mqtt"]), false),
            (by_name("localhost", &[]), false),
            (by_name("127.0.0.1", &["mqtt"]), true),
            (by_name("127.0.0.1", &[]), true),
        ] {
            let case = format!("{} {:?} {:?}", knock.port, knock.server_name, knock.alpn);
            assert_eq!(knock.tls(&gateway).await.is_err(), is_required && is_stricter, "{case}");
        }
        if is_required {
            let alpn = "the client offered no ALPN; AWS's port 443 accepts `mqtt`";
            for details in
                [alpn, "AWS's port 8883 is not for this server name", "the client sent no server name (SNI)"]
            {
                gateway.logged(details, |line| words(line).contains(details)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_disabled_domain_configuration_refuses_its_clients_and_the_log_says_why() {
    let (start, script) = start();
    let start = start.domain("https.example.com", AuthenticationType::CustomAuth, ApplicationProtocol::Https);
    let disable = |settings: &mut Settings| {
        settings.domains.iter_mut().for_each(|domain| domain.status = DomainStatus::Disabled);
    };
    let gateway = start.with(disable).run().await;
    for (name, alpn) in
        [(NAME, &["mqtt"][..]), (NAME, &[]), ("https.example.com", &["http/1.1"]), ("https.example.com", &[])]
    {
        assert!(by_name(name, alpn).tls(&gateway).await.is_err(), "{name} {alpn:?}");
    }
    for name in [NAME, "https.example.com"] {
        let line = gateway.logged_with(&[("serverNameIndication", name)]).await;
        let fields = ["eventType", "authenticationType", "reason"].map(|field| line[field].clone());
        assert_eq!(
            fields,
            ["Connection.AuthNError", "CUSTOM_AUTH", "DOMAIN_CONFIGURATION_DISABLED"],
            "{line}"
        );
        assert!(line["explanation"].as_str().unwrap().contains("set its `status` to ENABLED"), "{line}");
    }
    // Nor can a client without SNI name it in its Host header.
    let mut client = HttpClient::over(by_name("127.0.0.1", &[]).tls(&gateway).await.unwrap());
    client.send(b"POST /topics/t HTTP/1.1\r\nHost: https.example.com\r\nContent-Length: 1\r\n\r\nx").await;
    assert_eq!(client.answer().await.unwrap().status, 400);
    let other = answer(&gateway, by_name("localhost", &["mqtt"]), "c", "u").await;
    assert_eq!(other, ConnectReasonCode::Success, "the others are served");
    assert_eq!(script.calls(), 1);
}

#[tokio::test]
async fn without_override_no_other_authorizer_is_called() {
    let (start, first) = start();
    let (start, second) = start.and_script("second", &Step::Answer(allow_all()));
    let locked = |settings: &mut Settings| {
        settings.domains[0].default_authorizer = Some("second".try_into().unwrap());
        settings.domains[0].allow_authorizer_override = false;
    };
    let gateway = start.with(locked).run().await;
    let knock = by_name(NAME, &["mqtt"]);
    let own = "u?x-amz-customauthorizer-name=second";
    assert_eq!(answer(&gateway, knock, "a", "u").await, ConnectReasonCode::Success);
    assert_eq!(answer(&gateway, knock, "b", own).await, ConnectReasonCode::Success);
    let other = "u?x-amz-customauthorizer-name=latchkey";
    assert_eq!(answer(&gateway, knock, "c", other).await, ConnectReasonCode::NotAuthorized);
    let line = gateway.logged_with(&[("clientId", "c")]).await;
    assert_eq!(
        (&line["reason"], &line["eventType"]),
        (&"CUSTOM_AUTHORIZER_NOT_FOUND".into(), &"Connection.AuthNError".into())
    );
    assert!(line["explanation"].as_str().unwrap().contains("`allow_authorizer_override`"), "{line}");
    assert_eq!((first.calls(), second.calls()), (0, 2));
}

#[tokio::test]
async fn with_custom_auth_x509_the_function_receives_the_certificate_and_has_to_name_its_principal() {
    let device = DeviceCertificate::new("device");
    let registered = device.registered();
    let (id, pem) = (registered.id().as_str().to_string(), registered.pem().to_owned());
    let answers = |principal: &str| {
        let mut answer = allow_all();
        answer["principalId"] = json!(principal);
        Step::Answer(answer)
    };
    let (start, script) = Start::with_script(&answers(&id));
    let gateway = start
        .registered(vec![registered], Vec::new())
        .domain("both.test", AuthenticationType::CustomAuthX509, ApplicationProtocol::SecureMqtt)
        .run()
        .await;
    let knock = Knock { certificate: Some(&device), ..by_name("both.test", &[]) };
    assert_eq!(answer(&gateway, knock, "a", "u").await, ConnectReasonCode::Success);
    let tls = json!({"serverName": "both.test", "x509CertificatePem": pem, "principalId": id});
    assert_eq!(script.events().last().unwrap()["protocolData"]["tls"], tls);
    for principal in ["p1", &id.to_uppercase()] {
        script.set(&answers(principal));
        assert_eq!(answer(&gateway, knock, principal, "u").await, ConnectReasonCode::NotAuthorized);
        let line = gateway.logged_with(&[("clientId", principal)]).await;
        assert_eq!(line["reason"], "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR");
    }
    // Who has no registered certificate never reaches the function.
    let calls = script.calls();
    let stranger = DeviceCertificate::new("device");
    let knock = Knock { certificate: Some(&stranger), ..knock };
    if let Ok(stream) = knock.tls(&gateway).await {
        MqttClient::over(stream, Version::V5).closed().await;
    }
    let unknown =
        [("reason", "DEVICE_CERTIFICATE_NOT_REGISTERED"), ("authenticationType", "CUSTOM_AUTH_X509")];
    gateway.logged_with(&unknown).await;
    assert_eq!(script.calls(), calls);
}

#[tokio::test]
async fn an_invalid_domain_configuration_ends_the_start() {
    let error = async |change: fn(&mut Settings)| match start().0.with(change).try_run().await {
        Err(StartError::Other(error)) => format!("{error:#}"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it starts"),
    };
    let doubled = error(|settings| settings.domains.push(settings.domains[0].clone())).await;
    assert_eq!(doubled, "there are two domain configurations with the name `iot.example.com`");
    let doubled = error(|settings| {
        let mut other = settings.domains[0].clone();
        other.name = "other".to_owned();
        settings.domains.push(other);
    });
    assert_eq!(doubled.await, "the server name `iot.example.com` belongs to two domain configurations");
    let own = error(|settings| settings.domains[0].server_name = "LocalHost".to_owned()).await;
    assert_eq!(own, "the server name `localhost` belongs to two domain configurations");
    let nobody = error(|settings| settings.domains[0].default_authorizer = "x".try_into().ok()).await;
    assert_eq!(
        nobody,
        "the domain configuration `iot.example.com`: its default authorizer `x` does not exist"
    );
    let files = error(|settings| settings.domains[0].certificate = Some(("/no".into(), "/no".into()))).await;
    assert!(files.contains("the domain configuration `iot.example.com`: can't read `/no`"), "{files}");
    // A key of another certificate.
    let folder = tempfile::tempdir().unwrap();
    DeviceCertificate::new("a").write(folder.path(), "a");
    DeviceCertificate::new("b").write(folder.path(), "b");
    let files = (folder.path().join("a.pem"), folder.path().join("b.key"));
    let started = start().0.with(|settings| settings.domains[0].certificate = Some(files)).try_run();
    let Err(StartError::Other(error)) = within("the start", started).await else { panic!("it starts") };
    assert!(format!("{error:#}").contains("is not the key of"), "{error:#}");
}
