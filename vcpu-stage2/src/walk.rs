//! What a table says of an address, as hardware would find it.

use crate::{
    AddressMap, Attributes, FrameSource, Table,
    descriptor::{Kind, LOGGED, PARKED},
};
use core::sync::atomic::Ordering::Acquire;
use vcpu_regs::{Ipa, Pa};

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Walk {
    /// A leaf.
    Mapped(Leaf),
    /// Nothing: a translation fault at this level.
    Unmapped {
        /// Level of the empty entry.
        level: i8,
    },
    /// An entry that waits for an invalidation, a translation fault until then: a guest that
    /// faults here is right to try again once the change is settled.
    Changing {
        /// Level of the entry.
        level: i8,
    },
    /// An address beyond the IPA bits: a translation fault at the root.
    OutOfRange,
}

/// The translation of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Leaf {
    /// Where the address goes.
    pub pa: Pa,
    /// What is permitted, and how it is cached.
    pub attributes: Attributes,
    /// Whether a write that the attributes refuse is permitted after all, and to be logged
    /// ([`Table::log_write`]).
    pub logged: bool,
    /// Level of the leaf.
    pub level: i8,
    /// Bytes that the leaf translates.
    pub bytes: u64,
}

impl<F: FrameSource, M: AddressMap> Table<F, M> {
    /// Returns what a table walk finds for `ipa`.
    pub fn walk(&self, ipa: Ipa) -> Walk {
        if ipa >= self.geometry.ipa_end() {
            return Walk::OutOfRange;
        }
        let (mut table, mut level) = (self.root, self.geometry.start_level());
        loop {
            let Some(entry) = self.entry(table, level, ipa.0) else {
                return Walk::OutOfRange;
            };
            let word = entry.load(Acquire);
            if word & PARKED != 0 {
                return Walk::Changing { level };
            }
            match self.format.kind(level, word) {
                Kind::Empty => return Walk::Unmapped { level },
                Kind::Table(child) => (table, level) = (child, level + 1),
                Kind::Leaf => {
                    let shift = self.geometry.granule().entry_shift(level);
                    let offset = ipa.0 & ((1 << shift) - 1);
                    return Walk::Mapped(Leaf {
                        pa: Pa(self.format.pa(word, shift).0 + offset),
                        attributes: self.format.decode(word),
                        logged: word & LOGGED != 0,
                        level,
                        bytes: 1 << shift,
                    });
                }
            }
        }
    }
}
