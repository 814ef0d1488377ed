//! The SVE registers, and how long they are.

use aarch64_cpu::asm::barrier;
use core::{arch::naked_asm, mem::offset_of};

use static_assertions::const_assert;
use vcpu_regs::{Predicates, SveState};

use crate::sysreg::{mrs, msr};

const_assert!(offset_of!(SveState, z) == 0);
const_assert!(offset_of!(SveState, predicates) == 32 * 256);
const_assert!(offset_of!(Predicates, p) == 0);
const FFR: usize = offset_of!(Predicates, ffr);

/// Reads `ZCR_EL2`.
///
/// # Safety
///
/// The CPU is at EL2 and has SVE, which does not trap there.
pub(crate) unsafe fn zcr_el2() -> u64 {
    // SAFETY: as the caller says; no side effect.
    unsafe { mrs!((3, 4, 1, 2, 0)) }
}

/// Writes `ZCR_EL2`, and synchronises.
///
/// # Safety
///
/// As for [`zcr_el2`]; and nothing of the host is in what vectors lose by it.
pub(crate) unsafe fn set_zcr_el2(value: u64) {
    // SAFETY: as the caller says.
    unsafe { msr!((3, 4, 1, 2, 0), value) };
    barrier::isb(barrier::SY); // the length, before an instruction that uses it
}

/// Returns the bytes of a vector at this exception level.
///
/// In: nothing. Out: x0. Stack: untouched.
///
/// # Safety
///
/// The CPU has SVE, which does not trap at this exception level.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn vector_bytes() -> u64 {
    naked_asm!(
        ".arch_extension sve", // whatever the build target has
        "rdvl x0, #1",
        "ret",
    )
}

/// Writes Z0-Z31, P0-P15 and FFR to `state`, as many bytes of each as a vector has here.
///
/// In: x0 = state. Clobbers: x0, P0. Stack: untouched.
///
/// # Safety
///
/// SVE does not trap at this exception level; `state` is valid for writes.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn save(state: *mut SveState) {
    naked_asm!(
        ".arch_extension sve",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        "str z\\n, [x0]",
        "add x0, x0, #256", // a slot has room for the longest
        ".endr",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "str p\\n, [x0]",
        "add x0, x0, #32",
        ".endr",
        "rdffr p0.b",
        "str p0, [x0]",
        "ret",
    )
}

/// Reads Z0-Z31, P0-P15 and FFR from `state`, as many bytes of each as a vector has here.
///
/// In: x0 = state. Clobbers: x0, x1, every SVE and SIMD register. Stack: untouched.
///
/// # Safety
///
/// SVE does not trap at this exception level; `state` is valid for reads; no FP register holds
/// anything of the caller's.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn load(state: *const SveState) {
    naked_asm!(
        ".arch_extension sve",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        "ldr z\\n, [x0]",
        "add x0, x0, #256",
        ".endr",
        "add x1, x0, #{ffr}",
        "ldr p0, [x1]",
        "wrffr p0.b", // before P0 has its own
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "ldr p\\n, [x0]",
        "add x0, x0, #32",
        ".endr",
        "ret",
        ffr = const FFR,
    )
}
