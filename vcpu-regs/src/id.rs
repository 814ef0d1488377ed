//! The ID registers: what a CPU says it has.

mod compare;

pub use compare::IdExcess;

use crate::{MemoryModel, SysReg};

/// The registers of op0 = 3, op1 = 0, CRn = 0 (MIDR_EL1 and every `ID_*`, by CRm and op2), and
/// CTR_EL0.
///
/// A real CPU's as `vcpu-asm` read them, or what a VM is told. Reserved ones read as zero, as the
/// architecture says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdRegisters {
    words: [[u64; 8]; 8],
    ctr: u64,
}

macro_rules! named {
    ($($get:ident $set:ident $name:ident ($crm:literal, $op2:literal))*) => {
        impl IdRegisters {
            $(
                #[doc = concat!("Returns ", stringify!($name), ".")]
                pub const fn $get(&self) -> u64 {
                    self.words[$crm][$op2]
                }

                #[doc = concat!("Replaces ", stringify!($name), ".")]
                pub const fn $set(&mut self, value: u64) {
                    self.words[$crm][$op2] = value;
                }
            )*
        }
    };
}

named! {
    midr set_midr MIDR_EL1 (0, 0)
    pfr0 set_pfr0 ID_AA64PFR0_EL1 (4, 0)
    pfr1 set_pfr1 ID_AA64PFR1_EL1 (4, 1)
    zfr0 set_zfr0 ID_AA64ZFR0_EL1 (4, 4)
    dfr0 set_dfr0 ID_AA64DFR0_EL1 (5, 0)
    isar0 set_isar0 ID_AA64ISAR0_EL1 (6, 0)
    isar1 set_isar1 ID_AA64ISAR1_EL1 (6, 1)
    isar2 set_isar2 ID_AA64ISAR2_EL1 (6, 2)
    mmfr0 set_mmfr0 ID_AA64MMFR0_EL1 (7, 0)
    mmfr1 set_mmfr1 ID_AA64MMFR1_EL1 (7, 1)
    mmfr2 set_mmfr2 ID_AA64MMFR2_EL1 (7, 2)
    mmfr3 set_mmfr3 ID_AA64MMFR3_EL1 (7, 3)
}

impl IdRegisters {
    const CTR_EL0: SysReg = SysReg::new(3, 3, 0, 0, 1);

    /// Returns the set made by asking `read` for every register.
    pub fn read_with(mut read: impl FnMut(SysReg) -> u64) -> Self {
        let mut ids = Self::default();
        for crm in 0..8 {
            for op2 in 0..8 {
                ids.words[crm as usize][op2 as usize] = read(SysReg::new(3, 0, 0, crm, op2));
            }
        }
        ids.ctr = read(Self::CTR_EL0);
        ids
    }

    /// Returns what decides the geometry and the invalidation of stage 2.
    pub const fn memory_model(&self) -> MemoryModel {
        MemoryModel {
            mmfr0: self.mmfr0(),
            mmfr1: self.mmfr1(),
            mmfr2: self.mmfr2(),
            mmfr3: self.mmfr3(),
            isar0: self.isar0(),
            ctr: self.ctr,
        }
    }

    /// Returns the register's value, or `None` when it is none of this set.
    pub const fn get(&self, reg: SysReg) -> Option<u64> {
        if Self::contains(reg) {
            Some(self.words[reg.crm() as usize][reg.op2() as usize])
        } else {
            None
        }
    }

    /// Replaces a register's value; returns whether it is one of this set.
    pub const fn set(&mut self, reg: SysReg, value: u64) -> bool {
        if Self::contains(reg) {
            self.words[reg.crm() as usize][reg.op2() as usize] = value;
        }
        Self::contains(reg)
    }

    const fn contains(reg: SysReg) -> bool {
        reg.op0() == 3 && reg.op1() == 0 && reg.crn() == 0 && reg.crm() < 8
    }

    /// Returns whether pointer authentication is there, by any algorithm (FEAT_PAuth).
    pub const fn has_pauth(&self) -> bool {
        // APA and API; APA3.
        field(self.isar1(), 4) | field(self.isar1(), 8) | field(self.isar2(), 12) != 0
    }

    /// Returns whether FP and SIMD are there.
    pub const fn has_fp(&self) -> bool {
        field(self.pfr0(), 16) != 0xf
    }

    /// Returns whether EL0 can be AArch32.
    pub const fn has_a32_el0(&self) -> bool {
        field(self.pfr0(), 0) == 2
    }

    /// Returns whether the virtualization host extensions are there (FEAT_VHE).
    pub const fn has_vhe(&self) -> bool {
        field(self.mmfr1(), 8) != 0
    }

    /// Returns whether error records and `ESB` are there (FEAT_RAS).
    pub const fn has_ras(&self) -> bool {
        field(self.pfr0(), 28) != 0
    }

    /// Returns whether limited-ordering regions are there (FEAT_LOR).
    pub const fn has_lor(&self) -> bool {
        field(self.mmfr1(), 16) != 0
    }

    /// Returns whether privileged-access-never is there (FEAT_PAN).
    pub const fn has_pan(&self) -> bool {
        field(self.mmfr1(), 20) != 0
    }

    /// Returns whether PSTATE has SSBS (FEAT_SSBS).
    pub const fn has_ssbs(&self) -> bool {
        field(self.pfr1(), 4) != 0
    }

    /// Returns whether allocation tags are there, with PSTATE.TCO (FEAT_MTE2).
    pub const fn has_mte(&self) -> bool {
        field(self.pfr1(), 8) >= 2
    }

    /// Returns whether `SCXTNUM_EL0` and `SCXTNUM_EL1` are there (FEAT_CSV2_2, FEAT_CSV2_1p2).
    pub const fn has_scxtnum(&self) -> bool {
        let (csv2, fraction) = (field(self.pfr0(), 56), field(self.pfr1(), 32));
        csv2 >= 2 || csv2 == 1 && fraction >= 2
    }

    /// Returns whether stage 2 can force write-back (FEAT_S2FWB).
    pub const fn has_s2fwb(&self) -> bool {
        field(self.mmfr2(), 40) != 0
    }

    /// Returns the count of breakpoints and of watchpoints.
    pub const fn debug_counts(&self) -> (u8, u8) {
        (field(self.dfr0(), 12) + 1, field(self.dfr0(), 20) + 1)
    }
}

/// Returns the four-bit field at bit `lo`.
pub(crate) const fn field(word: u64, lo: u32) -> u8 {
    (word >> lo & 0xf) as u8
}
