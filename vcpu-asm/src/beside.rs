//! Into the guest and back, for a host that computes in FP registers itself.

use core::{
    arch::{asm, naked_asm},
    mem::offset_of,
};

use static_assertions::const_assert;
use vcpu_hal::FpSwitch;
use vcpu_regs::GuestFrame;

use crate::{Kept, fp, sve, switch};

const FP: usize = offset_of!(FpSwitch<'_>, fp);
const SVE: usize = offset_of!(FpSwitch<'_>, sve);
const CPTR_DIFFERENCE: usize = offset_of!(FpSwitch<'_>, cptr_difference);
// A reference or null.
const_assert!(size_of::<FpSwitch<'_>>() == 24);

/// Enters the guest as [`switch::enter`] does, with what `fp` says in place of the host's FP
/// registers and CPTR_EL2. The compiler keeps what the host has in FP registers, as it keeps the others.
///
/// # Safety
///
/// As for [`switch::enter`]; and FP does not trap at EL2, nor SVE where `fp` has some.
#[inline(always)]
pub(crate) unsafe fn enter(
    frame: *mut GuestFrame,
    hcr_difference: u64,
    kept: &Kept,
    fp: &mut FpSwitch<'_>,
) -> u64 {
    let syndrome;
    // SAFETY: the caller answers for what `exchange` asks; the operands are what its header says.
    // No FP register is anyone's between here and the return: all are lost.
    unsafe {
        asm!(
            "bl {exchange}",
            exchange = sym exchange,
            inlateout("x0") frame => _,
            inlateout("x1") hcr_difference => syndrome,
            inlateout("x2") kept => _,
            inlateout("x3") &raw mut *fp => _,
            lateout("x20") _, lateout("x21") _, lateout("x22") _, lateout("x23") _, lateout("x24") _,
            lateout("x25") _, lateout("x26") _, lateout("x27") _, lateout("x28") _,
            clobber_abi("C"),
        );
    }
    syndrome
}

/// Into the guest and back, between its FP registers and the host's FPCR and FPSR.
///
/// In: x0 to x2 as for [`switch::exchange`], x3 = what is exchanged. Out: x1 as from there. Lost: as
/// there, and every FP register, where the guest has its own; kept: FPCR, FPSR. Stack: 64 bytes, and
/// what it takes there.
///
/// # Safety
///
/// As for [`enter`], which alone calls this.
#[unsafe(naked)]
unsafe extern "C" fn exchange() {
    naked_asm!(
        "sub sp, sp, #64",
        "stp x30, x3, [sp]",
        "stp x0, x1, [sp, #16]",
        "str x2, [sp, #32]",
        "ldr x0, [x3, #{fp}]",
        "cbz x0, 2f",
        "mrs x4, fpcr",
        "mrs x5, fpsr",
        "stp x4, x5, [sp, #48]",
        "bl {load_fp}", // leaves all but x0 to x2
        "ldr x0, [x3, #{sve}]",
        "cbz x0, 2f",
        "bl {load_sve}", // leaves all but x0 and x1
        "2:",
        "ldr x4, [x3, #{cptr_difference}]",
        "cbz x4, 3f",
        "mrs x5, cptr_el2",
        "eor x5, x5, x4",
        "msr cptr_el2, x5", // the `eret` synchronises this
        "3:",
        "ldp x0, x1, [sp, #16]",
        "ldr x2, [sp, #32]",
        "bl {exchange}",
        "ldp x30, x3, [sp]",
        "ldr x4, [x3, #{cptr_difference}]",
        "cbz x4, 4f",
        "mrs x5, cptr_el2",
        "eor x5, x5, x4",
        "msr cptr_el2, x5",
        "isb", // FP does not trap before the host uses it
        "4:",
        "ldr x0, [x3, #{fp}]",
        "cbz x0, 6f",
        "str x1, [sp, #16]",
        "ldr x4, [x3, #{sve}]",
        "bl {save_fp}", // leaves all but x0 to x2
        "cbz x4, 5f",
        "mov x0, x4",
        "bl {save_sve}",
        "5:",
        "ldp x4, x5, [sp, #48]",
        "msr fpcr, x4",
        "msr fpsr, x5",
        "ldr x1, [sp, #16]",
        "ldr x30, [sp]",
        "6:",
        "add sp, sp, #64",
        "ret",
        fp = const FP,
        sve = const SVE,
        cptr_difference = const CPTR_DIFFERENCE,
        load_fp = sym fp::load,
        load_sve = sym sve::load,
        save_fp = sym fp::save,
        save_sve = sym sve::save,
        exchange = sym switch::exchange,
    )
}
