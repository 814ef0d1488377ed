//! Mapping, unmapping and walking, case by case.

use super::rig::{A53, EVERYTHING, settle, table};
use crate::{Attributes, Execute, Leaf, MapError, Request, Walk};
use vcpu_regs::{Invalidate, Ipa, Pa, Vmid};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Maps in a table of a test.
macro_rules! map {
    ($table:expr, $ipa:expr, $pa:expr, $bytes:expr, $attributes:expr) => {
        // SAFETY: no guest runs in a test.
        unsafe { $table.map(Ipa($ipa), Pa($pa), $bytes, $attributes) }
    };
}

fn leaf(walk: Walk) -> Leaf {
    match walk {
        Walk::Mapped(leaf) => leaf,
        other => panic!("{other:?}"),
    }
}

#[test]
fn aligned_memory_takes_the_largest_blocks() {
    let (mut table, memory) = table(&A53, &Request::exactly(40));
    settle(map!(table, GIB, GIB, GIB + 2 * MIB + 4 * KIB, Attributes::RAM).unwrap());
    assert_eq!(leaf(table.walk(Ipa(GIB + 5))).level, 1);
    assert_eq!(leaf(table.walk(Ipa(2 * GIB))).level, 2);
    let page = leaf(table.walk(Ipa(2 * GIB + 2 * MIB + 7)));
    assert_eq!((page.level, page.pa), (3, Pa(2 * GIB + 2 * MIB + 7)));
    assert_eq!(
        table.walk(Ipa(2 * GIB + 2 * MIB + 4 * KIB)),
        Walk::Unmapped { level: 3 }
    );
    assert_eq!(memory.in_use(), 3, "root, level 2, level 3");
}

#[test]
fn misaligned_memory_takes_pages() {
    let (mut table, _) = table(&A53, &Request::exactly(40));
    settle(map!(table, 0, 4 * KIB, 2 * MIB, Attributes::RAM).unwrap());
    assert_eq!(leaf(table.walk(Ipa(MIB))).level, 3);
    assert_eq!(leaf(table.walk(Ipa(MIB))).pa, Pa(MIB + 4 * KIB));
}

#[test]
fn concatenated_root_reaches_the_last_page() {
    let (mut table, _) = table(&A53, &Request::MOST);
    assert_eq!(table.geometry().root_tables(), 2);
    let last = (1 << 40) - 4 * KIB;
    settle(map!(table, last, last, 4 * KIB, Attributes::DEVICE).unwrap());
    let page = leaf(table.walk(Ipa(last)));
    assert_eq!((page.pa, page.attributes), (Pa(last), Attributes::DEVICE));
    assert_eq!(table.walk(Ipa(1 << 40)), Walk::OutOfRange);
}

#[test]
fn errors_carry_the_address() {
    let (mut table, _) = table(&A53, &Request::exactly(40));
    let ram = Attributes::RAM;
    let error = |result: Result<crate::Change<'_, _, _>, _>| result.err();
    assert_eq!(
        error(map!(table, 1 << 40, 0, 4 * KIB, ram)),
        Some(MapError::IpaTooWide(Ipa(1 << 40)))
    );
    assert_eq!(
        error(map!(table, 0, 1 << 40, 4 * KIB, ram)),
        Some(MapError::PaTooWide(Pa(1 << 40)))
    );
    assert_eq!(
        error(map!(table, 0, 1, 4 * KIB, ram)),
        Some(MapError::MisalignedPa(Pa(1)))
    );
    let empty = MapError::NotWholePages {
        ipa: Ipa(0),
        bytes: 0,
    };
    assert_eq!(error(map!(table, 0, 0, 0, ram)), Some(empty));
    let el1_only = Attributes {
        execute: Execute::El1Only,
        ..ram
    };
    assert_eq!(
        error(map!(table, 0, 0, 4 * KIB, el1_only)),
        Some(MapError::NeedsXnx(Execute::El1Only))
    );
    settle(map!(table, MIB, 0, 4 * KIB, ram).unwrap());
    assert_eq!(
        error(map!(table, 0, 0, 2 * MIB, ram)),
        Some(MapError::Occupied(Ipa(MIB)))
    );
}

#[test]
fn unmapping_part_of_a_block_splits_it_behind_an_invalid_entry() {
    let (mut table, memory) = table(&A53, &Request::exactly(40));
    settle(map!(table, 0, 0, GIB, Attributes::RAM).unwrap());
    let change = table.unmap(Ipa(4 * KIB), 4 * KIB).unwrap();
    let Invalidate::Range(range) = change.what() else {
        panic!()
    };
    assert_eq!(
        (range.start, range.bytes),
        (Ipa(0), GIB),
        "the block was cached as a whole"
    );
    change.defer();
    assert_eq!(table.walk(Ipa(8 * KIB)), Walk::Changing { level: 1 });
    let mut executed = 0;
    // SAFETY: no CPU uses the table.
    unsafe { table.owed().unwrap().settle(|_| executed += 1) };
    assert_eq!(executed, 2, "the invalidation, then what became valid");
    assert_eq!(table.walk(Ipa(4 * KIB)), Walk::Unmapped { level: 3 });
    assert_eq!(leaf(table.walk(Ipa(0))).pa, Pa(0));
    assert_eq!(leaf(table.walk(Ipa(8 * KIB))).level, 3);
    assert_eq!(leaf(table.walk(Ipa(2 * MIB))).level, 2);
    assert_eq!(memory.in_use(), 3);
    settle(table.unmap(Ipa(0), GIB).unwrap());
    assert_eq!(memory.in_use(), 1, "only the root is left");
}

#[test]
fn bbm_level_1_splits_behind_an_invalid_entry() {
    let model = vcpu_regs::MemoryModel {
        mmfr2: 1 << 52,
        ..A53
    };
    let (mut table, _) = table(&model, &Request::exactly(40));
    assert_eq!(table.geometry().break_before_make_level(), 1);
    settle(map!(table, 0, 0, GIB, Attributes::RAM).unwrap());
    table.unmap(Ipa(4 * KIB), 4 * KIB).unwrap().defer();
    assert_eq!(table.walk(Ipa(8 * KIB)), Walk::Changing { level: 1 });
    settle(table.owed().unwrap());
    assert_eq!(leaf(table.walk(Ipa(8 * KIB))).level, 3);
}

#[test]
fn bbm_level_2_splits_at_once() {
    let (mut table, _) = table(&EVERYTHING, &Request::exactly(40));
    settle(map!(table, 0, 0, GIB, Attributes::RAM).unwrap());
    table.unmap(Ipa(4 * KIB), 4 * KIB).unwrap().defer();
    assert_eq!(leaf(table.walk(Ipa(8 * KIB))).level, 3);
}

#[test]
fn tables_are_released_only_when_the_change_is_settled() {
    let (mut table, memory) = table(&A53, &Request::exactly(40));
    settle(map!(table, 0, 4 * KIB, 4 * MIB, Attributes::RAM).unwrap());
    assert_eq!(memory.in_use(), 4);
    table.unmap(Ipa(0), 4 * MIB).unwrap().defer();
    assert_eq!(memory.in_use(), 4);
    settle(table.owed().unwrap());
    assert_eq!(memory.in_use(), 1);
    assert!(table.owed().is_none());
}

#[test]
fn exhaustion_maps_nothing_and_leaks_nothing() {
    for left in if cfg!(miri) { 3..5 } else { 0..5 } {
        let (mut table, memory) = table(&A53, &Request::exactly(40));
        memory.set_left(left);
        // One level-2 table and three level-3 tables.
        let result = map!(table, GIB, 4 * KIB, 6 * MIB, Attributes::RAM).err();
        if left == 4 {
            assert_eq!(result, None);
            continue;
        }
        assert!(
            matches!(result, Some(MapError::OutOfFrames(_))),
            "{left}: {result:?}"
        );
        if let Some(change) = table.owed() {
            settle(change);
        }
        assert_eq!(memory.in_use(), 1, "{left}");
        assert_eq!(table.first_mapped(0..1 << 40), None);
    }
}

#[test]
fn a_released_table_gives_every_frame_back() {
    let (mut table, memory) = table(&A53, &Request::exactly(40));
    settle(map!(table, GIB, 4 * KIB, 6 * MIB, Attributes::RAM).unwrap());
    table.unmap(Ipa(GIB), 2 * MIB).unwrap().defer();
    // SAFETY: no CPU uses the table.
    unsafe { table.release() };
    assert_eq!(memory.in_use(), 0);
}

#[test]
fn stage2_holds_the_registers_of_the_table() {
    let (table, _) = table(&A53, &Request::exactly(40));
    let vmid = Vmid::new(7).unwrap();
    // SAFETY: no guest runs in a test.
    let stage2 = unsafe { table.stage2(vmid) }.unwrap();
    assert_eq!(stage2.vtcr().bits(), 0x8002_3558);
    assert_eq!(stage2.vttbr().root(), table.root());
    assert_eq!(stage2.vttbr().vmid(), Some(vmid));
    // SAFETY: no guest runs in a test.
    let wide = unsafe { table.stage2(Vmid::new(0x100).unwrap()) };
    assert!(wide.is_err(), "cortex-a53 has 8 bits of VMID");
}
