//! A device connects, and a reading comes to whoever has subscribed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use device_sim::{Client, ConnectError, Endpoint, Login, Options, Password, QoS, TopicFilter, TopicName};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::check::{Check, Result};
use crate::secret::Secret;

/// The checks.
pub(super) const NAMES: [&str; 3] =
    ["a wrong password stays outside", "the device connects", "a reading arrives"];

/// AWS takes one CONNECT a second for one client id (AWS General Reference, "AWS IoT Core quotas"). A device that is
/// turned away for that proves nothing about its password.
const BETWEEN_CONNECTS: Duration = Duration::from_millis(1_500);

/// A device, and where it connects to.
pub(super) struct Connecting<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) login: Login,
    pub(super) wrong: &'a Secret,
    /// How long a reading may take.
    pub(super) wait: Duration,
}

impl Connecting<'_> {
    pub(super) async fn checks(&self) -> [Check; 3] {
        let [outside, inside, seen] = NAMES;
        let refused = Check { name: outside, result: self.stranger().await };
        sleep(BETWEEN_CONNECTS).await;
        match self.connect(self.login.password.clone()).await {
            Ok(client) => {
                let how = format!("{}, ALPN `{}`", self.endpoint.address(), self.endpoint.alpn());
                let reading = self.reading(client).await;
                let connected = Check { name: inside, result: Result::Passed(how) };
                [refused, connected, Check { name: seen, result: reading }]
            }
            Err(error) => {
                let nobody = Result::NotRun("the device is not connected".to_owned());
                let kept_out = Check { name: inside, result: not_connected(&error) };
                [refused, kept_out, Check { name: seen, result: nobody }]
            }
        }
    }

    async fn connect(&self, password: Password) -> std::result::Result<Client, ConnectError> {
        let login = Login { password, ..self.login.clone() };
        Client::connect(&self.endpoint, &login, &Options::default()).await
    }

    async fn stranger(&self) -> Result {
        match self.connect(Password::from(self.wrong.text())).await {
            Ok(client) => {
                client.disconnect().await;
                Result::failed(
                    "it was let in",
                    "the authorizer that answers is not the one that was deployed: look at `--authorizer` and at the \
                     account's default authorizer",
                )
            }
            Err(error) if error.is_refusal() => Result::Passed(error.to_string()),
            Err(error) => Result::failed(format!("it was not even refused: {error}"), UNREACHED),
        }
    }

    /// One connection is publisher and subscriber: another under the same client id would end it.
    async fn reading(&self, mut client: Client) -> Result {
        let topic = format!("sensor/{}/temperature", self.login.client_id);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let reading = json!({"value": 21.5, "unit": "Cel", "ts": now}).to_string();
        let seen = timeout(self.wait, through(&mut client, &topic, &reading)).await;
        client.disconnect().await;
        match seen {
            Ok(Ok(())) => Result::Passed(format!("{topic}  {reading}")),
            Ok(Err(cause)) => Result::failed(cause, "the device's grant has to be `sht20`, or one like it"),
            Err(_) => Result::failed(
                format!("it was not back on `{topic}` within {:?}", self.wait),
                "the policy may lack `iot:Receive`; the grant `sht20` has it",
            ),
        }
    }
}

const UNREACHED: &str = "look at the way there: the endpoint, this network's way to port 443, and `--ca`";

fn not_connected(error: &ConnectError) -> Result {
    let cure = if error.is_refusal() {
        "the log of the authorizer says why: docs/operations.md#refusals, or on this machine that of `latchkey local`"
    } else {
        UNREACHED
    };
    Result::failed(error.to_string(), cure)
}

async fn through(client: &mut Client, topic: &str, reading: &str) -> std::result::Result<(), String> {
    let filter = TopicFilter::try_from(topic).map_err(|error| error.to_string())?;
    let name = TopicName::try_from(topic).map_err(|error| error.to_string())?;
    let subscribed = client.subscribe(filter, QoS::AtLeastOnce).await;
    subscribed.map_err(|error| format!("it can't subscribe to `{topic}`: {error}"))?;
    let published = client.publish(name, reading.to_owned(), QoS::AtLeastOnce).await;
    published.map_err(|error| format!("it can't publish to `{topic}`: {error}"))?;
    loop {
        let message = client.next_message().await.map_err(|error| error.to_string())?;
        if message.payload == reading {
            return Ok(());
        }
    }
}
