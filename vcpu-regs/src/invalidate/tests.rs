extern crate std;
use super::{InvalidateStep::*, *};
use std::{vec, vec::Vec};

/// A CPU of the first generation, but not with a VPIPT instruction cache.
const PLAIN: MemoryModel = MemoryModel {
    mmfr0: 0x1122,
    mmfr1: 0,
    mmfr2: 0,
    mmfr3: 0,
    isar0: 0,
    ctr: 2 << 14,
};
const RANGES: MemoryModel = MemoryModel {
    isar0: 2 << 56,
    mmfr2: 1 << 48,
    ..PLAIN
};

fn range(start: u64, bytes: u64) -> IpaRange {
    IpaRange {
        start: Ipa(start),
        bytes,
        granule: Granule::Kib4,
        wide_descriptors: false,
        level: Some(3),
        leaves_only: true,
    }
}

fn steps(what: Invalidate, model: &MemoryModel) -> Vec<InvalidateStep> {
    what.steps(model).collect()
}

#[test]
fn one_page_goes_by_address_then_the_combined_entries() {
    let what = Invalidate::Range(range(0x4000_0000, 0x1000));
    let expect = vec![
        DsbIshst,
        Ipas2le1is(0x4_0000),
        DsbIsh,
        Vmalle1is,
        DsbIsh,
        Isb,
    ];
    assert_eq!(steps(what, &PLAIN), expect);
}

#[test]
fn level_hint_is_granule_and_level() {
    let what = Invalidate::Range(range(0x4000_0000, 0x1000));
    let model = MemoryModel { isar0: 0, ..RANGES };
    assert_eq!(steps(what, &model)[1], Ipas2le1is(0x7 << 44 | 0x4_0000));
}

#[test]
fn a_block_needs_one_tlbi_and_an_unknown_level_one_a_page() {
    let block = IpaRange {
        level: Some(2),
        ..range(0x4000_0000, 0x20_0000)
    };
    assert_eq!(steps(Invalidate::Range(block), &PLAIN).len(), 6);
    let unknown = IpaRange {
        level: None,
        ..block
    };
    assert_eq!(steps(Invalidate::Range(unknown), &PLAIN).len(), 5 + 512);
    let more = IpaRange {
        bytes: 0x20_1000,
        ..unknown
    };
    assert_eq!(
        steps(Invalidate::Range(more), &PLAIN),
        [DsbIshst, Vmalls12e1is, DsbIsh, Isb]
    );
}

#[test]
fn vpipt_icache_goes_too() {
    let vpipt = MemoryModel { ctr: 0, ..PLAIN };
    assert_eq!(
        steps(Invalidate::LocalVmid, &vpipt),
        [DsbNshst, Vmalle1, IcIallu, DsbNsh, Isb]
    );
    assert!(steps(Invalidate::Range(range(0, 0x1000)), &vpipt).contains(&IcIalluis));
}

/// Decodes range and page operands again and checks that the pages are covered exactly.
#[test]
fn range_operations_cover_every_page_once() {
    for pages in (1..200).chain([
        511,
        512,
        1023,
        4097,
        65535,
        65536,
        1 << 20,
        (1 << 21) - 1,
        1 << 21,
    ]) {
        for first in [0u64, 1, 15, 16, 0x4_0000] {
            for wide in [false, true] {
                let range = IpaRange {
                    wide_descriptors: wide,
                    ..range(first << 12, pages << 12)
                };
                let mut at = first;
                let mut count = 0;
                for step in Invalidate::Range(range).steps(&RANGES) {
                    match step {
                        Ipas2le1is(operand) => {
                            assert_eq!(operand & 0xff_ffff_ffff, at);
                            at += 1;
                        }
                        Ripas2le1is(operand) => {
                            let base = operand & 0x1f_ffff_ffff;
                            assert_eq!(if wide { base << 4 } else { base }, at);
                            assert_eq!(operand >> 46 & 3, 1, "4 KiB granule");
                            assert_eq!(operand >> 37 & 3, 3, "level 3");
                            at += ((operand >> 39 & 31) + 1) << (5 * (operand >> 44 & 3) + 1);
                        }
                        _ => continue,
                    }
                    count += 1;
                }
                assert_eq!(at, first + pages);
                assert!(count <= 40, "{pages} pages took {count}");
            }
        }
    }
}

#[test]
fn joined_ranges_hold_both_and_keep_only_common_hints() {
    let a = range(0x1000, 0x1000);
    let b = IpaRange {
        leaves_only: false,
        ..range(0x2000, 0x3000)
    };
    let joined = IpaRange {
        leaves_only: false,
        ..range(0x1000, 0x4000)
    };
    assert_eq!(
        Invalidate::Range(a).join(Invalidate::Range(b)),
        Some(Invalidate::Range(joined))
    );
    let far = Invalidate::Range(range(0x10_0000, 0x1000));
    let Some(Invalidate::Range(hull)) = far.join(Invalidate::Range(a)) else {
        panic!()
    };
    assert_eq!(
        (hull.start, hull.bytes, hull.level),
        (Ipa(0x1000), 0x10_0000, None)
    );
    assert_eq!(Invalidate::Publish.join(far), Some(far));
    assert_eq!(far.join(Invalidate::Vmid), Some(Invalidate::Vmid));
    assert_eq!(far.join(Invalidate::LocalAllVmids), None);
}
