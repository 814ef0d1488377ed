//! Save and restore of the switched registers, written by the register table.

use vcpu_regs::{Features, SwitchedReg, SwitchedState, switched_registers};

use crate::sysreg::{mrs, msr};

/// A group of registers that moves between a struct and the hardware.
trait Switch {
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

macro_rules! switch {
    ($($(#[$doc:meta])* group $group:ident $member:ident $feature:ident {
        $($field:ident $name:ident $encoding:tt twin $twin:tt reset $reset:literal)*
    })*) => {
        $(
            impl Switch for vcpu_regs::$group {
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

        /// Reads every group that the CPU has.
        ///
        /// # Safety
        ///
        /// The CPU is at EL2 and has `features`.
        pub(crate) unsafe fn save(state: &mut SwitchedState, features: Features) {
            $(
                if features.$feature {
                    // SAFETY: the caller has EL2 and the features.
                    unsafe { state.$member.save() };
                }
            )*
        }

        /// Writes every group that the CPU has.
        ///
        /// # Safety
        ///
        /// The CPU is at EL2 and has `features`; nothing of the host depends on the registers.
        pub(crate) unsafe fn load(state: &SwitchedState, features: Features) {
            $(
                if features.$feature {
                    // SAFETY: the caller has EL2 and the features, and gives up the registers.
                    unsafe { state.$member.load() };
                }
            )*
        }

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

switched_registers!(switch);
