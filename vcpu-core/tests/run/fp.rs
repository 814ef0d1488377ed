//! FP registers that a guest gets with its first use of them.

use vcpu_core::{Exit, Vm};
use vcpu_hal::fake::Step;
use vcpu_regs::{Controls, FpState, Hcr};

use crate::rig::*;

const FP: u64 = esr(0x07, 1 << 24 | 0xe << 20);

fn fp(first: u128) -> FpState {
    let mut fp = FpState::default();
    for (q, value) in fp.q.iter_mut().zip(first..) {
        *q = value;
    }
    fp.fpcr = 1 << 24;
    fp
}

fn traps(controls: Controls) -> bool {
    match controls.hcr.contains(Hcr::E2H) {
        true => controls.cptr.bits() >> 20 & 3 != 3,
        false => controls.cptr.bits() >> 10 & 1 == 1,
    }
}

/// Without a trace for the host: the run goes on.
#[test]
fn first_use_brings_the_registers_and_put_takes_them() {
    let e2h = Controls {
        hcr: Hcr::RW | Hcr::E2H | Hcr::TGE,
        ..host_controls()
    };
    for host in [host_controls(), e2h] {
        let guest = Guest {
            host,
            ..Guest::default()
        };
        let script = [FP, WFI, FP, WFI].map(Step::synchronous);
        enabled!(guest.cpu(&script) => cpu, watched, platform, el2);
        let vm = Vm::new(&el2, stage2(1));
        let mut vcpu = guest.vcpu();
        *vcpu.fp_mut() = fp(100);
        cpu.fp.replace(fp(1));

        let mut live = vcpu.load(&mut el2, &vm).unwrap();
        assert_eq!(*cpu.fp.borrow(), fp(1), "loaded before it was used");
        watched.take();
        assert!(matches!(live.run(), Exit::Wfi(_)));
        assert_eq!(live.pc(), PC);
        assert_eq!(*cpu.fp.borrow(), fp(100));
        let entries: Vec<_> = watched
            .take()
            .into_iter()
            .filter_map(|event| match event {
                Event::Enter(controls) => Some(traps(controls)),
                _ => None,
            })
            .collect();
        assert_eq!(entries, [true, false]);
        // It has them: the same class is the guest's own matter now.
        assert!(matches!(live.run(), Exit::Other(_)));
        let exit = live.run();
        live.reflect(exit);
        cpu.fp.replace(fp(200));
        drop(live);
        assert_eq!(*vcpu.fp(), fp(200));
    }
}

#[test]
fn guest_that_uses_none_costs_none() {
    let script = [Step::synchronous(WFI)];
    Guest::default().play(&script, |live, watched| {
        let exit = live.run();
        live.reflect(exit);
        let log = watched.take();
        assert!(!log.contains(&Event::LoadFp));
    });
    let guest = Guest::default();
    enabled!(guest.cpu(&[]) => cpu, watched, platform, el2);
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    *vcpu.fp_mut() = fp(7);
    cpu.fp.replace(fp(1));
    drop(vcpu.load(&mut el2, &vm).unwrap());
    assert!(!watched.take().contains(&Event::SaveFp));
    assert_eq!(*vcpu.fp(), fp(7));
}

/// What the first left in the registers, the second cannot read.
#[test]
fn next_guest_in_turn_finds_the_trap_again() {
    let guest = Guest::default();
    let script = [FP, WFI, WFI, FP, WFI].map(Step::synchronous);
    enabled!(guest.cpu(&script) => cpu, watched, platform, el2);
    let vms = [Vm::new(&el2, stage2(1)), Vm::new(&el2, stage2(2))];
    let (mut a, mut b) = (guest.vcpu(), guest.vcpu());
    *a.fp_mut() = fp(100);
    *b.fp_mut() = fp(200);
    let mut turns = el2.take_turns();
    let run = |live: &mut Running<'_, '_, '_>| {
        let exit = live.run();
        live.reflect(exit);
    };
    run(&mut a.load(&mut turns, &vms[0]).unwrap());
    assert_eq!(*cpu.fp.borrow(), fp(100));
    let mut live = b.load(&mut turns, &vms[1]).unwrap();
    assert!(traps(cpu.controls.get()));
    run(&mut live);
    assert!(traps(cpu.controls.get()));
    run(&mut live);
    assert_eq!(*cpu.fp.borrow(), fp(200));
    // Even if it is forgotten.
    core::mem::forget(live);
    let _live = a.load(&mut turns, &vms[0]).unwrap();
    assert!(traps(cpu.controls.get()));
}
