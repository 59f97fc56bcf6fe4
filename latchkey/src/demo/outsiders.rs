//! The clients that are not part of the fleet: the dashboard, and the two that are refused.

use anyhow::Context as _;
use device_sim::{Client, ConnectError, Endpoint, Message, Options, QoS};
use serde::Deserialize;

use super::provision::{Fleet, Outsiders};

/// A client that subscribes to every device's readings.
pub(super) struct Dashboard(Client);

/// The attempts of the two outsiders.
pub(super) struct Attempts {
    /// The client with a wrong password.
    pub(super) intruder: Attempt,
    /// The client that publishes outside its scope.
    pub(super) trespasser: Attempt,
}

/// An attempt of an outsider.
pub(super) struct Attempt {
    /// The attempt and its result, for people.
    pub(super) description: String,
    /// Whether it failed, as it must.
    pub(super) failed: bool,
}

#[derive(Deserialize)]
struct Payload {
    value: f64,
    unit: String,
}

impl Dashboard {
    /// Connects and subscribes.
    pub(super) async fn connect(endpoint: &Endpoint, fleet: &Fleet) -> anyhow::Result<Self> {
        let client = Client::connect(endpoint, &fleet.dashboard(), &Options::default()).await;
        let mut client = client.context("the dashboard can't connect")?;
        for filter in ["sensor/+/temperature", "sensor/+/humidity"] {
            let filter = filter.parse().context("a topic filter")?;
            client.subscribe(filter, QoS::AtLeastOnce).await.context("the dashboard can't subscribe")?;
        }
        Ok(Self(client))
    }

    /// Waits for the next reading, and formats it.
    pub(super) async fn reading(&mut self) -> anyhow::Result<String> {
        let message =
            self.0.next_message().await.map_err(|closed| anyhow::anyhow!("the dashboard: {closed}"))?;
        describe(&message)
    }
}

fn describe(message: &Message) -> anyhow::Result<String> {
    let Payload { value, unit } =
        serde_json::from_slice(&message.payload).context("a reading is not JSON")?;
    Ok(format!("{:<32}{value:>8.2} {unit}", message.topic.as_str()))
}

/// Makes both attempts.
pub(super) async fn try_both(endpoint: Endpoint, outsiders: Outsiders) -> anyhow::Result<Attempts> {
    let intruder = intrude(&endpoint, &outsiders).await;
    let trespasser = trespass(&endpoint, &outsiders).await?;
    Ok(Attempts { intruder, trespasser })
}

async fn intrude(endpoint: &Endpoint, outsiders: &Outsiders) -> Attempt {
    let name = &outsiders.intruder.client_id;
    let (result, failed) = match Client::connect(endpoint, &outsiders.intruder, &Options::default()).await {
        // The server's reason string says no more than its code.
        Err(ConnectError::Refused { code, .. }) => {
            (ConnectError::Refused { code, reason: None, bridge: None }.to_string(), true)
        }
        Err(error) => (error.to_string(), false),
        Ok(_) => ("it was accepted".to_owned(), false),
    };
    Attempt { description: format!("`{name}` with a wrong password: {result}"), failed }
}

/// Publishes with MQTT 3.1.1, as most devices do: a denied PUBLISH ends the connection.
async fn trespass(endpoint: &Endpoint, outsiders: &Outsiders) -> anyhow::Result<Attempt> {
    let options = Options { version: device_sim::Version::V311, ..Options::default() };
    let mut client = Client::connect(endpoint, &outsiders.trespasser, &options).await?;
    let (name, topic) = (&outsiders.trespasser.client_id, &outsiders.foreign_topic);
    let published = client.publish(topic.parse()?, "99", QoS::AtLeastOnce).await;
    let failed = published.is_err();
    let result = published.map_or_else(|error| error.to_string(), |()| "it was acknowledged".to_owned());
    Ok(Attempt { description: format!("`{name}` publishes to `{topic}`: {result}"), failed })
}
