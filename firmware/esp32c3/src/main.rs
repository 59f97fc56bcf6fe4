//! The application on an ESP32-C3: an SHT20 on GPIO 5 (SDA) and GPIO 6 (SCL), Wi-Fi, the hardware's random numbers, and
//! the configuration from the flash partition `latchkey`.

#![no_std]
#![no_main]

mod board;
mod wifi;

use app::configuration::ConfigurationError;
use app::tls::TlsConfigError;
use app::{Configuration, Device, Platform, WallClock};
use bare_metal::{Network, NetworkBuffers, SOCKETS};
use embassy_executor::Spawner;
use embassy_futures::join::join3;
use embassy_net::{DhcpConfig, StackResources};
use embassy_time::{Delay, Duration, Timer};
use esp_hal::Async;
use esp_hal::clock::CpuClock;
use esp_hal::i2c::master::{Config as I2cConfig, I2c};
use esp_hal::peripherals::WIFI;
use esp_hal::rng::{Rng, Trng};
use esp_hal::time::Rate;
use esp_hal::timer::timg::TimerGroup;
use esp_radio::wifi::{ControllerConfig, Interface, WifiController, WifiError};
use mbedtls_rs::Tls;
use static_cell::StaticCell;
use tinyrlibc as _;

use crate::board::TimerGroupWatchdog;

esp_bootloader_esp_idf::esp_app_desc!();

/// The radio uses about 60 KB of it, and a connection about 42 KB.
const HEAP_SIZE: usize = 96 * 1_024;
/// RAM that only the bootloader needed.
const RECLAIMED_SIZE: usize = 64 * 1_024;

static CLOCK: WallClock = WallClock::unset();
static ENTROPY: StaticCell<Trng> = StaticCell::new();
static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
static BUFFERS: StaticCell<NetworkBuffers> = StaticCell::new();

#[esp_rtos::main]
async fn main(spawner: Spawner) {
    // There is only this task.
    _ = spawner;
    board::init_log();
    let chip = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    esp_alloc::heap_allocator!(#[esp_hal::ram(reclaimed)] size: RECLAIMED_SIZE);
    esp_alloc::heap_allocator!(size: HEAP_SIZE);
    esp_rtos::start(TimerGroup::new(chip.TIMG0).timer0, chip.FROM_CPU_INTR0);
    CLOCK.install();

    let i2c = I2c::new(chip.I2C0, I2cConfig::default().with_frequency(Rate::from_khz(100)));
    let i2c = i2c.map(|i2c| i2c.with_sda(chip.GPIO5).with_scl(chip.GPIO6).into_async());
    let watchdog = TimerGroupWatchdog::start(chip.TIMG1);
    let bytes = board::read_configuration(chip.FLASH);
    let outcome = match i2c {
        Ok(i2c) => run(bytes, i2c, chip.WIFI, watchdog).await,
        Err(_) => Err(StartError::I2c),
    };
    if let Err(error) = outcome {
        repeat_forever(&error).await;
    }
}

/// Why the device can't start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    #[error("the configuration has no `ssid`")]
    NoSsid,
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    #[error("the i2c peripheral can't be started")]
    I2c,
    #[error("the radio can't be started: {0:?}")]
    Radio(WifiError),
    #[error("the chip's random number generator can't be started")]
    Random,
}

async fn run(
    bytes: &[u8],
    i2c: I2c<'static, Async>,
    radio: WIFI<'static>,
    watchdog: TimerGroupWatchdog,
) -> Result<(), StartError> {
    let configuration = Configuration::parse(bytes)?;
    let wifi = configuration.wifi.as_ref().ok_or(StartError::NoSsid)?;
    let controller = WifiController::new(radio, ControllerConfig::default()).map_err(StartError::Radio)?;
    // The hardware's numbers are random only while the radio is on.
    let entropy = Trng::try_new().map_err(|_| StartError::Random)?;
    let tls = Tls::new(ENTROPY.init(entropy)).map_err(|_| StartError::Random)?;

    let random = Rng::new();
    let seed = u64::from(random.random()) << 32 | u64::from(random.random());
    let dhcp = embassy_net::Config::dhcpv4(DhcpConfig::default());
    let resources = RESOURCES.init(StackResources::new());
    let (stack, mut runner) = embassy_net::new(Interface::station(), dhcp, resources, seed);
    let network = Network::new(stack, BUFFERS.init(NetworkBuffers::new()));
    let (clock, tls) = (&CLOCK, tls.reference());
    let platform = Platform { i2c, delay: Delay, stack: &network, random, watchdog, clock, tls };
    let device = Device::new(platform, &configuration)?;
    join3(wifi::keep_connected(controller, wifi), runner.run(), device.run(stack.wait_config_up())).await;
    Ok(())
}

/// Logs the error every ten seconds, so that it appears also on a serial line that is connected later. The watchdog
/// restarts the device meanwhile, in case that helps.
async fn repeat_forever(error: &dyn core::fmt::Display) -> ! {
    loop {
        log::error!("{error}");
        Timer::after(Duration::from_secs(10)).await;
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    log::error!("{info}");
    esp_hal::system::software_reset()
}
