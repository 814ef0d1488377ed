//! The EL2 physical timer, which no guest can reach: slices and deadlines.

use core::arch::asm;

use aarch64_cpu::{
    asm::barrier::{SY, isb},
    registers::{CNTFRQ_EL0, CNTHP_CTL_EL2, CNTPCT_EL0, Readable, Writeable},
};

/// Returns the physical counter.
pub fn now() -> u64 {
    CNTPCT_EL0.get()
}

/// Returns how many ticks a second has.
pub fn frequency_hz() -> u64 {
    CNTFRQ_EL0.get()
}

/// Returns the ticks of so many microseconds.
pub fn ticks(us: u64) -> u64 {
    frequency_hz() / 1000 * us / 1000
}

/// Raises the timer's interrupt once the counter reaches `at`; never, for `None`.
pub fn set(at: Option<u64>) {
    let Some(at) = at else {
        return CNTHP_CTL_EL2.set(0);
    };
    // SAFETY: the timer is the host's own, and its interrupt is expected.
    unsafe { asm!("msr cnthp_cval_el2, {}", in(reg) at, options(nostack)) };
    CNTHP_CTL_EL2.set(1);
    isb(SY); // its line has the new level before interrupts are looked for
}
