//! A table walker and its TLB, as the architecture permits them to be at their worst.
//!
//! It watches every write to a table. It caches at once whatever becomes reachable, walks on in
//! tables that were unlinked for as long as it was not told to forget them, and forgets only what
//! a TLBI names. It panics where a change needed break-before-make and did not have it, where a
//! table is released that it could still walk, and (when asked) where it holds what the table no
//! longer says.

extern crate std;

use super::rig::Memory;
use crate::{AddressMap, Geometry, Options, descriptor::Format, descriptor::Kind};
use core::{
    cell::{Cell, RefCell},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use vcpu_regs::{Invalidate, InvalidateStep, MemoryModel, Pa};

const VALID: u64 = 1;
const ACCESS_FLAG: u64 = 1 << 10;
const WRITABLE: u64 = 1 << 7;
const DIRTY_MODIFIER: u64 = 1 << 51;
const CONTIGUOUS: u64 = 1 << 52;
/// Address, memory type, shareability, contiguous hint: what may only change through invalid.
const IDENTITY: u64 = CONTIGUOUS | ((1 << 50) - 1) & !(3 << 6 | 1 << 10 | 3);

/// A leaf the TLB holds: by its first address and level.
type Cached = BTreeMap<(u64, i8), u64>;

#[derive(Debug)]
struct Walker {
    geometry: Geometry,
    format: Format,
    model: MemoryModel,
    memory: Memory,
    /// By host address of the table: physical address, level, first IPA. What it can walk.
    tables: BTreeMap<usize, BTreeSet<(u64, i8, u64)>>,
    leaves: Cached,
    root: Pa,
}

std::thread_local! {
    static WALKER: RefCell<Option<Walker>> = const { RefCell::new(None) };
    static RACE: Cell<Options> = const { Cell::new(Options::empty()) };
}

/// Starts watching the table at `root`.
pub fn watch(geometry: Geometry, model: MemoryModel, memory: Memory, root: Pa) {
    if cfg!(miri) {
        return; // it looks for faults of memory, and each walk would take it a second
    }
    let format = Format::new(&geometry);
    let mut walker = Walker {
        geometry,
        format,
        model,
        memory,
        tables: BTreeMap::new(),
        leaves: BTreeMap::new(),
        root,
    };
    walker.reach(root, geometry.start_level(), 0);
    WALKER.set(Some(walker));
}

/// Stops watching.
pub fn unwatch() {
    WALKER.set(None);
}

/// From now on, a walk by a CPU with these options comes between each look at a leaf and its change.
pub fn race_with(options: Options) {
    RACE.set(options);
}

/// The entry was read, and is to be changed: what walks may record in it, they record now.
pub fn race(entry: &AtomicU64) {
    let (options, word) = (RACE.get(), entry.load(Relaxed));
    let mut recorded = word;
    if options.contains(Options::ACCESS_FLAG) {
        recorded |= ACCESS_FLAG;
    }
    if options.contains(Options::DIRTY) && word & DIRTY_MODIFIER != 0 {
        recorded |= WRITABLE;
    }
    if word & VALID != 0 && recorded != word {
        observe(entry, recorded);
        entry.store(recorded, Relaxed);
    }
}

/// An entry is about to become `new`.
pub fn observe(entry: &AtomicU64, new: u64) {
    observe_update(entry, entry.load(Relaxed), new);
}

/// An entry becomes `new`.
pub fn observe_update(entry: &AtomicU64, _old: u64, new: u64) {
    let address = core::ptr::from_ref(entry).addr();
    WALKER.with_borrow_mut(|walker| {
        if let Some(walker) = walker {
            walker.write(address, new);
        }
    });
}

/// A frame goes back to its source.
pub fn observe_release(pointer: usize) {
    WALKER.with_borrow(|walker| {
        if let Some(walker) = walker {
            assert!(
                !walker.tables.contains_key(&pointer),
                "released a table still walked"
            );
        }
    });
}

/// Carries out an invalidation; afterwards nothing may be held that the table does not say.
pub fn execute(what: Invalidate) {
    WALKER.with_borrow_mut(|walker| {
        let Some(walker) = walker else { return };
        for step in what.steps(&walker.model) {
            walker.step(step);
        }
        walker.check_nothing_stale();
    });
}

impl Walker {
    fn table_entries(&self, pointer: usize, level: i8) -> usize {
        let count = if level == self.geometry.start_level() {
            self.geometry.root_entries()
        } else {
            1 << self.geometry.granule().stride()
        };
        assert_ne!(pointer, 0);
        count
    }

    fn shift(&self, level: i8) -> u32 {
        self.geometry.granule().entry_shift(level)
    }

    fn write(&mut self, address: usize, new: u64) {
        let Some((&pointer, views)) = self.tables.range(..=address).next_back() else {
            return;
        };
        let index = (address - pointer) / 8;
        let hits: Vec<_> = views.iter().copied().collect();
        for (_, level, base) in hits {
            if index < self.table_entries(pointer, level) {
                self.see(level, base + ((index as u64) << self.shift(level)), new);
            }
        }
    }

    /// A walk comes by an entry.
    fn see(&mut self, level: i8, ipa: u64, word: u64) {
        if word & VALID == 0 {
            return;
        }
        match self.format.kind(level, word) {
            Kind::Table(child) => self.reach(child, level + 1, ipa),
            _ => self.cache(level, ipa, word),
        }
    }

    fn reach(&mut self, table: Pa, level: i8, base: u64) {
        let pointer = self.memory.pointer(table);
        let address = pointer.as_ptr().addr();
        self.tables
            .entry(address)
            .or_default()
            .insert((table.0, level, base));
        for index in 0..self.table_entries(address, level) {
            // SAFETY: a table of the test, `index` within it; only this thread has it.
            let entry = unsafe { &*pointer.as_ptr().add(index).cast::<AtomicU64>() };
            self.see(
                level,
                base + ((index as u64) << self.shift(level)),
                entry.load(Relaxed),
            );
        }
    }

    fn cache(&mut self, level: i8, ipa: u64, word: u64) {
        if word & ACCESS_FLAG == 0 {
            return; // not permitted to be cached
        }
        let end = ipa + (1 << self.shift(level));
        let may_resize = self.geometry.break_before_make_level() >= 2;
        for (start, held_level) in self.held(ipa, end) {
            let held = self.leaves[&(start, held_level)];
            if held_level == level {
                assert_eq!(
                    held & IDENTITY,
                    word & IDENTITY,
                    "{ipa:#x} changed under a live translation"
                );
            } else {
                assert!(may_resize, "{ipa:#x} changed size under a live translation");
                let at = ipa.max(start);
                let here = self.format.pa(word, self.shift(level)).0 + (at - ipa);
                let there = self.format.pa(held, self.shift(held_level)).0 + (at - start);
                assert_eq!(here, there, "{at:#x} moved under a live translation");
            }
        }
        self.leaves.insert((ipa, level), word);
    }

    /// The leaves held that translate any of `start..end`.
    fn held(&self, start: u64, end: u64) -> Vec<(u64, i8)> {
        let around = (self.geometry.start_level()..=3)
            .map(|level| (start >> self.shift(level) << self.shift(level), level))
            .filter(|key| key.0 < start && self.leaves.contains_key(key));
        let inside = self
            .leaves
            .range((start, i8::MIN)..(end, i8::MIN))
            .map(|(&key, _)| key);
        around.chain(inside).collect()
    }

    fn step(&mut self, step: InvalidateStep) {
        use InvalidateStep::*;
        match step {
            Ipas2e1is(operand) => self.by_page(operand, false),
            Ipas2le1is(operand) => self.by_page(operand, true),
            Ripas2e1is(operand) => self.by_range(operand, false),
            Ripas2le1is(operand) => self.by_range(operand, true),
            Vmalls12e1is => self.forget(0, u64::MAX, 0, false),
            _ => {}
        }
    }

    fn by_page(&mut self, operand: u64, leaves_only: bool) {
        let start = (operand & 0xff_ffff_ffff) << 12;
        let level = if operand >> 46 & 3 == 0 {
            0
        } else {
            operand >> 44 & 3
        };
        self.forget(start, start + 1, level, leaves_only);
    }

    fn by_range(&mut self, operand: u64, leaves_only: bool) {
        let shift = match (self.geometry.has_wide_descriptors(), operand >> 46 & 3) {
            (true, _) => 16,
            (_, granule) => 10 + 2 * granule,
        };
        let start = (operand & 0x1f_ffff_ffff) << shift;
        let pages = ((operand >> 39 & 31) + 1) << (5 * (operand >> 44 & 3) + 1);
        let page = self.geometry.granule().shift();
        self.forget(
            start,
            start + (pages << page),
            operand >> 37 & 3,
            leaves_only,
        );
    }

    /// Drops what a TLBI for `start..end` must drop, and no more; `level` 0 means any.
    fn forget(&mut self, start: u64, end: u64, level: u64, leaves_only: bool) {
        let geometry = self.geometry;
        let shift = |level| geometry.granule().entry_shift(level);
        let named = |held: i8| level == 0 || i64::from(held) == level as i64;
        for key in self.held(start, end) {
            if named(key.1) {
                self.leaves.remove(&key);
            }
        }
        if leaves_only {
            return;
        }
        let root = self.root.0;
        self.tables.retain(|_, views| {
            views.retain(|&(pa, table_level, base)| {
                // A table translates as much as the entry above it.
                let span = 1u64 << shift(table_level - 1);
                pa == root || base >= end || base + span <= start || level != 0
            });
            !views.is_empty()
        });
    }

    fn check_nothing_stale(&mut self) {
        let mut fresh = Self {
            tables: BTreeMap::new(),
            leaves: BTreeMap::new(),
            memory: self.memory.clone(),
            ..*self
        };
        fresh.reach(self.root, self.geometry.start_level(), 0);
        for (key, word) in &self.leaves {
            assert_eq!(fresh.leaves.get(key), Some(word), "stale at {key:x?}");
        }
        for (address, views) in &self.tables {
            assert_eq!(fresh.tables.get(address), Some(views), "a stale table");
        }
        for (&(ipa, level), &word) in &fresh.leaves {
            let group = self.geometry.group_bytes(level);
            let first = ipa & !(group - 1);
            // An invalid access flag is not in the walker's hands, so not checked.
            if word & CONTIGUOUS == 0 || !fresh.leaves.contains_key(&(first, level)) {
                continue;
            }
            let offset = |word, ipa| self.format.pa(word, self.shift(level)).0.wrapping_sub(ipa);
            let leader = fresh.leaves[&(first, level)];
            assert_eq!(
                offset(word, ipa),
                offset(leader, first),
                "a broken group at {ipa:#x}"
            );
            assert!(
                leader & CONTIGUOUS != 0,
                "a group without its first leaf at {ipa:#x}"
            );
            let last = (first + group - (1 << self.shift(level)), level);
            let whole = fresh
                .leaves
                .get(&last)
                .is_some_and(|last| last & CONTIGUOUS != 0);
            assert!(whole, "a group without its last leaf at {ipa:#x}");
        }
        // Whatever is still linked is walked again at once.
        (self.leaves, self.tables) = (fresh.leaves, fresh.tables);
    }
}
