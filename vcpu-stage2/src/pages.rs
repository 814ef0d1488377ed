//! The pages of one table, many at a time, without a walk from the root for each.

use crate::{
    AddressMap, FrameSource, Table,
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
    pub(crate) fn descend(&mut self, span: &Span) -> (Pa, i8) {
        if self.recent.translates(span) {
            return (self.recent.table, 3);
        }
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
    pub(crate) fn page_entries(&self, table: Pa, span: &Span) -> &[AtomicU64] {
        let first = self.index(3, span.start);
        let count = (span.end - span.start) >> self.geometry.granule().shift();
        self.entries(table, 3)
            .get(first..)
            .and_then(|entries| entries.get(..count as usize))
            .unwrap_or(&[])
    }

    /// The first mapped page of a span, in the table that translates it.
    pub(crate) fn first_page(&self, table: Pa, span: &Span) -> Option<Ipa> {
        let is_mapped = |entry: &AtomicU64| entry.load(Relaxed) & (VALID | PARKED) != 0;
        let index = self.page_entries(table, span).iter().position(is_mapped)?;
        let offset = (index as u64) << self.geometry.granule().shift();
        Some(Ipa(span.start + offset))
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
        self.take_pages(table, span);
        !self.is_empty(table, 3, span)
    }

    /// Takes pages out of the table that translates them.
    pub(crate) fn take_pages(&mut self, table: Pa, span: &Span) {
        let (mut taken, mut parked) = (0, 0);
        let (mut first, mut end) = (None, 0);
        for (index, entry) in self.page_entries(table, span).iter().enumerate() {
            let word = entry.load(Relaxed);
            if word & (VALID | PARKED) == 0 {
                continue;
            }
            // No exchange: what a walk still records in a leaf that goes, nobody asks for.
            memory::store(entry, 0);
            parked += usize::from(word & PARKED != 0);
            taken += 1;
            first.get_or_insert(index);
            end = index + 1;
        }
        let Some(first) = first else {
            return;
        };
        self.debt.unpark(parked);
        let shift = self.geometry.granule().shift();
        let at = |index: usize| span.start + ((index as u64) << shift);
        if end - first == taken {
            self.owe_leaves(at(first)..at(end), 3);
        } else {
            // With holes between: the range around both.
            self.owe_leaves(at(first)..at(first + 1), 3);
            self.owe_leaves(at(end - 1)..at(end), 3);
        }
    }
}
