//! Which system register an `MRS`, `MSR` or `SYS` names.

use core::fmt;

mod lookup;
mod names;

pub use lookup::SysRegDirections;

/// The identity of a system register or `SYS` operation: op0, op1, CRn, CRm, op2.
///
/// Packed as in the instruction, bits 20:5: 16 bits that compare and match cheaply.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SysReg(u16);

impl SysReg {
    /// Returns the identity of these fields; bits beyond a field's width are dropped.
    pub const fn new(op0: u8, op1: u8, crn: u8, crm: u8, op2: u8) -> Self {
        Self(
            (op0 as u16 & 3) << 14
                | (op1 as u16 & 7) << 11
                | (crn as u16 & 15) << 7
                | (crm as u16 & 15) << 3
                | (op2 as u16 & 7),
        )
    }

    /// Returns the identity with these 16 bits (instruction bits 20:5).
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Returns the 16 bits: op0, op1, CRn, CRm, op2, from the top.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Returns whether this is in the feature identification space: op0 3, op1 0, CRn 0, CRm 1 to 7.
    ///
    /// Reading it is legal whatever is there; a reserved encoding reads as zero. Arm ARM (DDI 0487),
    /// FEAT_IDST and HCR_EL2.TID3.
    pub const fn is_id_space(self) -> bool {
        self.op0() == 3 && self.op1() == 0 && self.crn() == 0 && self.crm() >= 1 && self.crm() <= 7
    }

    /// Returns op0 (0 to 3).
    pub const fn op0(self) -> u8 {
        (self.0 >> 14) as u8
    }

    /// Returns op1 (0 to 7).
    pub const fn op1(self) -> u8 {
        (self.0 >> 11 & 7) as u8
    }

    /// Returns CRn (0 to 15).
    pub const fn crn(self) -> u8 {
        (self.0 >> 7 & 15) as u8
    }

    /// Returns CRm (0 to 15).
    pub const fn crm(self) -> u8 {
        (self.0 >> 3 & 15) as u8
    }

    /// Returns op2 (0 to 7).
    pub const fn op2(self) -> u8 {
        (self.0 & 7) as u8
    }
}

/// The name where there is one, else the generic form every assembler takes (`S3_0_C1_C0_0`), which `{:#}`
/// always gives.
impl fmt::Display for SysReg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name_for(true) {
            Some(name) if !f.alternate() => f.write_str(name),
            _ => {
                let (op0, op1, crn) = (self.op0(), self.op1(), self.crn());
                write!(f, "S{op0}_{op1}_C{crn}_C{}_{}", self.crm(), self.op2())
            }
        }
    }
}

impl fmt::Debug for SysReg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
