//! The application on QEMU's `virt` board: rv32imc machine code as on the chip, a virtio network card instead of the
//! radio, and a simulated sensor instead of the SHT20.
//!
//! ```text
//! qemu-system-riscv32 -M virt -m 32M -bios none -nographic -kernel qemu-virt
//!   -netdev user,id=n0 -device virtio-net-device,netdev=n0 -device virtio-rng-device
//!   -device loader,file=configuration.bin,addr=0x80f00000
//! ```

#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "the board's devices are memory-mapped")]
#![expect(missing_docs, reason = "the entry macro makes a public function")]

mod board;
mod heap;
mod virtio_net;

use app::{Configuration, Device, NoWatchdog, Platform, WallClock};
use bare_metal::{Network, NetworkBuffers, SOCKETS};
use device_core::{SimulatedSht20, SplitMix64};
use embassy_futures::join::join3;
use embassy_net::{Config, StackResources};
use embassy_time::{Delay, Timer};
use mbedtls_rs::Tls;
use rand_core::Rng;
use tinyrlibc as _;

use crate::board::Entropy;
use crate::virtio_net::VirtioNet;

static CLOCK: WallClock = WallClock::unset();

#[riscv_rt::entry]
fn main() -> ! {
    heap::init();
    board::init_log();
    CLOCK.install();
    match Configuration::parse(board::configuration()) {
        Ok(configuration) => embassy_futures::block_on(run(&configuration)),
        Err(error) => log::error!("{error}"),
    }
    board::power_off()
}

async fn run(configuration: &Configuration<'_>) {
    let (Some(card), Some(mut entropy)) = (VirtioNet::find(), Entropy::find()) else {
        log::error!("qemu: a virtio network card and a virtio entropy source are needed");
        return;
    };
    let (seed, sensor) = (entropy.next_u64(), SimulatedSht20::new(entropy.next_u64()));
    let mut resources = StackResources::<SOCKETS>::new();
    let (stack, mut runner) =
        embassy_net::new(card, Config::dhcpv4(embassy_net::DhcpConfig::default()), &mut resources, seed);
    let buffers = NetworkBuffers::new();
    let network = Network::new(stack, &buffers);
    // SAFETY: `tls` is dropped before `entropy`, on every way out of this function.
    let Ok(tls) = (unsafe { Tls::new_local_borrows(&mut entropy) }) else { return };
    let platform = Platform {
        i2c: sensor,
        delay: Delay,
        stack: &network,
        random: SplitMixRng(SplitMix64::new(seed)),
        watchdog: NoWatchdog,
        clock: &CLOCK,
        tls: tls.reference(),
    };
    let device = async {
        heap::start_measuring();
        match Device::new(platform, configuration) {
            Ok(device) => device.run(stack.wait_config_up()).await,
            Err(error) => log::error!("{error}"),
        }
    };
    join3(runner.run(), device, report_heap()).await;
}

/// Logs the heap's peak when it has grown.
async fn report_heap() -> ! {
    let mut printed = 0;
    loop {
        let peak = heap::peak();
        if peak > printed {
            printed = peak;
            log::info!("heap: peak {peak} bytes");
        }
        Timer::after_millis(500).await;
    }
}

/// Random numbers for jitter and nonces, from a random seed.
struct SplitMixRng(SplitMix64);

impl rand_core::TryRng for SplitMixRng {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in bytes.chunks_mut(8) {
            let random = self.0.next_u64().to_le_bytes();
            for (byte, random) in chunk.iter_mut().zip(random) {
                *byte = random;
            }
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    log::error!("{info}");
    board::power_off()
}
