//! The services of SMCCC and the filter, as decisions.

use proptest::prelude::*;
use vcpu_core::{
    Caller, Decision, Firmware, PowerCell, Rule, SocId, StolenTime, StolenTimeRecord, Trng,
    Workarounds,
};
use vcpu_exits::calls::FunctionId;
use vcpu_regs::Ipa;

pub const NOT_SUPPORTED: u64 = u64::MAX;
pub const INVALID: u64 = -2i64 as u64;
const NO_ENTROPY: u64 = -3i64 as u64;
pub const VERSION: u64 = 0x8000_0000;
const FEATURES: u64 = 0x8000_0001;
const SOC_ID: u64 = 0x8000_0002;
const WORKAROUND_1: u64 = 0x8000_8000;
const WORKAROUND_2: u64 = 0x8000_7fff;
const WORKAROUND_3: u64 = 0x8000_3fff;
const TRNG_VERSION: u64 = 0x8400_0050;
const TRNG_FEATURES: u64 = 0x8400_0051;
const TRNG_UUID: u64 = 0x8400_0052;
const TRNG_RND: u64 = 0x8400_0053;
pub const TRNG_RND_64: u64 = 0xc400_0053;
const PV_TIME_FEATURES: u64 = 0xc500_0020;
pub const PV_TIME_ST: u64 = 0xc500_0021;
pub const SIP: FunctionId = FunctionId(0xc200_0010);

pub fn cells() -> [PowerCell; 2] {
    [PowerCell::on(0), PowerCell::off(1)]
}

fn results(firmware: &Firmware<'_>, x: [u64; 4]) -> Vec<u64> {
    let caller = Caller {
        mpidr: 1 << 31 | 1,
        big_endian: false,
    };
    match firmware.decide(x, caller) {
        Decision::Answer(results, None) => results.as_slice().to_vec(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn expect(firmware: &Firmware<'_>, x: [u64; 3], expected: &[u64]) {
    let [x0, x1, x2] = x;
    assert_eq!(results(firmware, [x0, x1, x2, 0]), expected, "{x:x?}");
}

#[test]
fn what_is_not_offered_is_not_supported() {
    let firmware = Firmware::new(&[], &[]);
    expect(&firmware, [VERSION, 0, 0], &[0x1_0002]);
    for function in [VERSION, FEATURES] {
        expect(&firmware, [FEATURES, function, 0], &[0]);
    }
    for function in [
        SOC_ID,
        WORKAROUND_1,
        WORKAROUND_2,
        WORKAROUND_3,
        TRNG_VERSION,
        PV_TIME_FEATURES,
        PV_TIME_ST,
        SIP.0.into(),
    ] {
        expect(&firmware, [FEATURES, function, 0], &[NOT_SUPPORTED]);
        expect(&firmware, [function, 0, 0], &[NOT_SUPPORTED]);
    }
    for unknown in [0, 0x8400_0fff, 0xb200_0001, !0] {
        expect(&firmware, [unknown, 0, 0], &[NOT_SUPPORTED]);
    }
}

#[test]
fn soc_id_is_told_where_the_host_knows_it() {
    let firmware = Firmware {
        soc: Some(SocId {
            version: 0x8036_0123,
            revision: 2,
        }),
        ..Firmware::new(&[], &[])
    };
    expect(&firmware, [FEATURES, SOC_ID, 0], &[0]);
    expect(&firmware, [SOC_ID, 0, 0], &[0x0036_0123]);
    expect(&firmware, [SOC_ID, 0xffff_ffff_0000_0001, 0], &[2]);
    expect(&firmware, [SOC_ID, 2, 0], &[-3i64 as u64]);
}

#[test]
fn mitigations_that_are_not_needed_say_so_and_do_nothing() {
    let firmware = Firmware {
        unneeded: Workarounds::BRANCH_TARGETS | Workarounds::STORE_BYPASS,
        ..Firmware::new(&[], &[])
    };
    expect(&firmware, [FEATURES, WORKAROUND_1, 0], &[1]);
    expect(&firmware, [WORKAROUND_1, 0, 0], &[0]);
    expect(&firmware, [FEATURES, WORKAROUND_2, 0], &[-2i64 as u64]);
    expect(&firmware, [WORKAROUND_2, 1, 0], &[0]);
    expect(&firmware, [FEATURES, WORKAROUND_3, 0], &[NOT_SUPPORTED]);
    expect(&firmware, [WORKAROUND_3, 0, 0], &[NOT_SUPPORTED]);
}

#[test]
fn random_bits_are_as_many_as_were_asked_for() {
    let entropy = |_| Some([!0, 0x1111_2222_3333_4444 | 1 << 63, !0 << 1]);
    let firmware = Firmware {
        trng: Some(Trng {
            uuid: [1, 2, 3, 0xffff_ffff],
            entropy: &entropy,
        }),
        ..Firmware::new(&[], &[])
    };
    let middle = 0x9111_2222_3333_4444;
    expect(&firmware, [TRNG_VERSION, 0, 0], &[0x1_0000]);
    expect(&firmware, [TRNG_UUID, 0, 0], &[1, 2, 3, 0xffff_ffff]);
    for function in [TRNG_VERSION, TRNG_UUID, TRNG_RND, TRNG_RND_64] {
        expect(&firmware, [TRNG_FEATURES, function, 0], &[0]);
    }
    for function in [VERSION, 0x8400_0054, 0xc400_0050] {
        expect(&firmware, [TRNG_FEATURES, function, 0], &[NOT_SUPPORTED]);
    }
    for (bits, words) in [
        (1, [0, 0, 1]),
        (64, [0, 0, !0]),
        (65, [0, 0, !0]),
        (67, [0, 4, !0]),
        (128, [0, middle, !0]),
        (131, [6, middle, !0]),
        (192, [!0 << 1, middle, !0]),
    ] {
        let [x1, x2, x3] = words;
        expect(&firmware, [TRNG_RND_64, bits, 0], &[0, x1, x2, x3]);
    }
    let low = 0xffff_ffff;
    for (bits, words) in [
        (1, [0, 0, 1]),
        (32, [0, 0, low]),
        (40, [0, 0xff, low]),
        (96, [0x3333_4444, low, low]),
        (low << 32 | 8, [0, 0, 0xff]),
    ] {
        let [x1, x2, x3] = words;
        expect(&firmware, [TRNG_RND, bits, 0], &[0, x1, x2, x3]);
    }
    for (function, bits) in [
        (TRNG_RND, 0),
        (TRNG_RND, 97),
        (TRNG_RND_64, 0),
        (TRNG_RND_64, 193),
        (TRNG_RND_64, 1 << 32 | 1),
    ] {
        expect(&firmware, [function, bits, 0], &[INVALID]);
    }
}

#[test]
fn an_empty_pool_is_no_entropy_and_never_short() {
    let entropy = |bits| (bits <= 64).then_some([5, 0, 0]);
    let firmware = Firmware {
        trng: Some(Trng {
            uuid: [0; 4],
            entropy: &entropy,
        }),
        ..Firmware::new(&[], &[])
    };
    expect(&firmware, [TRNG_RND_64, 64, 0], &[0, 0, 0, 5]);
    expect(&firmware, [TRNG_RND_64, 65, 0], &[NO_ENTROPY]);
}

#[test]
fn each_vcpu_has_its_own_record_of_stolen_time() {
    let cells = cells();
    let firmware = Firmware {
        stolen_time: Some(Ipa(0x7000_0000)),
        ..Firmware::new(&cells, &[])
    };
    expect(&firmware, [FEATURES, PV_TIME_FEATURES, 0], &[0]);
    expect(&firmware, [PV_TIME_FEATURES, PV_TIME_ST, 0], &[0]);
    expect(&firmware, [PV_TIME_FEATURES, PV_TIME_FEATURES, 0], &[0]);
    expect(&firmware, [PV_TIME_FEATURES, VERSION, 0], &[NOT_SUPPORTED]);
    expect(&firmware, [PV_TIME_ST, 0, 0], &[0x7000_0040]); // the second
}

#[test]
fn stolen_time_counts_nanoseconds_without_losing_any() {
    let record = StolenTimeRecord::default();
    let mut stolen = StolenTime::new(62_500_000);
    for _ in 0..1000 {
        stolen.add(1); // 16 ns
    }
    assert_eq!(stolen.nanoseconds(), 16_000);
    stolen.publish(&record);
    // SAFETY: plain words, 64 bytes of them, that nobody writes now.
    let words: [u64; 8] = unsafe { std::mem::transmute(record) };
    assert_eq!(words, [0, 16_000u64.to_le(), 0, 0, 0, 0, 0, 0]);
    stolen.add(u64::MAX);
    assert_eq!(stolen.nanoseconds(), u64::MAX);
    assert_eq!(StolenTime::new(0).nanoseconds(), 0);
}

#[test]
fn the_first_rule_that_names_a_function_decides() {
    let only = |id: u32| (FunctionId(id), FunctionId(id));
    let (hole, end) = (only(0xc200_0011), FunctionId(0xc200_ffff));
    // SAFETY: no firmware hears of these tests.
    let forward = unsafe { Rule::forward(SIP, end) };
    let rules = [
        Rule::deny(hole.0, hole.1),
        forward,
        Rule::host(FunctionId(0x8600_0000), FunctionId(0x8600_00ff)),
        Rule::deny(FunctionId(0), FunctionId(!0)),
        Rule::host(FunctionId(0), FunctionId(!0)), // never reached
    ];
    let firmware = Firmware {
        filter: &rules,
        ..Firmware::new(&[], &[])
    };
    let caller = Caller {
        mpidr: 0,
        big_endian: false,
    };
    let denied = firmware.decide([0, 0, 0, 0], caller);
    assert_eq!(results(&firmware, [0, 0, 0, 0]), [NOT_SUPPORTED]);
    for (x0, expected) in [
        (0xc200_000f, denied),
        (0xc200_0010, Decision::ToFirmware),
        (0xc200_0011, denied),
        (0xc200_0012, Decision::ToFirmware),
        (0xc200_ffff, Decision::ToFirmware),
        (0xc201_0010, Decision::ToFirmware), // with the hint about SVE
        (0xc300_0000, denied),
        (0x8600_0000, Decision::ToHost),
        (0x8600_0100, denied),
        (0x8400_0005, denied), // MIGRATE
    ] {
        assert_eq!(firmware.decide([x0, 0, 0, 0], caller), expected, "{x0:#x}");
        let about = firmware.decide([FEATURES, x0, 0, 0], caller);
        assert_eq!(about, expected, "about {x0:#x}");
    }
    assert_eq!(results(&firmware, [VERSION, 0, 0, 0]), [0x1_0002], "ours");
}

/// Rubbish in the upper half of x0 names the same function to the filter as to EL3.
#[test]
fn rubbish_above_w0_does_not_get_past_the_filter() {
    // SAFETY: no firmware hears of these tests.
    let rules = [Rule::deny(SIP, SIP), unsafe {
        Rule::forward(FunctionId(0), FunctionId(!0))
    }];
    let firmware = Firmware {
        filter: &rules,
        ..Firmware::new(&[], &[])
    };
    for rubbish in [1 << 32, 1 << 63, 0xffff_ffff_0000_0000] {
        expect(
            &firmware,
            [u64::from(SIP.0) | rubbish, 0, 0],
            &[NOT_SUPPORTED],
        );
    }
}

/// Identifiers near the known ones, and any others.
fn identifier() -> impl Strategy<Value = u64> {
    const BASES: [u64; 6] = [
        0x8000_0000,
        0x8400_0000,
        0x8500_0020,
        0x8600_0000,
        0xc200_0000,
        0,
    ];
    let near = (
        prop::sample::select(&BASES[..]),
        0..0x80u64,
        0..4u64,
        any::<u32>(),
    );
    prop_oneof![
        any::<u64>(),
        near.prop_map(|(base, number, form, above)| {
            let (wide, hint) = (form & 1, form >> 1);
            (base + number) | wide << 30 | hint << 16 | u64::from(above) << 32
        }),
    ]
}

proptest! {
    /// Whatever a guest asks, only a function that a rule names leaves the VM's firmware.
    #[test]
    fn nothing_leaves_that_no_rule_names(
        x0 in identifier(),
        x1 in prop_oneof![identifier(), any::<u64>()],
        x2 in any::<u64>(),
        x3 in any::<u64>(),
        offers in any::<bool>(),
    ) {
        let sip = FunctionId(0xc200_0000)..=FunctionId(0xc200_003f);
        // SAFETY: no firmware hears of these tests.
        let forward = unsafe { Rule::forward(*sip.start(), *sip.end()) };
        let rules = [forward, Rule::host(FunctionId(0x8600_0000), FunctionId(0x8600_000f))];
        let (cells, ram) = (cells(), [Ipa(0x4000_0000)..Ipa(0x8000_0000)]);
        let firmware = Firmware {
            soc: offers.then_some(SocId { version: 1, revision: 2 }),
            stolen_time: offers.then_some(Ipa(0x7000_0000)),
            filter: &rules,
            ..Firmware::new(&cells, &ram)
        };
        let caller = Caller { mpidr: 1 << 31, big_endian: false };
        // A question about a function goes where the function goes.
        let [asked, about] = [x0, x1].map(|x| x as u32 & !(1 << 16));
        let subject = if asked & !(1 << 30) == FEATURES as u32 { about } else { asked };
        match firmware.decide([x0, x1, x2, x3], caller) {
            Decision::ToFirmware => assert!((0xc200_0000..=0xc200_003f).contains(&subject)),
            Decision::ToHost => assert!((0x8600_0000..=0x8600_000f).contains(&subject)),
            Decision::Answer(results, _) => assert!((1..=4).contains(&results.as_slice().len())),
            other => panic!("{other:?}"),
        }
    }
}
