//! The instructions of an invalidation, one at a time: `vcpu-regs` puts them in order.

use core::arch::asm;

use vcpu_regs::InvalidateStep;

/// Executes one step.
///
/// # Safety
///
/// The CPU is at EL2 and has the instruction. No Rust memory depends on a translation it drops.
pub(crate) unsafe fn execute(step: InvalidateStep) {
    // Memory accesses do not move across any of these.
    macro_rules! plain {
        ($instruction:literal) => {
            asm!($instruction, options(nostack, preserves_flags))
        };
    }
    // `SYS #4, C8, Cm, #op2` where the mnemonic needs a feature that the assembler has off.
    macro_rules! operand {
        ($instruction:literal, $operand:expr) => {
            asm!(concat!($instruction, ", {}"), in(reg) $operand, options(nostack, preserves_flags))
        };
    }
    // SAFETY: barriers and invalidations do not change memory; the caller has the rest.
    unsafe {
        match step {
            InvalidateStep::DsbIshst => plain!("dsb ishst"),
            InvalidateStep::DsbNshst => plain!("dsb nshst"),
            InvalidateStep::DsbIsh => plain!("dsb ish"),
            InvalidateStep::DsbNsh => plain!("dsb nsh"),
            InvalidateStep::Isb => plain!("isb"),
            InvalidateStep::Ipas2e1is(x) => operand!("tlbi ipas2e1is", x),
            InvalidateStep::Ipas2le1is(x) => operand!("tlbi ipas2le1is", x),
            InvalidateStep::Ripas2e1is(x) => operand!("sys #4, c8, c0, #2", x),
            InvalidateStep::Ripas2le1is(x) => operand!("sys #4, c8, c0, #6", x),
            InvalidateStep::Vmalle1is => plain!("tlbi vmalle1is"),
            InvalidateStep::Vmalls12e1is => plain!("tlbi vmalls12e1is"),
            InvalidateStep::Vmalle1 => plain!("tlbi vmalle1"),
            InvalidateStep::Alle1 => plain!("tlbi alle1"),
            InvalidateStep::IcIalluis => plain!("ic ialluis"),
            InvalidateStep::IcIallu => plain!("ic iallu"),
        }
    }
}
