//! What of a CPU a world switch has to know.

use core::fmt;

use crate::{IdRegisters, id::field};

/// Which optional parts of the switched state, and of the EL2 controls, a CPU has.
///
/// Made by [`IdRegisters::features`], so that none is claimed that the ID registers deny. A word:
/// a world switch asks for one after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Features(u32);

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident if |$ids:ident| $present:expr;)*) => {
        #[allow(non_camel_case_types, reason = "named as the methods")]
        enum Bit { $($name,)* }

        impl Features {
            $(
                $(#[$doc])*
                #[inline]
                pub const fn $name(self) -> bool {
                    self.0 & Self::bit(Bit::$name) != 0
                }
            )*
        }

        impl IdRegisters {
            /// Returns the features that decide which registers are switched and which controls
            /// exist.
            pub const fn features(&self) -> Features {
                let mut bits = 0;
                $({
                    let $ids = self;
                    if $present {
                        bits |= Features::bit(Bit::$name);
                    }
                })*
                Features(bits)
            }
        }

        impl fmt::Debug for Features {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut set = f.debug_set();
                $(
                    if self.$name() {
                        set.entry(&format_args!(stringify!($name)));
                    }
                )*
                set.finish()
            }
        }
    };
}

features! {
    /// What every CPU has.
    always if |_ids| true;
    /// The physical timer of EL1: every CPU has it, and not every guest.
    physical_timer if |_ids| true;
    /// The GIC CPU interface is system registers (`ID_AA64PFR0_EL1.GIC`).
    gicv3 if |ids| field(ids.pfr0(), 24) != 0;
    /// Pointer authentication (FEAT_PAuth).
    pauth if |ids| ids.has_pauth();
    /// Error records and virtual SError syndromes (FEAT_RAS).
    ras if |ids| ids.has_ras();
    /// The scalable matrix extension (FEAT_SME) with nothing that could refuse all of it (no FEAT_FGT).
    untrapped_sme if |ids| field(ids.pfr1(), 24) != 0 && field(ids.mmfr0(), 56) == 0;
    /// `HCRX_EL2` (FEAT_HCX).
    hcx if |ids| field(ids.mmfr1(), 40) != 0;
    /// Fine-grained traps (FEAT_FGT).
    fgt if |ids| field(ids.mmfr0(), 56) != 0;
    /// More fine-grained traps (FEAT_FGT2).
    fgt2 if |ids| field(ids.mmfr0(), 56) >= 2;
    /// Activity monitors (FEAT_AMUv1).
    amu if |ids| field(ids.pfr0(), 44) != 0;
    /// Memory partitioning (FEAT_MPAM): MPAM, MPAM_frac.
    mpam if |ids| field(ids.pfr0(), 40) | field(ids.pfr1(), 16) != 0;
    /// `SCXTNUM_EL0` and `SCXTNUM_EL1` (FEAT_CSV2_2, FEAT_CSV2_1p2).
    scxtnum if |ids| ids.has_scxtnum();
    /// `TCR2_EL1` (FEAT_TCR2).
    tcr2 if |ids| field(ids.mmfr3(), 0) != 0;
    /// Permission indirection at stage 1 (FEAT_S1PIE).
    s1pie if |ids| field(ids.mmfr3(), 8) != 0;
    /// Permission overlays at stage 1 (FEAT_S1POE).
    s1poe if |ids| field(ids.mmfr3(), 16) != 0;
    /// Scalable vectors (FEAT_SVE).
    sve if |ids| field(ids.pfr0(), 32) != 0;
    /// Allocation tags (FEAT_MTE2).
    mte if |ids| ids.has_mte();
}

impl Features {
    /// What a VM has only where its ID registers show it.
    const BY_GRANT: u32 = Self::bit(Bit::pauth)
        | Self::bit(Bit::scxtnum)
        | Self::bit(Bit::tcr2)
        | Self::bit(Bit::s1pie)
        | Self::bit(Bit::s1poe)
        | Self::bit(Bit::sve)
        | Self::bit(Bit::mte);

    const fn bit(bit: Bit) -> u32 {
        1 << bit as u32
    }

    /// Returns these features of a CPU, but those that are a VM's by grant only where `shown`, what
    /// its ID registers say, has them too.
    pub const fn granted(self, shown: Self) -> Self {
        Self(self.0 & (shown.0 | !Self::BY_GRANT))
    }

    /// Returns them with or without scalable vectors.
    pub const fn with_sve(self, sve: bool) -> Self {
        let rest = self.0 & !Self::bit(Bit::sve);
        Self(if sve {
            rest | Self::bit(Bit::sve)
        } else {
            rest
        })
    }

    /// Returns them without the physical timer.
    pub const fn without_physical_timer(self) -> Self {
        Self(self.0 & !Self::bit(Bit::physical_timer))
    }
}
