//! The firmware's application on an ESP32-C3: an SHT20 at GPIO 5 (SDA) and GPIO 6 (SCL), Wi-Fi, the hardware's random
//! numbers, the configuration from the flash partition `latchkey`.

#![no_std]
#![no_main]

mod configuration;
mod radio;
mod serial;
mod watchdog;

use app::configuration::ConfigurationError;
use app::tls::SecurityError;
use app::{Configuration, Device, Parts, WallClock};
use chip::{Buffers, Network, SOCKETS};
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

esp_bootloader_esp_idf::esp_app_desc!();

/// The radio takes some 60 KB of it, a connection some 42 KB.
const HEAP_SIZE: usize = 96 * 1_024;
/// What the ROM's bootloader no longer needs.
const RECLAIMED_SIZE: usize = 64 * 1_024;

static CLOCK: WallClock = WallClock::unset();
static ENTROPY: StaticCell<Trng> = StaticCell::new();
static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
static BUFFERS: StaticCell<Buffers> = StaticCell::new();

#[esp_rtos::main]
async fn main(spawner: Spawner) {
    // Everything here is one task.
    _ = spawner;
    serial::init();
    let chip = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    esp_alloc::heap_allocator!(#[esp_hal::ram(reclaimed)] size: RECLAIMED_SIZE);
    esp_alloc::heap_allocator!(size: HEAP_SIZE);
    esp_rtos::start(TimerGroup::new(chip.TIMG0).timer0, chip.FROM_CPU_INTR0);
    CLOCK.install();

    let i2c = I2c::new(chip.I2C0, I2cConfig::default().with_frequency(Rate::from_khz(100)));
    let i2c = i2c.map(|i2c| i2c.with_sda(chip.GPIO5).with_scl(chip.GPIO6).into_async());
    let watchdog = watchdog::Timer::start(chip.TIMG1);
    let bytes = configuration::read(chip.FLASH);
    let started = match i2c {
        Ok(i2c) => run(bytes, i2c, chip.WIFI, watchdog).await,
        Err(_) => Err(StartFailure::I2c),
    };
    if let Err(failure) = started {
        stay(&failure).await;
    }
}

/// Why the device can't begin its work.
#[derive(Debug, thiserror::Error)]
enum StartFailure {
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    #[error("the configuration has no `ssid`")]
    NoSsid,
    #[error(transparent)]
    Security(#[from] SecurityError),
    #[error("the i2c peripheral does not start")]
    I2c,
    #[error("the radio does not start: {0:?}")]
    Radio(WifiError),
    #[error("the chip has no random numbers")]
    Random,
}

async fn run(
    bytes: &[u8],
    i2c: I2c<'static, Async>,
    radio: WIFI<'static>,
    watchdog: watchdog::Timer,
) -> Result<(), StartFailure> {
    let configuration = Configuration::parse(bytes)?;
    let wifi = configuration.wifi.as_ref().ok_or(StartFailure::NoSsid)?;
    let controller = WifiController::new(radio, ControllerConfig::default()).map_err(StartFailure::Radio)?;
    // The radio is on: that is what makes the numbers random.
    let entropy = Trng::try_new().map_err(|_| StartFailure::Random)?;
    let tls = Tls::new(ENTROPY.init(entropy)).map_err(|_| StartFailure::Random)?;

    let random = Rng::new();
    let seed = u64::from(random.random()) << 32 | u64::from(random.random());
    let dhcp = embassy_net::Config::dhcpv4(DhcpConfig::default());
    let resources = RESOURCES.init(StackResources::new());
    let (stack, mut runner) = embassy_net::new(Interface::station(), dhcp, resources, seed);
    let network = Network::new(stack, BUFFERS.init(Buffers::new()));
    let (clock, tls) = (&CLOCK, tls.reference());
    let parts = Parts { i2c, delay: Delay, stack: &network, random, watchdog, clock, tls };
    let device = Device::new(parts, &configuration)?;
    join3(radio::keep(controller, wifi), runner.run(), device.run(stack.wait_config_up())).await;
    Ok(())
}

/// Says again and again what keeps the device from its work, for whoever attaches a serial line. The watchdog restarts
/// the device meanwhile, in case that helps.
async fn stay(reason: &dyn core::fmt::Display) -> ! {
    loop {
        log::error!("{reason}");
        Timer::after(Duration::from_secs(10)).await;
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    log::error!("{info}");
    esp_hal::system::software_reset()
}
