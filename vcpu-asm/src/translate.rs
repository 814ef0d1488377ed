//! `AT`, and the answer that it leaves in `PAR_EL1`.

use core::arch::asm;

use aarch64_cpu::{
    asm::barrier,
    registers::{PAR_EL1, Readable, Writeable},
};
use vcpu_regs::{At, Par, Va};

/// Translates `va`; `PAR_EL1` is as before.
///
/// # Safety
///
/// The CPU is at EL2, and TGE is clear where E2H is set. The tables of the EL1&0 regime may be
/// walked.
pub(crate) unsafe fn execute(va: Va, at: At) -> Par {
    // Table entries written before it are seen: a walk is a memory access to the compiler too.
    macro_rules! at {
        ($instruction:literal) => {
            asm!(concat!($instruction, ", {}"), in(reg) va.0, options(nostack, preserves_flags))
        };
    }
    let guest = PAR_EL1.get();
    // SAFETY: a walk reads tables, and sets flags in them where the guest's accesses would; the
    // rest is in PAR_EL1. The caller has the regime.
    unsafe {
        match at {
            At::S1e1r => at!("at s1e1r"),
            At::S1e1w => at!("at s1e1w"),
            At::S1e0r => at!("at s1e0r"),
            At::S1e0w => at!("at s1e0w"),
            At::S12e1r => at!("at s12e1r"),
            At::S12e1w => at!("at s12e1w"),
            At::S12e0r => at!("at s12e0r"),
            At::S12e0w => at!("at s12e0w"),
        }
    }
    barrier::isb(barrier::SY); // the write of PAR_EL1 by AT, before the read
    let par = Par::from_bits(PAR_EL1.get());
    PAR_EL1.set(guest);
    par
}
