//! QEMU's `virt` board (`hw/riscv/virt.c`): its serial port, timer, power switch and virtio devices, and the configuration,
//! which QEMU's loader puts into memory.

use core::convert::Infallible;
use core::ffi::{c_char, c_int};
use core::fmt::{self, Write as _};
use core::ptr::NonNull;
use core::task::Waker;

use app::SerialLog;
use critical_section::RawRestoreState;
use embassy_time_driver::Driver;
use rand_core::{TryCryptoRng, TryRng};
use virtio_drivers::device::rng::VirtIORng;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, Transport as _};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

const CONFIGURATION: *const u8 = 0x80f0_0000 as *const u8;
/// The test finisher.
const POWER_SWITCH: *mut u32 = 0x0010_0000 as *mut u32;
/// `mtime` of the CLINT.
const TIMER: *const u32 = 0x0200_bff8 as *const u32;
/// The data register of the 16550 UART.
const UART: *mut u8 = 0x1000_0000 as *mut u8;
const VIRTIO: usize = 0x1000_1000;
const VIRTIO_STEP: usize = 0x1000;
const VIRTIO_SLOTS: usize = 8;

/// Prints the log on the serial port.
pub(crate) fn init_log() {
    static LOG: SerialLog = SerialLog::new(|line| _ = writeln!(Uart, "{line}"));
    // SAFETY: there is one thread, and it has not logged yet.
    unsafe {
        if log::set_logger_racy(&LOG).is_ok() {
            log::set_max_level_racy(SerialLog::MAX_LEVEL);
        }
    }
}

struct Uart;

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: writing the data register transmits the byte.
            unsafe { UART.write_volatile(byte) }
        }
        Ok(())
    }
}

/// The bytes that the loader has put there, or zeros.
pub(crate) fn configuration() -> &'static [u8] {
    // SAFETY: it is memory that nothing else uses.
    unsafe { core::slice::from_raw_parts(CONFIGURATION, app::configuration::partition::MAX_LEN) }
}

/// Ends QEMU with an error: the application itself never ends.
pub(crate) fn power_off() -> ! {
    // SAFETY: it tells the test finisher to end QEMU with exit code 1.
    unsafe { POWER_SWITCH.write_volatile(1 << 16 | 0x3333) }
    loop {
        core::hint::spin_loop();
    }
}

/// The virtio device of this type, if there is one.
pub(crate) fn virtio_device(kind: DeviceType) -> Option<MmioTransport<'static>> {
    (0..VIRTIO_SLOTS).find_map(|slot| {
        let header = NonNull::new((VIRTIO + slot * VIRTIO_STEP) as *mut VirtIOHeader)?;
        // SAFETY: the board has a slot there.
        let transport = unsafe { MmioTransport::new(header, VIRTIO_STEP) }.ok()?;
        (transport.device_type() == kind).then_some(transport)
    })
}

/// virtio's memory: physical and virtual addresses are the same.
pub(crate) struct IdentityMapped;

// SAFETY: pages come from the heap and are used for nothing else; addresses are not translated.
unsafe impl Hal for IdentityMapped {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc::alloc::alloc_zeroed(layout(pages)) };
        (memory as PhysAddr, NonNull::new(memory).unwrap_or(NonNull::dangling()))
    }

    unsafe fn dma_dealloc(_: PhysAddr, memory: NonNull<u8>, pages: usize) -> i32 {
        // SAFETY: it came from `dma_alloc` with the same size.
        unsafe { alloc::alloc::dealloc(memory.as_ptr(), layout(pages)) };
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::new(address as *mut u8).unwrap_or(NonNull::dangling())
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

extern crate alloc;

fn layout(pages: usize) -> core::alloc::Layout {
    // The size of a page is a power of two, and no size here is near the limit.
    core::alloc::Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE)
        .unwrap_or(core::alloc::Layout::new::<u64>())
}

/// Random numbers of the host.
pub(crate) struct Entropy(VirtIORng<IdentityMapped, MmioTransport<'static>>);

impl Entropy {
    pub(crate) fn find() -> Option<Self> {
        VirtIORng::new(virtio_device(DeviceType::EntropySource)?).ok().map(Self)
    }
}

impl TryRng for Entropy {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, mut bytes: &mut [u8]) -> Result<(), Infallible> {
        while !bytes.is_empty() {
            match self.0.request_entropy(bytes) {
                Ok(count) => bytes = bytes.split_at_mut_checked(count).map_or(&mut [], |(_, rest)| rest),
                // Without random numbers there is no TLS.
                Err(_) => power_off(),
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for Entropy {}

/// The board's timer, which has ten million ticks a second.
struct TimeDriver;

embassy_time_driver::time_driver_impl!(static TIME_DRIVER: TimeDriver = TimeDriver);

impl Driver for TimeDriver {
    fn now(&self) -> u64 {
        // SAFETY: reading the timer changes nothing. It is read again if the upper half changed meanwhile.
        let (high, low) = loop {
            let (before, low, after) = unsafe {
                (TIMER.add(1).read_volatile(), TIMER.read_volatile(), TIMER.add(1).read_volatile())
            };
            if before == after {
                break (before, low);
            }
        };
        (u64::from(high) << 32 | u64::from(low)) / 10
    }

    /// The executor polls all the time, so nothing has to be woken.
    fn schedule_wake(&self, _: u64, _: &Waker) {}
}

struct SingleThread;

critical_section::set_impl!(SingleThread);

// SAFETY: there is one hart, and no interrupt is ever enabled.
unsafe impl critical_section::Impl for SingleThread {
    unsafe fn acquire() -> RawRestoreState {}

    unsafe fn release((): RawRestoreState) {}
}

/// For mbedtls's self-tests, which are linked and never run. Prints nothing.
#[unsafe(no_mangle)]
extern "C" fn puts(_: *const c_char) -> c_int {
    0
}

/// For mbedtls's self-tests, like [`puts`]. C calls it with more arguments, which RISC-V's calling convention allows.
#[unsafe(no_mangle)]
extern "C" fn printf(_: *const c_char) -> c_int {
    0
}
