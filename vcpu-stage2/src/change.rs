//! What a change of a table leaves to do: the debt, and the value that names it.

use crate::{
    AddressMap, FrameSource, Table,
    descriptor::{Kind, PARKED, VALID},
    memory,
    pages::Recent,
    table::{Span, pieces},
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vcpu_regs::{Invalidate, Pa};

/// In the first entry of a table in limbo: another follows, at this address and level (0 to 3).
/// Neither [`VALID`] nor [`PARKED`]: an empty entry to us, and to walks that still have the table
/// cached.
const ANOTHER: u64 = 1 << 1;
const LEVEL_SHIFT: u32 = 2;

/// A change of a table that CPUs may not have noticed yet.
///
/// Settle it before the memory it unmapped is used for something else, and before it is expected
/// to be in force. Dropping it, or [`defer`](Self::defer), loses nothing: the table still owes it,
/// and the next change names it too.
#[must_use = "guests may still use the old translation until this is settled"]
#[derive(Debug)]
pub struct Change<'t, F: FrameSource, M: AddressMap> {
    table: &'t mut Table<F, M>,
}

impl<'t, F: FrameSource, M: AddressMap> Change<'t, F, M> {
    pub(crate) fn new(table: &'t mut Table<F, M>) -> Self {
        Self { table }
    }

    /// Returns what must be invalidated: this change's part and what earlier ones left.
    pub fn what(&self) -> Invalidate {
        let Table { debt, geometry, .. } = &*self.table;
        debt.owed(geometry).unwrap_or(Invalidate::Publish)
    }

    /// Returns the root of the table that changed.
    pub fn root(&self) -> Pa {
        self.table.root
    }

    /// Leaves it owed, to settle several changes at once ([`Table::owed`]).
    pub fn defer(self) {}

    /// Settles it: has `execute` carry out what is owed, then completes the change, which gives
    /// back tables no longer used and makes valid what had to wait for the invalidation.
    ///
    /// `execute` is called once, or twice if entries became valid: the second time they are to
    /// be published.
    ///
    /// # Safety
    ///
    /// `execute` returns when the [steps](Invalidate::steps) of the value it is given have been
    /// carried out, for each VMID under which a CPU may have used the table; it may do nothing if
    /// no CPU has used it.
    pub unsafe fn settle(self, mut execute: impl FnMut(Invalidate)) {
        let table = self.table;
        let Some(owed) = table.debt.owed(&table.geometry) else {
            return;
        };
        execute(owed);
        table.debt.pay();
        if owed == Invalidate::Publish {
            return; // nothing was taken out, so nothing waits
        }
        let revived = table.revive_parked();
        table.release_limbo();
        if revived {
            execute(Invalidate::Publish);
        }
    }
}

impl<F: FrameSource, M: AddressMap> Table<F, M> {
    /// Returns what changes left to do, if anything: what was deferred, what was dropped, and what
    /// a change that failed had split before it did. Ask after an error too: until it is settled,
    /// a guest finds what was split missing ([`Walk::Changing`](crate::Walk::Changing)).
    pub fn owed(&mut self) -> Option<Change<'_, F, M>> {
        self.debt.is_owed().then_some(Change { table: self })
    }

    /// Gives every frame back to the source, and the source back.
    ///
    /// # Safety
    ///
    /// No CPU uses the table any more, and what TLBs held of its VMID has been invalidated.
    pub unsafe fn release(mut self) -> F {
        self.release_limbo();
        let (root, level) = (self.root, self.geometry.start_level());
        for index in 0..self.entries(root, level).len() {
            let entry = self.word(root, level, index);
            if let Kind::Table(child) = self.format.kind(level, entry) {
                self.discard(child, level + 1);
            }
        }
        self.frames.release(root, self.geometry.root_bytes());
        self.frames
    }

    /// Takes a tree of tables, just unlinked, out of use: released when the debt is settled.
    pub(crate) fn retire(&mut self, table: Pa, level: i8) {
        self.recent = Recent::NONE;
        if self.debt.has_parked() {
            let parked = self.parked_in(table, level);
            self.debt.unpark(parked);
        }
        self.shelve(table, level);
    }

    fn parked_in(&self, table: Pa, level: i8) -> usize {
        let count = |entry: &AtomicU64| {
            let word = entry.load(Relaxed);
            let below = match self.format.kind(level, word) {
                Kind::Table(child) => self.parked_in(child, level + 1),
                Kind::Empty | Kind::Leaf => 0,
            };
            below + usize::from(word & PARKED != 0)
        };
        self.entries(table, level).iter().map(count).sum()
    }

    /// Puts a tree into limbo. The tables of it stay linked to each other, but for the first of
    /// each: where that was is the link to what is in limbo already.
    fn shelve(&mut self, table: Pa, level: i8) {
        if let Kind::Table(child) = self.format.kind(level, self.word(table, level, 0)) {
            self.shelve(child, level + 1);
        }
        let next = match self.debt.limbo {
            Some((next, level)) => next.0 | (level as u64) << LEVEL_SHIFT | ANOTHER,
            None => 0,
        };
        if let Some(first) = self.entries(table, level).first() {
            memory::store(first, next);
        }
        self.debt.limbo = Some((table, level));
    }

    fn release_limbo(&mut self) {
        while let Some((table, level)) = self.debt.limbo {
            let next = self.word(table, level, 0);
            let next_level = next >> LEVEL_SHIFT & 3;
            let pa = Pa(next & !(ANOTHER | 3 << LEVEL_SHIFT));
            self.debt.limbo = (next & ANOTHER != 0).then_some((pa, next_level as i8));
            self.discard(table, level);
        }
    }

    /// Makes parked entries valid; whether there were any.
    fn revive_parked(&mut self) -> bool {
        let span = self.debt.take_parked();
        if let Some(span) = &span {
            self.revive_in(self.root, self.geometry.start_level(), span.clone());
        }
        span.is_some()
    }

    fn revive_in(&self, table: Pa, level: i8, span: Span) {
        for piece in pieces(span, self.geometry.granule().entry_shift(level)) {
            let Some(entry) = self.entry(table, level, piece.start) else {
                return;
            };
            let word = entry.load(Relaxed);
            // Bottom up: a table is complete before it can be walked.
            if let Kind::Table(child) = self.format.kind(level, word) {
                self.revive_in(child, level + 1, piece);
            }
            if word & PARKED != 0 {
                memory::publish(entry, word & !PARKED | VALID);
            }
        }
    }

    /// Notes that leaves of `level` in `span` changed.
    #[inline]
    pub(crate) fn owe_leaves(&mut self, span: Span, level: i8) {
        let broken = span.clone();
        self.debt.owe(&self.geometry, span, Some(level), broken);
    }

    /// Notes that a table is gone, with what it translated of `span`, by an entry of `level`.
    pub(crate) fn owe_table(&mut self, span: Span, level: i8) {
        let shift = self.geometry.granule().entry_shift(level);
        let start = span.start >> shift << shift;
        let broken = start..start + (1 << shift);
        self.debt.owe(&self.geometry, span, None, broken);
    }
}
