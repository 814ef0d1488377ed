//! A flat program that tries what the registers of its interrupt controller say of interrupts that
//! are in list registers, and of timers whose interrupts it has disabled: pending, active, taken
//! back, by one vCPU and by another. GICv3 or GICv2, with one vCPU or as many as a guest can have.
//!
//! It runs with the MMU off and without a stack, and takes no interrupt: it acknowledges them while
//! they are masked. X19 holds the UART, X20 the registers of its SGIs and PPIs, X21 the distributor,
//! X22 is 3 or 2, X23 the CPU interface of a GICv2, X24 the count of failures. X0 to X7 are the
//! subroutines'; what they are given and return is in W0.

use core::arch::global_asm;

machine::guest_bytes! {
    /// Returns the program.
    pub bytes: { "raw_checks" } to { "raw_checks_end" }
}

// One after the other: the first opens the section, the second closes it.
global_asm!(
    include_str!("checks/sequence.s"),
    include_str!("checks/parts.s")
);
