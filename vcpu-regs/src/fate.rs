//! What becomes of each register and operation that EL1 or EL0 can name.
//!
//! The rows are data: `switched_registers!` holds what is moved and how, this the rest. Host tests
//! hold the rows against the names that assemblers know, against the controls that `vcpu-core`
//! makes, and against what it shows in the ID registers.

mod operations;
mod rows;
mod trap;

pub use trap::Trap;

use crate::{IdRegisters, SwitchedReg, SysReg};

/// What becomes of a register when two guests share a CPU, or of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Fate {
    /// `run` exchanges it: a field of [`GuestFrame`](crate::GuestFrame), or of the PSTATE in it.
    Framed,
    /// `load` and `put` move it: FPCR and FPSR, with Q0 to Q31.
    Fp,
    /// It moves as another register of the table, of which it is a view.
    Switched(SwitchedReg),
    /// It traps by the first of these that the CPU has, and the guest has not got it: undefined.
    Trapped(&'static [Trap]),
    /// It traps by the first of these that the CPU has, and is answered for the guest.
    Emulated(&'static [Trap]),
    /// The CPU interface: it traps under virtual interrupts, and the guest has not got it. With list
    /// registers the virtual interface (`ICH_*`) stands behind it, which a load writes and a put
    /// reads. Under pass-through it is the guest's, and the only guest's of this CPU.
    Interface(&'static [Trap]),
    /// An EL2 register, which `load` writes, stands behind it: this one.
    Virtualised(&'static str),
    /// It holds nothing that one guest could leave to another, for this reason.
    Harmless(&'static str),
    /// It is undefined at EL1 and EL0 whatever EL2 says, for this reason.
    Undefined(&'static str),
    /// It belongs to an extension, this one, that nothing here knows the controls of: a CPU with
    /// it is not isolated.
    Unknown(&'static str),
}

/// What brings a register: at least so much in four bits of an ID register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Feature {
    /// The feature, as Arm names it.
    pub name: &'static str,
    /// CRm and op2 of the ID register.
    pub id: (u8, u8),
    /// The lowest of the four bits.
    pub lo: u32,
    /// The least value that has it.
    pub least: u8,
    /// Whether Arm gives it only to CPUs that have fine-grained traps or HCRX_EL2 too.
    pub implies_traps: bool,
}

impl Feature {
    /// Returns whether a CPU with `ids` has it.
    pub const fn is_in(&self, ids: &IdRegisters) -> bool {
        self.value(ids) >= self.least
    }

    /// Returns what `ids` say of it.
    pub const fn value(&self, ids: &IdRegisters) -> u8 {
        let reg = SysReg::new(3, 0, 0, self.id.0, self.id.1);
        match ids.get(reg) {
            Some(word) => (word >> self.lo & 0xf) as u8,
            None => 0,
        }
    }
}

/// From and to, both included.
pub(crate) type Span = (u8, u8);

/// A row: registers of one kind.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FateRow {
    /// Arm's name, `<n>` where several share it.
    pub name: &'static str,
    /// Which encodings: op0, op1, CRn, CRm, op2.
    spans: [Span; 5],
    /// What brings it; `None` where every CPU has it.
    pub feature: Option<Feature>,
    /// What becomes of it.
    pub fate: Fate,
}

impl FateRow {
    /// Returns whether the row is about `reg`.
    pub const fn contains(&self, reg: SysReg) -> bool {
        let fields = [reg.op0(), reg.op1(), reg.crn(), reg.crm(), reg.op2()];
        let mut i = 0;
        while i < fields.len() {
            if fields[i] < self.spans[i].0 || fields[i] > self.spans[i].1 {
                return false;
            }
            i += 1;
        }
        true
    }
}

impl SysReg {
    /// Returns every row about registers and operations that `load` and `put` do not move.
    pub fn fates() -> impl Iterator<Item = &'static FateRow> {
        rows::ROWS.iter().chain(operations::ROWS)
    }

    /// Returns what becomes of it at EL1 and EL0, or `None` where no architecture that we know puts
    /// anything.
    pub fn fate(self) -> Option<Fate> {
        if let Some(&reg) = SwitchedReg::ALL.iter().find(|reg| reg.sysreg() == self) {
            return Some(Fate::Switched(reg));
        }
        Self::fates()
            .find(|row| row.contains(self))
            .map(|row| row.fate)
    }
}

/// One [`Span`] of a row: `n` or `from..=to`.
macro_rules! span {
    ($one:literal) => {
        ($one, $one)
    };
    ($from:literal ..= $to:literal) => {
        ($from, $to)
    };
}

/// `"name" (op0, op1, CRn, CRm, op2) of FEATURE: fate;`
macro_rules! fate_rows {
    ($($name:literal (
        $op0:literal $(..= $op0_to:literal)?, $op1:literal $(..= $op1_to:literal)?,
        $crn:literal $(..= $crn_to:literal)?, $crm:literal $(..= $crm_to:literal)?,
        $op2:literal $(..= $op2_to:literal)?
    ) $(of $feature:expr)? => $fate:expr;)*) => {
        &[$(
            $crate::fate::FateRow {
                name: $name,
                spans: [
                    $crate::fate::span!($op0 $(..= $op0_to)?),
                    $crate::fate::span!($op1 $(..= $op1_to)?),
                    $crate::fate::span!($crn $(..= $crn_to)?),
                    $crate::fate::span!($crm $(..= $crm_to)?),
                    $crate::fate::span!($op2 $(..= $op2_to)?),
                ],
                feature: $crate::fate::fate_rows!(@feature $($feature)?),
                fate: $fate,
            },
        )*]
    };
    (@feature) => { None };
    (@feature $feature:expr) => { Some($feature) };
}
pub(crate) use {fate_rows, span};
