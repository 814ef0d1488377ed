//! What a guest's CPU holds while it is not on the hardware.
//!
//! [`GuestFrame`] is what `run` switches every time; the groups made from the register table are
//! what `load` and `put` switch.

use crate::{Features, SysReg, switched_registers};

/// The registers exchanged on every entry and exit: those the host itself uses.
///
/// The assembly of `vcpu-asm` addresses the fields by offset; it checks the order it relies on.
#[repr(C, align(16))]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestFrame {
    /// X0 to X30.
    pub x: [u64; 31],
    /// SP_EL0.
    pub sp_el0: u64,
    /// Where the guest goes on: `ELR_EL2`.
    pub pc: u64,
    /// The guest's PSTATE: `SPSR_EL2`. A [`Pstate`](crate::Pstate) that may be entered.
    pub pstate: u64,
    /// TPIDR_EL0.
    pub tpidr_el0: u64,
    /// TPIDR_EL1.
    pub tpidr_el1: u64,
}

macro_rules! groups {
    ($($(#[$doc:meta])* group $group:ident $member:ident $feature:ident {
        $($field:ident $name:ident ($op0:literal, $op1:literal, $crn:literal, $crm:literal, $op2:literal)
            twin $twin:tt reset $reset:literal)*
    })*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $group {
                $(
                    #[doc = concat!(stringify!($name), ".")]
                    pub $field: u64,
                )*
            }

            impl Default for $group {
                /// Returns the values after a reset.
                fn default() -> Self {
                    Self { $($field: $reset),* }
                }
            }
        )*

        /// Everything of the table that `load` puts on the hardware and `put` takes back.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct SwitchedState {
            $($(#[$doc])* pub $member: $group,)*
        }

        /// A register that `load` and `put` switch.
        #[allow(non_camel_case_types, reason = "Arm's names")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub enum SwitchedReg {
            $($(
                #[doc = concat!(stringify!($name), ".")]
                $name,
            )*)*
        }

        impl SwitchedReg {
            /// Every switched register, in the order of the table.
            pub const ALL: &'static [Self] = &[$($(Self::$name,)*)*];

            /// Returns the register's identity in `MRS` and `MSR`.
            pub const fn sysreg(self) -> SysReg {
                match self {
                    $($(Self::$name => SysReg::new($op0, $op1, $crn, $crm, $op2),)*)*
                }
            }

            /// Returns the switched register with this identity, if it is one.
            pub fn from_sysreg(sysreg: SysReg) -> Option<Self> {
                Self::ALL.iter().copied().find(|reg| reg.sysreg() == sysreg)
            }

            /// Returns whether a CPU with `features` has the register.
            pub const fn exists(self, features: Features) -> bool {
                match self {
                    $($(Self::$name => features.$feature(),)*)*
                }
            }

            /// Returns Arm's name of the register.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(Self::$name => stringify!($name),)*)*
                }
            }
        }

        groups! { @rows $($member { $($field $name)* })* }
    };
    (@rows $($member:ident { $($field:ident $name:ident)* })*) => {
        impl SwitchedState {
            /// Returns the saved value of `reg`.
            pub const fn get(&self, reg: SwitchedReg) -> u64 {
                match reg {
                    $($(SwitchedReg::$name => self.$member.$field,)*)*
                }
            }

            /// Replaces the saved value of `reg`.
            pub const fn set(&mut self, reg: SwitchedReg, value: u64) {
                match reg {
                    $($(SwitchedReg::$name => self.$member.$field = value,)*)*
                }
            }
        }
    };
}

switched_registers!(groups);

/// The FP/SIMD registers.
#[repr(C, align(16))]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FpState {
    /// Q0 to Q31.
    pub q: [u128; 32],
    /// FPCR.
    pub fpcr: u64,
    /// FPSR.
    pub fpsr: u64,
}
