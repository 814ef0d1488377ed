//! Instruction and Data Aborts as their syndrome tells them; `fault` adds FAR and HPFAR.

use bitflags::bitflags;
use vcpu_regs::Esr;
use vcpu_regs::iss::{DataAbortBareIss, DataAbortIss, InstructionAbortIss};

use crate::FaultStatus;

bitflags! {
    /// One-bit facts of an abort, each where `ESR_EL2` has it. Arm ARM (DDI 0487), `ESR_EL2`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct AbortFlags: u64 {
        /// WnR: a write. Also set for cache maintenance and address translation.
        const WRITE = 1 << 6;
        /// S1PTW: stage 2 refused a stage-1 table walk.
        const S1_WALK = 1 << 7;
        /// CM: cache maintenance or address translation, not a load or store.
        const CACHE_MAINTENANCE = 1 << 8;
        /// EA: IMPLEMENTATION DEFINED class of an external abort.
        const EXTERNAL_CLASS = 1 << 9;
        /// FnV: FAR holds nothing.
        const FAR_NOT_VALID = 1 << 10;
        /// VNCR: the access was a register access turned into memory by FEAT_NV2.
        const VNCR = 1 << 13;
        /// PFV: PFAR holds the physical address (FEAT_PFAR). Never with a transfer.
        const PFAR_VALID = 1 << 14;
        /// FnP: FAR is anywhere in the right granule. Never with a transfer.
        const FAR_NOT_PRECISE = 1 << 15;
        /// TopLevel (FEAT_THE). Never with a transfer.
        const TOP_LEVEL = 1 << 21;
        /// DirtyBit: permission fault for want of dirty state (FEAT_S1PIE, FEAT_S2PIE).
        const DIRTY_BIT = 1 << 37;
        /// Overlay: overlay permission fault (FEAT_S1POE, FEAT_S2POE).
        const OVERLAY = 1 << 38;
        /// AssuredOnly (FEAT_THE).
        const ASSURED_ONLY = 1 << 39;
        /// GCS: a Guarded Control Stack access (FEAT_GCS).
        const GCS = 1 << 40;
        /// TagAccess: stage 2 allows no tags here (FEAT_MTE_PERM).
        const TAG_ACCESS = 1 << 41;
        /// TnD: an allocation tag was written to canonically tagged memory.
        const TAG_NOT_DATA = 1 << 42;
        /// HDBSSF: the dirty state structure was full or faulted (FEAT_HDBSS).
        const HDBSS = 1 << 43;
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for AbortFlags {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "AbortFlags({=u64:#x})", self.bits());
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for AbortFlags {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bits().serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for AbortFlags {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self::from_bits_truncate)
    }
}

impl AbortFlags {
    /// Those an Instruction Abort can have.
    const FETCH: Self = Self::from_bits_truncate(
        1 << 7 | 1 << 9 | 1 << 10 | 1 << 14 | 1 << 21 | 1 << 38 | 1 << 39 | 1 << 43,
    );
    /// Those a Data Abort can have beside a transfer: bits 14, 15 and 21 are AR, SF and SSE then.
    const WITH_TRANSFER: Self = Self::from_bits_truncate(!(1 << 14 | 1 << 15 | 1 << 21));

    const fn of(esr: Esr, possible: Self) -> Self {
        Self::from_bits_truncate(esr.0 & possible.bits())
    }
}

/// A load or store of one general-purpose register, as ISV = 1 describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Transfer {
    /// Bytes of memory: 1, 2, 4 or 8 (SAS).
    pub size_bytes: u8,
    /// Register; 31 is XZR (SRT).
    pub reg: u8,
    /// A store (WnR).
    pub is_write: bool,
    /// A load extends the sign, up to the register's width (SSE).
    pub sign_extend: bool,
    /// The register is an X, not a W (SF).
    pub is_64bit: bool,
    /// Load-acquire or store-release (AR).
    pub acquire_release: bool,
}

impl Transfer {
    #[inline]
    const fn decode(esr: Esr) -> Option<Self> {
        if DataAbortIss::new(esr).isv() {
            Some(Self::of_described(esr))
        } else {
            None
        }
    }

    /// Returns the transfer of a Data Abort whose syndrome is known to describe one (ISV).
    #[inline]
    pub const fn of_described(esr: Esr) -> Self {
        let iss = DataAbortIss::new(esr);
        Self {
            size_bytes: 1 << iss.sas(),
            reg: iss.srt(),
            is_write: iss.wnr(),
            sign_extend: iss.sse(),
            is_64bit: iss.sf(),
            acquire_release: iss.ar(),
        }
    }

    const fn encode(self) -> DataAbortIss {
        DataAbortIss::new(Esr(0))
            .with_isv(true)
            .with_sas(self.size_bytes.trailing_zeros() as u8)
            .with_srt(self.reg)
            .with_wnr(self.is_write)
            .with_sse(self.sign_extend)
            .with_sf(self.is_64bit)
            .with_ar(self.acquire_release)
    }

    /// Returns what the register holds after a load of `value`: its low `size_bytes`, extended.
    ///
    /// A W register's upper half becomes 0, as after any write to it.
    pub const fn loaded(self, value: u64) -> u64 {
        let unused = 64 - 8 * self.clamped_size();
        let extended = if self.sign_extend {
            ((value << unused) as i64 >> unused) as u64
        } else {
            value << unused >> unused
        };
        if self.is_64bit {
            extended
        } else {
            extended & 0xffff_ffff
        }
    }

    /// Returns what a store puts in memory when the register holds `value`: its low `size_bytes`.
    pub const fn stored(self, value: u64) -> u64 {
        let unused = 64 - 8 * self.clamped_size();
        value << unused >> unused
    }

    /// The size as a shift can use it, whatever a caller wrote into the field.
    const fn clamped_size(self) -> u32 {
        match self.size_bytes {
            0 => 1,
            1..=7 => self.size_bytes as u32,
            _ => 8,
        }
    }
}

/// The 64-byte access behind an abort (FEAT_LS64), as LST tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum BlockAccess {
    /// `ST64BV`
    St64bv,
    /// `LD64B` or `ST64B`
    Ld64bSt64b,
    /// `ST64BV0`
    St64bv0,
}

/// EC 0x24 and 0x25: a load, store, cache maintenance or table walk was refused. ELR is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DataAbort {
    /// Why (DFSC).
    pub status: FaultStatus,
    /// What to emulate; `None` when the syndrome cannot say and the instruction must be decoded.
    pub transfer: Option<Transfer>,
    /// One-bit facts.
    pub flags: AbortFlags,
    /// SET for a synchronous external abort; LST, read by [`Self::block_access`], for the faults that have it.
    pub detail: u8,
    /// WU: 2 a store that left memory as it was, 3 one that changed it (FEAT_RASv2). 0 with a transfer.
    pub write_update: u8,
    /// Xs: status register of `ST64BV` and `ST64BV0` (FEAT_LS64_V).
    pub status_reg: u8,
    /// Taken from the Exception level it arrived at (EC 0x25).
    pub from_same_el: bool,
}

impl DataAbort {
    /// Reads `esr` as a Data Abort.
    pub const fn decode(esr: Esr) -> Self {
        let iss = DataAbortBareIss::new(esr);
        let transfer = Transfer::decode(esr);
        let (possible, write_update) = match transfer {
            Some(_) => (AbortFlags::WITH_TRANSFER, 0),
            None => (AbortFlags::all(), iss.wu()),
        };
        Self {
            status: FaultStatus::from_bits(iss.dfsc()),
            transfer,
            flags: AbortFlags::of(esr, possible),
            detail: iss.set(),
            write_update,
            status_reg: iss.xs(),
            from_same_el: esr.class() == 0x25,
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let fields = DataAbortBareIss::new(Esr(0))
            .with_dfsc(self.status.bits())
            .with_set(self.detail)
            .with_xs(self.status_reg);
        let form = match self.transfer {
            Some(transfer) => {
                transfer.encode().bits() | self.flags.bits() & AbortFlags::WITH_TRANSFER.bits()
            }
            None => fields.with_wu(self.write_update).bits() | self.flags.bits(),
        };
        Esr(Esr::of_class(0x24 | self.from_same_el as u8).0 | fields.bits() | form)
    }

    /// Returns the 64-byte access that aborted, if it was one: then [`Self::transfer`] does not describe it.
    pub const fn block_access(self) -> Option<BlockAccess> {
        if !self.status.has_lst() {
            return None;
        }
        match self.detail & 3 {
            1 => Some(BlockAccess::St64bv),
            2 => Some(BlockAccess::Ld64bSt64b),
            3 => Some(BlockAccess::St64bv0),
            _ => None,
        }
    }

    /// Returns whether the guest was writing: a store, or maintenance that counts as one.
    pub const fn is_write(self) -> bool {
        self.flags.contains(AbortFlags::WRITE)
    }
}

/// EC 0x20 and 0x21: an instruction could not be fetched. ELR is its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InstructionAbort {
    /// Why (IFSC).
    pub status: FaultStatus,
    /// One-bit facts.
    pub flags: AbortFlags,
    /// SET: severity of a synchronous external abort.
    pub detail: u8,
    /// Taken from the Exception level it arrived at (EC 0x21).
    pub from_same_el: bool,
}

impl InstructionAbort {
    /// Reads `esr` as an Instruction Abort.
    pub const fn decode(esr: Esr) -> Self {
        let iss = InstructionAbortIss::new(esr);
        Self {
            status: FaultStatus::from_bits(iss.ifsc()),
            flags: AbortFlags::of(esr, AbortFlags::FETCH),
            detail: iss.set(),
            from_same_el: esr.class() == 0x21,
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let fields = InstructionAbortIss::new(Esr(0))
            .with_ifsc(self.status.bits())
            .with_set(self.detail)
            .bits();
        let flags = self.flags.bits() & AbortFlags::FETCH.bits();
        Esr(Esr::of_class(0x20 | self.from_same_el as u8).0 | fields | flags)
    }
}
