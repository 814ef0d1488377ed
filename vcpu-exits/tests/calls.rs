//! PSCI and SMCCC as argument registers tell them.

use vcpu_exits::calls::{
    FunctionId, Owner, PowerState, PsciCall, PsciError, PsciFunction, SmcccError, TrngError,
};

#[test]
fn rubbish_above_w0_does_not_hide_a_function() {
    assert_eq!(
        PsciCall::decode([0xdead_beef_8400_0008, 0, 0, 0]),
        Some(PsciCall::SystemOff)
    );
}

#[test]
fn smc32_arguments_are_truncated_and_smc64_ones_are_not() {
    let (target, entry, context) = (0xffff_ffff_0000_0001, 0x1_4020_0000, 0x2_0000_0003);
    assert_eq!(
        PsciCall::decode([0x8400_0003, target, entry, context]),
        Some(PsciCall::CpuOn {
            target: 1,
            entry: 0x4020_0000,
            context: 3
        })
    );
    assert_eq!(
        PsciCall::decode([0xc400_0003, target, entry, context]),
        Some(PsciCall::CpuOn {
            target,
            entry,
            context
        })
    );
}

#[test]
fn a_width_that_does_not_exist_is_no_call() {
    // SYSTEM_OFF and PSCI_FEATURES are SMC32 only.
    assert_eq!(PsciCall::decode([0xc400_0008, 0, 0, 0]), None);
    assert_eq!(PsciCall::decode([0xc400_000a, 0, 0, 0]), None);
    assert_eq!(PsciCall::decode([0x8400_0016, 0, 0, 0]), None);
}

#[test]
fn the_sve_hint_is_not_part_of_the_name() {
    assert_eq!(
        PsciCall::decode([0x8401_0000, 0, 0, 0]),
        Some(PsciCall::Version)
    );
}

#[test]
fn every_function_is_found_by_its_identifier() {
    let mut found = 0;
    for number in 0..0x20 {
        for base in [0x8400_0000, 0xc400_0000] {
            let id = FunctionId(base | number);
            let Some(function) = PsciFunction::from_id(id) else {
                continue;
            };
            found += 1;
            assert_eq!(function.id().number(), number as u16);
            let call = PsciCall::decode([id.0.into(), 0, 0, 0]).unwrap();
            assert_eq!(call.function(), function);
            assert_eq!(id.owner(), Owner::StandardSecure);
        }
    }
    // 24 functions, 13 of them in both widths.
    assert_eq!(found, 37);
}

#[test]
fn errors_read_the_same_in_either_width() {
    assert_eq!(PsciError::NotSupported.as_x0(), u64::MAX);
    assert_eq!(PsciError::Denied.as_x0() as u32 as i32, -3);
}

#[test]
fn functions_have_names_in_the_widths_they_exist_in() {
    let cases = [
        (0x8400_0003, Some("CPU_ON")),
        (0xc400_0003, Some("CPU_ON")),
        (0xc400_0008, None),
        (0x8000_0001, Some("SMCCC_ARCH_FEATURES")),
        (0x8001_0001, Some("SMCCC_ARCH_FEATURES")),
        (0xc400_0053, Some("TRNG_RND")),
        (0xc500_0021, Some("PV_TIME_ST")),
        (0x8600_ff01, Some("VENDOR_HYP_CALL_UID")),
        (0x8400_0063, Some("FFA_VERSION")),
        (0xc400_008d, Some("FFA_MSG_SEND_DIRECT_REQ2")),
        (0x8400_008d, None),
    ];
    for (id, name) in cases {
        assert_eq!(FunctionId(id).name(), name, "{id:#x}");
    }
    assert_eq!(
        FunctionId(0xc200_0012).to_string(),
        "fast 64-bit silicon vendor call 0x12"
    );
}

#[test]
fn standard_calls_take_their_arguments() {
    use vcpu_exits::calls::{ArchCall, PvTimeCall, StandardCall, TrngCall};
    let wide = 0xffff_ffff_8400_0001;
    let decode = |id, x1| StandardCall::decode([id, x1, 0, 0]);
    let function = FunctionId(0x8400_0001);
    assert_eq!(
        decode(0x8000_0001, wide),
        StandardCall::Arch(ArchCall::Features { function })
    );
    assert_eq!(
        decode(0x8400_0053, 0xffff_ffff_0000_0020),
        StandardCall::Trng(TrngCall::Random {
            bits: 32,
            is_64bit: false
        })
    );
    assert_eq!(
        decode(0xc400_0053, 192),
        StandardCall::Trng(TrngCall::Random {
            bits: 192,
            is_64bit: true
        })
    );
    assert_eq!(
        decode(0xc500_0021, 0),
        StandardCall::PvTime(PvTimeCall::StolenTime)
    );
    assert_eq!(
        decode(0xdead_0000_c500_0021, 0),
        StandardCall::PvTime(PvTimeCall::StolenTime)
    );
    assert_eq!(
        decode(0x8400_0008, 0),
        StandardCall::Psci(PsciCall::SystemOff)
    );
    assert_eq!(decode(0x1234, 0), StandardCall::Other(FunctionId(0x1234)));
}

#[test]
fn each_services_refusals_are_its_own() {
    let codes = [
        (PsciError::InvalidParameters.as_x0(), -2i64),
        (SmcccError::NotRequired.as_x0(), -2),
        (SmcccError::InvalidParameter.as_x0(), -3),
        (TrngError::InvalidParameters.as_x0(), -2),
        (TrngError::NoEntropy.as_x0(), -3),
    ];
    for (x0, code) in codes {
        assert_eq!(x0 as i64, code);
    }
}

/// Arm DEN0022: StateType is bit 16, PowerLevel bits 25:24, StateID bits 15:0.
#[test]
fn a_power_state_names_its_parts() {
    let state = PowerState(0x0201_beef);
    assert!(state.is_power_down() && state.is_valid());
    assert_eq!((state.power_level(), state.state_id()), (2, 0xbeef));
    assert!(!PowerState(0x0200_0000).is_power_down());
    for bit in (17..24).chain(26..32) {
        assert!(!PowerState(1 << bit).is_valid(), "bit {bit}");
    }
}
