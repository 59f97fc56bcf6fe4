//! mosquitto's broker as a bridge to AWS IoT Core.

use gateway::door::route::Port;
use integration::{
    foreign::mosquitto::Broker,
    running::{Finished, Running},
};
use mqtt::QoS;

use super::{CertificateDoors, logged};

/// The configuration that AWS publishes for a bridge, which leaves `try_private` at its default: mosquitto sets the highest
/// bit of the protocol level until it is refused for that. The last lines are the local broker's own.
fn configuration(doors: &CertificateDoors, socket: &str) -> String {
    let port = doors.gateway.addresses.doors[&Port::P8883].port();
    let (ca, known) = (doors.gateway.ca(), &doors.known);
    format!(
        "connection awsiot\n\
         address localhost:{port}\n\
         topic hall-1/down in 1\n\
         topic hall-1/up out 1\n\
         bridge_protocol_version mqttv311\n\
         bridge_insecure false\n\
         cleansession true\n\
         clientid hall-1\n\
         start_type automatic\n\
         notifications false\n\
         log_type all\n\
         bridge_cafile {}\n\
         bridge_certfile {}\n\
         bridge_keyfile {}\n\
         restart_timeout 1\n\
         listener 0 {socket}\n\
         allow_anonymous true\n",
        ca.display(),
        known.certificate.display(),
        known.key.display(),
    )
}

#[tokio::test]
async fn a_bridge_falls_back_from_its_own_protocol_level_and_passes_messages_both_ways() {
    let mut doors = CertificateDoors::open().await;
    let socket = doors.gateway.folder.path().join("local.sock");
    let text = configuration(&doors, socket.to_str().unwrap());
    let broker = Broker::start(doors.gateway.folder.path(), &text, socket);
    logged(&doors.gateway, "protocol level 132 is not supported").await;
    doors
        .gateway
        .logged_with(&[("eventType", "Connect"), ("status", "Success"), ("clientId", "hall-1")])
        .await;

    let sent = broker.publish("hall-1/up", "21.5").finish().await;
    assert_eq!((sent.code, &*sent.err()), (Some(0), ""));
    doors.seen("hall-1/up", "21.5").await;

    let received = down(&mut doors, broker.subscribe("hall-1/down")).await;
    assert_eq!((received.code, &*received.out()), (Some(0), "hall-1/down on\n"), "{}", received.err());
}

/// Publishes in AWS's place until the local subscriber, which gives no sign when it has subscribed, has a message.
async fn down(doors: &mut CertificateDoors, subscriber: Running) -> Finished {
    let publishing = async {
        loop {
            doors.viewer.publish("hall-1/down", "on", QoS::AtMostOnce).await;
            assert_eq!(doors.viewer.message().await.payload, "on", "it sees its own messages");
        }
    };
    tokio::select! {
        received = subscriber.finish() => received,
        () = publishing => unreachable!("it never ends"),
    }
}
