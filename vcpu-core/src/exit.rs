//! Why a run ended.

use vcpu_exits::{
    Fault, FaultIpa, FaultKind, SError, Syndrome, WfxKind,
    calls::{FunctionId, PsciCall},
};
use vcpu_hal::ExitWords;
use vcpu_regs::{Gpr, Va};

use crate::{Call, Mmio, Psci, Registers, SysRegAccess, Wait};

/// What the guest did, or what happened to it.
///
/// `T` is what the host's [`FetchIrq`](vcpu_hal::FetchIrq) makes of a physical interrupt.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "match on it, or give it to `Live::reflect`"]
#[non_exhaustive]
pub enum Exit<T> {
    /// A load or store where stage 2 maps nothing, fully described.
    Mmio(Mmio),
    /// Any other access that stage 2 refused: a fetch, a permission, an instruction that the
    /// syndrome does not describe. PC stands on it; running again retries it.
    Fault(Fault),
    /// A trapped system register or `SYS` operation.
    SysReg(SysRegAccess),
    /// A PSCI call.
    Psci(Psci),
    /// Another `HVC`.
    Hypercall(Call),
    /// Another `SMC`. It has not reached any firmware.
    Smc(Call),
    /// A trapped `WFI` or `WFIT`.
    Wfi(Wait),
    /// A trapped `WFE` or `WFET`.
    Wfe(Wait),
    /// A physical IRQ, fetched.
    Irq(T),
    /// A physical FIQ, still pending.
    Fiq,
    /// A physical SError, taken.
    SError(SError),
    /// Something else the guest did; PC stands on it.
    Other(Syndrome),
}

/// The instruction of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Conduit {
    /// `HVC`: arrives with PC past it.
    Hvc,
    /// `SMC`: arrives with PC on it.
    Smc,
}

impl Conduit {
    pub(crate) fn advance(self, registers: &mut Registers) {
        if self == Self::Smc {
            registers.advance(true);
        }
    }
}

impl<T> Exit<T> {
    /// Decodes a synchronous exit.
    #[inline]
    pub(crate) fn synchronous(registers: &Registers, words: ExitWords) -> Self {
        let is_32bit = words.esr.is_32bit_instruction();
        match Syndrome::decode(words.esr) {
            Syndrome::DataAbort(abort) => {
                let fault = Fault::of_data_abort(abort, words.far, words.hpfar);
                match mmio(registers, &fault, is_32bit) {
                    Some(mmio) => Self::Mmio(mmio),
                    None => Self::Fault(fault),
                }
            }
            Syndrome::InstructionAbort(abort) => {
                Self::Fault(Fault::of_instruction_abort(abort, words.far, words.hpfar))
            }
            Syndrome::Hvc(hvc) => match call(registers, hvc.imm, Conduit::Hvc) {
                Ok(psci) => Self::Psci(psci),
                Err(call) => Self::Hypercall(call),
            },
            Syndrome::Smc(smc) => match call(registers, smc.imm, Conduit::Smc) {
                Ok(psci) => Self::Psci(psci),
                Err(call) => Self::Smc(call),
            },
            Syndrome::SysReg(access) => {
                let rt = Gpr::new(access.rt);
                let write = (!access.is_read).then(|| registers.reg(rt));
                Self::SysReg(SysRegAccess {
                    reg: access.reg,
                    rt,
                    write,
                })
            }
            Syndrome::Wfx(wfx) => {
                let until = wfx.timeout_reg.map(|reg| registers.reg(Gpr::new(reg)));
                let wait = Wait {
                    wfx,
                    until,
                    is_32bit,
                };
                match wfx.kind {
                    WfxKind::Wfi | WfxKind::Wfit => Self::Wfi(wait),
                    WfxKind::Wfe | WfxKind::Wfet => Self::Wfe(wait),
                }
            }
            other => Self::Other(other),
        }
    }
}

/// Returns the access to emulate, if the fault is one of those and tells all about it.
#[inline]
fn mmio(registers: &Registers, fault: &Fault, is_32bit: bool) -> Option<Mmio> {
    if fault.kind() != FaultKind::Translation || fault.is_on_s1_walk() {
        return None;
    }
    let transfer = fault.transfer()?;
    let FaultIpa::Exact(ipa) = fault.ipa() else {
        return None;
    };
    let value = match transfer.is_write {
        true => transfer.stored(registers.reg(Gpr::new(transfer.reg))),
        false => 0,
    };
    let va = fault.va().unwrap_or(Va(0)); // an exact IPA has its low bits from a valid FAR
    Some(Mmio {
        ipa,
        va,
        value,
        transfer,
        is_32bit,
    })
}

/// Returns the PSCI call, or the call that is none.
#[inline]
fn call(registers: &Registers, imm: u16, conduit: Conduit) -> Result<Psci, Call> {
    let [x0, x1, x2, x3, ..] = registers.frame.x;
    let psci = if imm == 0 {
        PsciCall::decode([x0, x1, x2, x3])
    } else {
        None
    };
    psci.map(|call| Psci { call, conduit })
        .ok_or(Call { imm, conduit })
}

impl Call {
    /// Returns the function the guest asks for, as SMCCC numbers them.
    pub fn function(&self, registers: &Registers) -> FunctionId {
        FunctionId::from_x0(registers.reg(Gpr::X0))
    }
}
