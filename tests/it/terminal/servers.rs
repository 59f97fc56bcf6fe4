//! Texts of servers: what `latchkey fleet smoke` and `latchkey sim` print of a server that is not to be trusted.

use std::{path::Path, sync::Arc};

use bytes::BytesMut;
use integration::{
    canary::Writings,
    cloud::outputs,
    fake_aws::{Act, FakeAws},
};
use mqtt::{Codec, Packet};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use serde_json::json;
use tempfile::tempdir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::codec::Decoder as _;

use super::{all, assert_escaped, packet, properties, run, string, without_controls};

/// Where a server has its text.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// In a CONNACK that refuses.
    RefuseConnect,
    /// In a CONNACK that accepts.
    AcceptConnect,
    /// In a DISCONNECT after the CONNACK.
    Disconnect,
    /// In a SUBACK that refuses.
    RefuseSubscribe,
    /// In a PUBACK that refuses.
    RefusePublish,
    /// In retained messages after the SUBACK.
    RetainedMessage,
    /// In place of a packet.
    Garbage,
}

const MANNERS: [Manner; 7] = [
    Manner::RefuseConnect,
    Manner::AcceptConnect,
    Manner::Disconnect,
    Manner::RefuseSubscribe,
    Manner::RefusePublish,
    Manner::RetainedMessage,
    Manner::Garbage,
];

/// Starts a server on a free port, whose certificate is in `ca.pem` of the folder.
async fn serve(folder: &Path, manner: Manner, text: String) -> u16 {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("ca.pem"), certified.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, acceptor.clone(), manner, text.clone()));
        }
    });
    port
}

/// Answers one client until it goes, or until the manner ends the connection.
async fn connection(stream: TcpStream, acceptor: TlsAcceptor, manner: Manner, text: String) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let (mut codec, mut bytes) = (Codec::server(150_000), BytesMut::new());
    loop {
        let packet = match codec.decode(&mut bytes) {
            Ok(Some(packet)) => packet,
            Ok(None) if stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) => continue,
            _ => return,
        };
        let (answer, ends) = answer(&packet, manner, &text);
        if stream.write_all(&answer).await.is_err() || ends {
            _ = stream.shutdown().await;
            return;
        }
    }
}

/// The answer to a packet, and whether the connection ends after it.
fn answer(received: &Packet, manner: Manner, text: &str) -> (Vec<u8>, bool) {
    let string = string(text);
    let reason = [&[0x1f], &string[..]].concat();
    let user_property = [&[0x26], &string[..], &string].concat();
    match (received, manner) {
        (Packet::Connect(_), Manner::RefuseConnect) => {
            (packet(0x20, &[&[0, 0x87], &properties(&[&reason, &user_property])]), true)
        }
        (Packet::Connect(_), Manner::Garbage) => ([&[0x20, 0x7f], text.as_bytes()].concat(), true),
        (Packet::Connect(_), Manner::Disconnect) => {
            let accepted = packet(0x20, &[&[0, 0, 0]]);
            ([accepted, packet(0xe0, &[&[0x87], &properties(&[&reason, &user_property])])].concat(), true)
        }
        (Packet::Connect(_), Manner::AcceptConnect) => {
            let information = [&[0x1a], &string[..]].concat();
            (packet(0x20, &[&[0, 0], &properties(&[&reason, &information, &user_property])]), false)
        }
        (Packet::Connect(_), _) => (packet(0x20, &[&[0, 0, 0]]), false),
        (Packet::Subscribe(subscribe), _) => {
            let id = subscribe.packet_id.get().to_be_bytes();
            match manner {
                Manner::RefuseSubscribe => (packet(0x90, &[&id, &properties(&[&reason]), &[0x87]]), false),
                Manner::RetainedMessage => {
                    let content_type = [&[0x03], &string[..]].concat();
                    let topics = properties(&[&content_type, &user_property]);
                    let message = packet(0x31, &[&string, &topics, text.as_bytes()]);
                    ([packet(0x90, &[&id, &[0], &[0]]), message].concat(), false)
                }
                _ => (packet(0x90, &[&id, &[0], &[0]]), false),
            }
        }
        (Packet::Publish(publish), _) => {
            let id = publish.packet_id.map(|id| id.get().to_be_bytes()).unwrap_or_default();
            let code = if matches!(manner, Manner::RefusePublish) { 0x87 } else { 0 };
            (packet(0x40, &[&id, &[code], &properties(&[&reason])]), false)
        }
        (Packet::PingReq, _) => (vec![0xd0, 0], false),
        _ => (Vec::new(), matches!(received, Packet::Disconnect(_))),
    }
}

#[tokio::test]
async fn text_of_a_server_is_escaped() {
    let cases =
        MANNERS.iter().flat_map(|manner| [all, without_controls].map(|text| (*manner, text("servertext"))));
    let runs = cases.map(|(manner, text)| async move {
        let (folder, mut writings) = (tempdir().unwrap(), Writings::default());
        let credentials = "device,client_id,user_name,password\nhall-1,hall-1,hall-1,password\n";
        std::fs::write(folder.path().join("credentials.csv"), credentials).unwrap();
        let port = serve(folder.path(), manner, text).await;
        let endpoint = format!("localhost:{port}");
        let connection = ["--endpoint", &endpoint, "--ca", "ca.pem", "--credentials", "credentials.csv"];
        let smoke = [&["fleet", "smoke", "--wait", "1s"][..], &connection].concat();
        run(folder.path(), "latchkey", &smoke, &[], &mut writings).await;
        let doctor = ["doctor", &endpoint, "--ca", "ca.pem", "-u", "hall-1", "-t", "hall-1/t", "--hold", "0"];
        run(folder.path(), "latchkey", &doctor, &[("LATCHKEY_PASSWORD", "password")], &mut writings).await;
        for version in ["5", "3.1.1"] {
            let more = ["--duration", "2s", "--interval", "200ms", "--mqtt", version];
            run(folder.path(), "latchkey-sim", &[&connection[..], &more].concat(), &[], &mut writings).await;
        }
        writings
    });
    let all = futures_util::future::join_all(runs).await;
    for writings in &all {
        assert_escaped(writings, &[]);
    }
    // The texts that MQTT allows are shown: the reasons of CONNACK, SUBACK and PUBACK.
    let shown = |writings: &Writings| {
        writings.parts().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("servertext"))
    };
    for (manner, writings) in [
        (Manner::RefuseConnect, &all[1]),
        (Manner::RefuseSubscribe, &all[7]),
        (Manner::RefusePublish, &all[9]),
    ] {
        assert!(shown(writings), "{manner:?} shows no text of the server");
    }
}

#[tokio::test]
async fn text_of_awss_services_is_escaped_by_smoke() {
    let mut writings = Writings::default();
    let folder = tempdir().unwrap();
    let credentials = "device,client_id,user_name,password\nhall-1,hall-1,hall-1,password\n";
    std::fs::write(folder.path().join("credentials.csv"), credentials).unwrap();
    std::fs::write(folder.path().join("cdk-outputs.json"), outputs("dev").to_string()).unwrap();
    let port = serve(folder.path(), Manner::AcceptConnect, without_controls("servertext")).await;
    let decision = |outcome: &str| {
        let line = json!({"event": "decision", "client_id": "hall-1", "outcome": outcome, "reason": all("logreason"),
            "connection_id": all("logconnection")});
        json!({"message": line.to_string(), "timestamp": 1})
    };
    let arn = "arn:aws:iot:us-east-1:123456789012:authorizer/latchkey-dev";
    let described =
        json!({"authorizerDescription": {"authorizerArn": arn, "signingDisabled": true}}).to_string();
    let misplaced = json!({"authorizerDescription": {"authorizerArn": all("arn:aws:iot:awsarn:1:authorizer/"), "signingDisabled": true}});
    let answer = json!({"isAuthenticated": true, "principalId": all("principal"), "policyDocuments": [all("document")],
        "refreshAfterInSeconds": 1, "disconnectAfterInSeconds": 1, "events": [decision("allow"), decision("deny")]});
    let error = |code: &str| json!({"__type": code, "message": all("awsmessage")}).to_string();
    let cases = [
        vec![Act::Answer(200, described.clone()), Act::Answer(200, answer.to_string())],
        vec![Act::Answer(200, described.clone()), Act::Answer(400, error("InvalidResponseException"))],
        vec![Act::Answer(200, described), Act::Answer(400, error(&all("awscode")))],
        vec![Act::Answer(200, misplaced.to_string())],
        vec![Act::Answer(400, error("InvalidRequestException"))],
        vec![Act::Answer(200, all("notjson"))],
    ];
    for acts in cases {
        let aws = FakeAws::start(acts).await;
        let variables = [
            ("AWS_ENDPOINT_URL", aws.endpoint()),
            ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_CONFIG_FILE", "no-such-file"),
            ("AWS_SHARED_CREDENTIALS_FILE", "no-such-file"),
        ];
        let endpoint = format!("localhost:{port}");
        let words = [
            "fleet",
            "smoke",
            "--wait",
            "1s",
            "--settle",
            "0s",
            "--authorizer",
            "latchkey",
            "--ca",
            "ca.pem",
        ];
        let more =
            ["--endpoint", &endpoint, "--credentials", "credentials.csv", "--outputs", "cdk-outputs.json"];
        run(folder.path(), "latchkey", &[&words[..], &more].concat(), &variables, &mut writings).await;
    }
    assert_escaped(&writings, &["awsmessage", "logconnection"]);
}
