//! What a table owes: translations taken out of it that a CPU may still use.

use crate::{Geometry, table::Span};
use vcpu_regs::{Invalidate, Ipa, IpaRange, Pa};

/// What has been taken out of a table and may still be in use by a CPU.
#[derive(Debug)]
pub(crate) struct Debt {
    /// Entries were written, so that there is something to publish at least.
    owed: bool,
    /// What is to be invalidated; nothing for none. An [`IpaRange`], but in words of its own:
    /// each change writes it, and reads it back at once.
    range: Span,
    level: Option<i8>,
    leaves_only: bool,
    /// What the owed invalidation is about and a little more: all that was translated by an entry
    /// that changed. Nothing may become valid there before it is settled.
    broken: Span,
    /// Trees of tables no longer linked: a table and its level. Its first entry names the next.
    pub(crate) limbo: Option<(Pa, i8)>,
    /// Entries written but not valid before the invalidation: their number, and where they are.
    parked: usize,
    parked_span: Span,
}

impl Debt {
    pub(crate) const NONE: Self = Self {
        owed: false,
        range: 0..0,
        level: None,
        leaves_only: false,
        broken: 0..0,
        limbo: None,
        parked: 0,
        parked_span: 0..0,
    };

    /// New entries are to be made visible.
    pub(crate) fn owe_publish(&mut self) {
        self.owed = true;
    }

    /// Translations of a range are to be forgotten: leaves of a level, or what a table said.
    #[inline]
    pub(crate) fn owe(
        &mut self,
        geometry: &Geometry,
        range: Span,
        level: Option<i8>,
        broken: Span,
    ) {
        self.owed = true;
        if !self.range.is_empty() {
            return self.owe_more(geometry, range, level, broken);
        }
        (self.range, self.level, self.leaves_only) = (range, level, level.is_some());
        self.broken = broken;
    }

    fn owe_more(&mut self, geometry: &Geometry, range: Span, level: Option<i8>, broken: Span) {
        self.broken = around(&self.broken, broken);
        let more = ipa_range(geometry, &range, level, level.is_some());
        let both = self.ipa_range(geometry).join(more);
        self.range = both.start.0..both.start.0 + both.bytes;
        (self.level, self.leaves_only) = (both.level, both.leaves_only);
    }

    fn ipa_range(&self, geometry: &Geometry) -> IpaRange {
        ipa_range(geometry, &self.range, self.level, self.leaves_only)
    }

    /// What is to be carried out, if anything.
    #[inline]
    pub(crate) fn owed(&self, geometry: &Geometry) -> Option<Invalidate> {
        self.owed.then(|| {
            if self.range.is_empty() {
                Invalidate::Publish
            } else {
                Invalidate::Range(self.ipa_range(geometry))
            }
        })
    }

    pub(crate) fn is_owed(&self) -> bool {
        self.owed
    }

    /// It was carried out.
    #[inline]
    pub(crate) fn pay(&mut self) {
        self.owed = false;
        self.range = 0..0;
        self.broken = 0..0;
    }

    /// So many more entries are parked, in `span`.
    pub(crate) fn park(&mut self, span: Span, entries: usize) {
        if entries == 0 {
            return;
        }
        self.parked_span = if self.parked == 0 {
            span
        } else {
            around(&self.parked_span, span)
        };
        self.parked += entries;
    }

    /// Whether an old translation of some of `span` may still be in use.
    pub(crate) fn is_broken(&self, span: &Span) -> bool {
        span.start < self.broken.end && self.broken.start < span.end
    }

    /// So many parked entries were taken out again.
    pub(crate) fn unpark(&mut self, entries: usize) {
        self.parked = self.parked.saturating_sub(entries);
    }

    pub(crate) fn has_parked(&self) -> bool {
        self.parked > 0
    }

    /// Where entries are parked, if any are; from now on none is.
    pub(crate) fn take_parked(&mut self) -> Option<Span> {
        let any = core::mem::take(&mut self.parked) > 0;
        any.then(|| self.parked_span.clone())
    }
}

fn ipa_range(geometry: &Geometry, span: &Span, level: Option<i8>, leaves_only: bool) -> IpaRange {
    IpaRange {
        start: Ipa(span.start),
        bytes: span.end - span.start,
        granule: geometry.granule(),
        wide_descriptors: geometry.has_wide_descriptors(),
        level,
        leaves_only,
    }
}

/// The smallest span that holds both.
fn around(a: &Span, b: Span) -> Span {
    a.start.min(b.start)..a.end.max(b.end)
}
