//! Nothing of a word is lost: the fields cover it, and the typed value encodes back to it.
//!
//! The sampled test runs everywhere; all 2^32 low words run with
//! `cargo test --release -p vcpu-exits --test lossless -- --ignored`.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use vcpu_exits::explain::{Context, Fields, explain};
use vcpu_exits::{Decoded, Fault, Syndrome};
use vcpu_regs::Esr;

/// Named fields that mean nothing in this word because a valid bit of it is clear.
fn meaningless(esr: Esr) -> u64 {
    let clear = |bit: u32| esr.0 >> bit & 1 == 0;
    match esr.class() {
        0x01 if clear(2) => 0x1f << 5,           // RN without RV
        0x2f if clear(24) && clear(7) => 1 << 6, // WnR without WnRV
        0x32 | 0x33 if clear(24) => 1 << 6,      // EX without ISV
        0x34 | 0x35 if clear(17) => 0x3f << 18,  // WPT without WPTV
        _ => 0,
    }
}

fn check(word: u64) {
    let esr = Esr(word);
    let (mut joined, mut covered, mut nameless) = (0_u64, 0_u64, 0_u64);
    for field in Fields::of(esr) {
        assert!(field.lo <= field.hi && field.hi < 64, "{word:#x} {field:?}");
        let mask = (u64::MAX >> (63 - field.hi)) & (u64::MAX << field.lo);
        assert_eq!(covered & mask, 0, "{word:#x} {field:?} overlaps");
        covered |= mask;
        joined |= field.in_place();
        if field.is_reserved() {
            nameless |= mask;
        }
    }
    assert_eq!(covered, u64::MAX, "{word:#x} has bits in no field");
    assert_eq!(joined, word);

    let decoded = Decoded::new(esr);
    assert_eq!(decoded.encode(), esr, "{decoded:?}");
    if !matches!(decoded.syndrome, Syndrome::Other(_)) {
        // What the typed value does not hold is exactly what has no name or no meaning.
        assert_eq!(
            decoded.reserved,
            word & (nameless | meaningless(esr)),
            "{word:#x} {decoded:?}"
        );
    }
    // A value built of the same parts is the same value.
    assert_eq!(
        Syndrome::decode(decoded.syndrome.encode()),
        decoded.syndrome
    );
}

#[test]
fn sampled_words_survive() {
    // A step without a common factor with 2^32 reaches every field's values in all classes.
    let step = 65_537;
    let mut word = 0_u64;
    while word <= u64::from(u32::MAX) {
        check(word);
        word += step;
    }
    for class in 0..64_u64 {
        for bit in 0..64 {
            check(class << 26 | 1 << bit);
            check(class << 26 | !(1 << bit) & !(0x3f << 26));
        }
    }
}

/// All 2^32 low words, on all cores; `VCPU_SWEEP_STEP` (default 1) takes every n-th.
#[test]
#[ignore = "minutes of all cores: run by `cargo xtask test --exhaustive`"]
fn every_low_word_survives() {
    let step: u64 = std::env::var("VCPU_SWEEP_STEP").map_or(1, |step| step.parse().unwrap());
    let next = AtomicU64::new(0);
    let checked = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                let mut random = 0x9e37_79b9_7f4a_7c15_u64;
                loop {
                    let block = next.fetch_add(1 << 20, Ordering::Relaxed);
                    if block > u64::from(u32::MAX) {
                        break;
                    }
                    let mut count = 0;
                    for low in (block..block + (1 << 20)).step_by(step as usize) {
                        check(low);
                        // One random upper half in 16, ISS2 and the bits above it.
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        if random & 15 == 0 {
                            check(random & !0xffff_ffff | low);
                        }
                        count += 1;
                    }
                    checked.fetch_add(count, Ordering::Relaxed);
                }
            });
        }
    });
    if step == 1 {
        assert_eq!(checked.into_inner(), 1 << 32);
    }
}

proptest! {
    #[test]
    fn any_word_survives(word: u64) {
        check(word);
    }

    /// Words and hints of anything at all: no panic, no overflow, and at least a line.
    #[test]
    fn anything_can_be_explained(word: u64, far: u64, hpfar: u64, elr: u64, given in 0_u8..8) {
        let context = Context {
            esr: Esr(word),
            far: (given & 1 != 0).then_some(far),
            hpfar: (given & 2 != 0).then_some(hpfar),
            elr: (given & 4 != 0).then_some(elr),
            insn: None,
        };
        let mut text = String::new();
        explain(&mut text, &context).unwrap();
        prop_assert!(text.starts_with("ESR 0x"));
        prop_assert!(text.lines().next().unwrap().len() > "ESR 0x0123456789abcdef: ".len());
        if let Some(fault) = Fault::new(Esr(word), far, hpfar) {
            write!(text, "{fault} {fault:?}").unwrap();
        }
    }
}
