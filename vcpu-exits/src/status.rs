//! Fault status codes: DFSC, IFSC and xFSC share one numbering.

/// A fault status code, kept whole.
///
/// Arm ARM (DDI 0487), `ESR_EL2`, DFSC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FaultStatus(u8);

/// What a [`FaultStatus`] says went wrong, without the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum FaultKind {
    /// An address has more bits than the translation allows.
    AddressSize,
    /// Nothing is mapped there.
    Translation,
    /// The access flag is clear and hardware does not set it.
    AccessFlag,
    /// Mapped, but not for this access.
    Permission,
    /// The memory system refused the access.
    External,
    /// The memory system refused a table walk.
    ExternalOnWalk,
    /// Allocation tag mismatch (FEAT_MTE2).
    TagCheck,
    /// Parity or ECC error.
    Parity,
    /// Parity or ECC error on a table walk.
    ParityOnWalk,
    /// Misaligned.
    Alignment,
    /// Granule protection refused the access (FEAT_RME).
    GranuleProtection,
    /// Granule protection refused a table walk (FEAT_RME).
    GranuleProtectionOnWalk,
    /// Several TLB entries matched.
    TlbConflict,
    /// Hardware cannot update the descriptor atomically.
    UnsupportedAtomicUpdate,
    /// IMPLEMENTATION DEFINED lockdown.
    Lockdown,
    /// An exclusive or atomic access to memory that does not support it.
    UnsupportedExclusive,
    /// First-level domain fault, from AArch32 descriptors.
    Domain,
    /// A code without a meaning here.
    Unknown,
}

impl FaultStatus {
    /// Returns the code with these six bits; higher ones are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x3f)
    }

    /// Returns the six bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Returns the code of this fault, or `None` where there is none for that level.
    ///
    /// `level` is -2 to 3 for a fault of a translation level, `None` for any other.
    pub const fn new(kind: FaultKind, level: Option<i8>) -> Option<Self> {
        let mut bits = 0;
        while bits < 64 {
            let status = Self(bits);
            let same_level = match (status.level(), level) {
                (Some(a), Some(b)) => a == b,
                (None, None) => true,
                _ => false,
            };
            if status.kind() as u8 == kind as u8 && same_level {
                return Some(status);
            }
            bits += 1;
        }
        None
    }

    /// Returns what went wrong.
    pub const fn kind(self) -> FaultKind {
        match self.0 {
            0b00_0000..=0b00_0011 | 0b10_1001 | 0b10_1100 => FaultKind::AddressSize,
            0b00_0100..=0b00_0111 | 0b10_1010 | 0b10_1011 => FaultKind::Translation,
            0b00_1000..=0b00_1011 => FaultKind::AccessFlag,
            0b00_1100..=0b00_1111 => FaultKind::Permission,
            0b01_0000 => FaultKind::External,
            0b01_0001 => FaultKind::TagCheck,
            0b01_0010..=0b01_0111 => FaultKind::ExternalOnWalk,
            0b01_1000 => FaultKind::Parity,
            0b01_1011..=0b01_1111 => FaultKind::ParityOnWalk,
            0b10_0001 => FaultKind::Alignment,
            0b10_0010..=0b10_0111 => FaultKind::GranuleProtectionOnWalk,
            0b10_1000 => FaultKind::GranuleProtection,
            0b11_0000 => FaultKind::TlbConflict,
            0b11_0001 => FaultKind::UnsupportedAtomicUpdate,
            0b11_0100 => FaultKind::Lockdown,
            0b11_0101 => FaultKind::UnsupportedExclusive,
            0b11_1101 | 0b11_1110 => FaultKind::Domain,
            _ => FaultKind::Unknown,
        }
    }

    /// Returns the level of the translation that faulted, -2 to 3, where the code tells one.
    pub const fn level(self) -> Option<i8> {
        match self.0 {
            0b00_0000..=0b00_1111
            | 0b01_0100..=0b01_0111
            | 0b01_1100..=0b01_1111
            | 0b10_0100..=0b10_0111 => Some((self.0 & 3) as i8),
            0b01_0011 | 0b01_1011 | 0b10_0011 | 0b10_1001 | 0b10_1011 => Some(-1),
            0b01_0010 | 0b10_0010 | 0b10_1010 | 0b10_1100 => Some(-2),
            0b11_1101 => Some(1),
            0b11_1110 => Some(2),
            _ => None,
        }
    }

    /// Returns whether bits 12:11 of a Data Abort with this code are LST: a translation, access flag or
    /// permission fault, or an unsupported exclusive or atomic access.
    pub(crate) const fn has_lst(self) -> bool {
        use FaultKind::{AccessFlag, Permission, Translation, UnsupportedExclusive};
        matches!(
            self.kind(),
            Translation | AccessFlag | Permission | UnsupportedExclusive
        )
    }

    /// Returns whether the fault was met on a table walk and belongs to no access of the guest's own.
    pub const fn is_on_walk(self) -> bool {
        use FaultKind::{ExternalOnWalk, GranuleProtectionOnWalk, ParityOnWalk};
        matches!(
            self.kind(),
            ExternalOnWalk | ParityOnWalk | GranuleProtectionOnWalk
        )
    }
}
