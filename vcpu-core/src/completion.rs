//! Finishing what the guest began: the second half of a trapped instruction.

use vcpu_exits::{Transfer, Wfx, calls::PsciCall};
use vcpu_regs::{Gpr, Ipa, SysReg, Va};

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
    pub fn complete<C: Completion>(&mut self, waiting: C, answer: C::Answer) {
        waiting.complete(self, answer);
    }
}

/// A load or store at an address without memory.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the guest waits on this access: complete it, or inject an abort"]
pub struct Mmio {
    pub(crate) ipa: Ipa,
    pub(crate) va: Va,
    pub(crate) value: u64,
    pub(crate) transfer: Transfer,
    pub(crate) is_32bit: bool,
}

impl Mmio {
    /// Returns the address, to the byte.
    pub fn ipa(&self) -> Ipa {
        self.ipa
    }

    /// Returns the guest's virtual address.
    pub fn va(&self) -> Va {
        self.va
    }

    /// Returns the count of bytes: 1, 2, 4 or 8.
    pub fn size_bytes(&self) -> u8 {
        self.transfer.size_bytes
    }

    /// Returns the value stored, or `None` for a load.
    pub fn write(&self) -> Option<u64> {
        self.transfer.is_write.then_some(self.value)
    }

    /// Returns how the instruction moves its register.
    pub fn transfer(&self) -> Transfer {
        self.transfer
    }
}

impl sealed::Sealed for Mmio {}

impl Completion for Mmio {
    /// The bytes at the address, low ones first; ignored for a store.
    type Answer = u64;

    fn complete(self, registers: &mut Registers, answer: u64) {
        if !self.transfer.is_write {
            let reg = Gpr::new(self.transfer.reg);
            registers.set_reg(reg, self.transfer.loaded(answer));
        }
        registers.advance(self.is_32bit);
    }
}

/// A trapped `MRS`, `MSR` or `SYS` operation.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the guest waits on this access: complete it, or inject an undefined instruction"]
pub struct SysRegAccess {
    pub(crate) reg: SysReg,
    pub(crate) rt: Gpr,
    /// The value written; `None` for a read.
    pub(crate) write: Option<u64>,
}

impl SysRegAccess {
    /// Returns which register or operation.
    pub fn reg(&self) -> SysReg {
        self.reg
    }

    /// Returns the value written, or `None` for a read.
    pub fn write(&self) -> Option<u64> {
        self.write
    }
}

impl sealed::Sealed for SysRegAccess {}

impl Completion for SysRegAccess {
    /// What a read gives; ignored for a write.
    type Answer = u64;

    fn complete(self, registers: &mut Registers, answer: u64) {
        if self.write.is_none() {
            registers.set_reg(self.rt, answer);
        }
        registers.advance(true);
    }
}

/// A trapped `WFI`, `WFE`, `WFIT` or `WFET`.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the guest waits: complete it when there is something to do"]
pub struct Wait {
    pub(crate) wfx: Wfx,
    /// The counter value to wait for, of `WFIT` and `WFET`.
    pub(crate) until: Option<u64>,
    pub(crate) is_32bit: bool,
}

impl Wait {
    /// Returns the virtual-counter value that ends the wait, of `WFIT` and `WFET`.
    pub fn until(&self) -> Option<u64> {
        self.until
    }

    /// Returns the trapped instruction.
    pub fn wfx(&self) -> Wfx {
        self.wfx
    }
}

impl sealed::Sealed for Wait {}

impl Completion for Wait {
    type Answer = ();

    fn complete(self, registers: &mut Registers, (): ()) {
        registers.advance(self.is_32bit);
    }
}

/// An `HVC` or `SMC` that is no PSCI call.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the guest waits for its call's result"]
pub struct Call {
    pub(crate) imm: u16,
    pub(crate) conduit: Conduit,
}

impl Call {
    /// Returns the immediate of the instruction: 0 for the calls of SMCCC.
    pub fn imm(&self) -> u16 {
        self.imm
    }

    /// Returns which instruction it was.
    pub fn conduit(&self) -> Conduit {
        self.conduit
    }
}

impl sealed::Sealed for Call {}

impl Completion for Call {
    /// X0.
    type Answer = u64;

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

    fn complete(self, registers: &mut Registers, answer: u64) {
        registers.set_reg(Gpr::X0, answer);
        self.conduit.advance(registers);
    }
}
