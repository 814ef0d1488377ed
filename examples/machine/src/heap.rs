//! Memory for what is made once, before guests run: device trees, lists of guests.

use linked_list_allocator::LockedHeap;

const HEAP_BYTES: usize = 2 << 20;

/// Room for the heap; zero, so it takes no place in the image.
#[repr(align(64))]
struct Room(core::cell::UnsafeCell<[u8; HEAP_BYTES]>);

// SAFETY: `enable` gives all of it to the allocator, once.
unsafe impl Sync for Room {}

static ROOM: Room = Room(core::cell::UnsafeCell::new([0; HEAP_BYTES]));

#[global_allocator]
static HEAP: LockedHeap = LockedHeap::empty();

/// Opens the heap.
///
/// # Safety
///
/// Called once, before anything is allocated.
pub(crate) unsafe fn enable() {
    // SAFETY: called once, and nobody else has the room.
    unsafe { HEAP.lock().init(ROOM.0.get().cast(), HEAP_BYTES) };
}
