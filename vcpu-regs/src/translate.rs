//! Address translation by the hardware: which `AT` is asked, and what `PAR_EL1` answers.

use crate::Pa;
use core::fmt;
use tock_registers::LocalRegisterCopy;

use layout::PAR;

mod layout {
    tock_registers::register_bitfields![u64,
        /// Arm ARM (DDI 0487), `PAR_EL1`, both forms.
        pub PAR [
            /// The translation failed.
            F OFFSET(0) NUMBITS(1) [],
            /// F = 1: the fault status.
            FST OFFSET(1) NUMBITS(6) [],
            /// F = 1: stage 2 refused a walk of stage 1.
            PTW OFFSET(8) NUMBITS(1) [],
            /// F = 1: stage 2 refused.
            S OFFSET(9) NUMBITS(1) [],
            /// F = 0: shareability.
            SH OFFSET(7) NUMBITS(2) [],
            /// F = 0: address bits 51:12.
            PA OFFSET(12) NUMBITS(40) [],
            /// F = 0: the memory type, as an attribute of `MAIR_ELx`.
            ATTR OFFSET(56) NUMBITS(8) [],
        ]
    ];
}

/// An `AT` of the EL1&0 regime: the stages it goes through, and the access it asks for.
///
/// Arm ARM (DDI 0487), `AT S1E1R` and its kin. They check no permission to execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum At {
    /// Stage 1, a load at EL1: the answer is an IPA.
    S1e1r,
    /// Stage 1, a store at EL1.
    S1e1w,
    /// Stage 1, a load at EL0.
    S1e0r,
    /// Stage 1, a store at EL0.
    S1e0w,
    /// Both stages, a load at EL1.
    S12e1r,
    /// Both stages, a store at EL1.
    S12e1w,
    /// Both stages, a load at EL0.
    S12e0r,
    /// Both stages, a store at EL0.
    S12e0w,
}

/// What the hardware answered: `PAR_EL1`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Par(u64);

/// An answer of [`Par`], read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Translated {
    /// The address is mapped, and the access permitted.
    Mapped {
        /// The 4 KiB that holds the address, whatever the granule. After an `AT` of stage 1 alone,
        /// an IPA.
        page: Pa,
        /// The memory type, as an attribute of `MAIR_ELx` (ATTR).
        memory: u8,
    },
    /// Stage 1 refuses.
    Stage1 {
        /// The fault status (FST), as in a syndrome.
        status: u8,
    },
    /// Stage 2 refuses the address that stage 1 gave.
    Stage2 {
        /// The fault status (FST), as in a syndrome.
        status: u8,
    },
    /// Stage 2 refuses an address that a walk of stage 1 read.
    Stage2OnWalk {
        /// The fault status (FST), as in a syndrome.
        status: u8,
    },
}

impl Par {
    /// Returns the register with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the bits of the register.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Returns what it says.
    pub fn read(self) -> Translated {
        let par = LocalRegisterCopy::<u64, PAR::Register>::new(self.0);
        let status = par.read(PAR::FST) as u8;
        if !par.is_set(PAR::F) {
            Translated::Mapped {
                page: Pa(par.read(PAR::PA) << 12),
                memory: par.read(PAR::ATTR) as u8,
            }
        } else if !par.is_set(PAR::S) {
            Translated::Stage1 { status }
        } else if par.is_set(PAR::PTW) {
            Translated::Stage2OnWalk { status }
        } else {
            Translated::Stage2 { status }
        }
    }
}

impl fmt::Debug for Par {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Par({:#x}, {:?})", self.0, self.read())
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Par {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Par({=u64:#x}, {})", self.0, self.read());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As QEMU's `max` answers for a page of 0x1234_5000, write-back, inner shareable.
    const MAPPED: Par = Par(0xff00_0000_1234_5b80);
    /// Level 3 translation fault of stage 1.
    const STAGE_1: Par = Par(0x80f);
    /// Level 2 permission fault of stage 2.
    const STAGE_2: Par = Par(0xa1d);
    /// Level 1 access flag fault of stage 2, on a walk.
    const ON_WALK: Par = Par(0xb13);

    #[test]
    fn each_answer_is_told_apart() {
        let (page, memory) = (Pa(0x1234_5000), 0xff);
        assert_eq!(MAPPED.read(), Translated::Mapped { page, memory });
        assert_eq!(STAGE_1.read(), Translated::Stage1 { status: 0b00_0111 });
        assert_eq!(STAGE_2.read(), Translated::Stage2 { status: 0b00_1110 });
        let status = 0b00_1001;
        assert_eq!(ON_WALK.read(), Translated::Stage2OnWalk { status });
    }

    #[test]
    fn an_address_has_52_bits() {
        let par = Par(0xffff_ffff_ffff_f000);
        let page = Pa(0xf_ffff_ffff_f000);
        assert!(matches!(par.read(), Translated::Mapped { page: p, memory: 0xff } if p == page));
    }
}
