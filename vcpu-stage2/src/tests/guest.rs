//! Walks of a guest's tables, alone and through ours; the table in words.

extern crate std;

use super::rig::{A53, settle, table};
use crate::{
    Access, Attributes, GuestWalk, Permissions, Request, Stage1, Stage1Fault, Stage1Leaf, Walk,
};
use aarch64_paging::{
    Mapping,
    descriptor::{El1Attributes as Flags, PhysicalAddress},
    idmap::IdTranslation,
    paging::{Constraints, El1And0, MemoryRegion, VaRange},
};
use proptest::prelude::*;
use std::{collections::BTreeMap, string::ToString};
use vcpu_regs::{Ipa, Pa, Va};

const PAGE: u64 = 4096;
/// M, and the tables of a little-endian guest.
const ON: u64 = 1;
/// 48-bit IPA.
const IPS: u64 = 5 << 32;
const LEAF: u64 = 1 << 10 | 1;

const ALL: Permissions = Permissions {
    access: Access::READ_WRITE,
    execute: true,
};
const RW: Permissions = Permissions {
    access: Access::READ_WRITE,
    execute: false,
};
const NOTHING: Permissions = Permissions {
    access: Access::empty(),
    execute: true,
};

/// Tables as addresses and words.
fn memory(words: &[(u64, u64)]) -> impl FnMut(Ipa) -> Option<u64> {
    let words: BTreeMap<u64, u64> = words.iter().copied().collect();
    move |ipa| words.get(&ipa.0).copied()
}

fn permissions(leaf: Stage1Leaf) -> (Permissions, Permissions) {
    (leaf.el1, leaf.el0)
}

#[test]
fn stage_1_off_is_flat() {
    let leaf = Stage1::default().walk(Va(0x1234_5678), |_| None).unwrap();
    assert_eq!(
        (leaf.ipa, leaf.level, leaf.memory),
        (Ipa(0x1234_5678), None, 0)
    );
    let high = Stage1::default().walk(Va(1 << 52), |_| None);
    assert_eq!(high, Err(Stage1Fault::AddressSize { level: 0 }));
}

#[test]
fn each_granule_and_half_finds_its_page() {
    // 4K in the lower half: 39 bits, levels 1 to 3.
    let lower = Stage1 {
        sctlr: ON,
        tcr: IPS | 25,
        ttbr0: 0x1000,
        ..Stage1::default()
    };
    let tables = [
        (0x1008, 0x2003),
        (0x2010, 0x3003),
        (0x3018, 0xabc_d000 | LEAF | 2),
    ];
    let leaf = lower.walk(Va(0x4040_3456), memory(&tables)).unwrap();
    assert_eq!((leaf.ipa, leaf.level), (Ipa(0xabc_d456), Some(3)));
    // 16K in the upper half: 47 bits, levels 1 to 3, 2048 entries each.
    let upper = Stage1 {
        sctlr: ON,
        tcr: IPS | 1 << 30 | 17 << 16,
        ttbr1: 0x1_0000,
        ..Stage1::default()
    };
    let tables = [
        (0x1_3ff8, 0x2_0003),
        (0x2_3ff8, 0x3_0003),
        (0x3_3ff8, 0x4_4000 | LEAF | 2),
    ];
    let leaf = upper.walk(Va(!0), memory(&tables)).unwrap();
    assert_eq!((leaf.ipa, leaf.level), (Ipa(0x4_7fff), Some(3)));
    // 64K: a 512 MiB block at level 2 of 42 bits, in a big-endian guest.
    let big = Stage1 {
        sctlr: ON | 1 << 25,
        tcr: IPS | 1 << 14 | 22,
        ..lower
    };
    let tables = [(0x8, (0x6000_0000u64 | LEAF).swap_bytes())];
    let big = Stage1 { ttbr0: 0, ..big };
    let leaf = big.walk(Va(0x2123_4567), memory(&tables)).unwrap();
    assert_eq!((leaf.ipa, leaf.level), (Ipa(0x6123_4567), Some(2)));
}

#[test]
fn wide_descriptors_reach_52_bits() {
    let wide = Stage1 {
        sctlr: ON,
        tcr: 1 << 59 | 6 << 32 | 12,
        ttbr0: 0x3c,
        ..Stage1::default()
    };
    let root = 0xf_0000_0000_0000;
    let tables = [
        (root, 0x1_0000_0000_1003 | 3 << 8),
        (0xd_0000_0000_1000, 0xe000 << 32 | LEAF),
    ];
    let leaf = wide.walk(Va(5), memory(&tables)).unwrap();
    assert_eq!((leaf.ipa, leaf.level), (Ipa(0xe000 << 32 | 5), Some(0)));
}

#[test]
fn an_address_in_neither_half_faults_unless_its_top_byte_is_ignored() {
    let plain = Stage1 {
        sctlr: ON,
        tcr: IPS | 25,
        ttbr0: 0x1000,
        ..Stage1::default()
    };
    let tables = [(0x1000, 0x4000_0000 | LEAF)];
    let tagged = Va(0x5a << 56 | 0x123);
    let fault = Err(Stage1Fault::Translation { level: 0 });
    assert_eq!(plain.walk(tagged, memory(&tables)), fault);
    let tbi = Stage1 {
        tcr: plain.tcr | 1 << 37,
        ..plain
    };
    assert_eq!(
        tbi.walk(tagged, memory(&tables)).unwrap().ipa,
        Ipa(0x4000_0123)
    );
    assert_eq!(tbi.walk(Va(1 << 39), memory(&tables)), fault);
    let off = Stage1 {
        tcr: plain.tcr | 1 << 7,
        ..plain
    };
    assert_eq!(off.walk(Va(0x123), memory(&tables)), fault);
}

#[test]
fn permissions_come_from_all_levels() {
    let guest = Stage1 {
        sctlr: ON,
        tcr: IPS | 25,
        ttbr0: 0x1000,
        mair: 0xff << 8,
        ..Stage1::default()
    };
    let walk = |guest: Stage1, table: u64, leaf: u64| {
        let tables = [
            (0x1000, 0x2003 | table),
            (0x2000, 0x4000_0000 | LEAF | leaf),
        ];
        guest.walk(Va(0), memory(&tables)).unwrap()
    };
    let (el0, read_only, pxn, uxn) = (1 << 6, 1 << 7, 1u64 << 53, 1u64 << 54);
    assert_eq!(permissions(walk(guest, 0, 0)), (ALL, NOTHING));
    assert_eq!(walk(guest, 0, 1 << 2).memory, 0xff);
    assert_eq!(
        permissions(walk(guest, 0, el0)),
        (RW, ALL),
        "EL1 executes nothing EL0 writes"
    );
    let read = Permissions {
        access: Access::READ,
        execute: true,
    };
    assert_eq!(permissions(walk(guest, 0, el0 | read_only)), (read, read));
    assert_eq!(
        permissions(walk(guest, 1 << 62, el0)),
        (read, read),
        "APTable[1]"
    );
    assert_eq!(
        permissions(walk(guest, 1 << 61, el0)),
        (ALL, NOTHING),
        "APTable[0]"
    );
    assert!(!walk(guest, 0, pxn).el1.execute && walk(guest, 0, pxn).el0.execute);
    assert!(!walk(guest, 1 << 59, 0).el1.execute && walk(guest, 1 << 59, 0).el0.execute);
    assert!(!walk(guest, 0, uxn).el0.execute && !walk(guest, 1 << 60, 0).el0.execute);
    let hpd = Stage1 {
        tcr: guest.tcr | 1 << 41,
        ..guest
    };
    assert_eq!(permissions(walk(hpd, 3 << 61 | 3 << 59, 0)), (ALL, NOTHING));
    let wxn = Stage1 {
        sctlr: ON | 1 << 19,
        ..guest
    };
    assert!(!walk(wxn, 0, 0).el1.execute && walk(wxn, 0, read_only).el1.execute);
    let dirty = Stage1 {
        tcr: guest.tcr | 1 << 40,
        ..guest
    };
    assert_eq!(
        walk(dirty, 0, read_only | 1 << 51).el1.access,
        Access::READ_WRITE
    );
}

#[test]
fn addresses_beyond_ips_and_unknown_formats_are_told() {
    let guest = Stage1 {
        sctlr: ON,
        tcr: 25,
        ttbr0: 0x1000,
        ..Stage1::default()
    };
    let beyond = [(0x1000, 1 << 32 | LEAF)];
    assert_eq!(
        guest.walk(Va(0), memory(&beyond)),
        Err(Stage1Fault::AddressSize { level: 1 })
    );
    let hole = Stage1Fault::Unreadable {
        level: 1,
        descriptor: Ipa(0x1000),
    };
    assert_eq!(guest.walk(Va(0), |_| None), Err(hole));
    let pie = Stage1 { tcr2: 2, ..guest };
    assert_eq!(
        pie.walk(Va(0), memory(&beyond)),
        Err(Stage1Fault::UnknownFormat)
    );
}

proptest! {
    #![proptest_config(super::cases(256))]

    /// Nothing a guest writes makes the walker panic or read for ever.
    #[test]
    fn any_registers_and_tables_give_an_answer(
        (sctlr, tcr, tcr2, ttbr0, ttbr1) in any::<(u64, u64, u64, u64, u64)>(),
        va: u64, on: bool, seed: u64,
    ) {
        let sctlr = if on { sctlr | 1 } else { sctlr };
        let guest = Stage1 { sctlr, tcr, tcr2: tcr2 & 1, ttbr0, ttbr1, mair: 0 };
        let mut reads = 0;
        let _ = guest.walk(Va(va), |ipa| {
            reads += 1;
            assert!(ipa.0 < 1 << 52);
            Some(seed.rotate_left(reads) | 3)
        });
        prop_assert!(reads <= 5);
    }

    /// `aarch64-paging` makes the tables, we walk them.
    #[test]
    #[cfg_attr(miri, ignore = "the tables are another crate's")]
    fn tables_of_aarch64_paging_are_understood(
        regions in prop::collection::vec((0..2048u64, 1..700u64, 0..4096u64, 0..4u8), 1..5),
        probes in prop::collection::vec(0..4096u64, 50),
    ) {
        let mut mapping =
            Mapping::with_asid_and_va_range(IdTranslation::new(), 1, 1, El1And0, VaRange::Lower);
        let mut expected = BTreeMap::new();
        for (first, pages, pa, kind) in regions {
            // Above 1 GiB: `aarch64-paging` also computes addresses before the memory.
            let pa = (1 << 30) + pa * PAGE;
            let mut flags = Flags::VALID | Flags::ACCESSED | Flags::ATTRIBUTE_INDEX_1;
            if kind & 1 != 0 {
                flags |= Flags::READ_ONLY;
            }
            if kind & 2 != 0 {
                flags |= Flags::USER | Flags::UXN;
            }
            let region = MemoryRegion::new((first * PAGE) as usize, ((first + pages) * PAGE) as usize);
            mapping.map_range(&region, PhysicalAddress(pa as usize), flags, Constraints::empty()).unwrap();
            for page in 0..pages {
                expected.insert(first + page, (pa + page * PAGE, kind));
            }
        }
        let guest = Stage1 {
            sctlr: ON,
            tcr: IPS | 25,
            ttbr0: mapping.root_address().0 as u64,
            mair: 0xff << 8,
            ..Stage1::default()
        };
        // SAFETY: the walker reads what `mapping` allocated, at its own addresses.
        let read = |ipa: Ipa| Some(unsafe { *(ipa.0 as usize as *const u64) });
        for page in probes {
            let found = guest.walk(Va(page * PAGE + 7), read);
            match (found, expected.get(&page)) {
                (Ok(leaf), Some(&(pa, kind))) => {
                    prop_assert_eq!((leaf.ipa, leaf.memory), (Ipa(pa + 7), 0xff));
                    prop_assert_eq!(leaf.el1.access.contains(Access::WRITE), kind & 1 == 0);
                    prop_assert_eq!(leaf.el0.access.is_empty(), kind & 2 == 0);
                    prop_assert_eq!(leaf.el0.execute, kind & 2 == 0);
                }
                (Err(Stage1Fault::Translation { .. }), None) => {}
                other => panic!("{page}: {other:x?}"),
            }
        }
    }
}

#[test]
fn both_stages_are_walked_and_refusals_are_told_apart() {
    let (mut ours, _) = table(&A53, &Request::exactly(40));
    let mut map = |ipa, pa| {
        // SAFETY: no guest runs in a test.
        settle(unsafe { ours.map(Ipa(ipa), Pa(pa), PAGE, Attributes::RAM) }.unwrap());
    };
    map(0x1000, 0x9000);
    map(0x5000, 0x7000);
    let guest = Stage1 {
        sctlr: ON,
        tcr: IPS | 25,
        ttbr0: 0x1000,
        ..Stage1::default()
    };
    let mut words = BTreeMap::from([(0x9000u64, 0x2003u64)]);
    let walk = |words: &BTreeMap<u64, u64>| {
        ours.walk_guest(&guest, Va(0x5008), |pa| words.get(&pa.0).copied())
    };
    let unmapped = Walk::Unmapped { level: 3 };
    assert_eq!(
        walk(&words),
        GuestWalk::Stage2OnWalk {
            ipa: Ipa(0x2000),
            walk: unmapped
        }
    );
    words.insert(0x9000, LEAF);
    let GuestWalk::Mapped { stage1, stage2 } = walk(&words) else {
        panic!()
    };
    assert_eq!((stage1.ipa, stage2.pa), (Ipa(0x5008), Pa(0x7008)));
    words.insert(0x9000, 0x4000_0000 | LEAF);
    let GuestWalk::Stage2 {
        stage1,
        walk: beyond,
    } = walk(&words)
    else {
        panic!()
    };
    assert_eq!(
        (stage1.ipa, beyond),
        (Ipa(0x4000_5008), Walk::Unmapped { level: 1 })
    );
    words.insert(0x9000, 0);
    assert_eq!(
        walk(&words),
        GuestWalk::Stage1(Stage1Fault::Translation { level: 1 })
    );
}

#[test]
fn a_table_reads_as_merged_ranges() {
    let (mut ours, _) = table(&A53, &Request::exactly(40));
    let mut map = |ipa, pa, bytes, attributes| {
        // SAFETY: no guest runs in a test.
        settle(unsafe { ours.map(Ipa(ipa), Pa(pa), bytes, attributes) }.unwrap());
    };
    let ram = Attributes::RAM;
    map(0x900_0000, 0x900_0000, PAGE, Attributes::DEVICE);
    map(0x4000_0000, 0x8000_0000, 1 << 30, ram);
    map(0x8000_0000, 0xc000_0000, 3 * PAGE, ram);
    map(0x8000_3000, 0xc000_3000, PAGE, ram.read_only());
    map(
        0x8000_4000,
        0x1000,
        PAGE,
        Attributes {
            accessed: false,
            ..ram.no_execute()
        },
    );
    let expected = "\
0x000009000000..0x000009001000 -> 0x000009000000 rw- device-nGnRE
0x000040000000..0x000080003000 -> 0x000080000000 rwx write-back
0x000080003000..0x000080004000 -> 0x0000c0003000 r-x write-back
0x000080004000..0x000080005000 -> 0x000000001000 rw- write-back, not accessed
";
    assert_eq!(ours.to_string(), expected);
}
