use super::*;

/// As the manual draws the register.
#[test]
fn list_register_has_its_fields_where_the_manual_has_them() {
    let timer = ListRegister::new(Intid(27), 0xa0, true);
    assert_eq!(timer.bits(), 1 << 60 | 0xa0 << 48 | 27);
    let hardware = timer.with_hardware(Intid(0x1fff)).unwrap();
    assert_eq!(hardware.bits(), timer.bits() | 1 << 61 | 0x1fff << 32);
    assert_eq!(timer.with_hardware(Intid(0x2000)), None);
    assert_eq!(timer.with_end_reported().bits(), timer.bits() | 1 << 41);
    assert_eq!(timer.with_pending(true).bits(), timer.bits() | 1 << 62);
    assert_eq!(timer.with_active(true).bits(), timer.bits() | 1 << 63);
    // With HW, bit 41 is of the physical INTID.
    assert!(!hardware.reports_end());
    assert_eq!(hardware.hardware(), Some(Intid(0x1fff)));
}

#[test]
fn list_register_is_free_or_has_ended_only_when_inactive() {
    let level = ListRegister::new(Intid(40), 0, false).with_end_reported();
    assert!(level.has_ended() && !level.is_free());
    let edge = ListRegister::new(Intid(40), 0, false);
    assert!(edge.is_free() && !edge.has_ended());
    for (pending, active) in [(true, false), (false, true), (true, true)] {
        for lr in [level, edge] {
            let lr = lr.with_pending(pending).with_active(active);
            assert!(!lr.is_free() && !lr.has_ended(), "{lr:?}");
        }
    }
}

/// QEMU 7.2's: four list registers, five bits of priority, 24 of an INTID, TDS and A3V.
#[test]
fn vtr_of_an_emulator() {
    let vtr = IchVtr(0x90a8_0003);
    assert_eq!(vtr.list_registers(), 4);
    assert_eq!((vtr.priority_bits(), vtr.preemption_bits()), (5, 5));
    assert_eq!(vtr.active_priority_registers(), 1);
    assert_eq!(vtr.intid_bits(), 24);
    assert!(vtr.can_trap_dir());
    assert_eq!(IchVtr(0x1f).list_registers(), 16, "no more are defined");
}

#[test]
fn vmcr_by_its_fields() {
    let vmcr = IchVmcr(0xf0 << 24 | 2 << 21 | 3 << 18 | 1 << 9 | 1 << 1);
    assert!(vmcr.enables_group1() && !vmcr.enables_group0());
    assert!(vmcr.splits_end() && !vmcr.shares_binary_point());
    assert_eq!(vmcr.binary_points(), (2, 3));
    assert_eq!(vmcr.priority_mask(), 0xf0);
    // Group priority is bits 7:3 with ICC_BPR0_EL1 = 2, and with ICC_BPR1_EL1 = 3.
    assert_eq!(vmcr.group_priority(0xff, false), 0xf8);
    assert_eq!(vmcr.group_priority(0xff, true), 0xf8);
    let no_preemption = IchVmcr(7 << 21 | 7 << 18);
    assert_eq!(no_preemption.group_priority(0xff, false), 0);
    assert_eq!(no_preemption.group_priority(0xff, true), 0x80);
    assert_eq!(IchVmcr(7 << 21 | 1 << 4).group_priority(0xff, true), 0);
}

#[test]
fn eoi_count_is_five_bits_from_27() {
    let hcr = IchHcr::EN | IchHcr::from_bits_retain(21 << 27);
    assert_eq!(hcr.eoi_count(), 21);
}
