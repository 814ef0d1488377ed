use super::*;

const A53: MemoryModel = MemoryModel {
    mmfr0: 0x1122,
    mmfr1: 0,
    mmfr2: 0,
    mmfr3: 0,
    isar0: 0,
    ctr: 0x8444_8004,
};

#[test]
fn cortex_a53_has_40_bits_4k_and_64k() {
    assert_eq!(A53.pa_bits(), 40);
    assert_eq!(A53.stage2_granule(Granule::Kib4), GranuleSupport::Present);
    assert_eq!(A53.stage2_granule(Granule::Kib16), GranuleSupport::Absent);
    assert_eq!(A53.stage2_granule(Granule::Kib64), GranuleSupport::Present);
    assert_eq!(A53.vmid_bits(), 8);
    assert!(!A53.has_vpipt_icache());
}

#[test]
fn stage2_field_overrides_stage1() {
    let absent = MemoryModel {
        mmfr0: 1 << TGRAN4_2,
        ..A53
    };
    assert_eq!(absent.stage2_granule(Granule::Kib4), GranuleSupport::Absent);
    let lpa2 = MemoryModel {
        mmfr0: 3 << TGRAN16_2,
        ..A53
    };
    assert_eq!(lpa2.stage2_granule(Granule::Kib16), GranuleSupport::Lpa2);
    let stage1_lpa2 = MemoryModel {
        mmfr0: 1 << TGRAN4 | 2 << TGRAN16,
        ..A53
    };
    assert_eq!(
        stage1_lpa2.stage2_granule(Granule::Kib4),
        GranuleSupport::Lpa2
    );
    assert_eq!(
        stage1_lpa2.stage2_granule(Granule::Kib16),
        GranuleSupport::Lpa2
    );
    let no_stage1 = MemoryModel {
        mmfr0: 0xf << TGRAN4 | 0xf << TGRAN64,
        ..A53
    };
    assert_eq!(
        no_stage1.stage2_granule(Granule::Kib4),
        GranuleSupport::Absent
    );
    assert_eq!(
        no_stage1.stage2_granule(Granule::Kib64),
        GranuleSupport::Absent
    );
}

/// Every pair of 4K encodings: the common value is never more than either.
#[test]
fn common_granule_is_the_lesser_whatever_the_encodings() {
    for a in 0..=255u64 {
        for b in 0..=255u64 {
            let model = |bits: u64| MemoryModel {
                mmfr0: (bits & 0xf) << TGRAN4 | (bits >> 4) << TGRAN4_2,
                ..A53
            };
            let (a, b) = (model(a), model(b));
            assert_eq!(
                a.common(&b).stage2_granule(Granule::Kib4),
                a.stage2_granule(Granule::Kib4)
                    .min(b.stage2_granule(Granule::Kib4)),
            );
        }
    }
}

#[test]
fn common_takes_the_lesser_of_each_feature() {
    let big = MemoryModel {
        mmfr0: 5,
        mmfr1: 2 << HAFDBS | 2 << VMID_BITS | 1 << XNX,
        mmfr2: 2 << BBM | 1 << FWB | 1 << TTL,
        mmfr3: 0,
        isar0: 2 << TLB,
        ctr: 3 << 14,
    };
    let both = big.common(&A53);
    assert_eq!(both.pa_bits(), 40);
    assert_eq!(both.vmid_bits(), 8);
    assert!(!both.has_dirty_updates() && !both.has_xnx() && !both.has_tlbi_range());
    let same = big.common(&big);
    assert!(same.has_dirty_updates() && same.has_xnx() && same.has_tlbi_range());
    assert_eq!((same.vmid_bits(), same.break_before_make_level()), (16, 2));
}
