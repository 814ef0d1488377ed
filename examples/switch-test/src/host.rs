//! The host's side: what it holds in its registers while the guest runs.

use core::arch::naked_asm;

use aarch64_cpu::registers::*;

/// What a host sees of itself: every word that a run must leave alone.
pub const WATCHED: [&str; 18] = [
    "x19",
    "x20",
    "x21",
    "x22",
    "x23",
    "x24",
    "x25",
    "x26",
    "x27",
    "x28",
    "x29",
    "SP_EL0",
    "TPIDR_EL0",
    "TPIDR_EL1",
    "TPIDR_EL2",
    "VBAR_EL2",
    "DAIF",
    "SP",
];

pub type Watched = [u64; WATCHED.len()];

/// Calls `f(argument)` with all of `watched` but the last two in force, whatever they were; leaves
/// there what is in force when it returns. The previous values return with this function.
///
/// In: x0 = f, x1 = argument, x2 = watched. Clobbers: what a C function may. Stack: 160 bytes.
/// DAIF is left as `f` left it, and VBAR_EL2.
///
/// # Safety
///
/// At EL2. `f` may be called with `argument`, and depends on none of TPIDR_EL0, TPIDR_EL1,
/// TPIDR_EL2 and SP_EL0. `watched` is valid, and its VBAR_EL2 is the one in force.
#[unsafe(naked)]
pub unsafe extern "C" fn call_with(
    f: unsafe extern "C" fn(*mut ()),
    argument: *mut (),
    watched: *mut Watched,
) {
    naked_asm!(
        "sub sp, sp, #160",
        "stp x19, x20, [sp]",
        "stp x21, x22, [sp, #16]",
        "stp x23, x24, [sp, #32]",
        "stp x25, x26, [sp, #48]",
        "stp x27, x28, [sp, #64]",
        "stp x29, x30, [sp, #80]",
        "mrs x9, sp_el0",
        "mrs x10, tpidr_el0",
        "stp x9, x10, [sp, #96]",
        "mrs x9, tpidr_el1",
        "mrs x10, tpidr_el2",
        "stp x9, x10, [sp, #112]",
        "str x2, [sp, #128]",
        "mov x9, sp",
        "str x9, [x2, #136]",
        "ldp x9, x10, [x2, #88]",
        "msr sp_el0, x9",
        "msr tpidr_el0, x10",
        "ldp x9, x10, [x2, #104]",
        "msr tpidr_el1, x9",
        "msr tpidr_el2, x10",
        "ldr x9, [x2, #128]",
        "msr daif, x9",
        "mov x8, x0",
        "mov x0, x1",
        "ldp x19, x20, [x2]",
        "ldp x21, x22, [x2, #16]",
        "ldp x23, x24, [x2, #32]",
        "ldp x25, x26, [x2, #48]",
        "ldp x27, x28, [x2, #64]",
        "ldr x29, [x2, #80]",
        "blr x8",
        "ldr x2, [sp, #128]",
        "stp x19, x20, [x2]",
        "stp x21, x22, [x2, #16]",
        "stp x23, x24, [x2, #32]",
        "stp x25, x26, [x2, #48]",
        "stp x27, x28, [x2, #64]",
        "str x29, [x2, #80]",
        "mrs x9, sp_el0",
        "mrs x10, tpidr_el0",
        "stp x9, x10, [x2, #88]",
        "mrs x9, tpidr_el1",
        "mrs x10, tpidr_el2",
        "stp x9, x10, [x2, #104]",
        "mrs x9, vbar_el2",
        "mrs x10, daif",
        "stp x9, x10, [x2, #120]",
        "mov x9, sp",
        "str x9, [x2, #136]",
        "ldp x9, x10, [sp, #96]",
        "msr sp_el0, x9",
        "msr tpidr_el0, x10",
        "ldp x9, x10, [sp, #112]",
        "msr tpidr_el1, x9",
        "msr tpidr_el2, x10",
        "ldp x19, x20, [sp]",
        "ldp x21, x22, [sp, #16]",
        "ldp x23, x24, [sp, #32]",
        "ldp x25, x26, [sp, #48]",
        "ldp x27, x28, [sp, #64]",
        "ldp x29, x30, [sp, #80]",
        "add sp, sp, #160",
        "ret",
    )
}

/// What a host that computes in FP registers sees of them: D8 to D15, FPCR, FPSR.
pub const WATCHED_FP: [&str; 10] = [
    "D8", "D9", "D10", "D11", "D12", "D13", "D14", "D15", "FPCR", "FPSR",
];

pub type WatchedFp = [u64; WATCHED_FP.len()];

/// Calls `f(argument)` with all of `watched` in force; leaves there what is in force when it
/// returns. The previous values return with this function.
///
/// In: x0 = f, x1 = argument, x2 = watched. Clobbers: what a C function may. Stack: 112 bytes.
///
/// # Safety
///
/// `f` may be called with `argument`, under any FPCR. `watched` is valid. FP does not trap.
#[cfg(target_feature = "neon")]
#[unsafe(naked)]
pub unsafe extern "C" fn call_with_fp(
    f: unsafe extern "C" fn(*mut ()),
    argument: *mut (),
    watched: *mut WatchedFp,
) {
    naked_asm!(
        "stp x29, x30, [sp, #-112]!",
        "stp d8, d9, [sp, #16]",
        "stp d10, d11, [sp, #32]",
        "stp d12, d13, [sp, #48]",
        "stp d14, d15, [sp, #64]",
        "mrs x9, fpcr",
        "mrs x10, fpsr",
        "stp x9, x10, [sp, #80]",
        "str x2, [sp, #96]",
        "ldp d8, d9, [x2]",
        "ldp d10, d11, [x2, #16]",
        "ldp d12, d13, [x2, #32]",
        "ldp d14, d15, [x2, #48]",
        "ldp x9, x10, [x2, #64]",
        "msr fpcr, x9",
        "msr fpsr, x10",
        "mov x8, x0",
        "mov x0, x1",
        "blr x8",
        "ldr x2, [sp, #96]",
        "stp d8, d9, [x2]",
        "stp d10, d11, [x2, #16]",
        "stp d12, d13, [x2, #32]",
        "stp d14, d15, [x2, #48]",
        "mrs x9, fpcr",
        "mrs x10, fpsr",
        "stp x9, x10, [x2, #64]",
        "ldp x9, x10, [sp, #80]",
        "msr fpcr, x9",
        "msr fpsr, x10",
        "ldp d8, d9, [sp, #16]",
        "ldp d10, d11, [sp, #32]",
        "ldp d12, d13, [sp, #48]",
        "ldp d14, d15, [sp, #64]",
        "ldp x29, x30, [sp], #112",
        "ret",
    )
}

/// Calls `f(argument)`: a host that is soft-float has nothing in FP registers.
///
/// # Safety
///
/// `f` may be called with `argument`.
#[cfg(not(target_feature = "neon"))]
pub unsafe extern "C" fn call_with_fp(
    f: unsafe extern "C" fn(*mut ()),
    argument: *mut (),
    _: *mut WatchedFp,
) {
    // SAFETY: the same contract.
    unsafe { f(argument) };
}

/// The EL2 controls of a host, all that `put` must bring back on any of the CPUs.
pub fn controls() -> [(&'static str, u64); 10] {
    [
        ("HCR_EL2", HCR_EL2.get()),
        ("CPTR_EL2", CPTR_EL2.get()),
        ("MDCR_EL2", MDCR_EL2.get()),
        ("CNTHCTL_EL2", CNTHCTL_EL2.get()),
        ("CNTVOFF_EL2", CNTVOFF_EL2.get()),
        ("VMPIDR_EL2", VMPIDR_EL2.get()),
        ("VTCR_EL2", VTCR_EL2.get()),
        ("VTTBR_EL2", VTTBR_EL2.get()),
        ("SCTLR_EL2", SCTLR_EL2.get()),
        ("TCR_EL2", TCR_EL2.get()),
    ]
}
