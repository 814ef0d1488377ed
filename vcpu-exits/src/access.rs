//! Trapped system-register accesses of A64.

use vcpu_regs::iss::{System128Iss, SystemIss};
use vcpu_regs::{Esr, SysReg};

/// EC 0x18: `MRS`, `MSR` or a `SYS` operation. ELR is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SysRegAccess {
    /// The register or operation.
    pub reg: SysReg,
    /// General-purpose register; 31 is XZR.
    pub rt: u8,
    /// `MRS` or `SYSL`: the guest reads.
    pub is_read: bool,
}

impl SysRegAccess {
    /// Reads `esr` as a trapped system-register access.
    pub const fn decode(esr: Esr) -> Self {
        let iss = SystemIss::new(esr);
        Self {
            reg: SysReg::new(iss.op0(), iss.op1(), iss.crn(), iss.crm(), iss.op2()),
            rt: iss.rt(),
            is_read: iss.direction(),
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = SystemIss::new(Esr(0))
            .with_op0(self.reg.op0())
            .with_op1(self.reg.op1())
            .with_crn(self.reg.crn())
            .with_crm(self.reg.crm())
            .with_op2(self.reg.op2())
            .with_rt(self.rt)
            .with_direction(self.is_read);
        Esr(Esr::of_class(0x18).0 | iss.bits())
    }
}

/// EC 0x14: `MRRS`, `MSRR` or a `SYSP` operation, of 128 bits (FEAT_SYSREG128). ELR is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SysRegPairAccess {
    /// The register or operation.
    pub reg: SysReg,
    /// First register of the pair, always even; 30 is X30 and XZR.
    pub rt: u8,
    /// `MRRS`: the guest reads.
    pub is_read: bool,
}

impl SysRegPairAccess {
    /// Reads `esr` as a trapped 128-bit system-register access.
    pub const fn decode(esr: Esr) -> Self {
        let iss = System128Iss::new(esr);
        Self {
            reg: SysReg::new(iss.op0(), iss.op1(), iss.crn(), iss.crm(), iss.op2()),
            rt: iss.rt_pair() * 2,
            is_read: iss.direction(),
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = System128Iss::new(Esr(0))
            .with_op0(self.reg.op0())
            .with_op1(self.reg.op1())
            .with_crn(self.reg.crn())
            .with_crm(self.reg.crm())
            .with_op2(self.reg.op2())
            .with_rt_pair(self.rt / 2)
            .with_direction(self.is_read);
        Esr(Esr::of_class(0x14).0 | iss.bits())
    }
}
