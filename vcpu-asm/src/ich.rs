//! The registers of the virtual CPU interface, by number where there are several.

use vcpu_regs::IchReg;

use crate::sysreg::{mrs, msr};

/// Which encoding is behind each: a name alone, or a name with its numbers.
macro_rules! rows {
    (
        one { $($name:ident $encoding:tt)* }
        $(many $numbered:ident { $($n:literal $of_n:tt)* })*
    ) => {
        /// Reads a register.
        ///
        /// # Safety
        ///
        /// The CPU is at EL2, `ICC_SRE_EL2.SRE` is 1, and the register exists.
        #[inline(always)]
        pub(crate) unsafe fn read(reg: IchReg) -> u64 {
            // SAFETY: the caller has EL2 and the register; reads have no side effect.
            unsafe {
                match reg {
                    $(IchReg::$name => mrs!($encoding),)*
                    $($(IchReg::$numbered($n) => mrs!($of_n),)*)*
                    $(IchReg::$numbered(_) => 0,)* // there are no more
                }
            }
        }

        /// Writes a register.
        ///
        /// # Safety
        ///
        /// The CPU is at EL2, `ICC_SRE_EL2.SRE` is 1, and the register exists and can be written.
        #[inline(always)]
        pub(crate) unsafe fn write(reg: IchReg, value: u64) {
            // SAFETY: the caller has EL2 and the register; a guest's interrupts are behind it, and
            // no memory.
            unsafe {
                match reg {
                    $(IchReg::$name => msr!($encoding, value),)*
                    $($(IchReg::$numbered($n) => msr!($of_n, value),)*)*
                    $(IchReg::$numbered(_) => {})* // there are no more
                }
            }
        }
    };
}

rows! {
    one {
        Hcr (3, 4, 12, 11, 0)
        Vtr (3, 4, 12, 11, 1)
        Misr (3, 4, 12, 11, 2)
        Vmcr (3, 4, 12, 11, 7)
        SreEl1 (3, 0, 12, 12, 5)
    }
    many Lr {
        0 (3, 4, 12, 12, 0)
        1 (3, 4, 12, 12, 1)
        2 (3, 4, 12, 12, 2)
        3 (3, 4, 12, 12, 3)
        4 (3, 4, 12, 12, 4)
        5 (3, 4, 12, 12, 5)
        6 (3, 4, 12, 12, 6)
        7 (3, 4, 12, 12, 7)
        8 (3, 4, 12, 13, 0)
        9 (3, 4, 12, 13, 1)
        10 (3, 4, 12, 13, 2)
        11 (3, 4, 12, 13, 3)
        12 (3, 4, 12, 13, 4)
        13 (3, 4, 12, 13, 5)
        14 (3, 4, 12, 13, 6)
        15 (3, 4, 12, 13, 7)
    }
    many Ap0r {
        0 (3, 4, 12, 8, 0)
        1 (3, 4, 12, 8, 1)
        2 (3, 4, 12, 8, 2)
        3 (3, 4, 12, 8, 3)
    }
    many Ap1r {
        0 (3, 4, 12, 9, 0)
        1 (3, 4, 12, 9, 1)
        2 (3, 4, 12, 9, 2)
        3 (3, 4, 12, 9, 3)
    }
}
