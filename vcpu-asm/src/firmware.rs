//! Calls to the machine's firmware.

use core::arch::asm;

/// Executes `SMC #0` with x0 to x17 from `x`, and back to it.
///
/// Clobbers nothing else: firmware preserves x18 to x30, SP and the FP registers (SMCCC, Arm
/// DEN0028, register use). x4 to x17 are preserved from SMCCC 1.1 on, and may change before.
///
/// # Safety
///
/// The CPU is at EL2, and something answers `SMC` there. What the function does with these
/// arguments leaves the memory and the registers of the host alone, and it returns.
pub(crate) unsafe fn call(x: &mut [u64; 18]) {
    macro_rules! call {
        ($($n:literal $name:tt)*) => {
            asm!(
                "smc #0",
                $(inlateout($name) x[$n],)*
                options(nostack), // it may look at memory, and leaves NZCV unknown
            )
        };
    }
    // SAFETY: the caller knows the function; all that it may change is declared.
    unsafe {
        call! {
            0 "x0" 1 "x1" 2 "x2" 3 "x3" 4 "x4" 5 "x5" 6 "x6" 7 "x7" 8 "x8" 9 "x9" 10 "x10"
            11 "x11" 12 "x12" 13 "x13" 14 "x14" 15 "x15" 16 "x16" 17 "x17"
        }
    }
}
