//! Coprocessor traps of AArch32 code: a guest's EL0 may run it where the CPU still does.

use vcpu_regs::Esr;
use vcpu_regs::iss::{LdcIss, McrIss, McrrIss};

use crate::Condition;

/// The coprocessor a trapped AArch32 instruction named; also which class it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Coprocessor {
    /// CP15: system control.
    Cp15,
    /// CP14: debug and trace.
    Cp14,
    /// CP10, of `VMRS` alone: the floating-point identification registers.
    Cp10,
}

/// EC 0x03, 0x05 and 0x08: `MCR`, `MRC` or `VMRS`. ELR is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CpAccess {
    /// Which coprocessor.
    pub coprocessor: Coprocessor,
    /// Opc1 of the instruction.
    pub opc1: u8,
    /// CRn of the instruction.
    pub crn: u8,
    /// CRm of the instruction.
    pub crm: u8,
    /// Opc2 of the instruction.
    pub opc2: u8,
    /// Register, in AArch64 numbering; 31 stands for PC's flags form (`MRC p14, …, APSR_nzcv`).
    pub rt: u8,
    /// The guest reads.
    pub is_read: bool,
    /// Its condition.
    pub condition: Condition,
}

impl CpAccess {
    /// Reads `esr` as a trapped move to or from a coprocessor.
    pub const fn decode(esr: Esr) -> Self {
        let iss = McrIss::new(esr);
        Self {
            coprocessor: match esr.class() {
                0x03 => Coprocessor::Cp15,
                0x05 => Coprocessor::Cp14,
                _ => Coprocessor::Cp10,
            },
            opc1: iss.opc1(),
            crn: iss.crn(),
            crm: iss.crm(),
            opc2: iss.opc2(),
            rt: iss.rt(),
            is_read: iss.direction(),
            condition: Condition {
                known: iss.cv(),
                code: iss.cond(),
            },
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let class = match self.coprocessor {
            Coprocessor::Cp15 => 0x03,
            Coprocessor::Cp14 => 0x05,
            Coprocessor::Cp10 => 0x08,
        };
        let iss = McrIss::new(Esr(0))
            .with_opc1(self.opc1)
            .with_crn(self.crn)
            .with_crm(self.crm)
            .with_opc2(self.opc2)
            .with_rt(self.rt)
            .with_direction(self.is_read)
            .with_cv(self.condition.known)
            .with_cond(self.condition.code);
        Esr(Esr::of_class(class).0 | iss.bits())
    }
}

/// EC 0x04 and 0x0C: `MCRR` or `MRRC`. ELR is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CpPairAccess {
    /// CP14 (EC 0x0C) rather than CP15 (EC 0x04).
    pub is_cp14: bool,
    /// Opc1 of the instruction.
    pub opc1: u8,
    /// CRm of the instruction.
    pub crm: u8,
    /// First register, in AArch64 numbering.
    pub rt: u8,
    /// Second register, in AArch64 numbering.
    pub rt2: u8,
    /// The guest reads.
    pub is_read: bool,
    /// Its condition.
    pub condition: Condition,
}

impl CpPairAccess {
    /// Reads `esr` as a trapped move of two registers.
    pub const fn decode(esr: Esr) -> Self {
        let iss = McrrIss::new(esr);
        Self {
            is_cp14: esr.class() == 0x0c,
            opc1: iss.opc1(),
            crm: iss.crm(),
            rt: iss.rt(),
            rt2: iss.rt2(),
            is_read: iss.direction(),
            condition: Condition {
                known: iss.cv(),
                code: iss.cond(),
            },
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = McrrIss::new(Esr(0))
            .with_opc1(self.opc1)
            .with_crm(self.crm)
            .with_rt(self.rt)
            .with_rt2(self.rt2)
            .with_direction(self.is_read)
            .with_cv(self.condition.known)
            .with_cond(self.condition.code);
        let class = if self.is_cp14 { 0x0c } else { 0x04 };
        Esr(Esr::of_class(class).0 | iss.bits())
    }
}

/// EC 0x06: `LDC` to, or `STC` from, a debug transfer register. ELR is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CpMemoryAccess {
    /// `LDC`: memory is read.
    pub is_load: bool,
    /// Addressing mode: 0 post-indexed, 1 offset and so on (AM).
    pub mode: u8,
    /// The immediate is added, not subtracted (Offset).
    pub adds_offset: bool,
    /// Base register, in AArch64 numbering; means nothing for the literal forms (Rn).
    pub base: u8,
    /// Immediate, in words (imm8).
    pub offset_words: u8,
    /// Its condition.
    pub condition: Condition,
}

impl CpMemoryAccess {
    /// Reads `esr` as a trapped coprocessor load or store.
    pub const fn decode(esr: Esr) -> Self {
        let iss = LdcIss::new(esr);
        Self {
            is_load: iss.direction(),
            mode: iss.am(),
            adds_offset: iss.offset(),
            base: iss.rn(),
            offset_words: iss.imm8(),
            condition: Condition {
                known: iss.cv(),
                code: iss.cond(),
            },
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = LdcIss::new(Esr(0))
            .with_direction(self.is_load)
            .with_am(self.mode)
            .with_offset(self.adds_offset)
            .with_rn(self.base)
            .with_imm8(self.offset_words)
            .with_cv(self.condition.known)
            .with_cond(self.condition.code);
        Esr(Esr::of_class(0x06).0 | iss.bits())
    }
}
