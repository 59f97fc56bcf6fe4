//! The heap, which records its peak.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;

use critical_section::Mutex;
use embedded_alloc::LlffHeap;

/// Far more than the chip has, so that the size does not limit what is measured.
const SIZE: usize = 1 << 20;

#[global_allocator]
static HEAP: MeasuredHeap = MeasuredHeap {
    heap: LlffHeap::empty(),
    peak: Mutex::new(Cell::new(0)),
    baseline: Mutex::new(Cell::new(0)),
};

/// Call it before anything else.
pub(crate) fn init() {
    static mut MEMORY: [u8; SIZE] = [0; SIZE];
    // SAFETY: it is called once, and nothing else uses the memory.
    unsafe { HEAP.heap.init(&raw mut MEMORY as usize, SIZE) }
}

/// Starts the measurement at what is in use now.
pub(crate) fn start_measuring() {
    let used = HEAP.heap.used();
    critical_section::with(|section| {
        HEAP.baseline.borrow(section).set(used);
        HEAP.peak.borrow(section).set(used);
    });
}

/// The most bytes in use since the measurement started, above what was in use then.
pub(crate) fn peak() -> usize {
    critical_section::with(|section| {
        HEAP.peak.borrow(section).get().saturating_sub(HEAP.baseline.borrow(section).get())
    })
}

struct MeasuredHeap {
    heap: LlffHeap,
    peak: Mutex<Cell<usize>>,
    baseline: Mutex<Cell<usize>>,
}

// SAFETY: every call is forwarded to the heap unchanged.
unsafe impl GlobalAlloc for MeasuredHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract.
        let memory = unsafe { self.heap.alloc(layout) };
        let used = self.heap.used();
        critical_section::with(|section| {
            let peak = self.peak.borrow(section);
            peak.set(peak.get().max(used));
        });
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract.
        unsafe { self.heap.dealloc(memory, layout) }
    }
}
