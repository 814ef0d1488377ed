//! Save and restore of the switched registers, written by the register table.
//!
//! With `HCR_EL2.E2H` = 1, some plain encodings mean the host's own registers at EL2; the guest's
//! are behind the table's twins then.

use vcpu_regs::{Features, SwitchedReg, SwitchedState, switched_registers};

use crate::sysreg::{mrs, mrs_pair, msr};

/// The encoding that means the guest's register while E2H is 1.
macro_rules! with_e2h {
    ($access:ident, $plain:tt none $(, $value:expr)?) => { $access!($plain $(, $value)?) };
    ($access:ident, $plain:tt $twin:tt $(, $value:expr)?) => { $access!($twin $(, $value)?) };
}

/// The same for two registers.
macro_rules! pair_with_e2h {
    ($a:tt none, $b:tt none) => {
        mrs_pair!($a, $b)
    };
    ($a:tt none, $b:tt $b_twin:tt) => {
        mrs_pair!($a, $b_twin)
    };
    ($a:tt $a_twin:tt, $b:tt none) => {
        mrs_pair!($a_twin, $b)
    };
    ($a:tt $a_twin:tt, $b:tt $b_twin:tt) => {
        mrs_pair!($a_twin, $b_twin)
    };
}

/// Reads rows two at a time.
macro_rules! read_rows {
    ($state:ident) => {};
    ($state:ident $field:ident $encoding:tt) => {
        $state.$field = mrs!($encoding);
    };
    ($state:ident $a:ident $a_encoding:tt $b:ident $b_encoding:tt $($rest:tt)*) => {
        ($state.$a, $state.$b) = mrs_pair!($a_encoding, $b_encoding);
        read_rows!($state $($rest)*);
    };
}

/// The same while E2H is 1.
macro_rules! read_rows_with_e2h {
    ($state:ident) => {};
    ($state:ident $field:ident $encoding:tt $twin:tt) => {
        $state.$field = with_e2h!(mrs, $encoding $twin);
    };
    ($state:ident $a:ident $a_encoding:tt $a_twin:tt $b:ident $b_encoding:tt $b_twin:tt $($rest:tt)*) => {
        ($state.$a, $state.$b) = pair_with_e2h!($a_encoding $a_twin, $b_encoding $b_twin);
        read_rows_with_e2h!($state $($rest)*);
    };
}

/// A group of registers that moves between a struct and the hardware.
trait Switch {
    /// Reads the group from the hardware.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2 with this E2H, and has the group.
    unsafe fn save(&mut self, e2h: bool);

    /// Writes the group to the hardware.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2 with this E2H, and has the group, and nothing of the host depends on it.
    unsafe fn load(&self, e2h: bool);
}

macro_rules! switch {
    ($($(#[$doc:meta])* group $group:ident $member:ident $feature:ident {
        $($field:ident $name:ident $encoding:tt twin $twin:tt reset $reset:literal)*
    })*) => {
        $(
            impl Switch for vcpu_regs::$group {
                #[inline]
                unsafe fn save(&mut self, e2h: bool) {
                    // SAFETY: reads have no side effect; the caller has EL2 and the group.
                    unsafe {
                        if e2h {
                            read_rows_with_e2h!(self $($field $encoding $twin)*);
                        } else {
                            read_rows!(self $($field $encoding)*);
                        }
                    }
                }

                #[inline]
                unsafe fn load(&self, e2h: bool) {
                    // SAFETY: the caller has EL2 and the group, and gives up these registers.
                    unsafe {
                        if e2h {
                            $(with_e2h!(msr, $encoding $twin, self.$field);)*
                        } else {
                            $(msr!($encoding, self.$field);)*
                        }
                    }
                }
            }
        )*

        /// Reads every group that the CPU has.
        ///
        /// # Safety
        ///
        /// The CPU is at EL2 with this E2H, and has `features`.
        pub(crate) unsafe fn save(state: &mut SwitchedState, features: Features, e2h: bool) {
            $(
                if features.$feature() {
                    // SAFETY: the caller has EL2 and the features.
                    unsafe { state.$member.save(e2h) };
                }
            )*
        }

        /// Writes every group that the CPU has.
        ///
        /// # Safety
        ///
        /// The CPU is at EL2 with this E2H, and has `features`; nothing of the host depends on the registers.
        pub(crate) unsafe fn load(state: &SwitchedState, features: Features, e2h: bool) {
            $(
                if features.$feature() {
                    // SAFETY: the caller has EL2 and the features, and gives up the registers.
                    unsafe { state.$member.load(e2h) };
                }
            )*
        }

        /// Reads one register.
        ///
        /// # Safety
        ///
        /// The CPU is at EL2 with this E2H, and has the register.
        #[inline]
        pub(crate) unsafe fn read(reg: SwitchedReg, e2h: bool) -> u64 {
            // SAFETY: as the caller says; reads have no side effect.
            unsafe {
                match reg {
                    $($(
                        SwitchedReg::$name if e2h => with_e2h!(mrs, $encoding $twin),
                        SwitchedReg::$name => mrs!($encoding),
                    )*)*
                }
            }
        }

        /// Writes one register.
        ///
        /// # Safety
        ///
        /// The CPU is at EL2 with this E2H, and has the register, which nothing of the host depends on.
        #[inline]
        pub(crate) unsafe fn write(reg: SwitchedReg, value: u64, e2h: bool) {
            // SAFETY: as the caller says.
            unsafe {
                match reg {
                    $($(
                        SwitchedReg::$name if e2h => with_e2h!(msr, $encoding $twin, value),
                        SwitchedReg::$name => msr!($encoding, value),
                    )*)*
                }
            }
        }
    };
}

switched_registers!(switch);
