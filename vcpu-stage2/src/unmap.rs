//! Taking mappings out of a table, and splitting blocks at the edges of a range.

use crate::{
    AddressMap, Change, FrameSource, MapError, Table,
    descriptor::{CONTIGUOUS, Kind, PARKED, VALID},
    memory,
    table::{Span, pieces},
};
use core::sync::atomic::Ordering::Relaxed;
use vcpu_regs::{Ipa, Pa};

impl<F: FrameSource, M: AddressMap> Table<F, M> {
    /// Unmaps `bytes` from `ipa`; what of it is not mapped stays so.
    ///
    /// A block that reaches out of the range is split, which may need frames; on an error nothing
    /// is unmapped. Until the change is settled, a guest may still use the memory, and may find
    /// what is left of a split block missing.
    pub fn unmap(&mut self, ipa: Ipa, bytes: u64) -> Result<Change<'_, F, M>, MapError> {
        let span = self.span(ipa, bytes)?;
        let (table, level) = self.descend(&span);
        if level < 3 || !self.clear_pages(table, &span) {
            self.split_at(span.start)?;
            self.split_at(span.end)?;
            self.clear_span(span);
        }
        self.debt.owe_publish();
        Ok(Change::new(self))
    }

    /// Unmaps a span whose edges cut no block.
    pub(crate) fn clear_span(&mut self, span: Span) {
        if !span.is_empty() {
            self.clear_in(self.root, self.geometry.start_level(), span, true);
        }
    }

    /// `live`: walks can reach the table. What they cannot is in no TLB, and owes nothing.
    fn clear_in(&mut self, table: Pa, level: i8, span: Span, live: bool) {
        if level == 3 {
            return self.take_pages(table, &span, live);
        }
        let shift = self.geometry.granule().entry_shift(level);
        // Adjacent leaves are owed together.
        let mut leaves = span.start..span.start;
        for piece in pieces(span, shift) {
            let Some(entry) = self.entry(table, level, piece.start) else {
                break;
            };
            let word = entry.load(Relaxed);
            let whole = piece.end - piece.start == 1 << shift;
            match self.format.kind(level, word) {
                Kind::Empty => {}
                Kind::Leaf => {
                    let word = memory::take(entry);
                    if word & PARKED != 0 {
                        self.debt.unpark(1);
                    }
                    if leaves.end != piece.start {
                        self.owe_cleared(leaves, level, live);
                        leaves = piece.start..piece.start;
                    }
                    leaves.end = piece.end;
                }
                Kind::Table(child) if whole => {
                    memory::take(entry);
                    if word & PARKED != 0 {
                        self.debt.unpark(1);
                    }
                    self.retire(child, level + 1);
                    self.owe_table(piece, level);
                }
                Kind::Table(child) => {
                    let live = live && word & PARKED == 0;
                    self.clear_in(child, level + 1, piece.clone(), live);
                    if self.is_empty(child, level + 1, &piece)
                        && let Some(entry) = self.entry(table, level, piece.start)
                    {
                        memory::take(entry);
                        if word & PARKED != 0 {
                            self.debt.unpark(1);
                        }
                        self.retire(child, level + 1);
                        self.owe_table(piece, level);
                    }
                }
            }
        }
        self.owe_cleared(leaves, level, live);
    }

    fn owe_cleared(&mut self, leaves: Span, level: i8, live: bool) {
        if live && !leaves.is_empty() {
            self.owe_leaves(leaves, level);
        }
    }

    /// Whether a table is empty; `cleared` is what was just taken out of it.
    pub(crate) fn is_empty(&self, table: Pa, level: i8, cleared: &Span) -> bool {
        let entries = self.entries(table, level);
        let empty = |entry: &core::sync::atomic::AtomicU64| entry.load(Relaxed) == 0;
        // Whoever unmaps page by page left the neighbour: look there first.
        let next = self.index(level, cleared.end);
        entries.get(next).is_none_or(empty) && entries.iter().all(empty)
    }

    /// Splits the block, if any, that `at` cuts in two, down to leaves that end there.
    pub(crate) fn split_at(&mut self, at: u64) -> Result<(), MapError> {
        let (mut table, mut level) = (self.root, self.geometry.start_level());
        loop {
            // The end of the address space has no entry, and cuts none.
            let Some(entry) = self.entry(table, level, at) else {
                return Ok(());
            };
            let mut word = entry.load(Relaxed);
            if word & CONTIGUOUS != 0 && at & (self.geometry.group_bytes(level) - 1) != 0 {
                self.dissolve(table, level, at);
                word = self
                    .entry(table, level, at)
                    .map_or(0, |entry| entry.load(Relaxed));
            }
            let kind = self.format.kind(level, word);
            if let Kind::Table(child) = kind {
                (table, level) = (child, level + 1);
                continue;
            }
            let inside = at & ((1 << self.geometry.granule().entry_shift(level)) - 1) != 0;
            if kind == Kind::Leaf && inside {
                let child = self.split(level, word, at)?;
                self.replace_block(table, level, at, child);
            }
            return Ok(());
        }
    }

    /// A table that translates as the block of `level` did, cut at `at`, linked nowhere.
    pub(crate) fn split(&mut self, level: i8, block: u64, at: u64) -> Result<Pa, MapError> {
        let granule = self.geometry.granule();
        let (shift, below) = (granule.entry_shift(level), granule.entry_shift(level + 1));
        let child = self.new_table(at)?;
        let pa = self.format.pa(block, shift).0;
        let bits = self.format.attribute_bits(block, level);
        for (index, entry) in self.entries(child, level + 1).iter().enumerate() {
            let pa = pa + ((index as u64) << below);
            memory::store(entry, self.format.leaf(level + 1, pa, bits));
        }
        if at & ((1 << below) - 1) != 0
            && let Some(entry) = self.entry(child, level + 1, at)
        {
            match self.split(level + 1, entry.load(Relaxed), at) {
                Ok(grandchild) => {
                    let word = self.format.table(grandchild);
                    if let Some(entry) = self.entry(child, level + 1, at) {
                        memory::store(entry, word);
                    }
                }
                Err(error) => {
                    self.discard(child, level + 1);
                    return Err(error);
                }
            }
        }
        Ok(child)
    }

    /// Takes the contiguous hint off the group of leaves around `at`, by way of invalid entries.
    pub(crate) fn dissolve(&mut self, table: Pa, level: i8, at: u64) {
        let group = self.geometry.group_bytes(level);
        let start = at & !(group - 1);
        let span = start..start + group;
        let mut parked = 0;
        for piece in pieces(span.clone(), self.geometry.granule().entry_shift(level)) {
            let Some(entry) = self.entry(table, level, piece.start) else {
                break;
            };
            let word = memory::take(entry);
            memory::store(entry, word & !(CONTIGUOUS | VALID) | PARKED);
            parked += usize::from(word & PARKED == 0);
        }
        self.debt.park(span.clone(), parked);
        self.owe_leaves(span, level);
    }

    /// Puts a table where a block is: at once with FEAT_BBM level 2, else by way of an invalid
    /// entry that becomes the table when the block is out of the TLBs.
    pub(crate) fn replace_block(&mut self, table: Pa, level: i8, at: u64, child: Pa) {
        let shift = self.geometry.granule().entry_shift(level);
        let start = at >> shift << shift;
        let span = start..start + (1 << shift);
        let replacement = self.format.table(child);
        let Some(entry) = self.entry(table, level, at) else {
            return;
        };
        let was_parked = entry.load(Relaxed) & PARKED != 0;
        let at_once = self.geometry.break_before_make_level() >= 2 && !self.debt.is_broken(&span);
        if !was_parked && at_once {
            memory::publish(entry, replacement);
        } else {
            memory::publish(entry, replacement & !VALID | PARKED);
            self.debt.park(span.clone(), usize::from(!was_parked));
        }
        self.owe_leaves(span, level);
    }
}
