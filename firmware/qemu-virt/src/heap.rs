//! The heap, and the most that was ever taken of it.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;

use critical_section::Mutex;
use embedded_alloc::LlffHeap;

/// Far more than the chip has: what is measured shall not be what is there.
const SIZE: usize = 1 << 20;

#[global_allocator]
static HEAP: Measured =
    Measured { heap: LlffHeap::empty(), peak: Mutex::new(Cell::new(0)), base: Mutex::new(Cell::new(0)) };

/// Has to come before anything else.
pub(crate) fn init() {
    static mut MEMORY: [u8; SIZE] = [0; SIZE];
    // SAFETY: it is called once, and nobody else uses the memory.
    unsafe { HEAP.heap.init(&raw mut MEMORY as usize, SIZE) }
}

/// From now on the peak is counted, from what is taken already.
pub(crate) fn begin_session() {
    let used = HEAP.heap.used();
    critical_section::with(|section| {
        HEAP.base.borrow(section).set(used);
        HEAP.peak.borrow(section).set(used);
    });
}

/// Bytes that were taken at most since the session began.
pub(crate) fn session_peak() -> usize {
    critical_section::with(|section| {
        HEAP.peak.borrow(section).get().saturating_sub(HEAP.base.borrow(section).get())
    })
}

struct Measured {
    heap: LlffHeap,
    peak: Mutex<Cell<usize>>,
    base: Mutex<Cell<usize>>,
}

// SAFETY: every call goes on to the heap as it came.
unsafe impl GlobalAlloc for Measured {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller's.
        let memory = unsafe { self.heap.alloc(layout) };
        let used = self.heap.used();
        critical_section::with(|section| {
            let peak = self.peak.borrow(section);
            peak.set(peak.get().max(used));
        });
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { self.heap.dealloc(memory, layout) }
    }
}
