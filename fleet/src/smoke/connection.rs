//! Checks that a device can connect, and that a reading reaches its subscriber.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use device_sim::{
    Client, Closed, ConnectError, Endpoint, Login, Options, Password, QoS, RequestError, TopicError,
    TopicFilter, TopicName,
};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{
    check::{Check, Result},
    settling::{BETWEEN_CONNECTS, Settled, settle},
};
use crate::secret::Secret;

/// The name of the check that a deployment needs first.
pub(super) const SETTLED: &str = "three connects in a row succeed";
/// The names of the checks.
pub(super) const NAMES: [&str; 3] =
    ["a wrong password is refused", "the device connects", "a reading arrives"];

/// The checks of a connection.
pub(super) struct ConnectionChecks<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) login: Login,
    pub(super) wrong: &'a Secret,
    /// How long a reading may take.
    pub(super) wait: Duration,
}

/// Why a reading did not arrive.
#[derive(Debug, thiserror::Error)]
enum ReadingError {
    #[error("the client id makes no topic: {0}")]
    Topic(#[from] TopicError),
    #[error("it can't subscribe to `{0}`: {1}")]
    Subscribe(String, RequestError),
    #[error("it can't publish to `{0}`: {1}")]
    Publish(String, RequestError),
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl ConnectionChecks<'_> {
    /// Connects until the authorizer accepts the device steadily, for up to `limit`, and tells `progress` of each
    /// attempt.
    pub(super) async fn settle(&self, limit: Duration, progress: impl FnMut(&str)) -> Check {
        let connect = async || {
            let client = self.connect(self.login.password.clone()).await?;
            client.disconnect().await;
            Ok(())
        };
        let settled = settle(limit, connect, progress).await;
        // The next CONNECT comes from another check.
        sleep(BETWEEN_CONNECTS).await;
        Check { name: SETTLED, result: settling_result(settled, limit) }
    }

    pub(super) async fn run(&self) -> [Check; 3] {
        let [wrong_password, connects, arrives] = NAMES;
        let refused = Check { name: wrong_password, result: self.wrong_password().await };
        sleep(BETWEEN_CONNECTS).await;
        match self.connect(self.login.password.clone()).await {
            Ok(client) => {
                let how = format!("{}, ALPN `{}`", self.endpoint.address(), self.endpoint.alpn());
                let reading = self.reading(client).await;
                let connected = Check { name: connects, result: Result::Passed(how) };
                [refused, connected, Check { name: arrives, result: reading }]
            }
            Err(error) => {
                let not_connected = Check { name: connects, result: not_connected(&error) };
                [refused, not_connected, Check::not_run(arrives, "the device is not connected")]
            }
        }
    }

    async fn connect(&self, password: Password) -> std::result::Result<Client, ConnectError> {
        let login = Login { password, ..self.login.clone() };
        Client::connect(&self.endpoint, &login, &Options::default()).await
    }

    async fn wrong_password(&self) -> Result {
        match self.connect(Password::from(self.wrong.text())).await {
            Ok(client) => {
                client.disconnect().await;
                Result::failed(
                    "it was accepted",
                    "the authorizer that answers is not the one that was deployed: check `--authorizer` and the \
                     account's default authorizer",
                )
            }
            Err(error) if error.is_refusal() => Result::Passed(error.to_string()),
            Err(error) => Result::failed(format!("the server was not reached: {error}"), UNREACHED),
        }
    }

    /// One connection publishes and subscribes: another one with the same client id would end it.
    async fn reading(&self, mut client: Client) -> Result {
        let topic = format!("sensor/{}/temperature", self.login.client_id);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let reading = json!({"value": 21.5, "unit": "Cel", "ts": now}).to_string();
        let seen = timeout(self.wait, round_trip(&mut client, &topic, &reading)).await;
        client.disconnect().await;
        match seen {
            Ok(Ok(())) => Result::Passed(format!("{topic}  {reading}")),
            Ok(Err(cause)) => Result::failed(
                cause.to_string(),
                "the device's grant must allow the topic: `sht20`, or a similar one",
            ),
            Err(_) => Result::failed(
                format!("it did not arrive on `{topic}` within {:?}", self.wait),
                "the policy may lack `iot:Receive`, which the grant `sht20` allows",
            ),
        }
    }
}

const REFUSED: &str = "the authorizer's log says why: docs/operations.md#refusals, or on this machine the log of `latchkey local`";
const UNREACHED: &str = "check the endpoint, this network's access to port 443, and `--ca`";

fn not_connected(error: &ConnectError) -> Result {
    let cure = if error.is_refusal() { REFUSED } else { UNREACHED };
    Result::failed(error.to_string(), cure)
}

fn settling_result(settled: Settled, limit: Duration) -> Result {
    match settled {
        Settled::Steady { refused: 0, .. } => Result::Passed("none was refused".to_owned()),
        Settled::Steady { refused, after } => {
            Result::Passed(format!("after {} s; refused before: {refused}", after.as_secs()))
        }
        Settled::Unsteady { accepted: 0, last } => {
            Result::failed(format!("every one was refused within {limit:?}: {last}"), REFUSED)
        }
        Settled::Unsteady { accepted, last } => Result::failed(
            format!("not within {limit:?}; accepted: {accepted}, the last refusal: {last}"),
            "some connects are refused: compare the authorizer's log with AWS IoT's own (`iotLogging` in docs/deploy.md)",
        ),
        Settled::Unreached => Result::NotRun("the server was not reached".to_owned()),
    }
}

/// Publishes a reading and waits until it arrives.
async fn round_trip(
    client: &mut Client,
    topic: &str,
    reading: &str,
) -> std::result::Result<(), ReadingError> {
    let (filter, name) = (TopicFilter::try_from(topic)?, TopicName::try_from(topic)?);
    let subscribed = client.subscribe(filter, QoS::AtLeastOnce).await;
    subscribed.map_err(|error| ReadingError::Subscribe(topic.to_owned(), error))?;
    let published = client.publish(name, reading.to_owned(), QoS::AtLeastOnce).await;
    published.map_err(|error| ReadingError::Publish(topic.to_owned(), error))?;
    loop {
        let message = client.next_message().await?;
        if message.payload == reading {
            return Ok(());
        }
    }
}
