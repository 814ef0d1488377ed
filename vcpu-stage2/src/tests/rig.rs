//! Memory for tables in a test, which counts its frames.

extern crate std;

use crate::{AddressMap, FrameSource, Geometry, Request};
use core::{cell::RefCell, ptr::NonNull};
use std::{alloc, collections::BTreeMap, rc::Rc};
use vcpu_regs::{MemoryModel, Pa};

/// Where the physical memory of tests starts.
const BASE: u64 = 0x8000_0000;

#[derive(Debug)]
struct Pool {
    /// Physical address to size and host memory.
    frames: BTreeMap<u64, (u64, NonNull<u64>)>,
    next: u64,
    /// Frames still to be had.
    left: usize,
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (bytes, memory) in self.frames.values() {
            // SAFETY: allocated by `allocate` with this layout, and nobody has the pool any more.
            unsafe { alloc::dealloc(memory.as_ptr().cast(), layout(*bytes)) };
        }
    }
}

/// Frames of host memory at made-up physical addresses.
#[derive(Clone, Debug)]
pub struct Memory(Rc<RefCell<Pool>>);

impl Memory {
    /// Memory of at most `frames` frames.
    pub fn with_frames(frames: usize) -> Self {
        Self(Rc::new(RefCell::new(Pool {
            frames: BTreeMap::new(),
            next: BASE,
            left: frames,
        })))
    }

    /// Frames in use.
    pub fn in_use(&self) -> usize {
        self.0.borrow().frames.len()
    }

    /// Sets how many frames are still to be had.
    pub fn set_left(&self, frames: usize) {
        self.0.borrow_mut().left = frames;
    }
}

fn layout(bytes: u64) -> alloc::Layout {
    alloc::Layout::from_size_align(bytes as usize, bytes as usize).unwrap()
}

// SAFETY: each frame is host memory of its own, kept until it is released.
unsafe impl FrameSource for Memory {
    fn allocate(&mut self, bytes: u64) -> Option<Pa> {
        let mut pool = self.0.borrow_mut();
        pool.left = pool.left.checked_sub(1)?;
        let pa = pool.next.next_multiple_of(bytes);
        pool.next = pa + bytes;
        // SAFETY: the size is not 0.
        let memory = NonNull::new(unsafe { alloc::alloc(layout(bytes)) }).unwrap();
        pool.frames.insert(pa, (bytes, memory.cast()));
        Some(Pa(pa))
    }

    fn release(&mut self, frame: Pa, bytes: u64) {
        let mut pool = self.0.borrow_mut();
        pool.left += 1;
        let (allocated, memory) = pool.frames.remove(&frame.0).expect("a frame of ours");
        assert_eq!(allocated, bytes);
        super::hardware::observe_release(memory.as_ptr().addr());
        // SAFETY: allocated by `allocate` with this layout, and no longer in the map.
        unsafe { alloc::dealloc(memory.as_ptr().cast(), layout(bytes)) };
    }
}

// SAFETY: the pointer is the allocation of this very frame, until it is released.
unsafe impl AddressMap for Memory {
    fn pointer(&self, frame: Pa) -> NonNull<u64> {
        self.0
            .borrow()
            .frames
            .get(&frame.0)
            .expect("a frame in use")
            .1
    }
}

/// A CPU of 40 bits with 4 KiB and 64 KiB pages, as cortex-a53.
pub const A53: MemoryModel = MemoryModel {
    mmfr0: 0x1122,
    mmfr1: 0,
    mmfr2: 0,
    mmfr3: 0,
    isar0: 0,
    ctr: 0x8444_8004,
};

/// A CPU of 52 bits with everything.
pub const EVERYTHING: MemoryModel = MemoryModel {
    mmfr0: 0x0323_1020_0006,
    mmfr1: 2 | 2 << 4 | 1 << 28,
    mmfr2: 1 | 1 << 28 | 1 << 40 | 1 << 48 | 2 << 52,
    mmfr3: 0,
    isar0: 2 << 56,
    ctr: 3 << 14,
};

/// The table of `model` and `request`, and its memory.
pub fn table(model: &MemoryModel, request: &Request) -> (crate::Table<Memory, Memory>, Memory) {
    let geometry = Geometry::probe(model, request).unwrap();
    let memory = Memory::with_frames(1 << 16);
    (
        crate::Table::new(geometry, memory.clone(), memory.clone()).unwrap(),
        memory,
    )
}

/// Settles without hardware.
pub fn settle(change: crate::Change<'_, Memory, Memory>) {
    // SAFETY: no CPU uses a table of a test.
    unsafe { change.settle(|_| ()) }
}
