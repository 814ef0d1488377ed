//! Every geometry the probe can answer, held against the architecture's rules.
//!
//! The rules are restated here from `VTCR_EL2` in the Arm ARM as a table of bits, with nothing of
//! the probe's: a walk the table allows must be offered, one it does not must never be.

use super::rig::A53;
use crate::{Geometry, GeometryError, IpaBits, Options, Request};
use vcpu_regs::{Granule, GranuleSupport, MemoryModel};

/// TG0, SL2, SL0, the IPA bits a root there resolves (concatenated or not), the PARange it needs,
/// whether it needs DS, whether it needs FEAT_TTST.
type Row = (u64, u64, u64, core::ops::RangeInclusive<u8>, u8, bool, bool);

const KIB4: u64 = 0;
const KIB64: u64 = 1;
const KIB16: u64 = 2;

#[rustfmt::skip]
const WALKS: [Row; 12] = [
    (KIB4,  1, 0, 49..=52, 52, true,  false), // level -1
    (KIB4,  0, 2, 40..=52, 44, false, false), // level 0
    (KIB4,  0, 1, 31..=43, 32, false, false), // level 1
    (KIB4,  0, 0, 22..=34, 32, false, false), // level 2
    (KIB4,  0, 3, 13..=25, 32, false, true),  // level 3
    (KIB16, 0, 3, 48..=52, 52, true,  false), // level 0
    (KIB16, 0, 2, 37..=51, 42, false, false), // level 1
    (KIB16, 0, 1, 26..=40, 32, false, false), // level 2
    (KIB16, 0, 0, 15..=29, 32, false, false), // level 3
    (KIB64, 0, 2, 43..=52, 44, false, false), // level 1
    (KIB64, 0, 1, 30..=46, 32, false, false), // level 2
    (KIB64, 0, 0, 17..=33, 32, false, false), // level 3
];

fn pa_bits_of(parange: u64) -> u8 {
    [32, 36, 40, 42, 44, 48, 52, 56][parange.min(7) as usize]
}

/// What decides one granule's stage 2.
#[derive(Clone, Copy, Debug)]
struct Cpu {
    parange: u64,
    tg0: u64,
    lpa2: bool,
    small: bool,
}

/// Whether `VTCR_EL2` is a walk of `ipa` bits that this CPU defines.
fn is_defined(vtcr: u64, ipa: u8, cpu: Cpu) -> bool {
    let bits = |low: u32, count: u32| vtcr >> low & ((1 << count) - 1);
    let (t0sz, sl0, tg0, ps) = (bits(0, 6), bits(6, 2), bits(14, 2), bits(16, 3));
    let (ds, sl2) = (bits(32, 1) == 1, bits(33, 1));
    let reserved = bits(20, 1) | bits(23, 8) | bits(34, 30);
    let pa = pa_bits_of(cpu.parange);
    // The narrow descriptors of 4K and 16K stop at 48 bits; 64K needs PARange alone.
    let widest = if tg0 == KIB64 || ds { 52 } else { 48 };
    let narrowest_ipa = match (cpu.small, tg0) {
        (false, _) => 25,
        (true, KIB64) => 17,
        (true, _) => 16,
    };
    let row = WALKS
        .iter()
        .find(|row| (row.0, row.1, row.2) == (tg0, sl2, sl0));
    reserved == 0
        && bits(31, 1) == 1
        && tg0 == cpu.tg0
        && t0sz == 64 - u64::from(ipa)
        && ipa >= narrowest_ipa
        && ipa <= pa.min(widest)
        && ps <= 6
        && pa_bits_of(ps) <= pa.min(widest)
        && pa_bits_of(ps) >= ipa
        && (!ds || cpu.lpa2 && pa >= 52)
        && row.is_some_and(|(_, _, _, reach, needs_pa, needs_ds, needs_ttst)| {
            reach.contains(&ipa)
                && pa >= *needs_pa
                && (ds || !needs_ds)
                && (cpu.small || !needs_ttst)
        })
}

/// Whether any `VTCR_EL2` walks `ipa` bits on this CPU.
fn is_possible(ipa: u8, cpu: Cpu) -> bool {
    (0..2 * 2 * 4 * 7u64).any(|choice| {
        let (ds, sl2, sl0, ps) = (choice & 1, choice >> 1 & 1, choice >> 2 & 3, choice >> 4);
        let t0sz = 64 - u64::from(ipa);
        let vtcr = t0sz | sl0 << 6 | cpu.tg0 << 14 | ps << 16 | 1 << 31 | ds << 32 | sl2 << 33;
        is_defined(vtcr, ipa, cpu)
    })
}

/// Every encoding of the two fields that say whether stage 2 has this granule.
fn encodings(granule: Granule) -> impl Iterator<Item = u64> {
    let (stage1, stage2) = match granule {
        Granule::Kib4 => (28, 40),
        Granule::Kib16 => (20, 32),
        Granule::Kib64 => (24, 36),
    };
    (0..=0xffu64).map(move |bits| (bits & 0xf) << stage1 | (bits >> 4) << stage2)
}

fn tg0(granule: Granule) -> u64 {
    match granule {
        Granule::Kib4 => KIB4,
        Granule::Kib16 => KIB16,
        Granule::Kib64 => KIB64,
    }
}

#[test]
#[cfg_attr(miri, ignore = "no unsafe code in it")]
fn every_answer_is_defined_and_every_defined_walk_is_offered() {
    let mut answers = 0u32;
    for granule in Granule::ALL {
        for (parange, small) in (0..16).flat_map(|parange| [(parange, false), (parange, true)]) {
            let cpu = |lpa2| Cpu {
                parange,
                tg0: tg0(granule),
                lpa2,
                small,
            };
            let possible = [false, true]
                .map(|lpa2| core::array::from_fn::<_, 64, _>(|n| is_possible(n as u8, cpu(lpa2))));
            for encoding in encodings(granule) {
                let mmfr0 = encoding | parange;
                let model = MemoryModel {
                    mmfr0,
                    mmfr2: u64::from(small) << 28,
                    ..A53
                };
                let support = model.stage2_granule(granule);
                let lpa2 = support == GranuleSupport::Lpa2;
                let possible = match support {
                    GranuleSupport::Absent => &[false; 64],
                    _ => &possible[usize::from(lpa2)],
                };
                for options in [Options::empty(), Options::WIDE_DESCRIPTORS] {
                    answers += check_all_sizes(&model, granule, cpu(lpa2), possible, options);
                }
            }
        }
    }
    assert!(answers > 100_000, "{answers}");
}

/// Asks for every size; how many were granted.
fn check_all_sizes(
    model: &MemoryModel,
    granule: Granule,
    cpu: Cpu,
    possible: &[bool; 64],
    options: Options,
) -> u32 {
    let request = |ipa| Request {
        ipa,
        granule: Some(granule),
        levels: None,
        options,
    };
    let (mut most, mut answers) = (None, 0);
    for bits in (0..=80).chain([128, 255]) {
        let answer = Geometry::probe(model, &request(IpaBits::Exactly(bits)));
        let possible = possible.get(usize::from(bits)).copied().unwrap_or(false);
        assert_eq!(answer.is_ok(), possible, "{bits} {cpu:?} {answer:?}");
        let Ok(geometry) = answer else { continue };
        answers += 1;
        most = Some(bits);
        let vtcr = geometry.vtcr().bits();
        assert!(is_defined(vtcr, bits, cpu), "{vtcr:#x} {bits} {cpu:?}");
        check_root(&geometry, bits);
    }
    let answer = Geometry::probe(model, &request(IpaBits::Most));
    assert_eq!(
        answer.ok().map(|geometry| geometry.ipa_bits()),
        most,
        "{cpu:?}"
    );
    answers
}

/// The root: at most 16 tables, no more than needed, aligned to its size.
fn check_root(geometry: &Geometry, ipa_bits: u8) {
    let page = geometry.granule().bytes().trailing_zeros();
    let below = page + (page - 3) * u32::from(geometry.levels() - 1);
    assert_eq!(geometry.root_entries(), 1 << (u32::from(ipa_bits) - below));
    let bytes = (geometry.root_entries() as u64 * 8).max(1 << page);
    assert_eq!(geometry.root_bytes(), bytes);
    assert!(bytes <= 16 << page);
}

#[test]
#[cfg_attr(miri, ignore = "no unsafe code in it")]
fn a_walk_asked_for_by_its_levels_is_that_one_or_none() {
    for parange in 0..8 {
        let model = MemoryModel {
            mmfr0: 3 << 40 | parange,
            mmfr2: 1 << 28,
            ..A53
        };
        let cpu = Cpu {
            parange,
            tg0: KIB4,
            lpa2: true,
            small: true,
        };
        for bits in 16..=52u8 {
            for levels in 0..=u8::MAX {
                let request = Request {
                    levels: Some(levels),
                    granule: Some(Granule::Kib4),
                    ..Request::exactly(bits)
                };
                match Geometry::probe(&model, &request) {
                    Ok(geometry) => {
                        assert_eq!(geometry.levels(), levels);
                        assert!(is_defined(geometry.vtcr().bits(), bits, cpu));
                    }
                    Err(GeometryError::NoSuchWalk {
                        levels: l,
                        ipa_bits,
                    }) => {
                        assert_eq!((l, ipa_bits), (levels, bits));
                        let (sl2, sl0) = match levels {
                            1 => (0, 3),
                            2..=4 => (0, u64::from(levels) - 2),
                            5 => (1, 0),
                            _ => continue,
                        };
                        let row = WALKS
                            .iter()
                            .find(|row| (row.0, row.1, row.2) == (KIB4, sl2, sl0));
                        let (_, _, _, reach, needs_pa, needs_ds, _) = row.unwrap();
                        let wide_ok = !needs_ds || bits > 48;
                        let ok = reach.contains(&bits) && pa_bits_of(parange) >= *needs_pa;
                        assert!(!(ok && wide_ok), "{levels} levels of {bits} on {parange}");
                    }
                    Err(GeometryError::IpaTooWide { limit, .. }) => assert!(limit < bits),
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}

#[test]
fn best_granule_is_the_smallest_that_can() {
    // 4K without LPA2 reaches 48 bits, 64K reaches 52 with PARange alone.
    let model = MemoryModel { mmfr0: 6, ..A53 };
    let granule = |bits| {
        Geometry::probe(&model, &Request::exactly(bits))
            .unwrap()
            .granule()
    };
    assert_eq!(granule(48), Granule::Kib4);
    assert_eq!(granule(52), Granule::Kib64);
    let too_wide = Geometry::probe(&model, &Request::exactly(53)).unwrap_err();
    assert_eq!(
        too_wide,
        GeometryError::IpaTooWide {
            requested: 53,
            limit: 52
        }
    );
    let none = MemoryModel {
        mmfr0: 1 << 32 | 1 << 36 | 1 << 40,
        ..A53
    };
    assert_eq!(
        Geometry::probe(&none, &Request::MOST).unwrap_err(),
        GeometryError::NoGranule {
            granule: None,
            mmfr0: none.mmfr0
        },
    );
}

#[test]
fn big_little_takes_the_smaller_of_each() {
    let big = MemoryModel {
        mmfr0: 0x10_1125,
        mmfr1: 0x1021_2122,
        ..A53
    };
    let geometry = Geometry::probe(&big.common(&A53), &Request::MOST).unwrap();
    assert_eq!((geometry.ipa_bits(), geometry.vmid_bits()), (40, 8));
    assert_eq!(
        Geometry::probe(&big, &Request::MOST).unwrap().vmid_bits(),
        16
    );
}

#[test]
fn options_are_used_where_the_cpus_have_them() {
    let all = Request {
        options: Options::all(),
        ..Request::exactly(40)
    };
    let everything = Geometry::probe(&super::rig::EVERYTHING, &all).unwrap();
    assert_eq!(everything.options(), Options::all());
    assert_eq!(everything.vtcr().bits() >> 21 & 3, 3, "HA and HD");
    let plain = Geometry::probe(&A53, &all).unwrap();
    assert_eq!(plain.options(), Options::CONTIGUOUS);
}

/// ID registers as the CPUs' manuals and QEMU 7.2 have them, and what follows.
#[test]
fn known_cpus_have_their_known_walks() {
    let model = |mmfr0, mmfr1, mmfr2| MemoryModel {
        mmfr0,
        mmfr1,
        mmfr2,
        ..A53
    };
    let cpus = [
        // name, ID registers; IPA bits, start level, root tables, root entries, VMID bits, VTCR_EL2
        (
            "cortex-a53",
            model(0x1122, 0, 0),
            (40, 1, 2, 1024, 8, 0x8002_3558),
        ),
        (
            "cortex-a57",
            model(0x1124, 0, 0),
            (44, 0, 1, 32, 8, 0x8004_3594),
        ),
        (
            "cortex-a72",
            model(0x1124, 0, 0),
            (44, 0, 1, 32, 8, 0x8004_3594),
        ),
        (
            "cortex-a76",
            model(0x10_1122, 0x1021_2122, 0x1011),
            (40, 1, 2, 1024, 16, 0x800a_3558),
        ),
        (
            "neoverse-n1",
            model(0x10_1125, 0x1021_2122, 0x1011),
            (48, 0, 1, 512, 16, 0x800d_3590),
        ),
        // 36 bits, 4K and 16K, as its guests under macOS read it; MMFR1 is not known to us.
        (
            "apple m1",
            model(0x1000_0f10_0021, 0, 0),
            (36, 1, 1, 64, 8, 0x8001_355c),
        ),
        // 52 bits through FEAT_LPA2.
        (
            "max",
            model(0x0323_1020_1126, 0x1021_2122, 0x1221_0111_1011),
            (52, 0, 16, 8192, 16, 0x1_800e_358c),
        ),
    ];
    for (name, model, expect) in cpus {
        let g = Geometry::probe(&model, &Request::MOST).unwrap();
        assert_eq!(g.granule(), Granule::Kib4, "{name}");
        let got = (
            g.ipa_bits(),
            g.start_level(),
            g.root_tables(),
            g.root_entries(),
            g.vmid_bits(),
            g.vtcr().bits(),
        );
        assert_eq!(got, expect, "{name}");
    }
    let sixteen = Request {
        granule: Some(Granule::Kib16),
        ..Request::MOST
    };
    let m1 = Geometry::probe(&cpus[5].1, &sixteen).unwrap();
    assert_eq!((m1.start_level(), m1.root_entries()), (2, 2048));
    let a72 = Geometry::probe(&cpus[2].1, &sixteen);
    assert!(matches!(
        a72,
        Err(GeometryError::NoGranule {
            granule: Some(Granule::Kib16),
            ..
        })
    ));
}
