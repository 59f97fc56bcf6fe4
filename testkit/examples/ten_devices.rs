//! Ten devices publish to a gateway of their own; a wrong password is refused.

use latchkey_testkit::{Gateway, QoS};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gateway = Gateway::start().await?;
    for device in gateway.devices(10)? {
        let mut client = device.connect().await?;
        client.publish(format!("{}/hello", device.name).parse()?, "hi", QoS::AtLeastOnce).await?;
        assert!(device.connect_as(&device.name, b"wrong").await.is_err());
    }
    Ok(())
}
