//! Finishing what the guest began: the second half of a trapped instruction.

use vcpu_exits::{SgiGroup, SgiRequest, Transfer, Wfx, calls::PsciCall};
use vcpu_regs::{Esr, Gpr, Ipa, SysReg, Va};

use crate::{Registers, exit::Conduit};

/// A trapped instruction that waits for its result.
///
/// While it waits, PC stands on it (HVC: past it, as hardware leaves it). Dropping it retries the
/// instruction at the next run.
pub trait Completion: sealed::Sealed {
    /// What the guest gets.
    type Answer;

    /// Gives the answer and leaves the instruction as executed.
    fn complete(self, registers: &mut Registers, answer: Self::Answer);
}

mod sealed {
    pub trait Sealed {}
}

impl Registers {
    /// Completes a trapped instruction: result, PC and what else hardware would change.
    #[inline(always)]
    pub fn complete<C: Completion>(&mut self, waiting: C, answer: C::Answer) {
        waiting.complete(self, answer);
    }
}

/// A load or store at an address without memory.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the guest waits on this access: complete it, or inject an abort"]
pub struct Mmio {
    pub(crate) esr: Esr,
    pub(crate) ipa: Ipa,
    pub(crate) va: Va,
    /// What the register held, for a store; 0 for a load.
    pub(crate) register: u64,
}

impl Mmio {
    /// Returns the address, to the byte.
    #[inline(always)]
    pub fn ipa(&self) -> Ipa {
        self.ipa
    }

    /// Returns the guest's virtual address.
    #[inline(always)]
    pub fn va(&self) -> Va {
        self.va
    }

    /// Returns the count of bytes: 1, 2, 4 or 8.
    #[inline(always)]
    pub fn size_bytes(&self) -> u8 {
        self.transfer().size_bytes
    }

    /// Returns the value stored, or `None` for a load.
    #[inline(always)]
    pub fn write(&self) -> Option<u64> {
        let transfer = self.transfer();
        transfer.is_write.then(|| transfer.stored(self.register))
    }

    /// Returns how the instruction moves its register.
    #[inline(always)]
    pub fn transfer(&self) -> Transfer {
        Transfer::of_described(self.esr)
    }
}

impl sealed::Sealed for Mmio {}

impl Completion for Mmio {
    /// The bytes at the address, low ones first; ignored for a store.
    type Answer = u64;

    #[inline(always)]
    fn complete(self, registers: &mut Registers, answer: u64) {
        let transfer = self.transfer();
        if !transfer.is_write {
            registers.set_reg(Gpr::new(transfer.reg), transfer.loaded(answer));
        }
        registers.advance(self.esr);
    }
}

/// A trapped `MRS`, `MSR` or `SYS` operation.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the guest waits on this access: complete it, or inject an undefined instruction"]
pub struct SysRegAccess {
    pub(crate) esr: Esr,
    /// What is written; 0 for a read.
    pub(crate) register: u64,
}

impl SysRegAccess {
    /// Returns which register or operation.
    #[inline(always)]
    pub fn reg(&self) -> SysReg {
        vcpu_exits::SysRegAccess::decode(self.esr).reg
    }

    /// Returns the value written, or `None` for a read.
    #[inline(always)]
    pub fn write(&self) -> Option<u64> {
        (!self.is_read()).then_some(self.register)
    }

    /// Returns the software-generated interrupt that the guest asks for, and its group, where this
    /// is a write to `ICC_SGI1R_EL1`, `ICC_ASGI1R_EL1` or `ICC_SGI0R_EL1`.
    #[inline]
    pub fn sgi(&self) -> Option<(SgiGroup, SgiRequest)> {
        let group = SgiGroup::of(self.reg())?;
        Some((group, SgiRequest::decode(self.write()?)))
    }

    pub(crate) fn rt(&self) -> Gpr {
        Gpr::new(vcpu_exits::SysRegAccess::decode(self.esr).rt)
    }

    fn is_read(&self) -> bool {
        vcpu_exits::SysRegAccess::decode(self.esr).is_read
    }
}

impl sealed::Sealed for SysRegAccess {}

impl Completion for SysRegAccess {
    /// What a read gives; ignored for a write.
    type Answer = u64;

    #[inline(always)]
    fn complete(self, registers: &mut Registers, answer: u64) {
        if self.is_read() {
            registers.set_reg(self.rt(), answer);
        }
        registers.advance(self.esr);
    }
}

/// A trapped `WFI`, `WFE`, `WFIT` or `WFET`.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the guest waits: complete it when there is something to do"]
pub struct Wait {
    pub(crate) esr: Esr,
    /// What the register held that the syndrome names, if it names one.
    pub(crate) register: u64,
}

impl Wait {
    /// Returns the virtual-counter value that ends the wait, of `WFIT` and `WFET`.
    #[inline(always)]
    pub fn until(&self) -> Option<u64> {
        self.wfx().timeout_reg.map(|_| self.register)
    }

    /// Returns the trapped instruction.
    #[inline(always)]
    pub fn wfx(&self) -> Wfx {
        Wfx::decode(self.esr)
    }
}

impl sealed::Sealed for Wait {}

impl Completion for Wait {
    type Answer = ();

    #[inline(always)]
    fn complete(self, registers: &mut Registers, (): ()) {
        registers.advance(self.esr);
    }
}

/// An `HVC` or `SMC` that is no PSCI call.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the guest waits for its call's result"]
pub struct Call {
    pub(crate) esr: Esr,
    pub(crate) conduit: Conduit,
}

impl Call {
    /// Returns the immediate of the instruction: 0 for the calls of SMCCC.
    #[inline(always)]
    pub fn imm(&self) -> u16 {
        self.esr.0 as u16
    }

    /// Returns which instruction it was.
    #[inline(always)]
    pub fn conduit(&self) -> Conduit {
        self.conduit
    }

    /// Returns the call by immediate 0, of a service.
    pub(crate) const fn of_service(conduit: Conduit) -> Self {
        let class = match conduit {
            Conduit::Hvc => 0x16,
            Conduit::Smc => 0x17,
        };
        Self {
            esr: Esr::of_class(class),
            conduit,
        }
    }

    /// Leaves the instruction as executed, whatever is in its registers.
    pub(crate) fn leave(self, registers: &mut Registers) {
        self.conduit.advance(registers);
    }
}

impl sealed::Sealed for Call {}

impl Completion for Call {
    /// X0.
    type Answer = u64;

    #[inline(always)]
    fn complete(self, registers: &mut Registers, answer: u64) {
        registers.set_reg(Gpr::X0, answer);
        self.conduit.advance(registers);
    }
}

/// A PSCI call: the power management of Arm's DEN 0022.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the guest waits for its call's result"]
pub struct Psci {
    /// What it asks for.
    pub call: PsciCall,
    pub(crate) conduit: Conduit,
}

impl sealed::Sealed for Psci {}

impl Completion for Psci {
    /// X0: zero, a positive answer, or an error's code.
    type Answer = u64;

    #[inline(always)]
    fn complete(self, registers: &mut Registers, answer: u64) {
        registers.set_reg(Gpr::X0, answer);
        self.conduit.advance(registers);
    }
}
