//! The pages of one table, many at a time, without a walk from the root for each.

use crate::{
    AddressMap, FrameSource, MapError, Table,
    descriptor::{CONTIGUOUS, Kind, PARKED, VALID},
    memory,
    table::Span,
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vcpu_regs::{Ipa, Pa};

/// The table of pages that a change last led to: the next one is likely there too.
///
/// It is linked: what unlinks a table forgets it.
#[derive(Debug)]
pub(crate) struct Recent {
    /// What it translates; nothing for none.
    span: Span,
    table: Pa,
}

impl Recent {
    pub(crate) const NONE: Self = Self {
        span: 0..0,
        table: Pa(0),
    };

    fn translates(&self, span: &Span) -> bool {
        self.span.start <= span.start && span.end <= self.span.end
    }
}

impl<F: FrameSource, M: AddressMap> Table<F, M> {
    /// The lowest table that translates all of a span, and its level.
    #[inline]
    pub(crate) fn descend(&mut self, span: &Span) -> (Pa, i8) {
        if self.recent.translates(span) {
            (self.recent.table, 3)
        } else {
            self.descend_from_root(span)
        }
    }

    fn descend_from_root(&mut self, span: &Span) -> (Pa, i8) {
        let granule = self.geometry.granule();
        let (mut table, mut level) = (self.root, self.geometry.start_level());
        while level < 3 {
            let shift = granule.entry_shift(level);
            if span.start >> shift != span.end.saturating_sub(1) >> shift {
                return (table, level);
            }
            let Some(entry) = self.entry(table, level, span.start) else {
                return (table, level);
            };
            let Kind::Table(child) = self.format.kind(level, entry.load(Relaxed)) else {
                return (table, level);
            };
            (table, level) = (child, level + 1);
        }
        // A root of pages needs no walk.
        if self.geometry.start_level() < 3 {
            let bytes = 1 << granule.entry_shift(2);
            let start = span.start & !(bytes - 1);
            self.recent = Recent {
                span: start..start + bytes,
                table,
            };
        }
        (table, level)
    }

    /// The entries of a span in the table of pages that translates it.
    #[inline]
    pub(crate) fn page_entries(&self, table: Pa, span: &Span) -> &[AtomicU64] {
        let entries = self.entries(table, 3);
        let shift = self.geometry.granule().shift();
        // Tables have powers of two of entries, and a root of pages is indexed through.
        let first = (span.start >> shift) as usize & (entries.len() - 1);
        let count = ((span.end - span.start) >> shift) as usize;
        entries
            .get(first..)
            .and_then(|entries| entries.get(..count))
            .unwrap_or(&[])
    }

    /// The first mapped page of a span, in the table that translates it.
    pub(crate) fn first_page(&self, table: Pa, span: &Span) -> Option<Ipa> {
        let index = first_mapped(self.page_entries(table, span))?;
        Some(self.page_at(span, index))
    }

    fn page_at(&self, span: &Span, index: usize) -> Ipa {
        Ipa(span.start + ((index as u64) << self.geometry.granule().shift()))
    }

    /// Maps pages, none with the contiguous hint, in the table that translates them.
    #[inline]
    pub(crate) fn map_pages(
        &self,
        table: Pa,
        span: &Span,
        pa: Pa,
        bits: u64,
    ) -> Result<(), MapError> {
        let entries = self.page_entries(table, span);
        if let [entry] = entries
            && is_empty(entry)
        {
            // Page by page, neither loop is worth its set-up.
            memory::store(entry, self.format.leaf(3, pa.0, bits));
            return Ok(());
        }
        if let Some(index) = first_mapped(entries) {
            return Err(MapError::Occupied(self.page_at(span, index)));
        }
        let page = self.geometry.granule().bytes();
        let mut pa = pa.0;
        for entry in entries {
            memory::store(entry, self.format.leaf(3, pa, bits));
            pa += page;
        }
        Ok(())
    }

    /// Unmaps pages in the table that translates them. Whether that was all there was to do: not
    /// where an edge cuts a group of pages, and then nothing is done, nor where the table is
    /// empty now.
    pub(crate) fn clear_pages(&mut self, table: Pa, span: &Span) -> bool {
        let entries = self.page_entries(table, span);
        let group = self.geometry.group_bytes(3);
        let is_cut = |at: u64, entry: Option<&AtomicU64>| {
            at & (group - 1) != 0 && entry.is_some_and(|e| e.load(Relaxed) & CONTIGUOUS != 0)
        };
        if is_cut(span.start, entries.first()) || is_cut(span.end, entries.last()) {
            return false;
        }
        let taken = Taken::from(entries);
        let is_empty = self.is_empty(table, 3, span);
        self.owe_taken(span, &taken, true);
        !is_empty
    }

    /// Takes pages out of the table that translates them, which walks can reach if it is `live`.
    pub(crate) fn take_pages(&mut self, table: Pa, span: &Span, live: bool) {
        let taken = Taken::from(self.page_entries(table, span));
        self.owe_taken(span, &taken, live);
    }

    #[inline]
    fn owe_taken(&mut self, span: &Span, taken: &Taken, live: bool) {
        self.debt.unpark(taken.parked);
        if taken.count == 0 || !live {
            return;
        }
        let at = |index| self.page_at(span, index).0;
        let (start, end) = (at(taken.first), at(taken.end));
        if taken.end - taken.first == taken.count {
            self.owe_leaves(start..end, 3);
        } else {
            // With holes between: the range around both.
            let page = self.geometry.granule().bytes();
            self.owe_leaves(start..start + page, 3);
            self.owe_leaves(end - page..end, 3);
        }
    }
}

/// Leaves taken out of a run of entries.
struct Taken {
    count: usize,
    /// How many of them were parked.
    parked: usize,
    /// Index of the first, and after the last.
    first: usize,
    end: usize,
}

impl Taken {
    /// Empties the entries.
    #[inline]
    fn from(entries: &[AtomicU64]) -> Self {
        let mut taken = Self {
            count: 0,
            parked: 0,
            first: 0,
            end: 0,
        };
        for (index, entry) in entries.iter().enumerate() {
            let word = entry.load(Relaxed);
            if word & (VALID | PARKED) == 0 {
                continue;
            }
            // No exchange: what a walk still records in a leaf that goes, nobody asks for.
            memory::store(entry, 0);
            if taken.count == 0 {
                taken.first = index;
            }
            taken.count += 1;
            taken.parked += usize::from(word & PARKED != 0);
            taken.end = index + 1;
        }
        taken
    }
}

fn is_empty(entry: &AtomicU64) -> bool {
    entry.load(Relaxed) & (VALID | PARKED) == 0
}

/// The index of the first entry that is not empty.
fn first_mapped(entries: &[AtomicU64]) -> Option<usize> {
    entries.iter().position(|entry| !is_empty(entry))
}
