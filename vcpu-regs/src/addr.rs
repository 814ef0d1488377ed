//! Addresses and numbers that must not be mixed up.

use core::{fmt, num::NonZeroU16};

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name(pub u64);

        #[cfg(feature = "defmt")]
        impl defmt::Format for $name {
            fn format(&self, f: defmt::Formatter<'_>) {
                defmt::write!(f, "{=u64:#x}", self.0);
            }
        }

        impl $name {
            /// Returns the address `bytes` further on, or `None` past the end of 64 bits.
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// Returns whether the address is a multiple of `bytes`, a power of two.
            pub const fn is_aligned_to(self, bytes: u64) -> bool {
                self.0 & (bytes - 1) == 0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(self, f)
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

address! {
    /// An intermediate physical address: what a guest calls physical.
    Ipa
}
address! {
    /// A physical address, as the host sees it.
    Pa
}
address! {
    /// A virtual address of the guest.
    Va
}

/// An interrupt number of the GIC. GIC architecture (IHI 0069), INTID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Intid(pub u32);

/// The tag of a VM's translations in the TLBs. `VTTBR_EL2.VMID`.
///
/// Never 0: that one belongs to whatever ran before a hypervisor assigned any. Whether more than
/// 8 bits count is `ID_AA64MMFR1_EL1.VMIDBits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vmid(NonZeroU16);

impl Vmid {
    /// The lowest one, for a host with one VM.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// Returns the VMID of this number, or `None` for 0.
    pub const fn new(vmid: u16) -> Option<Self> {
        match NonZeroU16::new(vmid) {
            Some(vmid) => Some(Self(vmid)),
            None => None,
        }
    }

    /// Returns the number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Vmid {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Vmid({=u16})", self.get());
    }
}
