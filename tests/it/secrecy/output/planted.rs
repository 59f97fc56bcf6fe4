//! The planted secrets, and the ways to present them.

use integration::{
    canary::Canary,
    devices,
    gateway_process::{AT_ANY_RATE, GatewayProcess},
};
use mqtt::{QoS, Version};
use tempfile::{TempDir, tempdir};

/// One secret for each place in a CONNECT.
pub(super) struct Planted {
    pub(super) password: Canary,
    pub(super) wrong: Canary,
    raw: Canary,
    pub(super) token: Canary,
    signature: Canary,
    parameter: Canary,
}

impl Planted {
    pub(super) fn new() -> Self {
        Self {
            password: Canary::new("the password"),
            wrong: Canary::new("a wrong password"),
            raw: Canary::new("a password that is not text"),
            token: Canary::new("the token"),
            signature: Canary::new("the token's signature"),
            parameter: Canary::new("another parameter"),
        }
    }

    pub(super) fn all(&self) -> [&Canary; 6] {
        [&self.password, &self.wrong, &self.raw, &self.token, &self.signature, &self.parameter]
    }

    /// The query string after a user name with a token.
    fn query(&self, authorizer: &str) -> String {
        let (signature, token, other) =
            (self.signature.secret(), self.token.secret(), self.parameter.secret());
        format!(
            "?x-amz-customauthorizer-name={authorizer}&x-amz-customauthorizer-signature={signature}\
             &TokenKeyName={token}&Metadata=({other})"
        )
    }

    pub(super) fn user_name(&self, device: &str) -> String {
        format!("{device}{}", self.query("latchkey"))
    }

    pub(super) fn signature(&self) -> &str {
        self.signature.secret()
    }

    /// Bytes that are not UTF-8, with the secret in their middle.
    fn raw_password(&self) -> Vec<u8> {
        [&[0xff, 0x00, 0xc3][..], self.raw.secret().as_bytes(), &[0x80, 0xfe]].concat()
    }
}

/// Connects in each way that has another outcome. The result is whether each device was accepted.
pub(super) async fn connect_in_every_way(
    gateway: &GatewayProcess,
    planted: &Planted,
    version: Version,
) -> Vec<bool> {
    let (right, wrong) = (planted.password.secret().as_bytes(), planted.wrong.secret().as_bytes());
    let raw = planted.raw_password();
    let user_name = |device: &str| planted.user_name(device);
    let second_query = format!("hall-1{}?SDK={}", planted.query("latchkey"), planted.token.secret());
    let cases = [
        ("hall-1", user_name("hall-1"), right),
        ("raw", user_name("raw"), &raw),
        ("hall-1", user_name("hall-1"), wrong),
        ("hall-1", user_name("hall-1"), &raw),
        ("hall-1", user_name("hall-1"), b""),
        ("nobody", user_name("nobody"), right),
        ("off", user_name("off"), right),
        ("hall-2", user_name("hall-1"), right),
        ("a/b+c", user_name("hall-1"), right),
        ("hall-1", user_name("no name"), right),
        ("hall-1", user_name(""), right),
        ("hall-1", second_query, right),
        ("hall-1", format!("hall-1{}", planted.query("other")), right),
        ("hall-1", format!("hall-1{}", planted.query(planted.token.secret())), right),
    ];
    let mut outcomes = Vec::new();
    for (client_id, user_name, password) in cases {
        let connected = gateway.connect(version, client_id, &user_name, password).await;
        if let Err(error) = &connected {
            assert!(error.is_refusal(), "{client_id}: {error}");
        }
        outcomes.push(connected.is_ok());
        if let Ok(mut client) = connected {
            for topic in ["hall-1/a", "elsewhere"] {
                // A denied publish may end the connection.
                _ = client.publish(topic.parse().unwrap(), "x", QoS::AtLeastOnce).await;
            }
            client.disconnect().await;
        }
    }
    outcomes
}

/// A folder with the devices of [`connect_in_every_way`].
pub(super) fn folder_with_devices(planted: &Planted) -> TempDir {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("latchkey.toml"), AT_ANY_RATE).unwrap();
    let password = planted.password.secret().as_bytes();
    devices::add(folder.path(), "hall-1", "own-topics", password);
    devices::add(folder.path(), "off", "own-topics", password);
    devices::disable(folder.path(), "off");
    devices::add(folder.path(), "raw", "own-topics", &planted.raw_password());
    folder
}
