//! The dirty log and the access flag, with a walker that writes descriptors where it may.

extern crate std;

use super::{
    hardware,
    rig::{A53, EVERYTHING, Memory},
};
use crate::{
    Attributes, Change, Geometry, MapError, Options, Request, Table, Walk,
    descriptor::{DIRTY_MODIFIER, S2AP_WRITE, VALID},
};
use core::sync::atomic::Ordering::Relaxed;
use proptest::prelude::*;
use std::{collections::BTreeSet, vec, vec::Vec};
use vcpu_regs::{Ipa, MemoryModel, Pa};

const PAGE: u64 = 4096;
const MIB2: u64 = 2 << 20;

type TestTable = Table<Memory, Memory>;

fn settle(change: Change<'_, Memory, Memory>) {
    // SAFETY: the walker of the test is the only user of the table, and forgets what it is told.
    unsafe { change.settle(hardware::execute) }
}

/// A watched table with a 1 GiB block at 0, and 4 MiB of pages after it.
fn rig(model: MemoryModel, options: Options) -> (TestTable, Memory) {
    let request = Request {
        options,
        ..Request::exactly(36)
    };
    let geometry = Geometry::probe(&model, &request).unwrap();
    let memory = Memory::with_frames(2000);
    let mut table = Table::new(geometry, memory.clone(), memory.clone()).unwrap();
    hardware::watch(geometry, model, memory.clone(), table.root());
    // SAFETY: no guest runs in a test.
    settle(unsafe { table.map(Ipa(0), Pa(0), 1 << 30, Attributes::RAM) }.unwrap());
    // SAFETY: no guest runs in a test.
    settle(unsafe { table.map(Ipa(1 << 30), Pa(PAGE), 2 * MIB2, Attributes::RAM) }.unwrap());
    (table, memory)
}

/// A guest writes: hardware makes the page writable if it may, or the write faults and the host
/// answers. Whether it succeeded.
fn write(table: &mut TestTable, at: u64) -> bool {
    let hardware = table.geometry().options().contains(Options::DIRTY);
    let (mut writable, mut updated) = (false, false);
    let page = at & !(PAGE - 1);
    table.visit(
        table.root,
        table.geometry.start_level(),
        page..page + PAGE,
        &mut |entry, _, _| {
            let word = entry.load(Relaxed);
            assert!(word & VALID != 0);
            writable = word & S2AP_WRITE != 0;
            if !writable && hardware && word & DIRTY_MODIFIER != 0 {
                entry.store(word | S2AP_WRITE, Relaxed);
                hardware::observe(entry, word | S2AP_WRITE);
                updated = true;
            }
        },
    );
    if writable || updated {
        return true;
    }
    assert!(!hardware, "hardware had no need to fault");
    match table.log_write(Ipa(at)) {
        Some(change) => settle(change),
        None => return false,
    }
    matches!(table.walk(Ipa(at)), Walk::Mapped(leaf) if leaf.attributes == Attributes::RAM)
}

/// Pages, by number from `start`, whose bits are set.
fn pages(bitmap: &[u64]) -> BTreeSet<u64> {
    (0..bitmap.len() as u64 * 64)
        .filter(|&page| bitmap[(page / 64) as usize] >> (page % 64) & 1 != 0)
        .collect()
}

fn harvest(table: &mut TestTable, start: u64, bytes: u64) -> BTreeSet<u64> {
    let mut bitmap = vec![0; (bytes / PAGE).div_ceil(64) as usize];
    settle(table.harvest_dirty(Ipa(start), bytes, &mut bitmap).unwrap());
    pages(&bitmap)
}

/// Rounds of writes, each harvested: exactly what was written since the last round.
fn log_reports_writes(model: MemoryModel, options: Options, rounds: &[Vec<u64>]) {
    let (mut table, memory) = rig(model, options);
    // From the middle of the block to the middle of the pages.
    let (start, bytes) = ((1 << 30) - MIB2 - 3 * PAGE, MIB2 + 300 * PAGE);
    settle(table.start_log(Ipa(start), bytes).unwrap());
    assert_eq!(harvest(&mut table, start, bytes), BTreeSet::new());
    for round in rounds {
        for page in round {
            assert!(write(&mut table, start + page * PAGE + 8));
        }
        let written = round
            .iter()
            .copied()
            .filter(|page| *page < bytes / PAGE)
            .collect();
        assert_eq!(harvest(&mut table, start, bytes), written);
    }
    settle(table.stop_log(Ipa(start), bytes).unwrap());
    settle(table.merge(Ipa(0), 2 << 30).unwrap());
    assert!(matches!(table.walk(Ipa(start)), Walk::Mapped(leaf) if leaf.level == 1));
    assert_eq!(memory.in_use(), 4, "the block is whole again");
    hardware::unwatch();
}

proptest! {
    #![proptest_config(super::cases(12))]

    #[test]
    fn faults_fill_the_log(rounds in prop::collection::vec(
        prop::collection::vec(0..900u64, 0..20), 1..5)) {
        log_reports_writes(A53, Options::empty(), &rounds);
    }

    #[test]
    fn hardware_fills_the_log(rounds in prop::collection::vec(
        prop::collection::vec(0..900u64, 0..20), 1..5)) {
        log_reports_writes(EVERYTHING, Options::DIRTY | Options::CONTIGUOUS, &rounds);
    }
}

/// A CPU writes each page just when its access flag is about to be cleared.
#[test]
fn what_a_walk_records_meanwhile_is_kept() {
    let (mut table, _) = rig(EVERYTHING, Options::DIRTY);
    let (start, bytes) = (1 << 30, 300 * PAGE);
    settle(table.start_log(Ipa(start), bytes).unwrap());
    let mut bitmap = [0; 5];
    hardware::race_with(Options::ACCESS_FLAG | Options::DIRTY);
    settle(
        table
            .harvest_accessed(Ipa(start), bytes, &mut bitmap)
            .unwrap(),
    );
    // Each is dirty now, and its flag is clear: the walk sets it again.
    let dirty = harvest(&mut table, start, bytes);
    hardware::race_with(Options::empty());
    assert_eq!(dirty, (0..300).collect());
    bitmap = [0; 5];
    settle(
        table
            .harvest_accessed(Ipa(start), bytes, &mut bitmap)
            .unwrap(),
    );
    assert_eq!(pages(&bitmap), (0..300).collect());
    hardware::unwatch();
}

#[test]
fn read_only_pages_are_not_logged_and_stay_read_only() {
    let (mut table, _) = rig(A53, Options::empty());
    // SAFETY: no guest runs in a test.
    settle(unsafe { table.protect(Ipa(0), MIB2, Attributes::RAM.read_only()) }.unwrap());
    settle(table.start_log(Ipa(0), 2 * MIB2).unwrap());
    assert!(!write(&mut table, 0));
    assert!(write(&mut table, MIB2));
    // Under the log, an attribute that changes keeps what is known.
    let no_execute = Attributes::RAM.no_execute();
    // SAFETY: no guest runs in a test.
    settle(unsafe { table.protect(Ipa(MIB2), 2 * PAGE, no_execute) }.unwrap());
    let Walk::Mapped(dirty) = table.walk(Ipa(MIB2)) else {
        panic!()
    };
    assert_eq!((dirty.attributes, dirty.logged), (no_execute, true));
    let Walk::Mapped(clean) = table.walk(Ipa(MIB2 + PAGE)) else {
        panic!()
    };
    assert_eq!(
        (clean.attributes, clean.logged),
        (no_execute.read_only(), true)
    );
    assert_eq!(harvest(&mut table, 0, 2 * MIB2), [512].into());
    hardware::unwatch();
}

#[test]
fn exhaustion_logs_nothing() {
    let (mut table, memory) = rig(A53, Options::empty());
    memory.set_left(100);
    let result = table.start_log(Ipa(0), 1 << 30).map(Change::defer);
    assert!(matches!(result, Err(MapError::OutOfFrames(_))));
    if let Some(change) = table.owed() {
        settle(change);
    }
    assert!(matches!(table.walk(Ipa(5 * MIB2)), Walk::Mapped(leaf) if !leaf.logged));
    hardware::unwatch();
}

#[test]
fn access_flags_are_reported_by_page_and_cleared() {
    let (mut table, _) = rig(A53, Options::empty());
    let (start, bytes) = ((1 << 30) - 2 * PAGE, 6 * PAGE);
    let mut bitmap = [0];
    settle(
        table
            .harvest_accessed(Ipa(start), bytes, &mut bitmap)
            .unwrap(),
    );
    assert_eq!(bitmap, [0b11_1111], "two pages of the block, four pages");
    settle(table.touch(Ipa(start + 5 * PAGE + 1)).unwrap());
    settle(table.touch(Ipa(start)).unwrap());
    bitmap = [0];
    settle(
        table
            .harvest_accessed(Ipa(start), bytes, &mut bitmap)
            .unwrap(),
    );
    assert_eq!(bitmap, [0b10_0011]);
    assert!(table.touch(Ipa(3 << 30)).is_none());
    assert!(table.touch(Ipa(1 << 40)).is_none());
    let small = table
        .harvest_dirty(Ipa(0), 65 * PAGE, &mut bitmap)
        .map(Change::defer);
    assert_eq!(
        small,
        Err(MapError::BitmapTooSmall {
            words: 1,
            needed: 2
        })
    );
    hardware::unwatch();
}
