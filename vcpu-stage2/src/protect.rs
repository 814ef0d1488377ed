//! Changing what is mapped: attributes, memory behind it, size of its leaves.

use crate::{
    AddressMap, Attributes, Change, FrameSource, MapError, Table,
    descriptor::{CONTIGUOUS, Kind, LOGGED, PARKED, VALID},
    memory,
    table::{Span, pieces},
    track::keep_log,
};
use core::sync::atomic::Ordering::Relaxed;
use vcpu_regs::{Ipa, Pa};

impl<F: FrameSource, M: AddressMap> Table<F, M> {
    /// Gives `bytes` from `ipa`, all mapped, other attributes.
    ///
    /// Blocks that reach out of the range are split, which may need frames; on an error nothing
    /// has changed but the size of a leaf. Where the memory type changes, a guest finds the page
    /// missing until the change is settled ([`Walk::Changing`](crate::Walk::Changing)).
    ///
    /// # Safety
    ///
    /// As for [`map`](Self::map), with these attributes.
    pub unsafe fn protect(
        &mut self,
        ipa: Ipa,
        bytes: u64,
        attributes: Attributes,
    ) -> Result<Change<'_, F, M>, MapError> {
        let bits = self.bits(&attributes)?;
        let span = self.mapped_span(ipa, bytes)?;
        self.rewrite(span, &|_, pa| pa, bits);
        self.debt.owe_publish();
        Ok(Change::new(self))
    }

    /// Puts other memory and attributes behind `bytes` from `ipa`, all mapped: the second half
    /// of copy-on-write, after the copy.
    ///
    /// Until the change is settled, a guest finds the range missing
    /// ([`Walk::Changing`](crate::Walk::Changing)) and must try again. A block in the range whose
    /// new memory is not aligned to it is an error: nothing has changed but the size of a leaf.
    ///
    /// # Safety
    ///
    /// As for [`map`](Self::map); and what the guest could do with the old memory, it may until
    /// the change is settled.
    pub unsafe fn remap(
        &mut self,
        ipa: Ipa,
        pa: Pa,
        bytes: u64,
        attributes: Attributes,
    ) -> Result<Change<'_, F, M>, MapError> {
        let bits = self.bits(&attributes)?;
        self.check_memory(pa, bytes)?;
        let span = self.mapped_span(ipa, bytes)?;
        let place = |at: u64| pa.0 + (at - ipa.0);
        let (root, level) = (self.root, self.geometry.start_level());
        if let Some(at) = self.first_misplaced(root, level, span.clone(), &place) {
            return Err(MapError::MisalignedPa(Pa(place(at))));
        }
        self.rewrite(span, &|at, _| place(at), bits);
        self.debt.owe_publish();
        Ok(Change::new(self))
    }

    /// Makes blocks of tables that say no more than a block would, and drops empty ones, in the
    /// `bytes` from `ipa`: what is left of a dirty log, say. Never splits, so never fails for
    /// want of memory.
    pub fn merge(&mut self, ipa: Ipa, bytes: u64) -> Result<Change<'_, F, M>, MapError> {
        let span = self.span(ipa, bytes)?;
        self.merge_in(self.root, self.geometry.start_level(), span);
        self.debt.owe_publish();
        Ok(Change::new(self))
    }

    /// Checks that a range is all mapped, and makes leaves end at its edges.
    pub(crate) fn mapped_span(&mut self, ipa: Ipa, bytes: u64) -> Result<Span, MapError> {
        let span = self.span(ipa, bytes)?;
        let (root, level) = (self.root, self.geometry.start_level());
        if let Some(hole) = self.first_hole(root, level, span.clone()) {
            return Err(MapError::NotMapped(Ipa(hole)));
        }
        self.split_at(span.start)?;
        self.split_at(span.end)?;
        Ok(span)
    }

    fn first_hole(&self, table: Pa, level: i8, span: Span) -> Option<u64> {
        for piece in pieces(span, self.geometry.granule().entry_shift(level)) {
            let word = self.entry(table, level, piece.start)?.load(Relaxed);
            match self.format.kind(level, word) {
                Kind::Empty => return Some(piece.start),
                Kind::Leaf => {}
                Kind::Table(child) => {
                    let hole = self.first_hole(child, level + 1, piece);
                    if hole.is_some() {
                        return hole;
                    }
                }
            }
        }
        None
    }

    /// The first leaf that would not be aligned to its size at its new place.
    fn first_misplaced(
        &self,
        table: Pa,
        level: i8,
        span: Span,
        place: &impl Fn(u64) -> u64,
    ) -> Option<u64> {
        let shift = self.geometry.granule().entry_shift(level);
        for piece in pieces(span, shift) {
            let word = self.entry(table, level, piece.start)?.load(Relaxed);
            match self.format.kind(level, word) {
                Kind::Leaf if place(piece.start) & ((1 << shift) - 1) != 0 => {
                    return Some(piece.start);
                }
                Kind::Leaf | Kind::Empty => {}
                Kind::Table(child) => {
                    let found = self.first_misplaced(child, level + 1, piece, place);
                    if found.is_some() {
                        return found;
                    }
                }
            }
        }
        None
    }

    /// Writes each leaf of a span anew, its memory where `place` says; the edges cut none.
    fn rewrite(&mut self, span: Span, place: &impl Fn(u64, u64) -> u64, bits: u64) {
        let (root, level) = (self.root, self.geometry.start_level());
        self.rewrite_in(root, level, span, place, bits, true);
    }

    /// `live`: walks can reach the table. What they cannot is in no TLB, and owes nothing.
    fn rewrite_in(
        &mut self,
        table: Pa,
        level: i8,
        span: Span,
        place: &impl Fn(u64, u64) -> u64,
        bits: u64,
        live: bool,
    ) {
        let shift = self.geometry.granule().entry_shift(level);
        for piece in pieces(span, shift) {
            let Some(entry) = self.entry(table, level, piece.start) else {
                return;
            };
            let word = entry.load(Relaxed);
            match self.format.kind(level, word) {
                Kind::Empty => {}
                Kind::Table(child) => {
                    let live = live && word & PARKED == 0;
                    self.rewrite_in(child, level + 1, piece, place, bits, live);
                }
                Kind::Leaf => {
                    let pa = place(piece.start, self.format.pa(word, shift).0);
                    let new = self.format.leaf(level, pa, keep_log(word, bits));
                    if word & PARKED != 0 {
                        memory::store(entry, new & !VALID | PARKED);
                    } else if !live {
                        memory::store(entry, new);
                    } else if self.format.needs_break(word, new) {
                        let word = memory::take(entry);
                        memory::store(entry, keep_log(word, new) & !VALID | PARKED);
                        self.debt.park(piece.clone(), 1);
                        self.owe_leaves(piece, level);
                    } else if word != new {
                        memory::update(entry, self.format, |word| keep_log(word, new));
                        self.owe_leaves(piece, level);
                    }
                }
            }
        }
    }

    fn merge_in(&mut self, table: Pa, level: i8, span: Span) {
        let shift = self.geometry.granule().entry_shift(level);
        for piece in pieces(span, shift) {
            let Some(entry) = self.entry(table, level, piece.start) else {
                return;
            };
            let word = entry.load(Relaxed);
            let Kind::Table(child) = self.format.kind(level, word) else {
                continue;
            };
            self.merge_in(child, level + 1, piece.clone());
            if piece.end - piece.start != 1 << shift || word & PARKED != 0 {
                continue;
            }
            let merged = if self
                .entries(child, level + 1)
                .iter()
                .all(|e| e.load(Relaxed) == 0)
            {
                0
            } else if let Some(block) = self.as_block(child, level) {
                block
            } else {
                continue;
            };
            let Some(entry) = self.entry(table, level, piece.start) else {
                return;
            };
            memory::take(entry);
            if merged != 0 {
                memory::store(entry, merged & !VALID | PARKED);
                self.debt.park(piece.clone(), 1);
            }
            self.retire(child, level + 1);
            self.owe_table(piece, level);
        }
    }

    /// The block of `level` that says what all leaves of `child` say, if one can.
    fn as_block(&self, child: Pa, level: i8) -> Option<u64> {
        if !self.geometry.has_leaf_at(level) {
            return None;
        }
        let granule = self.geometry.granule();
        let (shift, below) = (granule.entry_shift(level), granule.entry_shift(level + 1));
        let leaves = self.entries(child, level + 1);
        let first = leaves.first()?.load(Relaxed);
        let pa = self.format.pa(first, below).0;
        let bits = self.format.attribute_bits(first, level + 1);
        let expected = |index: usize| {
            self.format
                .leaf(level + 1, pa + ((index as u64) << below), bits)
        };
        // Parked leaves count: the block will be parked too.
        let unhinted = |leaf: u64| leaf & !(CONTIGUOUS | PARKED) | VALID;
        let uniform = self.format.kind(level + 1, first) == Kind::Leaf
            && pa & ((1 << shift) - 1) == 0
            && bits & LOGGED == 0
            && leaves
                .iter()
                .enumerate()
                .all(|(index, leaf)| unhinted(leaf.load(Relaxed)) == expected(index));
        uniform.then(|| self.format.leaf(level, pa, bits))
    }
}
