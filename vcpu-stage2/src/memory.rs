//! The memory tables live in: the host's frames, and how to reach them.

use crate::descriptor::Format;
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};
use vcpu_regs::Pa;

/// Memory for tables. Nothing here allocates by itself.
///
/// # Safety
///
/// A frame that `allocate` returns is `bytes` of RAM, aligned to `bytes`, that nothing else uses
/// or hands out until it is released. Its contents do not matter. Table walks read it as inner
/// shareable, write-back: it is mapped so for the host too.
pub unsafe trait FrameSource {
    /// Returns `bytes` of memory aligned to `bytes`: one granule, or 2, 4, 8 or 16 for a root.
    /// `None` when there is no more.
    fn allocate(&mut self, bytes: u64) -> Option<Pa>;

    /// Takes back what [`allocate`](Self::allocate) returned for `bytes`.
    fn release(&mut self, frame: Pa, bytes: u64);
}

// SAFETY: the promises are those of the source behind the reference.
unsafe impl<F: FrameSource + ?Sized> FrameSource for &mut F {
    fn allocate(&mut self, bytes: u64) -> Option<Pa> {
        (**self).allocate(bytes)
    }

    fn release(&mut self, frame: Pa, bytes: u64) {
        (**self).release(frame, bytes);
    }
}

/// Where the host sees table memory.
///
/// # Safety
///
/// For a frame that is allocated from the [`FrameSource`] beside it, `pointer` is where all its
/// bytes can be read and written, aligned as the frame is, the same for as long as the frame is
/// allocated; nothing but table walks and what goes through this pointer touches them.
pub unsafe trait AddressMap {
    /// Returns where the frame at `frame` is.
    fn pointer(&self, frame: Pa) -> NonNull<u64>;
}

// SAFETY: the promises are those of the map behind the reference.
unsafe impl<M: AddressMap + ?Sized> AddressMap for &M {
    fn pointer(&self, frame: Pa) -> NonNull<u64> {
        (**self).pointer(frame)
    }
}

/// Physical memory that the host sees at its own address plus an offset (0 for an identity map).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearMap {
    offset: u64,
}

impl LinearMap {
    /// Returns the map whose pointers are physical address plus `offset`, wrapping.
    ///
    /// # Safety
    ///
    /// Frames used with it are accessible there, as [`AddressMap`] requires, and none is where
    /// the sum is 0.
    pub const unsafe fn new(offset: u64) -> Self {
        Self { offset }
    }
}

// SAFETY: `LinearMap::new` made its caller promise this.
unsafe impl AddressMap for LinearMap {
    fn pointer(&self, frame: Pa) -> NonNull<u64> {
        let address = frame.0.wrapping_add(self.offset) as usize;
        let pointer = core::ptr::with_exposed_provenance_mut(address);
        // SAFETY: `LinearMap::new` excluded the frame that lies at 0.
        unsafe { NonNull::new_unchecked(pointer) }
    }
}

/// A table's entries.
///
/// # Safety
///
/// `table` is a frame of at least `count` entries, allocated from the source that `memory` maps,
/// initialised, and not released while the slice lives.
pub(crate) unsafe fn entries<M: AddressMap>(memory: &M, table: Pa, count: usize) -> &[AtomicU64] {
    let pointer = memory.pointer(table).cast::<AtomicU64>();
    // SAFETY: the caller's frame is allocated and initialised, so `AddressMap` promises that its
    // bytes are accessible here for as long; `AtomicU64` has the layout of `u64`, and shared
    // access through atomics is all that walks and we do.
    unsafe { core::slice::from_raw_parts(pointer.as_ptr(), count) }
}

/// Fills a frame with empty entries.
///
/// # Safety
///
/// `table` is a frame of `bytes`, just allocated from the source that `memory` maps.
pub(crate) unsafe fn clear<M: AddressMap>(memory: &M, table: Pa, bytes: u64) {
    let pointer = memory.pointer(table).cast::<u8>();
    // SAFETY: a frame just allocated is used by nothing else, and `AddressMap` promises that all
    // its bytes can be written here.
    unsafe { pointer.write_bytes(0, bytes as usize) };
}

/// Makes an entry visible to table walks, after everything written before it.
pub(crate) fn publish(entry: &AtomicU64, value: u64) {
    #[cfg(test)]
    crate::tests::observe(entry, value);
    // Release: a walk that sees a table sees its entries.
    entry.store(value, Ordering::Release);
}

/// Writes an entry that walks may see at any time from now, or that they cannot reach yet.
pub(crate) fn store(entry: &AtomicU64, value: u64) {
    #[cfg(test)]
    crate::tests::observe(entry, value);
    entry.store(value, Ordering::Relaxed);
}

/// Takes an entry out, with what hardware recorded in it up to now.
pub(crate) fn take(entry: &AtomicU64) -> u64 {
    #[cfg(test)]
    crate::tests::observe(entry, 0);
    entry.swap(0, Ordering::Relaxed)
}

/// Changes an entry in place, losing nothing that table walks record meanwhile; returns what it
/// was.
pub(crate) fn update(entry: &AtomicU64, format: Format, change: impl Fn(u64) -> u64) -> u64 {
    let mut old = entry.load(Ordering::Relaxed);
    #[cfg(test)]
    crate::tests::race(entry);
    while format.walks_may_write(old) {
        let new = change(old);
        match entry.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {
                #[cfg(test)]
                crate::tests::observe_update(entry, old, new);
                return old;
            }
            Err(now) => old = now,
        }
    }
    // Whoever has the table is the only writer, and this is several times cheaper.
    store(entry, change(old));
    old
}
