//! Memory for stage-2 tables: RAM of the hypervisor above its image.

use core::{ops::Range, ptr};

use vcpu_regs::Pa;
use vcpu_stage2::FrameSource;

use crate::layout::{HYPERVISOR, TABLES};

/// A stack of frames given back, in front of RAM never given out.
///
/// A frame given back holds the address of the next and its own size; few sizes and few returns
/// make a list the right structure.
pub struct Frames {
    fresh: Range<u64>,
    returned: Option<u64>,
}

/// What stands in a frame that is not in use.
struct Returned {
    next: Option<u64>,
    bytes: u64,
}

impl Frames {
    /// Takes all of [`TABLES`].
    ///
    /// # Safety
    ///
    /// Called once. The range is RAM, mapped where it lies.
    pub(crate) unsafe fn new() -> Self {
        const { assert!(TABLES.end <= HYPERVISOR.end) };
        Self {
            fresh: TABLES,
            returned: None,
        }
    }

    /// Takes the first frame of `bytes` off the list.
    fn reuse(&mut self, bytes: u64) -> Option<u64> {
        let mut at = self.returned;
        let mut before: Option<u64> = None;
        while let Some(frame) = at {
            // SAFETY: on the list, so ours, and written by `release`.
            let entry = unsafe { ptr::read(frame as *const Returned) };
            if entry.bytes == bytes {
                match before {
                    // SAFETY: as above; the list is ours alone.
                    Some(before) => unsafe { (*(before as *mut Returned)).next = entry.next },
                    None => self.returned = entry.next,
                }
                return Some(frame);
            }
            before = at;
            at = entry.next;
        }
        None
    }

    fn fresh(&mut self, bytes: u64) -> Option<u64> {
        let frame = self.fresh.start.next_multiple_of(bytes);
        let end = frame.checked_add(bytes)?;
        (end <= self.fresh.end).then(|| {
            self.fresh.start = end;
            frame
        })
    }
}

// SAFETY: what is given out is aligned to its size, lies in RAM that nothing else uses (`new`),
// and is on no list until it comes back. `machine`'s stage 1 maps RAM inner shareable, write-back.
unsafe impl FrameSource for Frames {
    fn allocate(&mut self, bytes: u64) -> Option<Pa> {
        self.reuse(bytes).or_else(|| self.fresh(bytes)).map(Pa)
    }

    fn release(&mut self, frame: Pa, bytes: u64) {
        let entry = Returned {
            next: self.returned,
            bytes,
        };
        // SAFETY: the frame came from `allocate`, whose caller no longer uses it; a granule is
        // larger than an entry and aligned for it.
        unsafe { ptr::write(frame.0 as *mut Returned, entry) };
        self.returned = Some(frame.0);
    }
}
