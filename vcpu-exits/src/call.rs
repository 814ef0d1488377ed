//! `SVC`, `HVC` and `SMC`: that they were executed. What they ask for is in `calls`.

use vcpu_regs::Esr;
use vcpu_regs::iss::{CallIss, Smc32Iss};

use crate::Condition;

/// EC 0x12 and 0x16: `HVC`. ELR is already past it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Hvc {
    /// The instruction's immediate.
    pub imm: u16,
    /// From AArch32.
    pub is_aarch32: bool,
}

/// EC 0x17: `SMC` of A64. ELR is on it, so it can be completed, refused or forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Smc {
    /// The instruction's immediate.
    pub imm: u16,
}

/// EC 0x13: `SMC` of AArch32. ELR is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Smc32 {
    /// It might have been conditional, so `condition` means something (CCKNOWNPASS).
    pub is_conditional: bool,
    /// Its condition.
    pub condition: Condition,
}

/// EC 0x11 and 0x15: `SVC`. Where ELR is depends on what brought it here: [`crate::SvcRoute`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Svc {
    /// The instruction's immediate.
    pub imm: u16,
    /// From AArch32.
    pub is_aarch32: bool,
}

impl Hvc {
    /// Reads `esr` as a hypervisor call.
    pub const fn decode(esr: Esr) -> Self {
        Self {
            imm: CallIss::new(esr).imm16(),
            is_aarch32: esr.class() == 0x12,
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let class = if self.is_aarch32 { 0x12 } else { 0x16 };
        Esr(Esr::of_class(class).0 | self.imm as u64)
    }
}

impl Smc {
    /// Reads `esr` as a trapped secure monitor call.
    pub const fn decode(esr: Esr) -> Self {
        Self {
            imm: CallIss::new(esr).imm16(),
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        Esr(Esr::of_class(0x17).0 | self.imm as u64)
    }
}

impl Smc32 {
    /// Reads `esr` as a trapped AArch32 secure monitor call.
    pub const fn decode(esr: Esr) -> Self {
        let iss = Smc32Iss::new(esr);
        Self {
            is_conditional: iss.ccknownpass(),
            condition: Condition {
                known: iss.cv(),
                code: iss.cond(),
            },
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = Smc32Iss::new(Esr(0))
            .with_ccknownpass(self.is_conditional)
            .with_cv(self.condition.known)
            .with_cond(self.condition.code);
        Esr(Esr::of_class(0x13).0 | iss.bits())
    }
}

impl Svc {
    /// Reads `esr` as a supervisor call.
    pub const fn decode(esr: Esr) -> Self {
        Self {
            imm: CallIss::new(esr).imm16(),
            is_aarch32: esr.class() == 0x11,
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let class = if self.is_aarch32 { 0x11 } else { 0x15 };
        Esr(Esr::of_class(class).0 | self.imm as u64)
    }
}
