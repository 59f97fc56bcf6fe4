//! The machine: its timer, its switch, its virtio devices (QEMU, `hw/riscv/virt.c`), and the configuration, which QEMU's
//! loader has put into memory.

use core::convert::Infallible;
use core::ptr::NonNull;
use core::task::Waker;

use critical_section::RawRestoreState;
use embassy_time_driver::Driver;
use rand_core::{TryCryptoRng, TryRng};
use virtio_drivers::device::rng::VirtIORng;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, Transport as _};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

const CONFIGURATION: *const u8 = 0x80f0_0000 as *const u8;
const SWITCH: *mut u32 = 0x0010_0000 as *mut u32;
const TIMER: *const u32 = 0x0200_bff8 as *const u32;
const VIRTIO: usize = 0x1000_1000;
const VIRTIO_STEP: usize = 0x1000;
const VIRTIO_SLOTS: usize = 8;

/// What the loader has put there, or zeros.
pub(crate) fn configuration() -> &'static [u8] {
    // SAFETY: it is memory that nothing else uses.
    unsafe { core::slice::from_raw_parts(CONFIGURATION, app::configuration::partition::MAX_LEN) }
}

/// Ends QEMU with an error: the application never ends by itself.
pub(crate) fn power_off() -> ! {
    // SAFETY: the test finisher takes this for exit code 1.
    unsafe { SWITCH.write_volatile(1 << 16 | 0x3333) }
    loop {
        core::hint::spin_loop();
    }
}

/// The virtio device of this kind, if there is one.
pub(crate) fn device(kind: DeviceType) -> Option<MmioTransport<'static>> {
    (0..VIRTIO_SLOTS).find_map(|slot| {
        let header = NonNull::new((VIRTIO + slot * VIRTIO_STEP) as *mut VirtIOHeader)?;
        // SAFETY: the machine has a slot there.
        let transport = unsafe { MmioTransport::new(header, VIRTIO_STEP) }.ok()?;
        (transport.device_type() == kind).then_some(transport)
    })
}

/// Physical and virtual addresses are the same here.
pub(crate) struct Flat;

// SAFETY: pages come from the heap and are given to nobody else; addresses are not translated.
unsafe impl Hal for Flat {
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
    // A page is a power of two, and no size here comes near the limit.
    core::alloc::Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE)
        .unwrap_or(core::alloc::Layout::new::<u64>())
}

/// The host's random numbers.
pub(crate) struct Entropy(VirtIORng<Flat, MmioTransport<'static>>);

impl Entropy {
    pub(crate) fn find() -> Option<Self> {
        VirtIORng::new(device(DeviceType::EntropySource)?).ok().map(Self)
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
                // Without random numbers nothing may go on.
                Err(_) => power_off(),
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for Entropy {}

/// The machine's timer: ten million ticks a second.
struct Ticks;

embassy_time_driver::time_driver_impl!(static TICKS: Ticks = Ticks);

impl Driver for Ticks {
    fn now(&self) -> u64 {
        // SAFETY: reading the timer changes nothing. Its upper half is read until it was the same before and after.
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

    /// The application is polled all the time, so nobody has to be woken.
    fn schedule_wake(&self, _: u64, _: &Waker) {}
}

struct SingleThread;

critical_section::set_impl!(SingleThread);

// SAFETY: there is one hart, and no interrupt is ever enabled.
unsafe impl critical_section::Impl for SingleThread {
    unsafe fn acquire() -> RawRestoreState {}

    unsafe fn release((): RawRestoreState) {}
}
