//! What must be invalidated after a change, as a value, and the instructions that do it, in order.
//!
//! `vcpu-stage2` makes the value, `vcpu-asm` executes its [steps](Invalidate::steps), a fake CPU
//! records them. Which TLBI, with which operand, between which barriers is decided here, where a
//! host test can see it.

use crate::{Granule, Ipa, MemoryModel};

/// What TLBs may still hold of a VM, and must not.
///
/// The steps act on the VMID in force: while they run, `VTTBR_EL2` holds the VM's (with its root,
/// for walks may start at any time), `VTCR_EL2` its format, and `HCR_EL2.TGE` is 0 on a host with
/// E2H, where the EL1&0 TLBIs would otherwise act on the host.
#[must_use = "until `vcpu-asm` has executed this, a guest may still use the old translation"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Invalidate {
    /// Nothing: entries were invalid before, and invalid entries are not cached. The new ones
    /// must still be visible to table walks.
    Publish,
    /// Translations of these addresses, on every CPU.
    Range(IpaRange),
    /// Everything of this VMID, on every CPU.
    Vmid,
    /// Everything of this VMID, on this CPU: another vCPU of the VM ran here last.
    LocalVmid,
    /// Everything of every VMID, on this CPU: VMIDs are about to be given out anew.
    LocalAllVmids,
}

/// A range of intermediate physical addresses whose translations changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IpaRange {
    /// First byte, a multiple of the granule.
    pub start: Ipa,
    /// Size, a multiple of the granule, not 0.
    pub bytes: u64,
    /// Page size of the table.
    pub granule: Granule,
    /// Whether descriptors have the 52-bit format (`VTCR_EL2.DS`): ranges count in 64 KiB then.
    pub wide_descriptors: bool,
    /// The level of every leaf that changed, where it is one and the range is made of such leaves.
    pub level: Option<i8>,
    /// Whether only leaves changed: cached table descriptors may stay.
    pub leaves_only: bool,
}

impl IpaRange {
    /// Returns the end: the first address after the range.
    fn end(&self) -> u64 {
        self.start.0.saturating_add(self.bytes)
    }

    /// Returns the smallest range that holds both, of tables of one format.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let start = self.start.min(other.start);
        let adjacent = self.start.0 == other.end() || other.start.0 == self.end();
        let overlap = self.start.0 < other.end() && other.start.0 < self.end();
        // Between two ranges lie leaves of any level, perhaps none.
        let same_level = self.level == other.level && (adjacent || overlap);
        Self {
            start,
            bytes: self.end().max(other.end()) - start.0,
            level: if same_level { self.level } else { None },
            leaves_only: self.leaves_only && other.leaves_only,
            ..self
        }
    }

    /// Returns log2 of the bytes that one TLBI by address drops.
    fn stride_shift(&self) -> u32 {
        self.granule.entry_shift(self.level.unwrap_or(3))
    }
}

/// One instruction of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum InvalidateStep {
    /// `dsb ishst`: the descriptor writes before it are visible to table walks after it.
    DsbIshst,
    /// `dsb nshst`: the same, for this CPU alone.
    DsbNshst,
    /// `dsb ish`: the TLBIs before it are complete on every CPU.
    DsbIsh,
    /// `dsb nsh`: the TLBIs before it are complete on this CPU.
    DsbNsh,
    /// `isb`: nothing after it was translated before.
    Isb,
    /// `tlbi ipas2e1is, xN`.
    Ipas2e1is(u64),
    /// `tlbi ipas2le1is, xN`.
    Ipas2le1is(u64),
    /// `tlbi ripas2e1is, xN` (FEAT_TLBIRANGE).
    Ripas2e1is(u64),
    /// `tlbi ripas2le1is, xN` (FEAT_TLBIRANGE).
    Ripas2le1is(u64),
    /// `tlbi vmalle1is`.
    Vmalle1is,
    /// `tlbi vmalls12e1is`.
    Vmalls12e1is,
    /// `tlbi vmalle1`.
    Vmalle1,
    /// `tlbi alle1`.
    Alle1,
    /// `ic ialluis`.
    IcIalluis,
    /// `ic iallu`.
    IcIallu,
}

/// Above so many TLBIs, one that drops the whole VMID is cheaper.
const MAX_BY_ADDRESS: u64 = 512;

impl Invalidate {
    /// Returns what both ask for. A range and a range give the range around both.
    ///
    /// Local invalidations are not a part of a broadcast one: joining the two kinds gives the
    /// broadcast of the whole VMID only where that covers both.
    pub fn join(self, other: Self) -> Option<Self> {
        use Invalidate::{LocalAllVmids, LocalVmid, Publish, Range, Vmid};
        match (self, other) {
            (Publish, what) | (what, Publish) => Some(what),
            (Range(a), Range(b)) => Some(Range(a.join(b))),
            (LocalAllVmids, LocalVmid | LocalAllVmids) | (LocalVmid, LocalAllVmids) => {
                Some(LocalAllVmids)
            }
            (LocalVmid, LocalVmid) => Some(LocalVmid),
            (Vmid, Vmid | Range(_) | LocalVmid) | (Range(_) | LocalVmid, Vmid) => Some(Vmid),
            (Range(_), LocalVmid) | (LocalVmid, Range(_)) => Some(Vmid),
            (LocalAllVmids, Vmid | Range(_)) | (Vmid | Range(_), LocalAllVmids) => None,
        }
    }

    /// Returns the instructions, in order, for CPUs that all have what `model` says.
    ///
    /// For a change of tables: the write is made visible (`dsb ishst`), stage-2 entries are
    /// dropped, and only when that is complete (`dsb ish`) the entries that combine both stages,
    /// which a walk could otherwise remake from a stage-2 entry about to go; `dsb ish` completes
    /// those, and `isb` makes this CPU forget what it had already translated.
    pub fn steps(self, model: &MemoryModel) -> InvalidateSteps {
        let vpipt = model.has_vpipt_icache();
        let plan = match self {
            Self::Range(range) => Plan::range(range, model)
                .map_or(Plan::Vmid { vpipt }, |range| Plan::Range { range, vpipt }),
            Self::Publish => Plan::Publish,
            Self::Vmid => Plan::Vmid { vpipt },
            Self::LocalVmid => Plan::LocalVmid { vpipt },
            Self::LocalAllVmids => Plan::LocalAllVmids { vpipt },
        };
        InvalidateSteps { plan, position: 0 }
    }
}

/// The instructions of an [`Invalidate`], in order.
#[derive(Clone, Copy, Debug)]
pub struct InvalidateSteps {
    plan: Plan,
    position: u8,
}

#[derive(Clone, Copy, Debug)]
enum Plan {
    Publish,
    Range { range: ByAddress, vpipt: bool },
    Vmid { vpipt: bool },
    LocalVmid { vpipt: bool },
    LocalAllVmids { vpipt: bool },
}

/// The addresses still to invalidate.
#[derive(Clone, Copy, Debug)]
struct ByAddress {
    range: IpaRange,
    has_level: bool,
    has_range: bool,
    /// The scale the next range operation may have; they go down.
    scale: u32,
}

impl Plan {
    /// Returns the plan by address, or `None` where the whole VMID costs less.
    fn range(range: IpaRange, model: &MemoryModel) -> Option<ByAddress> {
        let has_range = model.has_tlbi_range();
        let pages = range.bytes >> range.granule.shift();
        let too_many = if has_range {
            pages > RANGE_PAGES_MAX
        } else {
            range.bytes.div_ceil(1 << range.stride_shift()) > MAX_BY_ADDRESS
        };
        let plan = ByAddress {
            range,
            has_level: model.has_tlbi_level(),
            has_range,
            scale: 3,
        };
        (!too_many && range.bytes != 0).then_some(plan)
    }
}

/// Pages that range operations of one scale each can cover: 32 << (5 * 3 + 1).
const RANGE_PAGES_MAX: u64 = 1 << 21;

/// TLBI's name of the granule, which also says that a level follows.
fn translation_granule(granule: Granule) -> u64 {
    match granule {
        Granule::Kib4 => 1,
        Granule::Kib16 => 2,
        Granule::Kib64 => 3,
    }
}

impl ByAddress {
    /// What TTL may say of the level: 1 (not with 16 KiB pages before FEAT_LPA2), 2 or 3; else 0.
    fn level_hint(&self) -> u64 {
        match self.range.level {
            // A range operation whose base is not aligned to the level is unpredictable.
            Some(_)
                if !self
                    .range
                    .start
                    .is_aligned_to(1 << self.range.stride_shift()) =>
            {
                0
            }
            Some(1) if self.range.granule == Granule::Kib16 && !self.range.wide_descriptors => 0,
            Some(level @ 1..=3) if self.has_level => level as u64,
            _ => 0,
        }
    }

    fn next(&mut self) -> Option<InvalidateStep> {
        let range = self.range;
        if range.bytes == 0 {
            return None;
        }
        if self.has_range
            && let Some(step) = self.next_range()
        {
            return Some(step);
        }
        let hint = self.level_hint();
        let ttl = if hint == 0 {
            0
        } else {
            translation_granule(range.granule) << 2 | hint
        };
        let operand = range.start.0 >> 12 & ((1 << 40) - 1) | ttl << 44;
        // A leaf larger than a page goes with any address inside it: step over the rest.
        let stride = 1 << range.stride_shift();
        self.advance(stride - (range.start.0 & (stride - 1)));
        Some(if range.leaves_only {
            InvalidateStep::Ipas2le1is(operand)
        } else {
            InvalidateStep::Ipas2e1is(operand)
        })
    }

    /// The largest range operation at the front, or `None` where only a page can go there.
    fn next_range(&mut self) -> Option<InvalidateStep> {
        let range = self.range;
        // BaseADDR counts in pages, or in 64 KiB where descriptors are wide.
        let base_shift = if range.wide_descriptors {
            16
        } else {
            range.granule.shift()
        };
        if !range.start.is_aligned_to(1 << base_shift) {
            return None;
        }
        let pages = range.bytes >> range.granule.shift();
        loop {
            let units = pages >> (5 * self.scale + 1);
            if units > 0 {
                let num = units.min(32) - 1;
                let operand = range.start.0 >> base_shift & ((1 << 37) - 1)
                    | self.level_hint() << 37
                    | num << 39
                    | u64::from(self.scale) << 44
                    | translation_granule(range.granule) << 46;
                self.advance((num + 1) << (5 * self.scale + 1 + range.granule.shift()));
                return Some(if range.leaves_only {
                    InvalidateStep::Ripas2le1is(operand)
                } else {
                    InvalidateStep::Ripas2e1is(operand)
                });
            }
            self.scale = self.scale.checked_sub(1)?;
        }
    }

    fn advance(&mut self, bytes: u64) {
        let bytes = bytes.min(self.range.bytes);
        self.range.start = Ipa(self.range.start.0.saturating_add(bytes));
        self.range.bytes -= bytes;
    }
}

impl Iterator for InvalidateSteps {
    type Item = InvalidateStep;

    fn next(&mut self) -> Option<InvalidateStep> {
        use InvalidateStep::*;
        let fixed: &[InvalidateStep] = match &mut self.plan {
            Plan::Publish => &[DsbIshst, Isb],
            Plan::Range { range, vpipt } => {
                if self.position == 1
                    && let Some(step) = range.next()
                {
                    return Some(step);
                }
                match vpipt {
                    false => &[DsbIshst, DsbIsh, Vmalle1is, DsbIsh, Isb],
                    true => &[DsbIshst, DsbIsh, Vmalle1is, IcIalluis, DsbIsh, Isb],
                }
            }
            Plan::Vmid { vpipt: false } => &[DsbIshst, Vmalls12e1is, DsbIsh, Isb],
            Plan::Vmid { vpipt: true } => &[DsbIshst, Vmalls12e1is, IcIalluis, DsbIsh, Isb],
            Plan::LocalVmid { vpipt: false } => &[DsbNshst, Vmalle1, DsbNsh, Isb],
            Plan::LocalVmid { vpipt: true } => &[DsbNshst, Vmalle1, IcIallu, DsbNsh, Isb],
            Plan::LocalAllVmids { vpipt: false } => &[DsbNshst, Alle1, DsbNsh, Isb],
            Plan::LocalAllVmids { vpipt: true } => &[DsbNshst, Alle1, IcIallu, DsbNsh, Isb],
        };
        let step = fixed.get(usize::from(self.position)).copied()?;
        self.position += 1;
        Some(step)
    }
}

#[cfg(test)]
mod tests;
