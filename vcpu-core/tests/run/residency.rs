//! What moves onto the CPU with `load`, and back with `put`.

use vcpu_core::{El2, Extensions, Vm};
use vcpu_hal::{fake::Step, inject::HcrLine, irq::LeavePending};
use vcpu_regs::{FpState, Gpr, SwitchedReg, SwitchedState};

use crate::rig::*;

const CTLS: [SwitchedReg; 2] = [SwitchedReg::CNTV_CTL_EL0, SwitchedReg::CNTP_CTL_EL0];

/// A value of its own for every register.
fn value(salt: u64, index: usize) -> u64 {
    (salt << 32 | index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

fn fp(salt: u64) -> FpState {
    let mut fp = FpState::default();
    for (i, q) in fp.q.iter_mut().enumerate() {
        *q = u128::from(value(salt, i)) << 64 | u128::from(value(salt + 1, i));
    }
    fp.fpcr = value(salt, 100);
    fp.fpsr = value(salt, 101);
    fp
}

fn fill(salt: u64, mut set: impl FnMut(SwitchedReg, u64)) {
    for (i, &reg) in SwitchedReg::ALL.iter().enumerate() {
        set(reg, value(salt, i));
    }
}

#[test]
fn every_register_goes_there_and_comes_back() {
    let guest = Guest::granted();
    let script = [Step::synchronous(WFI)];
    enabled!(guest.cpu(&script) => cpu, watched, host, el2);
    let vm = Vm::with(&el2, stage2(1), guest.extensions);
    let mut vcpu = guest.vcpu();
    fill(1, |reg, value| vcpu.set_sysreg(reg, value));
    *vcpu.fp_mut() = fp(1);
    vcpu.set_thread_ids(11, 12);
    vcpu.set_sp_el0(13);

    let mut live = vcpu.load(&mut el2, &vm).unwrap();
    fill(1, |reg, value| {
        assert_eq!(cpu.switched.borrow().get(reg), value, "{reg:?} not loaded");
        assert_eq!(live.sysreg(reg), value);
    });
    assert_eq!(*cpu.fp.borrow(), fp(1));
    let _ = live.run();

    // The guest changes all of it.
    fill(2, |reg, value| cpu.switched.borrow_mut().set(reg, value));
    cpu.fp.replace(fp(2));
    fill(2, |reg, value| {
        assert_eq!(live.sysreg(reg), value, "{reg:?}")
    });
    drop(live);

    fill(2, |reg, value| {
        assert_eq!(vcpu.sysreg(reg), value, "{reg:?} not saved")
    });
    assert_eq!(*vcpu.fp(), fp(2));
    assert_eq!(vcpu.thread_ids(), (11, 12));
    assert_eq!(vcpu.sp_el0(), 13);
    assert_eq!(vcpu.pc(), PC);
    assert_eq!(vcpu.reg(Gpr::X30), pattern(30));

    // What the CPU holds by then does not matter: the next load brings it all.
    cpu.switched.replace(SwitchedState::default());
    cpu.fp.replace(FpState::default());
    let live = vcpu.load(&mut el2, &vm).unwrap();
    fill(2, |reg, value| {
        assert_eq!(live.sysreg(reg), value, "{reg:?}")
    });
    assert_eq!(*cpu.fp.borrow(), fp(2));
}

#[test]
fn live_reads_and_writes_the_hardware() {
    Guest::granted().play(&[], |live, watched| {
        fill(3, |reg, value| {
            live.set_sysreg(reg, value);
            assert_eq!(watched.cpu.switched.borrow().get(reg), value);
        });
    });
}

/// What a VM is not granted stays with the vCPU, and with the hardware: it costs nothing.
#[test]
fn what_is_not_granted_does_not_move() {
    let guest = Guest {
        extensions: Extensions::empty(),
        ..Guest::granted()
    };
    let by_grant = |reg: SwitchedReg| {
        let shown = vcpu_core::guest_ids(&guest.ids, 40, Extensions::empty());
        let features = guest.ids.features();
        reg.exists(features) && !reg.exists(features.granted(shown.features()))
    };
    let names: Vec<_> = SwitchedReg::ALL
        .iter()
        .filter(|&&reg| by_grant(reg))
        .map(|reg| reg.name())
        .collect();
    let expected = [
        "SCXTNUM_EL1",
        "SCXTNUM_EL0",
        "TCR2_EL1",
        "PIRE0_EL1",
        "PIR_EL1",
        "POR_EL1",
        "POR_EL0",
        "ZCR_EL1",
        "RGSR_EL1",
        "GCR_EL1",
        "TFSR_EL1",
        "TFSRE0_EL1",
    ];
    assert_eq!(names, expected);
    guest.play(&[], |live, watched| {
        fill(5, |reg, value| live.set_sysreg(reg, value));
        fill(5, |reg, value| {
            let held = watched.cpu.switched.borrow().get(reg);
            assert_eq!(held == value, !by_grant(reg), "{reg:?}");
            assert_eq!(live.sysreg(reg), value, "{reg:?}");
        });
    });
}

/// A host's own physical timer, where the guest has none, is neither written nor stopped.
#[test]
fn physical_timer_is_left_to_a_host_that_keeps_it() {
    let guest = Guest::default();
    enabled!(guest.cpu(&[]) => cpu, watched, host, el2);
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    let timer = [SwitchedReg::CNTP_CVAL_EL0, SwitchedReg::CNTP_CTL_EL0];
    for reg in timer {
        cpu.switched.borrow_mut().set(reg, 5);
        vcpu.set_sysreg(reg, 7);
    }
    let live = vcpu.load(&mut el2, &vm).unwrap();
    assert_eq!(timer.map(|reg| live.sysreg(reg)), [7, 7]);
    assert_eq!(timer.map(|reg| cpu.switched.borrow().get(reg)), [5, 5]);
    drop(live);
    assert_eq!(timer.map(|reg| cpu.switched.borrow().get(reg)), [5, 5]);
    assert_eq!(timer.map(|reg| vcpu.sysreg(reg)), [7, 7]);
}

/// Without FEAT_PAuth the keys are not touched (`Watched` refuses), and survive in the vCPU.
#[test]
fn register_that_a_cpu_lacks_stays_with_the_vcpu() {
    let guest = Guest::with_ids(ids(&[(4, 0, 0, 2), (4, 0, 4, 1), (7, 0, 0, 2)]));
    enabled!(guest.cpu(&[]) => cpu, watched, host, el2);
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    let key = SwitchedReg::APIAKeyLo_EL1;
    vcpu.set_sysreg(key, 0x1234);
    let mut live = vcpu.load(&mut el2, &vm).unwrap();
    assert_eq!(live.sysreg(key), 0x1234);
    live.set_sysreg(key, 0x5678);
    assert_eq!(live.sysreg(key), 0x5678);
    drop(live);
    assert_eq!(vcpu.sysreg(key), 0x5678);
}

/// Saved first, stopped then, under the guest's controls still: no timer fires into the host.
#[test]
fn put_stops_the_timers_and_keeps_what_they_were() {
    let guest = Guest::eager();
    enabled!(guest.cpu(&[]) => cpu, watched, host, el2);
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    let live = vcpu.load(&mut el2, &vm).unwrap();
    for ctl in CTLS {
        cpu.switched.borrow_mut().set(ctl, 5); // enabled, and firing
    }
    watched.take();
    drop(live);
    for ctl in CTLS {
        assert_eq!(cpu.switched.borrow().get(ctl), 0, "{ctl:?} runs on");
        assert_eq!(vcpu.sysreg(ctl), 5, "{ctl:?} lost");
    }
    let log = watched.take();
    let at = |event: Event| log.iter().position(|&e| e == event).unwrap();
    let (saved, returned) = (
        at(Event::SaveSwitched),
        at(Event::Controls(host_controls())),
    );
    for ctl in CTLS {
        let stopped = at(Event::Write(ctl, 0));
        assert!(saved < stopped && stopped < returned, "{log:?}");
    }
    assert!(
        at(Event::SaveFp) < returned,
        "FP may trap under the host's CPTR"
    );
}

/// The guest's CPTR is in force before FP is touched, its VTTBR before the TLB is.
#[test]
fn load_puts_the_controls_first() {
    let guest = Guest::eager();
    guest.play(&[], |_, watched| {
        let log = watched.take();
        assert!(matches!(log[0], Event::Controls(_)), "{log:?}");
        let at = |event: Event| log.iter().position(|&e| e == event);
        let first = log.iter().position(|e| matches!(e, Event::Invalidate(_)));
        assert!(at(Event::LoadSwitched) > Some(0));
        assert!(at(Event::LoadFp) > Some(0) && first > Some(0));
    });
}

#[test]
fn reset_state_is_what_the_seed_crate_documents() {
    let vcpu = vcpu_core::Vcpu::<Plain>::new(&Default::default());
    assert_eq!(vcpu.pstate().bits(), 0x3c5);
    assert_eq!(vcpu.sysreg(SwitchedReg::SCTLR_EL1), 0x30c5_0830);
    assert_eq!((vcpu.pc(), vcpu.mpidr()), (0, 1 << 31));
    for n in 0..32 {
        assert_eq!(vcpu.reg(Gpr::new(n)), 0);
    }
    for &reg in SwitchedReg::ALL {
        if reg != SwitchedReg::SCTLR_EL1 {
            assert_eq!(vcpu.sysreg(reg), 0, "{reg:?}");
        }
    }
    assert_eq!(*vcpu.fp(), FpState::default());
}

/// Two values of one CPU do not make it two: the first guest would go on in the second's memory.
#[test]
fn cpu_holds_one_guest_whoever_asks() {
    use vcpu_core::LoadError;
    let guest = Guest::default();
    let cpu = guest.cpu(&[]);
    let log = Default::default();
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let host = Plain::new(HcrLine, LeavePending);
    let mut one = El2::enable_on(watched, &host).unwrap();
    let mut two = El2::enable_on(watched, &host).unwrap();
    let vms = [Vm::new(&one, stage2(1)), Vm::new(&one, stage2(2))];
    let mut vcpus = [guest.vcpu(), guest.vcpu()];
    let [a, b] = &mut vcpus;
    let live = a.load(&mut one, &vms[0]).unwrap();
    let loaded = cpu.controls.get();
    assert_eq!(b.load(&mut two, &vms[1]).err(), Some(LoadError::Occupied));
    assert_eq!(cpu.controls.get(), loaded);
    drop(live);
    drop(b.load(&mut two, &vms[1]).unwrap());
    core::mem::forget(a.load(&mut one, &vms[0]).unwrap());
    assert_eq!(b.load(&mut two, &vms[1]).err(), Some(LoadError::Occupied));
    drop(one);
    drop(b.load(&mut two, &vms[1]).unwrap());
    assert_eq!(cpu.controls.get(), host_controls());
}

/// A few words: nothing that becomes a `memcpy`.
#[test]
fn exit_is_small() {
    assert!(size_of::<vcpu_core::Exit<Option<vcpu_regs::Intid>>>() <= 48);
}
