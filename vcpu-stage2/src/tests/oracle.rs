//! The same changes made by `aarch64-paging`, compared page by page.

extern crate std;

use super::rig::{A53, Memory, settle, table};
use crate::{Access, Attributes, Execute, MemoryType, Request, Table, Walk};
use aarch64_paging::{
    Mapping,
    descriptor::{PhysicalAddress, Stage2Attributes as Flags},
    idmap::IdTranslation,
    paging::{Constraints, MemoryRegion, Stage2},
};
use proptest::prelude::*;
use std::{collections::BTreeMap, vec::Vec};
use vcpu_regs::{Ipa, Pa};

const PAGE: u64 = 4096;
/// Two and a bit blocks of 2 MiB, on both sides of 1 GiB.
const WINDOW: core::ops::Range<u64> = 0x3fe0_0000 / PAGE..0x4021_0000 / PAGE;

/// What `aarch64-paging` calls our attributes.
fn flags(attributes: &Attributes) -> Flags {
    let mut flags = Flags::VALID;
    flags |= match attributes.memory {
        MemoryType::WriteBack => {
            Flags::MEMATTR_NORMAL_INNER_WB | Flags::MEMATTR_NORMAL_OUTER_WB | Flags::SH_INNER
        }
        MemoryType::NonCacheable => {
            Flags::MEMATTR_NORMAL_INNER_NC | Flags::MEMATTR_NORMAL_OUTER_NC | Flags::SH_INNER
        }
        MemoryType::DeviceNgnre => Flags::MEMATTR_DEVICE_nGnRE,
        other => panic!("{other:?} is not used here"),
    };
    if attributes.access.contains(Access::READ) {
        flags |= Flags::S2AP_ACCESS_RO;
    }
    if attributes.access.contains(Access::WRITE) {
        flags |= Flags::S2AP_ACCESS_WO;
    }
    if attributes.accessed {
        flags |= Flags::ACCESS_FLAG;
    }
    if attributes.execute == Execute::Never {
        flags |= Flags::XN;
    }
    flags
}

/// One change: first page, pages, memory, attributes (`None` unmaps).
type Step = (u64, u64, u64, Option<Attributes>);

fn step() -> impl Strategy<Value = Step> {
    let attributes = prop_oneof![
        Just(None),
        Just(Some(Attributes::RAM)),
        Just(Some(Attributes::RAM.read_only())),
        Just(Some(Attributes::RAM.no_execute())),
        Just(Some(Attributes {
            accessed: false,
            ..Attributes::RAM
        })),
        Just(Some(Attributes {
            memory: MemoryType::NonCacheable,
            ..Attributes::RAM
        })),
        Just(Some(Attributes::DEVICE)),
    ];
    let pages = prop_oneof![1..8u64, Just(512), Just(1024), 1..600u64];
    let pa = prop_oneof![(0..8u64).prop_map(|n| n * 512), 0..4096u64];
    let start = prop_oneof![(0..3u64).prop_map(|n| n * 512), 0..1000u64];
    (start, pages, pa, attributes).prop_map(|(start, pages, pa, attributes)| {
        let start = WINDOW.start + start;
        (start, pages.min(WINDOW.end - start), pa, attributes)
    })
}

/// Page number to memory and flags, as each of the two has it.
type Pages = BTreeMap<u64, (u64, Flags)>;

fn ours(table: &Table<Memory, Memory>) -> Pages {
    WINDOW
        .filter_map(|page| match table.walk(Ipa(page * PAGE)) {
            Walk::Mapped(leaf) => Some((page, (leaf.pa.0, flags(&leaf.attributes)))),
            _ => None,
        })
        .collect()
}

fn theirs(mapping: &Mapping<IdTranslation<Flags>, Stage2>) -> Pages {
    let mut pages = Pages::new();
    let window = MemoryRegion::new((WINDOW.start * PAGE) as usize, (WINDOW.end * PAGE) as usize);
    let mut visit =
        |region: &MemoryRegion, entry: &aarch64_paging::descriptor::Descriptor<_>, level| {
            if entry.is_valid() && (level == 3 || !entry.is_table_or_page()) {
                let first = region.start().0 as u64;
                let size = PAGE << (9 * (3 - level));
                let pa = entry.output_address().0 as u64 + first % size;
                for page in 0..region.len() as u64 / PAGE {
                    let flags = entry.flags() - Flags::TABLE_OR_PAGE;
                    pages.insert(first / PAGE + page, (pa + page * PAGE, flags));
                }
            }
            Ok(())
        };
    mapping.walk_range(&window, &mut visit).unwrap();
    pages
}

fn run(steps: &[Step]) {
    let (mut table, _) = table(&A53, &Request::exactly(39));
    let mut mapping = Mapping::new(IdTranslation::new(), 1, Stage2);
    for &(start, count, pa, attributes) in steps {
        // Above 1 GiB: `aarch64-paging` also computes addresses before the memory it is given.
        let (ipa, bytes, pa) = (start * PAGE, count * PAGE, (1 << 30) + pa * PAGE);
        settle(table.unmap(Ipa(ipa), bytes).unwrap());
        if let Some(attributes) = attributes {
            // SAFETY: no guest runs in a test.
            settle(unsafe { table.map(Ipa(ipa), Pa(pa), bytes, attributes) }.unwrap());
        }
        let region = MemoryRegion::new(ipa as usize, (ipa + bytes) as usize);
        let flags = attributes.map_or(Flags::empty(), |attributes| flags(&attributes));
        let pa = PhysicalAddress(pa as usize);
        mapping
            .map_range(&region, pa, flags, Constraints::empty())
            .unwrap();
        assert_eq!(ours(&table), theirs(&mapping));
    }
}

proptest! {
    #![proptest_config(super::cases(40))]

    #[test]
    #[cfg_attr(miri, ignore = "another crate's tables beside ours; ours are in `random`")]
    fn aarch64_paging_agrees(steps in prop::collection::vec(step(), 1..10)) {
        run(&steps);
    }
}

/// The comparison sees something: mapped pages, of both sizes.
#[test]
fn the_oracle_is_asked_about_mapped_pages() {
    let (mut table, _) = table(&A53, &Request::exactly(39));
    let start = WINDOW.start * PAGE;
    // SAFETY: no guest runs in a test.
    settle(unsafe { table.map(Ipa(start), Pa(0), 1024 * PAGE, Attributes::RAM) }.unwrap());
    let seen: Vec<_> = ours(&table).into_iter().collect();
    assert_eq!(seen.len(), 1024);
    assert_eq!(seen[1023].1, (1023 * PAGE, flags(&Attributes::RAM)));
}
