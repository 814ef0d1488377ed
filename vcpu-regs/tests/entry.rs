//! No saved state that `Pstate::for_entry` lets through leaves EL0 and EL1.

use vcpu_regs::{Mode, Pstate};

/// Arm ARM (DDI 0487), pseudocode `AArch64.IllegalExceptionReturn` and `ELFromSPSR`, for an `ERET`
/// at EL2 with HCR_EL2.RW = 1 and TGE = 0: whether it goes to EL0 or EL1. An illegal one stays.
fn leaves_el2(spsr: u64, has_a32_el0: bool) -> bool {
    if spsr & 1 << 4 != 0 {
        // AArch32: User alone, for the other modes are EL1 (which is AArch64), Hyp or EL3.
        return has_a32_el0 && spsr & 0xf == 0;
    }
    match (spsr >> 2 & 3, spsr >> 1 & 1, spsr & 1) {
        (_, 1, _) => false, // M[1] is reserved
        (0, 0, sp) => sp == 0,
        (1, 0, _) => true,
        _ => false, // EL2, EL3
    }
}

fn check(bits: u64) {
    for a32_el0 in [false, true] {
        let entered = Pstate::from_bits_retain(bits).for_entry(a32_el0).bits();
        assert!(
            leaves_el2(entered, a32_el0),
            "{bits:#x} became {entered:#x}"
        );
        // AArch32 that is not there: EL0, illegal, rather than somebody else's mode.
        let refused_a32 = leaves_el2(bits, true) && !leaves_el2(bits, a32_el0);
        let illegal = if refused_a32 { 1 << 20 } else { 0 };
        assert_eq!(
            entered & !0x1f,
            bits & !0x1f | illegal,
            "{bits:#x}: more than the mode"
        );
        assert!(!refused_a32 || entered & 0x1f == 0);
        if leaves_el2(bits, a32_el0) {
            assert_eq!(entered, bits, "a state that a guest may have changed");
        }
    }
}

/// Every mode, with every pair of the other bits set, clear, and the rest either way.
#[test]
fn every_mode_with_the_other_bits_sampled() {
    for mode in 0..0x20 {
        for a in 5..64 {
            for b in 5..64 {
                let pair = 1 << a | 1 << b;
                check(mode | pair);
                check(mode | !0x1f & !pair);
            }
        }
        check(mode);
        check(mode | !0x1f);
    }
}

/// A step that shares no factor with 2^32 visits every mode with all kinds of other bits.
#[test]
fn a_sample_of_all_words() {
    let mut bits = 0u32;
    for _ in 0..1 << 20 {
        bits = bits.wrapping_add(0x9e37_79b1);
        check(u64::from(bits));
    }
}

#[test]
#[ignore = "2^32 words: a minute with optimisation"]
fn every_word() {
    for bits in 0..=u32::MAX {
        check(u64::from(bits));
    }
}

#[test]
fn modes_read_back() {
    for mode in [Mode::El0, Mode::El1t, Mode::El1h, Mode::El0A32] {
        for others in [0, !0x1f] {
            let pstate = Pstate::from_bits_retain(others).with_mode(mode);
            assert_eq!(pstate.mode(), Some(mode));
            assert_eq!(pstate.bits() & !0x1f, others);
        }
    }
    let legal = (0..0x20).filter(|&m| Pstate::from_bits_retain(m).mode().is_some());
    assert_eq!(legal.collect::<Vec<_>>(), [0, 4, 5, 0x10]);
}

#[test]
fn reset_is_el1h_with_everything_masked() {
    assert_eq!(Pstate::RESET.bits(), 0x3c5);
    assert_eq!(Pstate::RESET.mode(), Some(Mode::El1h));
}
