//! The fields of PSTATE that code at EL2 has for itself.

use vcpu_regs::Pstate;

use crate::sysreg::{mrs, msr};

/// `field (encoding) if (ID register) bit least`, the ID register's four bits from `bit` on saying
/// that `MRS` and `MSR` know the field.
macro_rules! fields {
    ($($field:ident $encoding:tt if $id:tt $bit:literal $least:literal;)*) => {
        /// Returns what of [`Pstate::OF_HOST`] this CPU has.
        pub(crate) fn present() -> Pstate {
            let mut present = Pstate::empty();
            $(
                // SAFETY: an ID register; no side effect.
                if unsafe { mrs!($id) } >> $bit & 0xf >= $least {
                    present |= Pstate::$field;
                }
            )*
            present
        }

        /// Reads these fields.
        ///
        /// # Safety
        ///
        /// The CPU is at EL2 and has `present`.
        pub(crate) unsafe fn read(present: Pstate) -> Pstate {
            let mut pstate = 0;
            $(
                if present.contains(Pstate::$field) {
                    // SAFETY: the caller has the field; no side effect.
                    pstate |= unsafe { mrs!($encoding) };
                }
            )*
            Pstate::from_bits_retain(pstate) & Pstate::OF_HOST
        }

        /// Writes these fields.
        ///
        /// # Safety
        ///
        /// The CPU is at EL2 and has `present`; the caller can go on under `pstate`.
        pub(crate) unsafe fn write(pstate: Pstate, present: Pstate) {
            $(
                if present.contains(Pstate::$field) {
                    // SAFETY: the caller has the field, and wants it so.
                    unsafe { msr!($encoding, pstate.bits()) };
                }
            )*
        }
    };
}

// Each register holds its field where SPSR_EL2 does, and ignores the rest.
fields! {
    PAN (3, 0, 4, 2, 3) if (3, 0, 0, 7, 1) 20 1;
    UAO (3, 0, 4, 2, 4) if (3, 0, 0, 7, 2) 4 1;
    DIT (3, 3, 4, 2, 5) if (3, 0, 0, 4, 0) 48 1;
    SSBS (3, 3, 4, 2, 6) if (3, 0, 0, 4, 1) 4 2;
    TCO (3, 3, 4, 2, 7) if (3, 0, 0, 4, 1) 8 1;
}
