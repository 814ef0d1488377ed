//! The FP/SIMD registers.

use core::{arch::naked_asm, mem::offset_of};

use static_assertions::const_assert;
use vcpu_regs::FpState;

const_assert!(offset_of!(FpState, q) == 0);
const_assert!(offset_of!(FpState, fpcr) == 512);
const_assert!(offset_of!(FpState, fpsr) == 520); // one `stp` with FPCR

/// Writes Q0-Q31, FPCR and FPSR to `state`.
///
/// In: x0 = state. Clobbers: x1, x2. Stack: untouched.
///
/// # Safety
///
/// FP does not trap at this exception level; `state` is valid for writes.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn save(state: *mut FpState) {
    naked_asm!(
        ".arch_extension fp", // the build target may be soft-float
        "stp q0, q1, [x0]",
        "stp q2, q3, [x0, #32]",
        "stp q4, q5, [x0, #64]",
        "stp q6, q7, [x0, #96]",
        "stp q8, q9, [x0, #128]",
        "stp q10, q11, [x0, #160]",
        "stp q12, q13, [x0, #192]",
        "stp q14, q15, [x0, #224]",
        "stp q16, q17, [x0, #256]",
        "stp q18, q19, [x0, #288]",
        "stp q20, q21, [x0, #320]",
        "stp q22, q23, [x0, #352]",
        "stp q24, q25, [x0, #384]",
        "stp q26, q27, [x0, #416]",
        "stp q28, q29, [x0, #448]",
        "stp q30, q31, [x0, #480]",
        "mrs x1, fpcr",
        "mrs x2, fpsr",
        "add x0, x0, #512",
        "stp x1, x2, [x0]",
        "ret",
    )
}

/// Reads Q0-Q31, FPCR and FPSR from `state`.
///
/// In: x0 = state. Clobbers: x1, x2, every FP register. Stack: untouched.
///
/// # Safety
///
/// FP does not trap at this exception level; `state` is valid for reads; no FP register holds
/// anything of the caller's.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn load(state: *const FpState) {
    naked_asm!(
        ".arch_extension fp",
        "ldp q0, q1, [x0]",
        "ldp q2, q3, [x0, #32]",
        "ldp q4, q5, [x0, #64]",
        "ldp q6, q7, [x0, #96]",
        "ldp q8, q9, [x0, #128]",
        "ldp q10, q11, [x0, #160]",
        "ldp q12, q13, [x0, #192]",
        "ldp q14, q15, [x0, #224]",
        "ldp q16, q17, [x0, #256]",
        "ldp q18, q19, [x0, #288]",
        "ldp q20, q21, [x0, #320]",
        "ldp q22, q23, [x0, #352]",
        "ldp q24, q25, [x0, #384]",
        "ldp q26, q27, [x0, #416]",
        "ldp q28, q29, [x0, #448]",
        "ldp q30, q31, [x0, #480]",
        "add x0, x0, #512",
        "ldp x1, x2, [x0]",
        "msr fpcr, x1",
        "msr fpsr, x2",
        "ret",
    )
}
