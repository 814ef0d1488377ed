//! Exceptions that a guest takes although the hardware did not take them.

use vcpu_exits::{AbortFlags, DataAbort, FaultKind, FaultStatus, InstructionAbort};
use vcpu_regs::{Esr, IdRegisters, Mode, Pstate, SwitchedReg};

use crate::Registers;

/// Where the guest's EL1 registers are: in a struct, or on the hardware.
pub(crate) trait Bank {
    fn read(&self, reg: SwitchedReg) -> u64;
    fn write(&mut self, reg: SwitchedReg, value: u64);
}

/// SCTLR_EL1: PAN stays as it is on an exception.
const SCTLR_SPAN: u64 = 1 << 23;
/// SCTLR_EL1: what SSBS becomes on an exception (FEAT_SSBS).
const SCTLR_DSSBS: u64 = 1 << 44;

/// Makes the guest take a synchronous exception at EL1, as hardware would. Arm ARM (DDI 0487), pseudocode
/// `AArch64.TakeException`.
pub(crate) fn exception(
    registers: &mut Registers,
    bank: &mut impl Bank,
    ids: &IdRegisters,
    esr: Esr,
    far: Option<u64>,
) {
    let from = registers.pstate();
    bank.write(SwitchedReg::SPSR_EL1, from.bits());
    bank.write(SwitchedReg::ELR_EL1, registers.pc());
    bank.write(SwitchedReg::ESR_EL1, esr.0);
    if let Some(far) = far {
        bank.write(SwitchedReg::FAR_EL1, far);
    }
    let group = match from.mode() {
        Some(Mode::El1t) => 0x000,
        Some(Mode::El0) => 0x400,
        Some(Mode::El0A32) => 0x600,
        Some(Mode::El1h) | None => 0x200,
    };
    let vbar = bank.read(SwitchedReg::VBAR_EL1) & !0x7ff;
    registers.set_pc(vbar.wrapping_add(group));
    registers.set_pstate(handler_pstate(from, bank.read(SwitchedReg::SCTLR_EL1), ids));
}

/// Returns PSTATE at the first instruction of an EL1 handler.
fn handler_pstate(from: Pstate, sctlr: u64, ids: &IdRegisters) -> Pstate {
    let flags = Pstate::N | Pstate::Z | Pstate::C | Pstate::V;
    let masks = Pstate::D | Pstate::A | Pstate::I | Pstate::F;
    let mut pstate = from & (flags | Pstate::PAN | Pstate::DIT) | masks;
    if ids.has_pan() && sctlr & SCTLR_SPAN == 0 {
        pstate |= Pstate::PAN;
    }
    if ids.has_ssbs() && sctlr & SCTLR_DSSBS != 0 {
        pstate |= Pstate::SSBS;
    }
    if ids.has_mte() {
        pstate |= Pstate::TCO;
    }
    pstate.with_mode(Mode::El1h)
}

/// Returns the syndrome of an undefined instruction.
pub(crate) const fn undefined(is_32bit: bool) -> Esr {
    Esr::of_class(0).with_32bit_instruction(is_32bit)
}

/// Returns the syndrome of a data access that no memory answers.
pub(crate) fn data_abort(from: Pstate, status: FaultStatus, flags: AbortFlags) -> Esr {
    let abort = DataAbort {
        status,
        transfer: None,
        flags,
        detail: 0,
        write_update: 0,
        status_reg: 0,
        from_same_el: is_el1(from),
    };
    abort.encode()
}

/// Returns the syndrome of a fetch that no memory answers.
pub(crate) fn instruction_abort(from: Pstate, status: FaultStatus) -> Esr {
    let abort = InstructionAbort {
        status,
        flags: AbortFlags::empty(),
        detail: 0,
        from_same_el: is_el1(from),
    };
    abort.encode()
}

/// Returns the external abort that stands for a refusal by stage 2: on the guest's own table walk
/// where that was refused.
pub(crate) fn external(on_walk: bool, level: Option<i8>) -> FaultStatus {
    let on_walk = if on_walk {
        FaultStatus::new(FaultKind::ExternalOnWalk, level)
    } else {
        None
    };
    on_walk.unwrap_or(FaultStatus::from_bits(0x10))
}

fn is_el1(pstate: Pstate) -> bool {
    !matches!(pstate.mode(), Some(Mode::El0 | Mode::El0A32))
}
