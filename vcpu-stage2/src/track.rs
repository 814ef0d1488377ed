//! Which pages a guest wrote or used: the dirty log and the access flag, harvested into bitmaps.
//!
//! A page under the log is write-protected until it is written. Hardware makes it writable by
//! itself where [`Options::DIRTY`] is in use; elsewhere the first write faults, and
//! [`Table::log_write`] does the same. Either way a page is dirty when it can be written, and
//! [`Table::harvest_dirty`] protects it again.

use crate::{
    AddressMap, Change, FrameSource, MapError, Options, Table,
    descriptor::{
        ACCESS_FLAG, CONTIGUOUS, DIRTY_MODIFIER, Format, Kind, LOGGED, PARKED, S2AP_WRITE, VALID,
    },
    memory,
    table::{Span, pieces},
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vcpu_regs::{Ipa, Pa};

/// Leaves that changed, for what is owed: the span around them, by level from -1.
#[derive(Default)]
pub(crate) struct Changed([Option<Span>; 5]);

impl Changed {
    pub(crate) fn note(&mut self, level: i8, leaf: &Span) {
        if let Some(span) = self.0.get_mut((level + 1) as usize) {
            *span = Some(match span.take() {
                None => leaf.clone(),
                Some(span) => span.start.min(leaf.start)..span.end.max(leaf.end),
            });
        }
    }
}

impl<F: FrameSource, M: AddressMap> Table<F, M> {
    /// Starts logging writes to what is mapped writable in `bytes` from `ipa`.
    ///
    /// Blocks become pages, which needs a frame each; on an error some may have, and nothing is
    /// logged. Writes are logged from when the change is settled.
    pub fn start_log(&mut self, ipa: Ipa, bytes: u64) -> Result<Change<'_, F, M>, MapError> {
        let span = self.span(ipa, bytes)?;
        self.split_at(span.start)?;
        self.split_at(span.end)?;
        self.split_all(self.root, self.geometry.start_level(), span.clone())?;
        let modifier = if self.geometry.options().contains(Options::DIRTY) {
            DIRTY_MODIFIER
        } else {
            0
        };
        self.update_leaves(span, |entry, format| {
            let word = entry.load(Relaxed);
            let logs = word & S2AP_WRITE != 0 && word & LOGGED == 0;
            if logs {
                memory::update(entry, format, |word| word & !S2AP_WRITE | LOGGED | modifier);
            }
            logs && word & VALID != 0
        });
        self.debt.owe_publish();
        Ok(Change::new(self))
    }

    /// Stops logging in `bytes` from `ipa`: pages under the log become writable. Harvest before,
    /// or what was written since is not told. [`merge`](Self::merge) makes blocks again.
    pub fn stop_log(&mut self, ipa: Ipa, bytes: u64) -> Result<Change<'_, F, M>, MapError> {
        let span = self.span(ipa, bytes)?;
        self.update_leaves(span, |entry, format| {
            let word = entry.load(Relaxed);
            if word & LOGGED != 0 {
                memory::update(entry, format, |word| {
                    word & !(LOGGED | DIRTY_MODIFIER) | S2AP_WRITE
                });
            }
            word & (LOGGED | VALID) == LOGGED | VALID && word & S2AP_WRITE == 0
        });
        self.debt.owe_publish();
        Ok(Change::new(self))
    }

    /// Answers a permission fault of a write at `ipa`: makes the page writable, and so dirty, if
    /// it is under the log. `None` if it is not: the write is not permitted.
    ///
    /// `Some` also where it is writable already, as after a fault that two CPUs took: the guest
    /// is to try again.
    pub fn log_write(&mut self, ipa: Ipa) -> Option<Change<'_, F, M>> {
        let span = self.page(ipa)?;
        let mut permitted = false;
        self.update_leaves(span, |entry, format| {
            let word = entry.load(Relaxed);
            permitted = word & (LOGGED | S2AP_WRITE) != 0;
            let logs = word & LOGGED != 0 && word & S2AP_WRITE == 0;
            if logs {
                memory::update(entry, format, |word| word | S2AP_WRITE);
            }
            logs && word & VALID != 0
        });
        if !permitted {
            return None;
        }
        self.debt.owe_publish();
        Some(Change::new(self))
    }

    /// Answers an access-flag fault at `ipa`: sets the flag. `None` if nothing is mapped there.
    ///
    /// No TLB holds a leaf without the flag: the change only needs publishing.
    pub fn touch(&mut self, ipa: Ipa) -> Option<Change<'_, F, M>> {
        let span = self.page(ipa)?;
        let mut mapped = false;
        self.update_leaves(span, |entry, format| {
            mapped = true;
            memory::update(entry, format, |word| word | ACCESS_FLAG);
            false
        });
        if !mapped {
            return None;
        }
        self.debt.owe_publish();
        Some(Change::new(self))
    }

    /// The page of an address, if it is within the geometry.
    fn page(&self, ipa: Ipa) -> Option<Span> {
        let bytes = self.geometry.granule().bytes();
        self.span(Ipa(ipa.0 & !(bytes - 1)), bytes).ok()
    }

    /// Calls `update` with every leaf of a span; `true` means that TLBs may hold what it was.
    fn update_leaves(&mut self, span: Span, mut update: impl FnMut(&AtomicU64, Format) -> bool) {
        let (mut changed, format) = (Changed::default(), self.format);
        self.visit(
            self.root,
            self.geometry.start_level(),
            span,
            &mut |entry, level, leaf| {
                if update(entry, format) {
                    changed.note(level, leaf);
                }
            },
        );
        self.owe_changed(changed);
    }

    /// Owes what is noted.
    pub(crate) fn owe_changed(&mut self, changed: Changed) {
        for (level, span) in (-1..).zip(changed.0) {
            if let Some(span) = span {
                self.owe_leaves(span, level);
            }
        }
    }

    /// Visits the leaves of a span, parked ones too, each with all that it translates.
    pub(crate) fn visit(
        &self,
        table: Pa,
        level: i8,
        span: Span,
        visit: &mut impl FnMut(&AtomicU64, i8, &Span),
    ) {
        let shift = self.geometry.granule().entry_shift(level);
        let first = self.index(level, span.start);
        let entries = self.entries(table, level).get(first..).unwrap_or(&[]);
        if level == 3 {
            for (start, entry) in span.step_by(1 << shift).zip(entries) {
                if entry.load(Relaxed) & (VALID | PARKED) != 0 {
                    visit(entry, level, &(start..start + (1 << shift)));
                }
            }
            return;
        }
        for (piece, entry) in pieces(span, shift).zip(entries) {
            let word = entry.load(Relaxed);
            match self.format.kind(level, word) {
                Kind::Empty => {}
                Kind::Table(child) => self.visit(child, level + 1, piece, visit),
                Kind::Leaf => {
                    let start = piece.start >> shift << shift;
                    visit(entry, level, &(start..start + (1 << shift)));
                }
            }
        }
    }

    /// Makes pages of all blocks in a span that cuts none.
    fn split_all(&mut self, table: Pa, level: i8, span: Span) -> Result<(), MapError> {
        let shift = self.geometry.granule().entry_shift(level);
        for piece in pieces(span, shift) {
            let at = piece.start;
            let Some(entry) = self.entry(table, level, at) else {
                return Ok(());
            };
            let mut word = entry.load(Relaxed);
            if word & CONTIGUOUS != 0 {
                self.dissolve(table, level, at);
                word = self
                    .entry(table, level, at)
                    .map_or(0, |entry| entry.load(Relaxed));
            }
            match self.format.kind(level, word) {
                Kind::Empty => {}
                Kind::Leaf if level == 3 => {}
                Kind::Leaf => {
                    let child = self.split_whole(level, word, at)?;
                    self.replace_block(table, level, at, child);
                }
                Kind::Table(child) => self.split_all(child, level + 1, piece)?,
            }
        }
        Ok(())
    }

    /// A table of pages, by way of tables, that translates as the block of `level` did.
    fn split_whole(&mut self, level: i8, block: u64, at: u64) -> Result<Pa, MapError> {
        let child = self.split(level, block, at)?;
        if level == 2 {
            return Ok(child);
        }
        for index in 0..self.entries(child, level + 1).len() {
            let block = self.word(child, level + 1, index);
            match self.split_whole(level + 1, block, at) {
                Ok(grandchild) => {
                    let table = self.format.table(grandchild);
                    if let Some(entry) = self.entries(child, level + 1).get(index) {
                        memory::store(entry, table);
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
}

/// The attribute bits of a leaf that takes the place of `old`, which may be under the log: it
/// stays there, dirty or not, if it is still writable.
pub(crate) const fn keep_log(old: u64, new: u64) -> u64 {
    if old & LOGGED == 0 || new & S2AP_WRITE == 0 {
        return new;
    }
    new & !S2AP_WRITE | old & (LOGGED | DIRTY_MODIFIER | S2AP_WRITE)
}
