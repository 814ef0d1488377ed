//! The shape of a stage-2 translation: what a CPU can do, what was asked for, what follows.
//!
//! A pure function of ID-register values. The rules are those under which the architecture
//! defines a walk at all: Arm ARM (DDI 0487), `VTCR_EL2` (T0SZ, SL0, SL2, PS, DS) and the
//! pseudocode functions `AArch64.S2InvalidSL` and `AArch64.S2InconsistentSL`.

use crate::{GeometryError, IpaBits, Options, Request};
use vcpu_regs::{Granule, GranuleSupport, Ipa, MemoryModel, Vtcr, VtcrFields};

/// The shape of a stage-2 translation that its CPUs can walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Geometry {
    granule: Granule,
    ipa_bits: u8,
    pa_bits: u8,
    start_level: i8,
    wide_vmid: bool,
    xnx: bool,
    large_root_blocks: bool,
    bbm_level: u8,
    options: Options,
}

impl Geometry {
    /// Returns the stage 2 that `model` has and `request` asks for.
    ///
    /// A VM that may run on CPUs that differ passes their [`MemoryModel::common`].
    pub fn probe(model: &MemoryModel, request: &Request) -> Result<Self, GeometryError> {
        let candidates = match &request.granule {
            Some(granule) => core::slice::from_ref(granule),
            None => &Granule::ALL,
        };
        let mut failure = GeometryError::NoGranule {
            granule: request.granule,
            mmfr0: model.mmfr0,
        };
        for &granule in candidates {
            match Self::with_granule(model, request, granule) {
                Ok(geometry) => return Ok(geometry),
                Err(error) => failure = worse(failure, error),
            }
        }
        Err(failure)
    }

    fn with_granule(
        model: &MemoryModel,
        request: &Request,
        granule: Granule,
    ) -> Result<Self, GeometryError> {
        let support = model.stage2_granule(granule);
        if support == GranuleSupport::Absent {
            return Err(GeometryError::NoGranule {
                granule: Some(granule),
                mmfr0: model.mmfr0,
            });
        }
        let can_be_wide = support == GranuleSupport::Lpa2 && model.pa_bits() >= 52;
        let most = match granule {
            // FEAT_LPA needs no other descriptor format with 64 KiB pages.
            Granule::Kib64 => model.pa_bits().min(52),
            _ if can_be_wide => 52,
            _ => model.pa_bits().min(48),
        };
        let least = match (model.has_small_tables(), granule) {
            (false, _) => 25,
            (true, Granule::Kib4 | Granule::Kib16) => 16,
            (true, Granule::Kib64) => 17,
        };
        let ipa_bits = match request.ipa {
            IpaBits::Most => most,
            IpaBits::AtMost(bits) => bits.min(most),
            IpaBits::Exactly(bits) if bits > most => {
                return Err(GeometryError::IpaTooWide {
                    requested: bits,
                    limit: most,
                });
            }
            IpaBits::Exactly(bits) => bits,
        };
        if ipa_bits < least {
            return Err(GeometryError::IpaTooNarrow {
                requested: ipa_bits,
                limit: least,
            });
        }
        let wide =
            can_be_wide && (ipa_bits > 48 || request.options.contains(Options::WIDE_DESCRIPTORS));
        let pa_bits = match granule {
            Granule::Kib64 => model.pa_bits().min(52),
            _ if wide => 52,
            _ => model.pa_bits().min(48),
        };
        let start_level = start_level(model, granule, ipa_bits, wide, request.levels).ok_or(
            GeometryError::NoSuchWalk {
                levels: request.levels.unwrap_or(0),
                ipa_bits,
            },
        )?;
        Ok(Self {
            granule,
            ipa_bits,
            pa_bits,
            start_level,
            wide_vmid: model.vmid_bits() == 16,
            xnx: model.has_xnx(),
            large_root_blocks: wide || granule == Granule::Kib64 && model.pa_bits() >= 52,
            bbm_level: model.break_before_make_level(),
            options: usable(model, request.options, wide),
        })
    }

    /// Returns the page and table size.
    pub const fn granule(&self) -> Granule {
        self.granule
    }

    /// Returns the bits of an input address.
    pub const fn ipa_bits(&self) -> u8 {
        self.ipa_bits
    }

    /// Returns the bits of an output address.
    pub const fn pa_bits(&self) -> u8 {
        self.pa_bits
    }

    /// Returns the first input address that is out of range.
    pub const fn ipa_end(&self) -> Ipa {
        Ipa(1 << self.ipa_bits)
    }

    /// Returns the level of the root: -1 to 3.
    pub const fn start_level(&self) -> i8 {
        self.start_level
    }

    /// Returns how many levels a walk has at most: 1 to 5.
    pub const fn levels(&self) -> u8 {
        (4 - self.start_level) as u8
    }

    /// Returns how many tables lie side by side as the root: 1 to 16.
    pub const fn root_tables(&self) -> u8 {
        let table_bits = self.granule.entry_shift(self.start_level) + self.granule.stride();
        1 << (self.ipa_bits as u32).saturating_sub(table_bits)
    }

    /// Returns the size of the root in bytes: so much memory, aligned to as much.
    pub const fn root_bytes(&self) -> u64 {
        self.granule.bytes() * self.root_tables() as u64
    }

    /// Returns how many entries of the root are in use.
    pub const fn root_entries(&self) -> usize {
        1 << (self.ipa_bits as u32 - self.granule.entry_shift(self.start_level))
    }

    /// Returns the bits of a VMID: 8 or 16.
    pub const fn vmid_bits(&self) -> u8 {
        if self.wide_vmid { 16 } else { 8 }
    }

    /// Returns what it uses beyond the first version of the architecture.
    pub const fn options(&self) -> Options {
        self.options
    }

    /// Returns whether execution at EL1 and at EL0 are permitted apart (FEAT_XNX).
    pub const fn has_xnx(&self) -> bool {
        self.xnx
    }

    /// Returns how little break-before-make a change of block size needs: 0 to 2 (FEAT_BBM).
    ///
    /// Tables use level 2, where a block becomes a table at once. Level 1 they take for 0. There the
    /// block would first be marked (nT), which leaves a CPU the choice to refuse it with a
    /// translation fault: a guest may then meet what it meets at an invalid entry, and a host must
    /// be ready for it just the same. The unmarked block must be out of the TLBs before the table
    /// comes, and the marked one after it, so it is two invalidations where an invalid entry needs
    /// one.
    pub const fn break_before_make_level(&self) -> u8 {
        self.bbm_level
    }

    /// Returns whether descriptors have the 52-bit format of FEAT_LPA2.
    pub const fn has_wide_descriptors(&self) -> bool {
        self.options.contains(Options::WIDE_DESCRIPTORS)
    }

    /// Returns whether a leaf may stand at `level`: pages at 3, blocks above, as far as they go.
    pub const fn has_leaf_at(&self, level: i8) -> bool {
        match (level, self.granule) {
            (3 | 2, _) | (1, Granule::Kib4) => true,
            (1, Granule::Kib16 | Granule::Kib64) | (0, Granule::Kib4) => self.large_root_blocks,
            _ => false,
        }
    }

    /// Returns the size of a group of leaves that may carry the contiguous hint together, or of
    /// one leaf where there are no groups.
    pub const fn group_bytes(&self, level: i8) -> u64 {
        let leaves = match (self.granule, level) {
            (Granule::Kib4, 1..=3) => 16,
            (Granule::Kib16, 3) => 128,
            (Granule::Kib16, 2) | (Granule::Kib64, 2 | 3) => 32,
            _ => 1,
        };
        leaves << self.granule.entry_shift(level)
    }

    /// Returns `VTCR_EL2` for it.
    pub fn vtcr(&self) -> Vtcr {
        Vtcr::new(&VtcrFields {
            granule: self.granule,
            ipa_bits: self.ipa_bits,
            start_level: self.start_level,
            pa_bits: self.pa_bits,
            wide_vmid: self.wide_vmid,
            wide_descriptors: self.has_wide_descriptors(),
            access_flag_updates: self.options.contains(Options::ACCESS_FLAG),
            dirty_updates: self.options.contains(Options::DIRTY),
        })
    }
}

/// The error that says more: a limit of some granule rather than the absence of another.
fn worse(a: GeometryError, b: GeometryError) -> GeometryError {
    use GeometryError::{IpaTooNarrow, IpaTooWide, NoGranule};
    match (a, b) {
        (NoGranule { .. }, NoGranule { .. }) => a,
        (NoGranule { .. }, _) => b,
        (IpaTooWide { limit: x, .. }, IpaTooWide { limit: y, .. }) if y > x => b,
        (IpaTooNarrow { limit: x, .. }, IpaTooNarrow { limit: y, .. }) if y < x => b,
        _ => a,
    }
}

/// Returns the level a walk of `ipa_bits` may start at: the one asked for, or the lowest.
fn start_level(
    model: &MemoryModel,
    granule: Granule,
    ipa_bits: u8,
    wide: bool,
    levels: Option<u8>,
) -> Option<i8> {
    let pa_bits = model.pa_bits();
    (-1..=3).rev().find(|&level| {
        let exists = match (granule, level) {
            (Granule::Kib4, 3) => model.has_small_tables(),
            (Granule::Kib4, 0) | (Granule::Kib64, 1) => pa_bits >= 44,
            (Granule::Kib16, 1) => pa_bits >= 42,
            (Granule::Kib4, -1) | (Granule::Kib16, 0) => wide,
            (Granule::Kib16, -1) | (Granule::Kib64, -1 | 0) => false,
            _ => true,
        };
        // At least one bit selects an entry; at most a whole table's and 4 of concatenation.
        let entry_bits = granule.entry_shift(level);
        let reach = entry_bits + 1..=entry_bits + granule.stride() + 4;
        let asked = levels.is_none_or(|levels| i16::from(level) == 4 - i16::from(levels));
        asked && exists && reach.contains(&u32::from(ipa_bits))
    })
}

/// What of `asked` the CPUs have.
fn usable(model: &MemoryModel, asked: Options, wide: bool) -> Options {
    let mut options = asked & Options::CONTIGUOUS;
    options.set(Options::WIDE_DESCRIPTORS, wide);
    let dirty = asked.contains(Options::DIRTY) && model.has_dirty_updates();
    options.set(Options::DIRTY, dirty);
    let access_flag = asked.contains(Options::ACCESS_FLAG) && model.has_access_flag_updates();
    options.set(Options::ACCESS_FLAG, access_flag || dirty);
    let force = asked.contains(Options::FORCE_WRITE_BACK) && model.has_force_write_back();
    options.set(Options::FORCE_WRITE_BACK, force);
    let common = asked.contains(Options::COMMON_NOT_PRIVATE) && model.has_common_not_private();
    options.set(Options::COMMON_NOT_PRIVATE, common);
    options
}
