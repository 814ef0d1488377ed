//! A stage-2 table: its root, and mapping into it.

use crate::{
    AddressMap, Execute, FrameSource, Geometry, RootError, Stage2,
    debt::Debt,
    descriptor::{Format, Kind},
    memory,
    pages::Recent,
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vcpu_regs::{Ipa, Pa, Vmid};

/// Why a stage-2 table did not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum MapError {
    /// The range, from this address, ends beyond the IPA bits of the geometry.
    IpaTooWide(Ipa),
    /// The memory, from this address, ends beyond the output addresses of the geometry.
    PaTooWide(Pa),
    /// The range is not whole pages, or empty.
    NotWholePages {
        /// Where it starts.
        ipa: Ipa,
        /// Its size.
        bytes: u64,
    },
    /// The memory does not start at a page.
    MisalignedPa(Pa),
    /// Already mapped; unmap first.
    Occupied(Ipa),
    /// Not mapped.
    NotMapped(Ipa),
    /// Execution at EL1 and EL0 cannot be permitted apart without FEAT_XNX.
    NeedsXnx(Execute),
    /// No memory for a table that translates this address.
    OutOfFrames(Ipa),
    /// The bitmap has fewer bits than the range has pages.
    BitmapTooSmall {
        /// Its size.
        words: usize,
        /// What the range needs.
        needed: u64,
    },
    /// The frame source gave memory that tables of this geometry cannot point to.
    UnusableFrame(Pa),
}

impl core::fmt::Display for MapError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::IpaTooWide(ipa) => write!(f, "IPA {ipa} and its range exceed the IPA space"),
            Self::PaTooWide(pa) => write!(f, "PA {pa} and its range exceed the output addresses"),
            Self::NotWholePages { ipa, bytes } => {
                write!(f, "IPA {ipa} and {bytes:#x} bytes are not whole pages")
            }
            Self::MisalignedPa(pa) => write!(f, "PA {pa} is not at a page"),
            Self::Occupied(ipa) => write!(f, "IPA {ipa} is mapped already"),
            Self::NotMapped(ipa) => write!(f, "IPA {ipa} is not mapped"),
            Self::NeedsXnx(execute) => write!(f, "{execute:?} execution needs FEAT_XNX"),
            Self::OutOfFrames(ipa) => write!(f, "no memory for a table that translates {ipa}"),
            Self::BitmapTooSmall { words, needed } => {
                write!(f, "a bitmap of {words} words, {needed} needed")
            }
            Self::UnusableFrame(pa) => write!(f, "a table at {pa} is out of reach"),
        }
    }
}

impl core::error::Error for MapError {}

/// A stage-2 table in memory of the host.
///
/// Changes take `&mut`: a host whose CPUs share one puts a lock around it. Table walks of CPUs
/// that run the guest need no lock; they see each entry before or after a change, never between.
///
/// Dropping it leaks its frames, for a CPU may still walk them; [`Table::release`] gives them back.
#[derive(Debug)]
pub struct Table<F, M> {
    pub(crate) geometry: Geometry,
    pub(crate) format: Format,
    pub(crate) root: Pa,
    pub(crate) frames: F,
    pub(crate) memory: M,
    pub(crate) debt: Debt,
    pub(crate) recent: Recent,
}

/// Whole pages of IPA space: `start..end`, in range.
pub(crate) type Span = core::ops::Range<u64>;

impl<F: FrameSource, M: AddressMap> Table<F, M> {
    /// Returns an empty table, its root allocated from `frames`.
    pub fn new(geometry: Geometry, mut frames: F, memory: M) -> Result<Self, MapError> {
        let bytes = geometry.root_bytes();
        let root = frames
            .allocate(bytes)
            .ok_or(MapError::OutOfFrames(Ipa(0)))?;
        if !fits(&geometry, root, bytes) {
            frames.release(root, bytes);
            return Err(MapError::UnusableFrame(root));
        }
        // SAFETY: allocated just now, `bytes` long, from the source beside `memory`.
        unsafe { memory::clear(&memory, root, bytes) };
        let format = Format::new(&geometry);
        Ok(Self {
            geometry,
            format,
            root,
            frames,
            memory,
            debt: Debt::NONE,
            recent: Recent::NONE,
        })
    }

    /// Returns the shape of the translation.
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Returns the address of the root.
    pub const fn root(&self) -> Pa {
        self.root
    }

    /// Returns what a CPU loads to run a guest under this table.
    ///
    /// # Safety
    ///
    /// For as long as a guest may run under the value or a copy, the table is not
    /// [released](Self::release), no other table is used with `vmid`, on any CPU, unless what
    /// TLBs held of `vmid` was invalidated in between, and this one, if it is still changed, is used
    /// with no other.
    pub unsafe fn stage2(&self, vmid: Vmid) -> Result<Stage2, RootError> {
        // SAFETY: this table is in its geometry's format and only `release` ends that, which the
        // caller rules out; `map` made its callers answer for the memory in it; the VMID is the
        // caller's promise.
        unsafe { Stage2::from_root(self.root, &self.geometry, vmid) }
    }

    /// Returns what a CPU loads to run a guest under this table, with a VMID from a
    /// [`Vmids`](crate::Vmids).
    ///
    /// # Safety
    ///
    /// For as long as a guest may run under the value or a copy, the table is not
    /// [released](Self::release); if it is still changed, one VM alone is made of them.
    pub unsafe fn unnumbered_stage2(&self) -> Result<Stage2, RootError> {
        // SAFETY: as in `stage2`, without a VMID.
        unsafe { Stage2::unnumbered(self.root, &self.geometry) }
    }

    /// Checks that a range is whole pages within the geometry.
    pub(crate) fn span(&self, ipa: Ipa, bytes: u64) -> Result<Span, MapError> {
        let granule = self.geometry.granule().bytes();
        if bytes == 0 || (ipa.0 | bytes) & (granule - 1) != 0 {
            return Err(MapError::NotWholePages { ipa, bytes });
        }
        match ipa.checked_add(bytes) {
            Some(end) if end <= self.geometry.ipa_end() => Ok(ipa.0..end.0),
            _ => Err(MapError::IpaTooWide(ipa)),
        }
    }

    /// Checks that memory starts at a page and is within the geometry.
    pub(crate) fn check_memory(&self, pa: Pa, bytes: u64) -> Result<(), MapError> {
        if !pa.is_aligned_to(self.geometry.granule().bytes()) {
            return Err(MapError::MisalignedPa(pa));
        }
        let reach = 1 << self.geometry.pa_bits();
        match pa.checked_add(bytes) {
            Some(end) if end.0 <= reach => Ok(()),
            _ => Err(MapError::PaTooWide(pa)),
        }
    }

    /// A table's entries: all of a lower one's, those in use of the root.
    pub(crate) fn entries(&self, table: Pa, level: i8) -> &[AtomicU64] {
        let count = if level == self.geometry.start_level() {
            self.geometry.root_entries()
        } else {
            1 << self.geometry.granule().stride()
        };
        // SAFETY: `table` is the root or was read from an entry of it, so it was allocated by
        // this table from the source beside `memory`, and cleared; it is released only by code
        // that has this table mutably, when the slice is gone.
        unsafe { memory::entries(&self.memory, table, count) }
    }

    /// What the entry at an index holds; nothing where there is none.
    pub(crate) fn word(&self, table: Pa, level: i8, index: usize) -> u64 {
        self.entries(table, level)
            .get(index)
            .map_or(0, |entry| entry.load(Relaxed))
    }

    /// The entry of `level` that translates `at`, and how many bytes one entry translates.
    pub(crate) fn entry(&self, table: Pa, level: i8, at: u64) -> Option<&AtomicU64> {
        self.entries(table, level).get(self.index(level, at))
    }

    /// The index, in a table of `level`, of the entry that translates `at`.
    pub(crate) fn index(&self, level: i8, at: u64) -> usize {
        let index = at >> self.geometry.granule().entry_shift(level);
        // The root may be several tables side by side, indexed through.
        let is_root = level == self.geometry.start_level();
        let table = (1 << self.geometry.granule().stride()) - 1;
        (if is_root { index } else { index & table }) as usize
    }

    /// A new table, all entries empty, linked nowhere.
    pub(crate) fn new_table(&mut self, ipa: u64) -> Result<Pa, MapError> {
        let bytes = self.geometry.granule().bytes();
        let table = self
            .frames
            .allocate(bytes)
            .ok_or(MapError::OutOfFrames(Ipa(ipa)))?;
        if !fits(&self.geometry, table, bytes) {
            self.frames.release(table, bytes);
            return Err(MapError::UnusableFrame(table));
        }
        // SAFETY: allocated just now, `bytes` long, from the source beside `memory`.
        unsafe { memory::clear(&self.memory, table, bytes) };
        Ok(table)
    }

    /// Gives back a tree of tables that was never linked.
    pub(crate) fn discard(&mut self, table: Pa, level: i8) {
        if level < 3 {
            for index in 0..self.entries(table, level).len() {
                let entry = self.word(table, level, index);
                if let Kind::Table(child) = self.format.kind(level, entry) {
                    self.discard(child, level + 1);
                }
            }
        }
        self.frames.release(table, self.geometry.granule().bytes());
    }

    /// Returns the first mapped address of the span.
    #[cfg(test)]
    pub(crate) fn first_mapped(&self, span: Span) -> Option<Ipa> {
        self.first_mapped_in(self.root, self.geometry.start_level(), span)
    }

    pub(crate) fn first_mapped_in(&self, table: Pa, level: i8, span: Span) -> Option<Ipa> {
        if level == 3 {
            return self.first_page(table, &span);
        }
        for piece in pieces(span, self.geometry.granule().entry_shift(level)) {
            let entry = self.entry(table, level, piece.start)?.load(Relaxed);
            match self.format.kind(level, entry) {
                Kind::Empty => {}
                Kind::Leaf => return Some(Ipa(piece.start)),
                Kind::Table(child) => {
                    let found = self.first_mapped_in(child, level + 1, piece);
                    if found.is_some() {
                        return found;
                    }
                }
            }
        }
        None
    }
}

/// Whether tables can point to `bytes` at `frame`.
fn fits(geometry: &Geometry, frame: Pa, bytes: u64) -> bool {
    frame.is_aligned_to(bytes) && frame.0 >> geometry.pa_bits() == 0
}

/// Cuts a span where entries of `1 << shift` bytes meet.
pub(crate) fn pieces(span: Span, shift: u32) -> impl Iterator<Item = Span> {
    let mut at = span.start;
    core::iter::from_fn(move || {
        if at >= span.end {
            return None;
        }
        let start = at;
        at = (((start >> shift) + 1) << shift).min(span.end);
        Some(start..at)
    })
}
