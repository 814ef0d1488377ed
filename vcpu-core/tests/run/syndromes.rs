//! Syndromes by their fields, as the manual numbers them, and exits that have them.

use vcpu_hal::{ExitWords, fake::Step};
use vcpu_regs::{Esr, GuestFrame, SysReg};

/// ESR_EL2 by its fields, as the manual numbers them.
pub const fn esr(class: u64, iss: u64) -> u64 {
    class << 26 | 1 << 25 | iss
}

pub const TRANSLATION_L3: u64 = 0b00_0111;
pub const PERMISSION_L2: u64 = 0b00_1110;
pub const WNR: u64 = 1 << 6;
pub const S1PTW: u64 = 1 << 7;
pub const CM: u64 = 1 << 8;

/// A data abort with a described load or store; `bits` adds to the ISS.
pub const fn transfer(size_bytes: u64, reg: u64, bits: u64) -> u64 {
    let sas = size_bytes.trailing_zeros() as u64;
    esr(
        0x24,
        1 << 24 | sas << 22 | reg << 16 | bits | TRANSLATION_L3,
    )
}
/// The load extends the sign.
pub const SSE: u64 = 1 << 21;
/// The register is an X.
pub const SF: u64 = 1 << 15;

pub const UART: u64 = 0x0900_0004;
pub const UART_VA: u64 = 0xffff_0000_0abc_d004;

/// HPFAR_EL2 of an IPA.
pub const fn hpfar(ipa: u64) -> u64 {
    ipa >> 12 << 4
}

/// An abort at the UART.
pub const fn at_uart(esr: u64) -> Step<'static> {
    Step::fault(esr, UART_VA, hpfar(UART))
}

/// A synchronous exit before which the guest changed its registers.
pub fn after<'s>(guest: &'s dyn Fn(&mut GuestFrame), esr: u64) -> Step<'s> {
    let words = ExitWords::synchronous(Esr(esr), 0, 0);
    Step { guest, words }
}

/// A trapped `MRS` (or `MSR`) of x`rt`.
pub fn sysreg(reg: SysReg, rt: u8, is_read: bool) -> u64 {
    let field = |value: u8, lo: u32| u64::from(value) << lo;
    let iss = field(reg.op0(), 20)
        | field(reg.op2(), 17)
        | field(reg.op1(), 14)
        | field(reg.crn(), 10)
        | field(rt, 5)
        | field(reg.crm(), 1)
        | u64::from(is_read);
    esr(0x18, iss)
}

pub const WFI: u64 = esr(0x01, 1 << 24 | 0xe << 20);
pub const WFE: u64 = WFI | 1;

pub const fn hvc(imm: u64) -> u64 {
    esr(0x16, imm)
}

pub const fn smc(imm: u64) -> u64 {
    esr(0x17, imm)
}
