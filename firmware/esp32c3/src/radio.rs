//! Wi-Fi: connected, and connected again.

use app::configuration::Wifi;
use embassy_time::{Duration, Timer};
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{AuthenticationMethodConfig, Config, Password, Ssid, WifiController};

/// How long an access point is left alone after it refused.
const PAUSE: Duration = Duration::from_secs(5);

/// Keeps the radio connected. TCP finds out by itself when it was not.
pub(crate) async fn keep(mut controller: WifiController<'_>, wifi: &Wifi<'_>) {
    let Some(config) = station(wifi) else {
        log::error!("wifi: `ssid` or `wifi_password` can't be used");
        return;
    };
    if let Err(error) = controller.set_config(&Config::Station(config)) {
        log::error!("wifi: the radio does not take the configuration: {error:?}");
        return;
    }
    loop {
        match controller.connect_async().await {
            Ok(_) => {
                log::info!("wifi: connected to `{}`", wifi.ssid);
                match controller.wait_for_disconnect_async().await {
                    Ok(info) => log::warn!("wifi: lost: {:?}", info.reason),
                    Err(error) => log::warn!("wifi: lost: {error:?}"),
                }
            }
            Err(error) => log::warn!("wifi: `{}` does not let the device in: {error:?}", wifi.ssid),
        }
        Timer::after(PAUSE).await;
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
