//! What a guest may do with a page, and how it is cached.

use bitflags::bitflags;

/// How memory behaves: stage 2's `MemAttr`.
///
/// What the guest sees is the stricter of this and its own stage 1; with
/// [`FORCE_WRITE_BACK`](crate::Options::FORCE_WRITE_BACK), normal memory is write-back whatever
/// the guest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MemoryType {
    /// Normal, write-back, inner shareable: RAM.
    WriteBack,
    /// Normal, not cached.
    NonCacheable,
    /// Device-GRE.
    DeviceGre,
    /// Device-nGRE.
    DeviceNgre,
    /// Device-nGnRE: most devices.
    DeviceNgnre,
    /// Device-nGnRnE: configuration space, no early acknowledgement.
    DeviceNgnrne,
}

impl MemoryType {
    /// Returns whether it is one of the device types.
    pub const fn is_device(self) -> bool {
        !matches!(self, Self::WriteBack | Self::NonCacheable)
    }
}

bitflags! {
    /// Data accesses that stage 2 permits: `S2AP`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Access: u8 {
        /// Loads, and the guest's own table walks.
        const READ = 1 << 0;
        /// Stores.
        const WRITE = 1 << 1;
        /// Loads and stores.
        const READ_WRITE = 3;
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Access {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Access({=u8:#x})", self.bits());
    }
}

/// Where a guest may execute: `XN`. The two in the middle need FEAT_XNX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Execute {
    /// At EL1 and EL0.
    Always,
    /// At EL0 only.
    El0Only,
    /// At EL1 only.
    El1Only,
    /// Nowhere.
    Never,
}

/// What a mapping permits and how it is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Attributes {
    /// How the memory behaves.
    pub memory: MemoryType,
    /// Loads and stores.
    pub access: Access,
    /// Instruction fetches.
    pub execute: Execute,
    /// The access flag. Without it, the first use faults, or sets it where
    /// [`Options::ACCESS_FLAG`](crate::Options::ACCESS_FLAG) is in use.
    pub accessed: bool,
}

impl Attributes {
    /// RAM: write-back, everything permitted.
    pub const RAM: Self = Self {
        memory: MemoryType::WriteBack,
        access: Access::READ_WRITE,
        execute: Execute::Always,
        accessed: true,
    };

    /// A device passed through: nGnRE, loads and stores, no fetches.
    pub const DEVICE: Self = Self {
        memory: MemoryType::DeviceNgnre,
        execute: Execute::Never,
        ..Self::RAM
    };

    /// Returns the same without stores.
    pub const fn read_only(self) -> Self {
        Self {
            access: Access::READ,
            ..self
        }
    }

    /// Returns the same without instruction fetches.
    pub const fn no_execute(self) -> Self {
        Self {
            execute: Execute::Never,
            ..self
        }
    }
}
