//! A flat program that tries what the registers of its interrupt controller say of interrupts that
//! are in list registers, and of timers whose interrupts it has disabled: pending, active, taken
//! back, by one vCPU and by another. GICv3 or GICv2, with one to eight vCPUs.
//!
//! It runs with the MMU off and without a stack, and takes no interrupt: it acknowledges them while
//! they are masked. X19 holds the UART, X20 the registers of its SGIs and PPIs, X21 the distributor,
//! X22 is 3 or 2, X23 the CPU interface of a GICv2, X24 the count of failures. X0 to X7 are the
//! subroutines'; what they are given and return is in W0.

use core::arch::global_asm;

/// Returns the program.
pub fn bytes() -> &'static [u8] {
    unsafe extern "C" {
        static raw_checks: u8;
        static raw_checks_end: u8;
    }
    let (start, end) = (&raw const raw_checks, &raw const raw_checks_end);
    // SAFETY: the assembly below is between the two labels, in read-only memory.
    unsafe { core::slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
}

// One after the other: the first opens the section, the second closes it.
global_asm!(
    include_str!("checks/sequence.s"),
    include_str!("checks/parts.s")
);
