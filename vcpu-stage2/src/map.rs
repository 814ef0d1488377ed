//! Mapping: leaves into what is empty, as large as they may be.

use crate::{
    AddressMap, Attributes, Change, FrameSource, MapError, Options, Table,
    descriptor::{CONTIGUOUS, Kind, PARKED, VALID},
    memory,
    table::{Span, pieces},
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vcpu_regs::{Ipa, Pa};

impl<F: FrameSource, M: AddressMap> Table<F, M> {
    /// Maps `bytes` from `ipa` to the memory from `pa`, with the largest blocks both allow.
    ///
    /// All of the range must be unmapped. On an error nothing is mapped.
    ///
    /// # Safety
    ///
    /// From now until the range is unmapped and that change is settled, a guest may do with this
    /// physical memory what `attributes` allow.
    pub unsafe fn map(
        &mut self,
        ipa: Ipa,
        pa: Pa,
        bytes: u64,
        attributes: Attributes,
    ) -> Result<Change<'_, F, M>, MapError> {
        let span = self.span(ipa, bytes)?;
        self.check_memory(pa, bytes)?;
        let bits = self.bits(&attributes)?;
        let (table, level) = self.descend(&span);
        // A TLB may still hold what was here: not before it has forgotten.
        let park = self.debt.is_broken(&span);
        let hint = self.geometry.options().contains(Options::CONTIGUOUS)
            && bytes >= self.geometry.group_bytes(3);
        if level == 3 && !park && !hint {
            self.map_pages(table, &span, pa, bits)?;
            self.debt.owe_publish();
            return Ok(Change::new(self));
        }
        if let Some(taken) = self.first_mapped_in(table, level, span.clone()) {
            return Err(MapError::Occupied(taken));
        }
        let leaves = Leaves {
            start: span.start,
            pa: pa.0,
            bits,
        };
        if let Err(failure) = self.fill(table, level, span.clone(), leaves, park) {
            // The pages before it are new: unmapping them splits nothing, so it cannot fail.
            self.clear_span(span.start..failure.reached);
            return Err(failure.error);
        }
        self.debt.owe_publish();
        Ok(Change::new(self))
    }

    /// Returns the descriptor bits of `attributes`.
    pub(crate) fn bits(&self, attributes: &Attributes) -> Result<u64, MapError> {
        self.format
            .encode(attributes)
            .ok_or(MapError::NeedsXnx(attributes.execute))
    }

    /// Puts a descriptor into an empty entry, for walks to see now or after the invalidation.
    fn enter(&self, entry: &AtomicU64, descriptor: u64, park: bool) {
        memory::publish(
            entry,
            if park {
                descriptor & !VALID | PARKED
            } else {
                descriptor
            },
        );
    }

    /// Writes leaves for a span of which nothing is mapped.
    fn fill(
        &mut self,
        table: Pa,
        level: i8,
        span: Span,
        leaves: Leaves,
        park: bool,
    ) -> Result<(), Failure> {
        let shift = self.geometry.granule().entry_shift(level);
        let may_be_leaf = self.geometry.has_leaf_at(level);
        let group = self.geometry.group_bytes(level);
        let whole_groups = (span.start + (group - 1)) & !(group - 1)..span.end & !(group - 1);
        let hint = self.geometry.options().contains(Options::CONTIGUOUS) && group > 1 << shift;
        let grouped = |at, pa| hint && whole_groups.contains(&at) && (at ^ pa) & (group - 1) == 0;
        let size_mask = (1 << shift) - 1;
        let whole = (span.start | span.end | leaves.pa(span.start)) & size_mask == 0;
        if may_be_leaf && whole && !hint && !park && self.fill_leaves(table, level, &span, leaves) {
            return Ok(());
        }
        for piece in pieces(span, shift) {
            let at = piece.start;
            let pa = leaves.pa(at);
            let fail = |error| Failure { reached: at, error };
            let Some(entry) = self.entry(table, level, at) else {
                continue;
            };
            let kind = self.format.kind(level, entry.load(Relaxed));
            let whole = piece.end - at == 1 << shift && pa & ((1 << shift) - 1) == 0;
            match kind {
                Kind::Empty if whole && may_be_leaf => {
                    let hint = if grouped(at, pa) { CONTIGUOUS } else { 0 };
                    self.enter(entry, self.format.leaf(level, pa, leaves.bits | hint), park);
                    self.debt.park(piece, usize::from(park));
                }
                // Filled before it is linked: walks see all of it or nothing.
                Kind::Empty => {
                    let child = self.new_table(at).map_err(fail)?;
                    if let Err(failure) = self.fill(child, level + 1, piece.clone(), leaves, false)
                    {
                        self.discard(child, level + 1);
                        return Err(fail(failure.error));
                    }
                    if let Some(entry) = self.entry(table, level, at) {
                        self.enter(entry, self.format.table(child), park);
                    }
                    self.debt.park(piece, usize::from(park));
                }
                Kind::Table(child) => self.fill(child, level + 1, piece, leaves, park)?,
                Kind::Leaf => return Err(fail(MapError::Occupied(Ipa(at)))),
            }
        }
        Ok(())
    }

    /// [`fill`](Self::fill), where it has least to decide and most to do: one leaf an entry.
    /// Whether it could: no entry holds a table, which would be empty.
    fn fill_leaves(&self, table: Pa, level: i8, span: &Span, leaves: Leaves) -> bool {
        let first = self.index(level, span.start);
        let shift = self.geometry.granule().entry_shift(level);
        let count = ((span.end - span.start) >> shift) as usize;
        let Some(entries) = self.entries(table, level).get(first..first + count) else {
            return false;
        };
        if level < 3 && entries.iter().any(|entry| entry.load(Relaxed) != 0) {
            return false;
        }
        for (at, entry) in span.clone().step_by(1 << shift).zip(entries) {
            memory::store(entry, self.format.leaf(level, leaves.pa(at), leaves.bits));
        }
        true
    }
}

/// Leaves to write: where they start, what they map to, their attribute bits.
#[derive(Clone, Copy)]
struct Leaves {
    start: u64,
    pa: u64,
    bits: u64,
}

impl Leaves {
    fn pa(&self, at: u64) -> u64 {
        self.pa + (at - self.start)
    }
}

/// Why a fill stopped, and up to where it got.
struct Failure {
    reached: u64,
    error: MapError,
}
