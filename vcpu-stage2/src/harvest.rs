//! Flags of leaves, collected into a bitmap and cleared, a word of the bitmap at a time.

use crate::{
    AddressMap, Change, FrameSource, MapError, Table,
    descriptor::{ACCESS_FLAG, Format, Kind, LOGGED, S2AP_WRITE, VALID},
    memory,
    table::{Span, pieces},
    track::Changed,
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vcpu_regs::{Ipa, Pa};

/// What is collected, and what was found so far.
struct Harvest<'b> {
    /// A leaf that has all these bits is reported.
    all: u64,
    /// Its bits that are cleared.
    clear: u64,
    format: Format,
    /// log2 of the bytes a bit stands for.
    page_shift: u32,
    span: Span,
    bitmap: &'b mut [u64],
    changed: Changed,
}

impl<F: FrameSource, M: AddressMap> Table<F, M> {
    /// Reports the pages under the log that were written since the last time, and protects them
    /// again: sets bit n of `bitmap`, bit 0 of its first word first, for page n of the `bytes`
    /// from `ipa`. Other bits stay.
    ///
    /// Settle the change before reading the pages: until then a guest may still write them.
    pub fn harvest_dirty(
        &mut self,
        ipa: Ipa,
        bytes: u64,
        bitmap: &mut [u64],
    ) -> Result<Change<'_, F, M>, MapError> {
        self.harvest(ipa, bytes, bitmap, LOGGED | S2AP_WRITE, S2AP_WRITE)
    }

    /// Reports what was used since the last time, and clears its access flag: sets the bits of
    /// all pages of each leaf that had it, as [`harvest_dirty`](Self::harvest_dirty) does.
    ///
    /// The next use faults ([`touch`](Self::touch)), or sets the flag where
    /// [`Options::ACCESS_FLAG`](crate::Options::ACCESS_FLAG) is in use. Where an estimate is
    /// enough, the change may be deferred: a TLB may then use a page without setting its flag.
    pub fn harvest_accessed(
        &mut self,
        ipa: Ipa,
        bytes: u64,
        bitmap: &mut [u64],
    ) -> Result<Change<'_, F, M>, MapError> {
        self.harvest(ipa, bytes, bitmap, ACCESS_FLAG, ACCESS_FLAG)
    }

    fn harvest(
        &mut self,
        ipa: Ipa,
        bytes: u64,
        bitmap: &mut [u64],
        all: u64,
        clear: u64,
    ) -> Result<Change<'_, F, M>, MapError> {
        let span = self.span(ipa, bytes)?;
        let page_shift = self.geometry.granule().shift();
        let needed = (bytes >> page_shift).div_ceil(64);
        if (bitmap.len() as u64) < needed {
            return Err(MapError::BitmapTooSmall {
                words: bitmap.len(),
                needed,
            });
        }
        let mut harvest = Harvest {
            all,
            clear,
            format: self.format,
            page_shift,
            span: span.clone(),
            bitmap,
            changed: Changed::default(),
        };
        self.harvest_in(self.root, self.geometry.start_level(), span, &mut harvest);
        let changed = harvest.changed;
        self.owe_changed(changed);
        self.debt.owe_publish();
        Ok(Change::new(self))
    }

    fn harvest_in(&self, table: Pa, level: i8, span: Span, harvest: &mut Harvest<'_>) {
        if level == 3 {
            harvest.pages(self.page_entries(table, &span), span.start);
            return;
        }
        let shift = self.geometry.granule().entry_shift(level);
        for piece in pieces(span, shift) {
            let Some(entry) = self.entry(table, level, piece.start) else {
                return;
            };
            match self.format.kind(level, entry.load(Relaxed)) {
                Kind::Empty => {}
                Kind::Table(child) => self.harvest_in(child, level + 1, piece, harvest),
                Kind::Leaf => harvest.block(entry, level, shift, &piece),
            }
        }
    }
}

impl Harvest<'_> {
    /// A block, of which `piece` is within the span.
    fn block(&mut self, entry: &AtomicU64, level: i8, shift: u32, piece: &Span) {
        let word = entry.load(Relaxed);
        if word & self.all != self.all {
            return;
        }
        self.clear(entry);
        let first = (piece.start - self.span.start) >> self.page_shift;
        let end = (piece.end - self.span.start) >> self.page_shift;
        set_bits(self.bitmap, first, end);
        if word & VALID != 0 {
            let start = piece.start >> shift << shift;
            self.changed.note(level, &(start..start + (1 << shift)));
        }
    }

    /// Pages side by side, of which `start` is the first.
    fn pages(&mut self, mut entries: &[AtomicU64], mut start: u64) {
        while !entries.is_empty() {
            let page = (start - self.span.start) >> self.page_shift;
            // As many as this word of the bitmap has bits for.
            let room = 64 - page % 64;
            let (now, later) = entries
                .split_at_checked(room as usize)
                .unwrap_or((entries, &[]));
            let found = self.word(now, start);
            if let Some(word) = self.bitmap.get_mut((page / 64) as usize) {
                *word |= found << (page % 64);
            }
            start += (now.len() as u64) << self.page_shift;
            entries = later;
        }
    }

    /// Up to 64 pages: a bit for each that is reported.
    fn word(&mut self, entries: &[AtomicU64], start: u64) -> u64 {
        let mut found = 0;
        // Without a branch: which pages are dirty, nobody can predict.
        for entry in entries.iter().rev() {
            let word = entry.load(Relaxed);
            found = found << 1 | u64::from(word & self.all == self.all);
        }
        let (mut left, mut live) = (found, 0);
        while left != 0 {
            let index = left.trailing_zeros();
            if let Some(entry) = entries.get(index as usize) {
                live |= (self.clear(entry) & VALID) << index; // bit 0
            }
            left &= left - 1;
        }
        if live != 0 {
            let at = |index: u32| start + (u64::from(index) << self.page_shift);
            let end = at(64 - live.leading_zeros());
            self.changed.note(3, &(at(live.trailing_zeros())..end));
        }
        found
    }

    /// Returns what the leaf was.
    fn clear(&self, entry: &AtomicU64) -> u64 {
        memory::update(entry, self.format, |word| word & !self.clear)
    }
}

/// Sets bits `first..end`.
fn set_bits(bitmap: &mut [u64], first: u64, end: u64) {
    let mut at = first;
    while at < end {
        let count = (64 - at % 64).min(end - at);
        if let Some(word) = bitmap.get_mut((at / 64) as usize) {
            *word |= (u64::MAX >> (64 - count)) << (at % 64);
        }
        at += count;
    }
}
