//! Why a run ended.

use vcpu_exits::{
    Fault, FaultIpa, FaultKind, SError, Syndrome, Transfer,
    calls::{FunctionId, PsciCall},
};
use vcpu_hal::ExitWords;
use vcpu_regs::{Esr, Gpr, Ipa, Va};

use crate::{Call, Mmio, Psci, Registers, SysRegAccess, Wait};

/// What the guest did, or what happened to it.
///
/// `T` is what the host's [`FetchIrq`](vcpu_hal::FetchIrq) makes of a physical interrupt.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "match on it, or give it to `Live::reflect`"]
#[non_exhaustive]
#[repr(u64)] // a tag of its own: one inside a payload's would have to be told from it every time
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
#[repr(u64)] // a word, as all that an exit holds
pub enum Conduit {
    /// `HVC`: arrives with PC past it.
    Hvc,
    /// `SMC`: arrives with PC on it.
    Smc,
}

impl Conduit {
    pub(crate) fn advance(self, registers: &mut Registers) {
        if self == Self::Smc {
            registers.advance(Esr::of_class(0x17));
        }
    }
}

/// Classes of exits without addresses, by how often guests make them.
#[derive(Clone, Copy)]
pub(crate) enum Often {
    Wait,
    SysReg,
    Hvc,
    Seldom,
}

impl Often {
    #[inline(always)]
    pub(crate) fn of(esr: Esr) -> Self {
        const WFX: u8 = 0x01;
        const HVC64: u8 = 0x16;
        const SYSTEM: u8 = 0x18;
        let class = esr.class();
        // One bit of the class sends `WFI` one way, calls and registers the other.
        match esr.0 & 0x10 << 26 == 0 {
            true if class == WFX => Self::Wait,
            false if class == SYSTEM => Self::SysReg,
            false if class == HVC64 => Self::Hvc,
            _ => Self::Seldom,
        }
    }
}

/// A class of exits that guests do not make often: decoded out of line.
enum Seldom {
    Fault(Fault),
    Psci(Psci),
    Smc(Call),
    Other(Syndrome),
}

impl<T> Exit<T> {
    /// Decodes an exit of the classes that have addresses.
    #[inline(always)]
    pub(crate) fn abort(registers: &Registers, words: ExitWords) -> Self {
        let ExitWords {
            esr, far, hpfar, ..
        } = words;
        if is_plain_access(esr) || is_rare_access(esr, far, hpfar) {
            return Self::Mmio(Mmio::new(registers, words));
        }
        Seldom::decode(registers, esr, far, hpfar).into()
    }

    /// Decodes a trapped `WFI`, `WFE` or their like.
    #[inline(always)]
    pub(crate) fn wait(registers: &Registers, esr: Esr) -> Self {
        let wait = Wait::new(registers, esr);
        if wait.is_for_event() {
            return Self::Wfe(wait);
        }
        Self::Wfi(wait)
    }

    /// Decodes a trapped system register.
    #[inline(always)]
    pub(crate) fn sysreg(registers: &Registers, esr: Esr) -> Self {
        Self::SysReg(SysRegAccess::new(registers, esr))
    }

    /// Decodes an `HVC`.
    #[inline(always)]
    pub(crate) fn hvc(registers: &Registers, esr: Esr) -> Self {
        let conduit = Conduit::Hvc;
        if may_be_psci(registers, esr)
            && let Some(psci) = psci(registers, conduit)
        {
            return Self::Psci(psci);
        }
        Self::Hypercall(Call { esr, conduit })
    }

    /// Decodes what guests do not often do, without addresses.
    #[inline(always)]
    pub(crate) fn seldom(registers: &Registers, esr: Esr) -> Self {
        Seldom::decode(registers, esr, 0, 0).into()
    }

    /// Decodes an SError.
    #[inline(always)]
    pub(crate) fn serror(esr: Esr) -> Self {
        #[cold]
        #[inline(never)]
        fn decode(esr: Esr) -> SError {
            SError::decode(esr)
        }
        Self::SError(decode(esr))
    }

    /// Returns the same, variant by variant: a copy whose address a function may be given. Where a
    /// function gets that of the exit itself, the compiler keeps every exit in memory.
    #[inline(always)]
    pub(crate) fn moved(self) -> Self {
        match self {
            Self::Mmio(access) => Self::Mmio(access),
            Self::Fault(fault) => Self::Fault(fault),
            Self::SysReg(access) => Self::SysReg(access),
            Self::Psci(psci) => Self::Psci(psci),
            Self::Hypercall(call) => Self::Hypercall(call),
            Self::Smc(call) => Self::Smc(call),
            Self::Wfi(wait) => Self::Wfi(wait),
            Self::Wfe(wait) => Self::Wfe(wait),
            Self::Irq(token) => Self::Irq(token),
            Self::Fiq => Self::Fiq,
            Self::SError(serror) => Self::SError(serror),
            Self::Other(syndrome) => Self::Other(syndrome),
        }
    }
}

impl Seldom {
    #[cold]
    #[inline(never)]
    fn decode(registers: &Registers, esr: Esr, far: u64, hpfar: u64) -> Self {
        if let Some(fault) = Fault::new(esr, far, hpfar) {
            return Self::Fault(fault);
        }
        match Syndrome::decode(esr) {
            Syndrome::Smc(_) => {
                let conduit = Conduit::Smc;
                if may_be_psci(registers, esr)
                    && let Some(psci) = psci(registers, conduit)
                {
                    return Self::Psci(psci);
                }
                Self::Smc(Call { esr, conduit })
            }
            other => Self::Other(other),
        }
    }
}

impl<T> From<Seldom> for Exit<T> {
    #[inline(always)]
    fn from(seldom: Seldom) -> Self {
        match seldom {
            Seldom::Fault(fault) => Self::Fault(fault),
            Seldom::Psci(psci) => Self::Psci(psci),
            Seldom::Smc(call) => Self::Smc(call),
            Seldom::Other(syndrome) => Self::Other(syndrome),
        }
    }
}

impl Mmio {
    /// Returns the access of an abort that tells all about it.
    #[inline(always)]
    fn new(registers: &Registers, words: ExitWords) -> Self {
        let ExitWords {
            esr, far, hpfar, ..
        } = words;
        let transfer = Transfer::of_described(esr);
        let page = (hpfar & 0xffff_ffff_fff0) << 8; // FIPA
        let register = match transfer.is_write {
            true => registers.reg(Gpr::new(transfer.reg)),
            false => 0,
        };
        Self {
            esr,
            ipa: Ipa(page | far & 0xfff),
            va: Va(far),
            register,
        }
    }
}

/// Returns whether this is a Data Abort of the plainest kind to emulate, by one look at its word.
#[inline(always)]
fn is_plain_access(esr: Esr) -> bool {
    const CLASS: u64 = 0x3f << 26;
    const DATA_ABORT: u64 = 0x24 << 26;
    const ISV: u64 = 1 << 24;
    const FNV: u64 = 1 << 10;
    /// A 64-byte access.
    const LST: u64 = 0b11 << 11;
    const S1PTW: u64 = 1 << 7;
    /// A translation fault of level 0 to 3 is `0b0001xx`.
    const STATUS: u64 = 0b111100;
    const TRANSLATION: u64 = 0b000100;
    esr.0 & (CLASS | ISV | LST | FNV | S1PTW | STATUS) == DATA_ABORT | ISV | TRANSLATION
}

/// Returns the same for any abort, by what each field means.
#[cold]
#[inline(never)]
fn is_rare_access(esr: Esr, far: u64, hpfar: u64) -> bool {
    Fault::new(esr, far, hpfar).is_some_and(|fault| {
        fault.kind() == FaultKind::Translation
            && !fault.is_on_s1_walk()
            && fault.transfer().is_some()
            && matches!(fault.ipa(), FaultIpa::Exact(_))
    })
}

impl SysRegAccess {
    #[inline(always)]
    fn new(registers: &Registers, esr: Esr) -> Self {
        let access = vcpu_exits::SysRegAccess::decode(esr);
        let register = match access.is_read {
            true => 0,
            false => registers.reg(Gpr::new(access.rt)),
        };
        Self { esr, register }
    }
}

impl Wait {
    #[inline(always)]
    fn new(registers: &Registers, esr: Esr) -> Self {
        /// RN holds a register.
        const RV: u64 = 1 << 2;
        let register = match esr.0 & RV {
            0 => 0,
            _ => registers.reg(Gpr::new((esr.0 >> 5) as u8)),
        };
        Self { esr, register }
    }

    /// Returns whether it is a `WFE` or `WFET`: bit 0 of TI.
    #[inline(always)]
    fn is_for_event(&self) -> bool {
        self.esr.0 & 1 != 0
    }
}

/// Returns whether the call with this syndrome could be one of PSCI, which are all Standard Secure
/// Service calls by immediate 0.
#[inline(always)]
fn may_be_psci(registers: &Registers, esr: Esr) -> bool {
    const STANDARD_SECURE: u64 = 4;
    let owner = registers.frame.x[0] >> 24 & 0x3f;
    esr.0 as u16 == 0 && owner == STANDARD_SECURE
}

/// Returns the PSCI call, if it is one.
#[cold]
#[inline(never)]
fn psci(registers: &Registers, conduit: Conduit) -> Option<Psci> {
    let [x0, x1, x2, x3, ..] = registers.frame.x;
    let call = PsciCall::decode([x0, x1, x2, x3])?;
    Some(Psci { call, conduit })
}

impl Call {
    /// Returns the function the guest asks for, as SMCCC numbers them.
    #[inline(always)]
    pub fn function(&self, registers: &Registers) -> FunctionId {
        FunctionId::from_x0(registers.reg(Gpr::X0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every syndrome of a Data Abort that the short look takes, the long one takes too.
    #[test]
    fn plain_accesses_are_accesses_by_every_field() {
        const DATA_ABORT: u64 = 0x24 << 26;
        let mut plain = 0;
        for iss in 0..1 << 25 {
            let esr = Esr(DATA_ABORT | iss);
            if is_plain_access(esr) {
                assert!(is_rare_access(esr, 0, 0), "{esr:?}");
                plain += 1;
            }
        }
        assert_eq!(plain, 1 << 16); // all but ISV, LST, FnV, S1PTW and four bits of the status are free
    }

    /// No other class is taken for one.
    #[test]
    fn only_data_aborts_are_accesses() {
        for class in 0..0x40 {
            let esr = Esr(Esr::of_class(class).0 | 1 << 24 | 0b000100);
            let is_abort = class == 0x24;
            assert_eq!(is_plain_access(esr), is_abort, "{class:#x}");
        }
    }
}
