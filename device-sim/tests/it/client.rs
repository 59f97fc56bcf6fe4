//! Single connections.

use std::time::Duration;

use device_sim::client::{Client, Closed, ConnectError, Options, RequestError, Step, TlsError};
use device_sim::{Endpoint, Login, Password, QoS, Target, TopicName, Version};
use mqtt::{ConnectReasonCode, DisconnectReasonCode, PubAckCode, SubscribeFailure};
use tokio::net::TcpListener;

use crate::server::{Manner, Seen, Server};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
const PASSWORD: &str = "hunter2-of-sht20";

fn login() -> Login {
    Login {
        client_id: "sht20".into(),
        user_name: "name?token=tangerine".into(),
        password: Password::from(PASSWORD),
    }
}

fn options(version: Version) -> Options {
    Options { version, ..Options::default() }
}

fn hasty() -> Options {
    Options { time_limit: Duration::from_millis(300), ..Options::default() }
}

fn topic() -> TopicName {
    TopicName::try_from("sensor/sht20/temperature").unwrap()
}

async fn connect(server: &Server, options: &Options) -> Client {
    Client::connect(&server.endpoint(), &login(), options).await.unwrap()
}

async fn refusal(endpoint: &Endpoint, options: &Options) -> ConnectError {
    let error = Client::connect(endpoint, &login(), options).await.err().unwrap();
    for shown in [format!("{error}"), format!("{error:?}")] {
        assert!(!shown.contains(PASSWORD) && !shown.contains("tangerine"), "{shown}");
    }
    error
}

async fn publish_error(manner: Manner, options: &Options) -> RequestError {
    let server = Server::start(move |_| manner).await;
    let mut client = connect(&server, options).await;
    client.publish(topic(), "21.5", QoS::AtLeastOnce).await.unwrap_err()
}

#[tokio::test]
async fn a_message_is_acknowledged_in_both_versions() {
    for version in VERSIONS {
        let mut server = Server::kind().await;
        let mut client = connect(&server, &options(version)).await;
        assert!(!client.session_present());
        client.publish(topic(), "21.5", QoS::AtLeastOnce).await.unwrap();
        client.publish(topic(), "21.6", QoS::AtMostOnce).await.unwrap();
        client.disconnect().await;

        let Seen::Connect(connect) = server.until(Some).await else { panic!("not CONNECT") };
        assert_eq!((connect.version, &*connect.client_id), (version, "sht20"));
        assert_eq!(connect.username.as_deref(), Some("name?token=tangerine"));
        assert_eq!(connect.password.as_deref(), Some(PASSWORD.as_bytes()));
        for (payload, qos) in [("21.5", QoS::AtLeastOnce), ("21.6", QoS::AtMostOnce)] {
            let Seen::Publish(_, publish) = server.until(Some).await else { panic!("not PUBLISH") };
            assert_eq!((&publish.payload[..], publish.qos), (payload.as_bytes(), qos));
        }
        assert_eq!(server.until(Some).await, Seen::Disconnect("sht20".into()));
    }
}

#[tokio::test]
async fn a_refusal_has_its_code_in_both_versions() {
    for version in VERSIONS {
        let server = Server::start(|_| Manner::Refuse(ConnectReasonCode::NotAuthorized)).await;
        let error = refusal(&server.endpoint(), &options(version)).await;
        assert!(error.is_refusal());
        assert_eq!(error.to_string(), "the server refused the connection: not authorized (0x87)");
    }
}

#[tokio::test]
async fn a_close_instead_of_an_answer_is_a_refusal() {
    let server = Server::start(|_| Manner::CloseOnConnect).await;
    let error = refusal(&server.endpoint(), &Options::default()).await;
    assert!(matches!(error, ConnectError::ClosedBeforeConnAck) && error.is_refusal(), "{error}");
}

#[tokio::test]
async fn a_connect_without_an_answer_reaches_its_time_limit() {
    let server = Server::start(|_| Manner::SilentOnConnect).await;
    let error = refusal(&server.endpoint(), &hasty()).await;
    assert!(matches!(error, ConnectError::Timeout { step: Step::Connack, .. }), "{error}");
}

#[tokio::test]
async fn another_ca_is_not_trusted() {
    let (server, other) = (Server::kind().await, Server::kind().await);
    let endpoint = Endpoint::new(Target { ca: Some(other.ca.clone()), ..server.target() }).unwrap();
    let error = refusal(&endpoint, &Options::default()).await;
    let cause = format!(
        "the server's certificate is not signed by the CA in `{}`: pass the server's CA with `--ca`",
        other.ca.display()
    );
    assert_eq!(error.to_string(), cause);
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn another_name_is_not_accepted() {
    let server = Server::kind().await;
    let target = Target { sni: Some("iot.example.com".into()), ..server.target() };
    let error = refusal(&Endpoint::new(target).unwrap(), &Options::default()).await;
    assert!(matches!(&error, ConnectError::Tls(TlsError::WrongName(name)) if name == "iot.example.com"));
}

#[tokio::test]
async fn another_protocol_is_refused() {
    let server = Server::kind().await;
    let target = Target { alpn: "x-amzn-mqtt-ca".parse().unwrap(), ..server.target() };
    let error = refusal(&Endpoint::new(target).unwrap(), &Options::default()).await;
    let cause =
        "the server refused the ALPN protocol `x-amzn-mqtt-ca`: pass the one that it expects with `--alpn`";
    assert_eq!(error.to_string(), cause);
}

#[tokio::test]
async fn a_port_that_nothing_listens_on_is_named() {
    let server = Server::kind().await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    drop(listener);
    let target = Target { address: address.parse().unwrap(), ..server.target() };
    let error = refusal(&Endpoint::new(target).unwrap(), &Options::default()).await;
    assert_eq!(error.to_string(), format!("nothing listens on `{address}`: start it with `latchkey local`"));
    assert!(error.is_retryable() && !error.is_refusal());
}

#[tokio::test]
async fn a_port_without_tls_has_an_error_of_its_own() {
    let server = Server::kind().await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    tokio::spawn(async move { drop(listener.accept().await) });
    let endpoint = Endpoint::new(Target { address, ..server.target() }).unwrap();
    let error = refusal(&endpoint, &Options::default()).await;
    assert!(matches!(error, ConnectError::Tls(TlsError::Closed)), "{error}");
}

#[tokio::test]
async fn a_close_during_a_publish_has_the_reason_that_mqtt_5_gives() {
    let close = publish_error(Manner::CloseOnPublish, &options(Version::V311)).await;
    assert_eq!(close, RequestError::Closed(Closed::ByServer));
    let code = DisconnectReasonCode::NotAuthorized;
    let error = publish_error(Manner::DisconnectOnPublish(code), &options(Version::V5)).await;
    assert_eq!(error, RequestError::Closed(Closed::Disconnected { code, reason: None }));
    assert_eq!(error.to_string(), "the server ended the connection: not authorized (0x87)");
}

#[tokio::test]
async fn a_refused_message_has_its_code() {
    let code = PubAckCode::NotAuthorized;
    let error = publish_error(Manner::RefusePublish(code), &Options::default()).await;
    assert_eq!(error, RequestError::PublishRefused { code, reason: None });
    assert_eq!(error.reason(), "not_authorized");
}

#[tokio::test]
async fn a_message_without_an_acknowledgement_fails() {
    let options = hasty();
    let error = publish_error(Manner::SilentOnPublish, &options).await;
    assert_eq!(error, RequestError::NotAcknowledged(options.time_limit));
}

#[tokio::test]
async fn qos_2_is_not_sent() {
    let server = Server::kind().await;
    let mut client = connect(&server, &Options::default()).await;
    let error = client.publish(topic(), "x", QoS::ExactlyOnce).await.unwrap_err();
    assert_eq!(error, RequestError::QosUnsupported);
}

#[tokio::test]
async fn a_subscriber_receives_and_acknowledges() {
    for version in VERSIONS {
        let mut server = Server::kind().await;
        let mut client = connect(&server, &options(version)).await;
        let granted = client.subscribe("#".parse().unwrap(), QoS::AtLeastOnce).await.unwrap();
        assert_eq!(granted, QoS::AtLeastOnce);
        let message = client.next_message().await.unwrap();
        assert_eq!((message.topic.as_str(), &message.payload[..]), ("echo", &b"hello"[..]));
        let acknowledged = Seen::PubAck("sht20".into());
        server.until(|seen| (seen == acknowledged).then_some(())).await;
        client.disconnect().await;
    }
}

#[tokio::test]
async fn a_refused_subscription_has_its_code() {
    let code = SubscribeFailure::NotAuthorized;
    let server = Server::start(move |_| Manner::RefuseSubscribe(code)).await;
    let mut client = connect(&server, &Options::default()).await;
    let error = client.subscribe("#".parse().unwrap(), QoS::AtMostOnce).await.unwrap_err();
    assert_eq!(error, RequestError::SubscribeRefused { code, reason: None });
}

#[tokio::test]
async fn an_idle_connection_is_pinged_as_the_server_wants() {
    let mut server = Server::start(|_| Manner::KeepAlive(1)).await;
    let mut client = connect(&server, &Options::default()).await;
    let mut pings = 0;
    let pinged = server.until(|seen| {
        pings += u32::from(seen == Seen::Ping("sht20".into()));
        (pings == 2).then_some(())
    });
    tokio::select! {
        closed = client.closed() => panic!("{closed}"),
        () = pinged => {}
    }
    client.disconnect().await;
}

#[tokio::test]
async fn a_ping_without_an_answer_ends_the_connection() {
    let server = Server::start(|_| Manner::KeepAliveWithoutAnswer(1)).await;
    let options = hasty();
    let mut client = connect(&server, &options).await;
    assert_eq!(client.closed().await, Closed::Silent(options.time_limit));
}
