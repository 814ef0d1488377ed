//! Random changes against a model of intervals, under a walker that caches all it can.

extern crate std;

use super::{
    hardware,
    model::Model,
    rig::{A53, EVERYTHING, Memory},
};
use crate::{
    Access, Attributes, Change, Execute, Geometry, MapError, MemoryType, Options, Request, Table,
    Walk,
};
use proptest::prelude::*;
use std::vec::Vec;
use vcpu_regs::{Granule, Invalidate, Ipa, MemoryModel, Pa};

#[derive(Clone, Debug)]
enum Operation {
    Map {
        at: u64,
        pages: u64,
        pa: u64,
        attributes: Attributes,
    },
    Unmap {
        at: u64,
        pages: u64,
    },
    Protect {
        at: u64,
        pages: u64,
        attributes: Attributes,
    },
    Remap {
        at: u64,
        pages: u64,
        pa: u64,
        attributes: Attributes,
    },
    Merge {
        at: u64,
        pages: u64,
    },
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let memory = prop_oneof![
        4 => Just(MemoryType::WriteBack),
        1 => Just(MemoryType::NonCacheable),
        1 => Just(MemoryType::DeviceNgnre),
    ];
    let access = prop_oneof![3 => Just(Access::READ_WRITE), 1 => Just(Access::READ)];
    let execute = prop_oneof![Just(Execute::Always), Just(Execute::Never)];
    (memory, access, execute, prop::bool::weighted(0.9)).prop_map(
        |(memory, access, execute, accessed)| Attributes {
            memory,
            access,
            execute,
            accessed,
        },
    )
}

/// Page numbers that lie near the edges of blocks of every size, in tables of `entries`.
fn page(entries: u64) -> impl Strategy<Value = u64> {
    let near = -2i64..=2;
    let far = prop_oneof![
        3 => (0..3u64).prop_map(move |n| n * entries),
        1 => (0..2u64).prop_map(move |n| n << 18),
        2 => (0..4u64).prop_map(|n| n * 16),
        1 => 0..3 * entries,
    ];
    (far, near).prop_map(|(far, near)| far.saturating_add_signed(near))
}

fn count(entries: u64) -> impl Strategy<Value = u64> {
    let entries = if cfg!(miri) { 8 } else { entries };
    prop_oneof![
        4 => 1..20u64,
        2 => (1..3u64).prop_map(move |n| n * entries),
        1 => Just(16u64),
        1 => 1..2 * entries,
    ]
}

fn operation(entries: u64) -> impl Strategy<Value = Operation> {
    let small = (page(entries), count(entries), page(entries));
    // Many blocks, of the level above where they can be.
    let blocks = if cfg!(miri) { 1 } else { (1 << 18) / entries };
    let large = (0..2u64, 1..3u64, 0..3u64)
        .prop_map(move |(at, n, pa)| (at * entries, n * blocks * entries, pa * entries));
    let place = prop_oneof![6 => small, 1 => large];
    (0..12u8, place, attributes()).prop_map(|(kind, (at, pages, pa), attributes)| match kind {
        0..5 => Operation::Map {
            at,
            pages,
            pa,
            attributes,
        },
        5..8 => Operation::Unmap { at, pages },
        8..10 => Operation::Protect {
            at,
            pages,
            attributes,
        },
        10 => Operation::Remap {
            at,
            pages,
            pa,
            attributes,
        },
        _ => Operation::Merge {
            at: 0,
            pages: at.max(1) * 2,
        },
    })
}

type TestTable = Table<Memory, Memory>;

/// Settles on the walker, checking that a second call only publishes.
fn settle(change: Change<'_, Memory, Memory>) {
    let mut calls = 0;
    let execute = |what| {
        calls += 1;
        assert!(calls == 1 || what == Invalidate::Publish);
        hardware::execute(what);
    };
    // SAFETY: the walker of the test is the only user of the table, and forgets what it is told.
    unsafe { change.settle(execute) }
}

/// Settles or defers, and says whether the change was made.
fn finish(
    result: Result<Change<'_, Memory, Memory>, MapError>,
    defer: bool,
) -> Result<(), MapError> {
    result.map(|change| {
        if defer {
            change.defer()
        } else {
            settle(change)
        }
    })
}

/// Applies an operation to both and compares the verdicts.
fn apply(
    table: &mut TestTable,
    model: &mut Model,
    operation: &Operation,
    defer: bool,
    may_exhaust: bool,
) {
    let shift = table.geometry().granule().shift();
    let range = |at: u64, pages: u64| (at << shift, (at + pages) << shift);
    match *operation {
        Operation::Map {
            at,
            pages,
            pa,
            attributes,
        } => {
            let (start, end) = range(at, pages);
            let taken = model.first_mapped(start, end);
            // SAFETY: no guest runs in a test.
            let result = unsafe { table.map(Ipa(start), Pa(pa << shift), end - start, attributes) };
            match (finish(result, defer), taken) {
                (Ok(()), None) => model.map(start, end, pa << shift, attributes),
                (Err(MapError::Occupied(at)), Some(taken)) => {
                    assert_eq!(at.0, taken.max(start));
                }
                (Err(MapError::OutOfFrames(_)), None) => assert!(may_exhaust),
                other => panic!("{operation:x?}: {other:x?}"),
            }
        }
        Operation::Unmap { at, pages } => {
            let (start, end) = range(at, pages);
            match finish(table.unmap(Ipa(start), end - start), defer) {
                Ok(()) => model.unmap(start, end),
                Err(error) => assert!(may_exhaust, "{error}"),
            }
        }
        Operation::Protect {
            at,
            pages,
            attributes,
        } => {
            let (start, end) = range(at, pages);
            let mapped = model.is_mapped(start, end);
            // SAFETY: no guest runs in a test.
            let result = unsafe { table.protect(Ipa(start), end - start, attributes) };
            match (finish(result, defer), mapped) {
                (Ok(()), true) => {
                    for at in model.within(start, end) {
                        model.runs.get_mut(&at).unwrap().2 = attributes;
                    }
                }
                (Err(MapError::NotMapped(hole)), false) => {
                    assert!((start..end).contains(&hole.0) && model.get(hole.0).is_none());
                }
                (Err(MapError::OutOfFrames(_)), true) => assert!(may_exhaust),
                other => panic!("{operation:x?}: {other:x?}"),
            }
        }
        Operation::Remap {
            at,
            pages,
            pa,
            attributes,
        } => {
            let (start, end) = range(at, pages);
            let mapped = model.is_mapped(start, end);
            // SAFETY: no guest runs in a test.
            let result =
                unsafe { table.remap(Ipa(start), Pa(pa << shift), end - start, attributes) };
            match (finish(result, defer), mapped) {
                (Ok(()), true) => {
                    model.unmap(start, end);
                    model.map(start, end, pa << shift, attributes);
                }
                (Err(MapError::NotMapped(_)), false) => {}
                (Err(MapError::MisalignedPa(_)), true) => {}
                (Err(MapError::OutOfFrames(_)), true) => assert!(may_exhaust),
                other => panic!("{operation:x?}: {other:x?}"),
            }
        }
        Operation::Merge { at, pages } => {
            let (start, end) = range(at, pages);
            finish(table.merge(Ipa(start), end - start), defer).unwrap();
        }
    }
}

/// Compares walks with the model, at the edges of everything.
fn compare(table: &TestTable, model: &Model, settled: bool) {
    let page = table.geometry().granule().bytes();
    let edges: Vec<u64> = model
        .runs
        .iter()
        .flat_map(|(&at, run)| [at, run.0])
        .collect();
    let near = edges
        .iter()
        .flat_map(|&at| [at.saturating_sub(page), at, at + page, at + 17 * page]);
    for at in near.chain([0, 0x1234_5000 & !(page - 1)]) {
        match (table.walk(Ipa(at + 5)), model.get(at)) {
            (Walk::Mapped(leaf), Some((pa, attributes))) => {
                assert_eq!(
                    (leaf.pa, leaf.attributes),
                    (Pa(pa + 5), attributes),
                    "{at:#x}"
                );
            }
            (Walk::Unmapped { .. }, None) => {}
            (Walk::Changing { .. }, _) if !settled => {}
            other => panic!("{at:#x}: {other:x?}"),
        }
    }
}

fn run(model_of: MemoryModel, request: Request, steps: &[(Operation, bool, Option<usize>)]) {
    let geometry = Geometry::probe(&model_of, &request).unwrap();
    let memory = Memory::with_frames(1000);
    let mut table = Table::new(geometry, memory.clone(), memory.clone()).unwrap();
    hardware::watch(geometry, model_of, memory.clone(), table.root());
    let mut model = Model::default();
    for (operation, defer, left) in steps {
        memory.set_left(left.unwrap_or(1000));
        apply(&mut table, &mut model, operation, *defer, left.is_some());
        let settled = table.owed().is_none();
        compare(&table, &model, settled);
    }
    if let Some(change) = table.owed() {
        settle(change);
    }
    compare(&table, &model, true);
    memory.set_left(1000);
    let all = table.geometry().ipa_end().0;
    settle(table.unmap(Ipa(0), all).unwrap());
    assert_eq!(memory.in_use(), 1, "a table leaked");
    hardware::unwatch();
}

fn steps(entries: u64) -> impl Strategy<Value = Vec<(Operation, bool, Option<usize>)>> {
    let left = prop_oneof![4 => Just(None), 1 => (0..4usize).prop_map(Some)];
    let length = if cfg!(miri) { 1..5 } else { 1..24 };
    prop::collection::vec(
        (operation(entries), prop::bool::weighted(0.3), left),
        length,
    )
}

proptest! {
    #![proptest_config(super::cases(30))]

    #[test]
    fn kib4_break_before_make(steps in steps(512)) {
        run(A53, Request::exactly(36), &steps);
    }

    #[test]
    fn kib4_contiguous_by_ranges(steps in steps(512)) {
        let request = Request { options: Options::CONTIGUOUS, ..Request::exactly(36) };
        let model = MemoryModel { mmfr2: 1 << 48, isar0: 2 << 56, ..A53 };
        run(model, request, &steps);
    }

    /// The walker takes nothing of it for granted: level 1 without its nT bit is level 0.
    #[test]
    fn kib4_bbm_level_1(steps in steps(512)) {
        let model = MemoryModel { mmfr2: 1 << 52, ..A53 };
        run(model, Request::exactly(34), &steps);
    }

    #[test]
    fn kib4_bbm_level_2(steps in steps(512)) {
        let model = MemoryModel { mmfr2: 2 << 52, ..A53 };
        run(model, Request::exactly(34), &steps);
    }

    #[test]
    fn kib4_wide_with_everything(steps in steps(512)) {
        let options = Options::all();
        run(EVERYTHING, Request { options, ..Request::exactly(52) }, &steps);
    }

    #[test]
    #[cfg_attr(miri, ignore = "large tables, the same code")]
    fn kib16(steps in steps(2048)) {
        let request = Request { granule: Some(Granule::Kib16), ..Request::exactly(39) };
        run(EVERYTHING, request, &steps);
    }

    #[test]
    #[cfg_attr(miri, ignore = "large tables, the same code")]
    fn kib64(steps in steps(8192)) {
        let request = Request { granule: Some(Granule::Kib64), ..Request::exactly(40) };
        run(A53, request, &steps);
    }
}

/// A block that was split, and is whole again, becomes a block again.
#[test]
fn merge_makes_a_block_of_equal_pages() {
    let model_of = A53;
    let geometry = Geometry::probe(&model_of, &Request::exactly(36)).unwrap();
    let memory = Memory::with_frames(10);
    let mut table = Table::new(geometry, memory.clone(), memory.clone()).unwrap();
    hardware::watch(geometry, model_of, memory.clone(), table.root());
    let (ram, mib2) = (Attributes::RAM, 2 << 20);
    // SAFETY: no guest runs in a test.
    settle(unsafe { table.map(Ipa(0), Pa(0), mib2, ram) }.unwrap());
    // SAFETY: no guest runs in a test.
    settle(unsafe { table.protect(Ipa(0x1000), 0x1000, ram.read_only()) }.unwrap());
    settle(table.merge(Ipa(0), mib2).unwrap());
    assert_eq!(memory.in_use(), 3, "one page differs");
    // SAFETY: no guest runs in a test.
    settle(unsafe { table.protect(Ipa(0x1000), 0x1000, ram) }.unwrap());
    settle(table.merge(Ipa(0), mib2).unwrap());
    assert_eq!(memory.in_use(), 2);
    assert!(matches!(table.walk(Ipa(0x1234)), Walk::Mapped(leaf) if leaf.level == 2));
    hardware::unwatch();
}
