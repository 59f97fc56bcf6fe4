//! The dialler of our own clients: directly and through proxies, and what it says of each fault.

use std::sync::Arc;

use integration::{
    connect_proxy::{self, ConnectProxy},
    eventually::within,
    mqtt_client::{MqttClient, client_config, connect},
    socks_proxy::{self, SocksProxy},
    test_gateway::TestGateway,
};
use mqtt::{
    ConnectReasonCode, Version,
    wire::dial::{DialError, Proxy, ProxyError, dial},
};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

/// Where no name leads: only the proxy knows the way.
const HOST: &str = "iot.example.invalid";

fn proxy(scheme: &str, user: &str, port: u16) -> Proxy {
    format!("{scheme}://{user}127.0.0.1:{port}").parse().unwrap()
}

async fn dialled(proxy: &Proxy) -> Result<TcpStream, ProxyError> {
    match within("the dialler", dial(HOST, 443, Some(proxy))).await {
        Ok(stream) => Ok(stream),
        Err(DialError::Proxy { proxy: shown, error }) => {
            assert_eq!(shown, proxy.to_string());
            Err(error)
        }
        Err(other) => panic!("{other}"),
    }
}

/// TLS with a server name of its own, and an MQTT connection, over a stream.
async fn connects(gateway: &TestGateway, stream: TcpStream) {
    let config = client_config(gateway, &["mqtt"], rustls::DEFAULT_VERSIONS);
    let name = ServerName::try_from("localhost").unwrap();
    let stream = within("TLS", TlsConnector::from(Arc::clone(&config)).connect(name, stream)).await.unwrap();
    let mut client = MqttClient::over(stream, Version::V5);
    client.send(mqtt::Packet::Connect(Box::new(connect(Version::V5, "dialled", "u", "p")))).await;
    let answer = within("CONNACK", client.receive()).await;
    assert!(
        matches!(answer, Some(mqtt::Packet::ConnAck(answer)) if answer.code == ConnectReasonCode::Success)
    );
}

#[tokio::test]
async fn a_proxy_of_either_kind_leads_to_the_gateway_by_its_name() {
    let gateway = TestGateway::open_to_all().await;
    let http = ConnectProxy::to(gateway.address).await;
    let stream = dialled(&proxy("http", "", http.port)).await.unwrap();
    connects(&gateway, stream).await;
    assert_eq!(http.asked(), [format!("{HOST}:443")]);
    let socks = SocksProxy::to(gateway.address, socks_proxy::Manner::Open).await;
    let stream = dialled(&proxy("socks5", "", socks.port)).await.unwrap();
    connects(&gateway, stream).await;
    assert_eq!(socks.asked(), [format!("{HOST}:443")]);
}

#[tokio::test]
async fn an_ipv6_address_reaches_both_kinds_as_it_is() {
    let gateway = TestGateway::open_to_all().await;
    let http = ConnectProxy::to(gateway.address).await;
    let socks = SocksProxy::to(gateway.address, socks_proxy::Manner::Open).await;
    for proxy in [proxy("http", "", http.port), proxy("socks5", "", socks.port)] {
        within("the dialler", dial("2001:db8::1", 443, Some(&proxy))).await.unwrap();
    }
    assert_eq!(
        (http.asked(), socks.asked()),
        (vec!["[2001:db8::1]:443".to_owned()], vec!["2001:db8::1:443".to_owned()])
    );
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_gets_it_and_says_if_it_is_wrong() {
    let gateway = TestGateway::open_to_all().await;
    // `printf %s 'a user:p@ss' | base64`
    let manner = connect_proxy::Manner::Authorized("Basic YSB1c2VyOnBAc3M=");
    let http = ConnectProxy::with(gateway.address, manner).await;
    let socks = SocksProxy::to(gateway.address, socks_proxy::Manner::Authorized("a user", "p@ss")).await;
    for (scheme, port) in [("http", http.port), ("socks5", socks.port)] {
        connects(&gateway, dialled(&proxy(scheme, "a%20user:p%40ss@", port)).await.unwrap()).await;
        for user in ["", "a%20user:other@"] {
            let error = dialled(&proxy(scheme, user, port)).await.unwrap_err();
            assert!(matches!(error, ProxyError::Unauthorized), "{scheme} {user}: {error}");
        }
    }
}

#[tokio::test]
async fn what_a_proxy_does_instead_is_named() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let answers = [
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
            "did not connect to the server: HTTP 403 Forbidden",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://portal/\r\ncontent-length: 0\r\n\r\n",
            "did not connect to the server: HTTP 302 Found",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", "does not answer as such a proxy does"),
        ("", "closed the connection"),
        (
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "does not answer as such a proxy does: it sends bytes after its answer",
        ),
    ];
    for (answer, message) in answers {
        let http = ConnectProxy::with(nowhere, connect_proxy::Manner::Answer(answer)).await;
        let error = dialled(&proxy("http", "", http.port)).await.unwrap_err().to_string();
        assert!(error.starts_with(message), "{answer:?}: {error}");
    }
    let replies = [
        (socks_proxy::Manner::Reply(2), "did not connect to the server: Connection not allowed by ruleset"),
        (socks_proxy::Manner::Reply(5), "did not connect to the server: Connection refused"),
        (
            socks_proxy::Manner::Garbage(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            "does not answer as such a proxy does",
        ),
        (socks_proxy::Manner::Garbage(b""), "closed the connection"),
    ];
    for (manner, message) in replies {
        let socks = SocksProxy::to(nowhere, manner).await;
        let error = dialled(&proxy("socks5", "", socks.port)).await.unwrap_err().to_string();
        assert!(error.starts_with(message), "{message}: {error}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_not_taken_for_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for proxy in [proxy("http", "", port), "socks5://nowhere.invalid:1080".parse().unwrap()] {
        let error = dialled(&proxy).await.unwrap_err();
        assert!(matches!(error, ProxyError::Unreachable(_)), "{proxy}: {error}");
    }
    let direct = within("the dialler", dial(HOST, 443, None)).await.unwrap_err();
    assert!(matches!(direct, DialError::NameNotFound { .. }), "{direct}");
    let closed = within("the dialler", dial("127.0.0.1", port, None)).await.unwrap_err();
    assert!(matches!(closed, DialError::Tcp { .. }), "{closed}");
}
