use super::*;

const KVM_LIKE: VtcrFields = VtcrFields {
    granule: Granule::Kib4,
    ipa_bits: 40,
    start_level: 1,
    pa_bits: 40,
    wide_vmid: false,
    wide_descriptors: false,
    access_flag_updates: false,
    dirty_updates: false,
};

#[test]
fn forty_bits_of_4k_pages_is_the_value_kvm_writes() {
    // RES1, PS = 2, SH0 inner, WB WB, SL0 = 1 (level 1), T0SZ = 24.
    assert_eq!(Vtcr::new(&KVM_LIKE).bits(), 0x8002_3558);
}

#[test]
fn every_start_level_reads_back() {
    let levels = [
        (Granule::Kib4, -1..=3),
        (Granule::Kib16, 0..=3),
        (Granule::Kib64, 1..=3),
    ];
    for (granule, levels) in levels {
        for start_level in levels {
            let fields = VtcrFields {
                granule,
                start_level,
                ..KVM_LIKE
            };
            assert_eq!(Vtcr::new(&fields).fields(), Some(fields));
        }
    }
}

#[test]
fn every_flag_has_its_bit() {
    let bit = |fields| Vtcr::new(&fields).bits() ^ Vtcr::new(&KVM_LIKE).bits();
    assert_eq!(
        bit(VtcrFields {
            wide_vmid: true,
            ..KVM_LIKE
        }),
        1 << 19
    );
    assert_eq!(
        bit(VtcrFields {
            access_flag_updates: true,
            ..KVM_LIKE
        }),
        1 << 21
    );
    assert_eq!(
        bit(VtcrFields {
            dirty_updates: true,
            ..KVM_LIKE
        }),
        1 << 22
    );
    assert_eq!(
        bit(VtcrFields {
            wide_descriptors: true,
            ..KVM_LIKE
        }),
        1 << 32
    );
    assert_eq!(
        bit(VtcrFields {
            granule: Granule::Kib4,
            start_level: -1,
            ..KVM_LIKE
        }),
        1 << 33 | 1 << 6
    );
}

#[test]
fn root_above_48_bits_moves_its_top_into_the_low_bits() {
    let vmid = Vmid::new(0x1234).unwrap();
    let vttbr = Vttbr::new(Pa(0xf_1234_5678_9000), Some(vmid), true);
    assert_eq!(vttbr.bits(), 0x1234_1234_5678_903d);
    assert_eq!(vttbr.root(), Pa(0xf_1234_5678_9000));
    assert_eq!(vttbr.vmid(), Some(vmid));
}
