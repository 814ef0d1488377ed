//! A VM that is told of less than its CPU has.

use std::cell::RefCell;

use vcpu_core::{El2, Exit, LoadError, Vm};
use vcpu_hal::{fake::Step, inject::HcrLine, irq::LeavePending};
use vcpu_regs::{Hcr, IdRegisters, SwitchedReg};

use crate::rig::*;

const FP: u64 = esr(0x07, 1 << 24 | 0xe << 20);

/// Runs `test` with a VM narrowed by `narrow`, on a CPU that plays `script`.
fn with_narrowed(
    guest: &Guest,
    script: &[Step<'_>],
    narrow: impl FnOnce(&mut IdRegisters),
    test: impl FnOnce(&mut Running<'_, '_, '_>, Watched<'_>),
) {
    enabled!(guest.cpu(script) => cpu, watched, host, el2);
    let mut vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    // What was prepared for the VM as it was is not used.
    drop(vcpu.load(&mut el2, &vm).unwrap());
    let mut ids = vm.ids().clone();
    narrow(&mut ids);
    vm.narrow(&ids).unwrap();
    assert_eq!(*vm.ids(), ids);
    watched.take();
    test(&mut vcpu.load(&mut el2, &vm).unwrap(), watched);
}

#[test]
fn hidden_pointer_authentication_traps_and_its_keys_stay() {
    let keys = Hcr::API | Hcr::APK;
    let script = [Step::synchronous(WFI)];
    let hide = |ids: &mut IdRegisters| ids.set_isar1(0);
    with_narrowed(&Guest::default(), &script, hide, |live, watched| {
        let key = SwitchedReg::APIAKeyLo_EL1;
        live.set_sysreg(key, 7);
        assert_eq!(watched.cpu.switched.borrow().get(key), 0);
        assert_eq!(live.sysreg(key), 7);
        let exit = live.run();
        live.reflect(exit);
        assert!(!watched.cpu.hcr_in_guest.get().intersects(keys));
    });
    with_narrowed(
        &Guest::default(),
        &script,
        |_| (),
        |live, watched| {
            let exit = live.run();
            live.reflect(exit);
            assert!(watched.cpu.hcr_in_guest.get().contains(keys));
        },
    );
}

#[test]
fn hidden_fp_is_undefined_whatever_the_policy() {
    for guest in [Guest::default(), Guest::eager()] {
        let script = [Step::synchronous(FP)];
        let hide = |ids: &mut IdRegisters| ids.set_pfr0(ids.pfr0() | 0xff << 16);
        with_narrowed(&guest, &script, hide, |live, watched| {
            let exit = live.run();
            assert!(matches!(exit, Exit::Other(_)));
            live.reflect(exit);
            assert_eq!(live.sysreg(SwitchedReg::ESR_EL1), esr(0, 0));
            assert!(!watched.take().contains(&Event::LoadFp));
        });
    }
}

#[test]
fn more_than_there_is_is_refused() {
    let guest = Guest::default();
    enabled!(guest.cpu(&[]) => cpu, watched, host, el2);
    let mut vm = Vm::new(&el2, stage2(1));
    let before = vm.ids().clone();
    let mut wider = before.clone();
    wider.set_isar0(1 << 20); // LSE, which this CPU has not
    let excess = vm.narrow(&wider).unwrap_err();
    assert_eq!((excess.lo, excess.value, excess.limit), (20, 1, 0));
    assert_eq!(*vm.ids(), before);
    // Another name is no more than the name it has.
    let mut renamed = before.clone();
    renamed.set_midr(0x410f_d034);
    vm.narrow(&renamed).unwrap();
    // Once narrow, it stays narrow.
    renamed.set_isar1(0);
    vm.narrow(&renamed).unwrap();
    assert!(vm.narrow(&before).is_err());
}

/// CPUs of two kinds: a VM made on the larger runs on the smaller once it is told of less.
#[test]
fn cpu_that_lacks_what_the_vm_was_promised_refuses_it() {
    let host = Plain::new(HcrLine, LeavePending);
    let (big, mut little) = (Guest::default(), Guest::default());
    little.ids.set_isar1(0); // no pointer authentication
    let cpus = [big.cpu(&[]), little.cpu(&[])];
    cpus[1].mpidr.set(1 << 31 | 1);
    let logs: [RefCell<Vec<Event>>; 2] = Default::default();
    let [mut big, mut little] = [0, 1].map(|i| {
        let watched = Watched {
            cpu: &cpus[i],
            log: &logs[i],
        };
        El2::enable_on(watched, &host).unwrap()
    });
    let mut vm = Vm::new(&big, stage2(1));
    let mut vcpu = Guest::default().vcpu();
    drop(vcpu.load(&mut big, &vm).unwrap());
    for _ in 0..2 {
        let error = vcpu.load(&mut little, &vm).err();
        let Some(LoadError::Lacks(excess)) = error else {
            panic!("{error:?}");
        };
        assert_eq!((excess.lo, excess.value, excess.limit), (4, 1, 0));
    }
    assert_eq!(cpus[1].controls.get(), host_controls());
    vm.narrow(&vm.ids().common(little.ids())).unwrap();
    drop(vcpu.load(&mut little, &vm).unwrap());
    drop(vcpu.load(&mut big, &vm).unwrap());
}
