//! `critical_section` for a few CPUs: interrupts masked, then a lock that its owner may take again.

use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::registers::{MPIDR_EL1, Readable};
use critical_section::RawRestoreState;

struct Section;
critical_section::set_impl!(Section);

/// [`me`] of the CPU inside, or [`FREE`].
static OWNER: AtomicU64 = AtomicU64::new(FREE);
const FREE: u64 = 0;

/// Set in the restore state of an `acquire` that found this CPU inside already.
const NESTED: u8 = 1;
/// DAIF is bits 9 to 6 of a word; the restore state keeps it in bits 7 to 4.
const DAIF_SHIFT: u32 = 2;

/// This CPU's affinity; bit 31, RES1 in MPIDR_EL1, keeps it apart from [`FREE`].
fn me() -> u64 {
    MPIDR_EL1.get()
}

// SAFETY: `acquire` returns on one CPU at a time (`OWNER`), with IRQ and FIQ masked, so nothing
// else of this image runs until the matching `release`. Acquire and release orderings, and asm that
// clobbers memory, keep accesses inside.
unsafe impl critical_section::Impl for Section {
    unsafe fn acquire() -> RawRestoreState {
        let daif: u64;
        // SAFETY: masking interrupts breaks no invariant of Rust.
        unsafe { asm!("mrs {}, daif", "msr daifset, #3", out(reg) daif, options(nostack)) };
        let state = (daif >> DAIF_SHIFT) as u8;
        if OWNER.load(Ordering::Relaxed) == me() {
            return state | NESTED;
        }
        while OWNER
            .compare_exchange_weak(FREE, me(), Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            spin_loop();
        }
        state
    }

    unsafe fn release(state: RawRestoreState) {
        if state & NESTED == 0 {
            OWNER.store(FREE, Ordering::Release);
        }
        let daif = u64::from(state & !NESTED) << DAIF_SHIFT;
        // SAFETY: the value `acquire` found, so what was masked around the section is masked again,
        // and no more.
        unsafe { asm!("msr daif, {}", in(reg) daif, options(nostack)) };
    }
}
