//! Save and restore of the switched registers, written by the register table.

use vcpu_regs::{El1Core, PauthKeys, SwitchedReg, Timers, switched_registers};

use crate::sysreg::{mrs, msr};

macro_rules! switch {
    ($($(#[$doc:meta])* group $group:ident {
        $($field:ident $name:ident $encoding:tt twin $twin:tt reset $reset:literal)*
    })*) => {
        $(
            impl Switch for $group {
                #[inline]
                unsafe fn save(&mut self) {
                    // SAFETY: reads have no side effect; the caller has EL2 and the group.
                    unsafe { $(self.$field = mrs!($encoding);)* }
                }

                #[inline]
                unsafe fn load(&self) {
                    // SAFETY: the caller has EL2 and the group, and gives up these registers.
                    unsafe { $(msr!($encoding, self.$field);)* }
                }
            }
        )*

        /// Reads one register.
        ///
        /// # Safety
        ///
        /// The CPU is at EL2 and has the register.
        #[inline]
        pub(crate) unsafe fn read(reg: SwitchedReg) -> u64 {
            // SAFETY: as the caller says; reads have no side effect.
            unsafe {
                match reg {
                    $($(SwitchedReg::$name => mrs!($encoding),)*)*
                }
            }
        }

        /// Writes one register.
        ///
        /// # Safety
        ///
        /// The CPU is at EL2 and has the register, which nothing of the host depends on.
        #[inline]
        pub(crate) unsafe fn write(reg: SwitchedReg, value: u64) {
            // SAFETY: as the caller says.
            unsafe {
                match reg {
                    $($(SwitchedReg::$name => msr!($encoding, value),)*)*
                }
            }
        }
    };
}

/// A group of registers that moves between a struct and the hardware.
pub(crate) trait Switch {
    /// Reads the group from the hardware.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2 and has the group.
    unsafe fn save(&mut self);

    /// Writes the group to the hardware.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2 and has the group, and nothing of the host depends on it.
    unsafe fn load(&self);
}

switched_registers!(switch);
