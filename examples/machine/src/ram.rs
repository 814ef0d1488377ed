//! The RAM that is the guest's, seen from the hypervisor: identity-mapped, writable, never
//! executable at EL2.

use core::arch::asm;
use core::ops::Range;
use core::slice;

use aarch64_cpu::asm::barrier::{ISH, SY, dsb, isb};
use defmt::Format;
use devices::virtio::Memory;

use crate::layout::{GUEST_RAM_START, MAPPED_END};

/// All RAM from [`GUEST_RAM_START`] to the end of the machine.
///
/// Borrows of its bytes end before a guest runs: what a guest writes while a slice lives, Rust does
/// not know about.
#[derive(Debug)]
pub struct GuestRam {
    range: Range<u64>,
}

/// An access that is not all inside guest RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotInRam {
    /// First byte asked for.
    pub at: u64,
    /// How many.
    pub size_bytes: u64,
}

impl Format for NotInRam {
    fn format(&self, to: defmt::Formatter) {
        defmt::write!(
            to,
            "{=u64} bytes at {=u64:#x} are not in guest RAM",
            self.size_bytes,
            self.at
        );
    }
}

impl GuestRam {
    /// What stage 2 maps at once.
    const BLOCK: u64 = 2 << 20;

    /// Takes what is above the hypervisor in a machine whose RAM ends at `ram_end`.
    ///
    /// # Safety
    ///
    /// Called once. RAM reaches from [`GUEST_RAM_START`] to `ram_end`.
    pub(crate) unsafe fn new(ram_end: u64) -> Self {
        Self {
            range: GUEST_RAM_START..ram_end.min(MAPPED_END),
        }
    }

    /// Takes the last `size_bytes` off, for a guest of its own; a multiple of 2 MiB.
    pub fn split_off(&mut self, size_bytes: u64) -> Result<Self, NotInRam> {
        let size_bytes = size_bytes & !(Self::BLOCK - 1);
        let end = self.range.end & !(Self::BLOCK - 1);
        let start = end
            .checked_sub(size_bytes)
            .filter(|&at| at >= self.range.start);
        let start = start.ok_or(NotInRam {
            at: self.range.start,
            size_bytes,
        })?;
        self.range.end = start;
        Ok(Self { range: start..end })
    }

    /// Returns the address of the first byte, which is also its IPA in an identity-mapped guest.
    pub fn start(&self) -> u64 {
        self.range.start
    }

    /// Returns the address past the last byte.
    pub fn end(&self) -> u64 {
        self.range.end
    }

    /// Returns the size.
    pub fn size_bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Returns the bytes of `range`, to read.
    pub fn bytes(&self, range: Range<u64>) -> Result<&[u8], NotInRam> {
        let (start, len) = self.check(range)?;
        // SAFETY: RAM, mapped, in nobody else's hands (`new`); `&self` keeps `bytes_mut` out.
        Ok(unsafe { slice::from_raw_parts(start, len) })
    }

    /// Returns the bytes of `range`, to write; see [`Self::publish`].
    pub fn bytes_mut(&mut self, range: Range<u64>) -> Result<&mut [u8], NotInRam> {
        let (start, len) = self.check(range)?;
        // SAFETY: RAM, mapped, in nobody else's hands (`new`); `&mut self` makes it the only
        // borrow.
        Ok(unsafe { slice::from_raw_parts_mut(start, len) })
    }

    /// Copies `bytes` to `at`, ready for a guest whose caches are still off.
    pub fn load(&mut self, at: u64, bytes: &[u8]) -> Result<(), NotInRam> {
        let range = at..at.saturating_add(bytes.len() as u64);
        self.bytes_mut(range.clone())?.copy_from_slice(bytes);
        self.publish(range)
    }

    /// Fills `range` with zeros, ready for a guest whose caches are still off.
    pub fn clear(&mut self, range: Range<u64>) -> Result<(), NotInRam> {
        self.bytes_mut(range.clone())?.fill(0);
        self.publish(range)
    }

    /// Makes writes to `range` visible to a guest that reads and fetches with its MMU off: cleans
    /// the data cache to the point of coherency and drops what the instruction cache held.
    ///
    /// TCG has no caches; on a real CPU this is what keeps a guest from booting stale memory.
    pub fn publish(&mut self, range: Range<u64>) -> Result<(), NotInRam> {
        let (start, len) = self.check(range)?;
        let line_bytes = data_line_bytes();
        let first = start as usize & !(line_bytes - 1);
        for line in (first..start as usize + len).step_by(line_bytes) {
            // SAFETY: cleaning a line of RAM we own changes no value that Rust sees.
            unsafe { asm!("dc civac, {}", in(reg) line, options(nostack)) };
        }
        dsb(SY); // the cleaned lines, before the instruction side is told to look again
        // SAFETY: dropping cached instructions changes no value that Rust sees.
        unsafe { asm!("ic ialluis", options(nostack)) };
        dsb(ISH); // the invalidation, before the guest is entered
        isb(SY);
        Ok(())
    }

    /// Returns the view of a guest that has all of it from `ipa` on.
    pub(crate) fn view(&self, ipa: u64) -> GuestView {
        GuestView {
            ipa,
            range: self.range.clone(),
        }
    }

    fn check(&self, range: Range<u64>) -> Result<(*mut u8, usize), NotInRam> {
        let size_bytes = range.end.saturating_sub(range.start);
        let inside = self.range.start <= range.start
            && range.start <= range.end
            && range.end <= self.range.end;
        if !inside {
            return Err(NotInRam {
                at: range.start,
                size_bytes,
            });
        }
        Ok((range.start as *mut u8, size_bytes as usize))
    }
}

/// A guest's RAM by the guest's addresses, while the guest runs: byte by byte, for nothing keeps
/// the guest from writing meanwhile.
#[derive(Clone, Debug)]
pub struct GuestView {
    ipa: u64,
    range: Range<u64>,
}

impl GuestView {
    /// Returns its size.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn find(&self, ipa: u64, bytes: usize) -> Option<*mut u8> {
        let offset = ipa.checked_sub(self.ipa)?;
        let end = offset.checked_add(bytes as u64)?;
        (end <= self.size_bytes()).then(|| (self.range.start + offset) as *mut u8)
    }
}

impl Memory for GuestView {
    fn read(&self, ipa: u64, to: &mut [u8]) -> bool {
        let Some(from) = self.find(ipa, to.len()) else {
            return false;
        };
        for (offset, byte) in to.iter_mut().enumerate() {
            // SAFETY: within the guest's RAM (`find`), which is mapped and which no borrow of ours
            // covers while the guest runs (`GuestRam`); volatile, as the guest may write it.
            *byte = unsafe { from.add(offset).read_volatile() };
        }
        true
    }

    fn write(&mut self, ipa: u64, from: &[u8]) -> bool {
        let Some(to) = self.find(ipa, from.len()) else {
            return false;
        };
        for (offset, &byte) in from.iter().enumerate() {
            // SAFETY: as in `read`.
            unsafe { to.add(offset).write_volatile(byte) };
        }
        true
    }
}

/// Returns the smallest data cache line of the CPU (CTR_EL0.DminLine, log2 of words).
fn data_line_bytes() -> usize {
    let ctr: usize;
    // SAFETY: a read of an identification register.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) ctr, options(nomem, nostack)) };
    4 << ((ctr >> 16) & 0xf)
}
