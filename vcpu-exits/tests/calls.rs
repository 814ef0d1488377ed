//! PSCI and SMCCC as argument registers tell them.

use vcpu_exits::calls::{FunctionId, Owner, PsciCall, PsciError, PsciFunction};

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
