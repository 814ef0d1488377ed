//! CPUs that cannot run guests.

use vcpu_core::{El2, EnableError};
use vcpu_hal::{HostMode, inject::HcrLine, irq::LeavePending};

use crate::rig::*;

fn refusal(mode: HostMode) -> Option<EnableError> {
    let cpu = Guest::default().cpu(&[]);
    cpu.mode.set(mode);
    let log = Default::default();
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let host = Plain::new(HcrLine, LeavePending);
    let error = El2::enable_on(watched, &host).err();
    assert_eq!(cpu.controls.get(), host_controls());
    assert!(log.borrow().is_empty(), "touched: {:?}", log.borrow());
    error
}

const GOOD: HostMode = HostMode {
    el: 2,
    own_stack: true,
    e2h: false,
    signs_pointers: false,
};

#[test]
fn each_refusal_says_why() {
    assert_eq!(refusal(GOOD), None);
    for el in [0, 1, 3] {
        let mode = HostMode { el, ..GOOD };
        assert_eq!(refusal(mode), Some(EnableError::NotEl2(el)));
    }
    let signing = HostMode {
        signs_pointers: true,
        ..GOOD
    };
    assert_eq!(refusal(signing), Some(EnableError::SignsPointers));
    let el2t = HostMode {
        own_stack: false,
        ..GOOD
    };
    assert_eq!(refusal(el2t), Some(EnableError::NotOnOwnStack));
    assert_eq!(refusal(HostMode { e2h: true, ..GOOD }), None);
}

#[test]
fn words_name_the_level() {
    let error = EnableError::NotEl2(1).to_string();
    assert!(error.contains("EL1") && error.contains("EL2"), "{error}");
}
