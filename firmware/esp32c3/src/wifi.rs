//! Connects to the Wi-Fi network, and reconnects.

use app::configuration::Wifi;
use embassy_time::{Duration, Timer};
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{AuthenticationMethodConfig, Config, Password, Ssid, WifiController};

/// The wait between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Keeps the radio connected. The TCP connection notices an interruption by its own timeouts.
pub(crate) async fn keep_connected(mut controller: WifiController<'_>, wifi: &Wifi<'_>) {
    let Some(config) = station(wifi) else {
        log::error!("wifi: `ssid` or `wifi_password` can't be used");
        return;
    };
    if let Err(error) = controller.set_config(&Config::Station(config)) {
        log::error!("wifi: the radio refused the configuration: {error:?}");
        return;
    }
    loop {
        match controller.connect_async().await {
            Ok(_) => {
                log::info!("wifi: connected to `{}`", wifi.ssid);
                match controller.wait_for_disconnect_async().await {
                    Ok(info) => log::warn!("wifi: disconnected: {:?}", info.reason),
                    Err(error) => log::warn!("wifi: disconnected: {error:?}"),
                }
            }
            Err(error) => log::warn!("wifi: can't connect to `{}`: {error:?}", wifi.ssid),
        }
        Timer::after(RETRY_INTERVAL).await;
    }
}

fn station(wifi: &Wifi<'_>) -> Option<StationConfig> {
    let authentication = if wifi.password.is_empty() {
        AuthenticationMethodConfig::Open
    } else {
        AuthenticationMethodConfig::Wpa2Personal(Password::try_from(wifi.password).ok()?)
    };
    let ssid = Ssid::try_from(wifi.ssid).ok()?;
    Some(StationConfig::default().with_ssid(ssid).with_authentication(authentication))
}
