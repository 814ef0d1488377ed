//! A host that computes in FP registers itself, and guests that do.

use std::cell::RefCell;

use vcpu_core::{El2, Exit, Extensions, Fp, Policy, Vm};
use vcpu_hal::{fake::Step, inject::HcrLine, irq::LeavePending};
use vcpu_regs::{Controls, FpState, Hcr};

use crate::rig::*;

const FP: u64 = esr(0x07, 1 << 24 | 0xe << 20);
const SVE: u64 = esr(0x19, 0);

fn filled(first: u128) -> FpState {
    let mut fp = FpState::default();
    for (q, value) in fp.q.iter_mut().zip(first..) {
        *q = value;
    }
    fp.fpcr = first as u64;
    fp
}

/// Adds one to what it finds.
fn count_up(fp: &mut FpState) {
    fp.q.iter_mut().for_each(|q| *q += 1);
    fp.fpcr += 1;
}

fn run(live: &mut Running<'_, '_, '_>) {
    let exit = live.run();
    assert!(matches!(exit, Exit::Wfi(_)), "{exit:?}");
    live.reflect(exit);
}

fn traps(controls: &Controls) -> bool {
    match controls.hcr.contains(Hcr::E2H) {
        true => controls.cptr.bits() >> 20 & 3 != 3,
        false => controls.cptr.bits() >> 10 & 1 == 1,
    }
}

/// Whether FP trapped in each run since the last look.
fn trapped(watched: Watched<'_>) -> Vec<bool> {
    let entered = watched.take().into_iter().filter_map(|event| match event {
        Event::Enter(controls) => Some(traps(&controls)),
        _ => None,
    });
    entered.collect()
}

fn hosts() -> [Controls; 2] {
    let e2h = Controls {
        hcr: Hcr::RW | Hcr::E2H | Hcr::TGE,
        cptr: vcpu_regs::Cptr::from_bits_retain(3 << 20),
        ..host_controls()
    };
    [host_controls(), e2h]
}

#[test]
fn each_has_its_own_in_each_run() {
    for (host, fp) in hosts()
        .into_iter()
        .flat_map(|h| [(h, Fp::Lazy), (h, Fp::Eager)])
    {
        let guest = Guest {
            host,
            policy: Policy {
                fp,
                ..Policy::default()
            },
            ..Guest::default()
        };
        let first: &[u64] = match fp {
            Fp::Lazy => &[WFI, FP],
            Fp::Eager => &[WFI],
        };
        let script: Vec<_> = first.iter().chain(&[WFI, WFI]).copied().collect();
        let script: Vec<_> = script.into_iter().map(Step::synchronous).collect();
        let cpu = guest.cpu(&script);
        cpu.host_uses_fp.set(true);
        cpu.guest_fp.set(count_up);
        let log = RefCell::default();
        let watched = Watched {
            cpu: &cpu,
            log: &log,
        };
        let platform = Plain::new(HcrLine, LeavePending);
        let mut el2 = El2::enable_on(watched, &platform).unwrap();
        let vm = Vm::new(&el2, stage2(1));
        let mut vcpu = guest.vcpu();
        *vcpu.fp_mut() = filled(100);
        cpu.fp.replace(filled(1));

        let mut live = vcpu.load(&mut el2, &vm).unwrap();
        let lazy = fp == Fp::Lazy;
        run(&mut live);
        assert_eq!(trapped(watched), [lazy]);
        // The host goes on computing.
        cpu.fp.replace(filled(7));
        run(&mut live);
        let expected: &[bool] = if lazy { &[true, false] } else { &[false] };
        assert_eq!(trapped(watched), expected);
        assert_eq!(*cpu.fp.borrow(), filled(7));
        cpu.fp.replace(filled(8));
        run(&mut live);
        assert_eq!(trapped(watched), [false]);
        assert!(!traps(&cpu.controls.get()));
        drop(live);
        assert_eq!(*cpu.fp.borrow(), filled(8));
        assert_eq!(cpu.controls.get(), host);
        let runs = if lazy { 2 } else { 3 };
        let mut expected = filled(100);
        (0..runs).for_each(|_| count_up(&mut expected));
        assert_eq!(*vcpu.fp(), expected);
    }
}

/// A guest whose VM has no FP never gets past the trap, and the host never meets it.
#[test]
fn guest_without_fp_finds_the_trap_alone() {
    for host in hosts() {
        let guest = Guest {
            host,
            ..Guest::eager()
        };
        let script = [FP, WFI].map(Step::synchronous);
        let cpu = guest.cpu(&script);
        cpu.host_uses_fp.set(true);
        cpu.guest_fp.set(count_up);
        let log = RefCell::default();
        let watched = Watched {
            cpu: &cpu,
            log: &log,
        };
        let platform = Plain::new(HcrLine, LeavePending);
        let mut el2 = El2::enable_on(watched, &platform).unwrap();
        let mut vm = Vm::new(&el2, stage2(1));
        let mut ids = vm.ids().clone();
        ids.set_pfr0(ids.pfr0() | 0xff << 16);
        vm.narrow(&ids).unwrap();
        let mut vcpu = guest.vcpu();
        cpu.fp.replace(filled(1));
        let mut live = vcpu.load(&mut el2, &vm).unwrap();
        assert!(matches!(live.run(), Exit::Other(_)));
        run(&mut live);
        drop(live);
        assert_eq!(trapped(watched), [true, true]);
        assert_eq!(*cpu.fp.borrow(), filled(1));
        assert_eq!(*vcpu.fp(), FpState::default());
    }
}

/// With vectors, and another guest in between.
#[test]
fn guests_in_turns_have_their_own() {
    for host in hosts() {
        let granted = Guest::granted();
        let guest = Guest {
            host,
            policy: Policy::default(),
            extensions: Extensions::SVE,
            ..granted
        };
        let script = [SVE, WFI, FP, WFI, WFI, SVE, WFI].map(Step::synchronous);
        let cpu = guest.cpu(&script);
        cpu.host_uses_fp.set(true);
        cpu.guest_fp.set(count_up);
        cpu.zcr_el2.set(9);
        let log = RefCell::default();
        let watched = Watched {
            cpu: &cpu,
            log: &log,
        };
        let platform = Plain::new(HcrLine, LeavePending);
        let mut el2 = El2::enable_on(watched, &platform).unwrap();
        let vms = [
            Vm::with(&el2, stage2(1), Extensions::SVE),
            Vm::new(&el2, stage2(2)),
        ];
        let (mut a, mut b) = (guest.vcpu(), guest.vcpu());
        *a.fp_mut() = filled(100);
        let z = [0x5a; 256];
        assert!(a.set_z(31, &z));
        *b.fp_mut() = filled(200);
        cpu.fp.replace(filled(1));
        let mut turns = el2.take_turns();
        run(&mut a.load(&mut turns, &vms[0]).unwrap());
        assert_eq!(
            (trapped(watched), cpu.zcr_el2.get()),
            (vec![true, false], 9)
        );
        let mut live = b.load(&mut turns, &vms[1]).unwrap();
        run(&mut live);
        run(&mut live);
        drop(live);
        assert_eq!(trapped(watched), [true, false, false]);
        assert!(!traps(&cpu.controls.get()));
        run(&mut a.load(&mut turns, &vms[0]).unwrap());
        assert_eq!(trapped(watched), [true, false]);
        drop(turns);
        assert_eq!(*cpu.fp.borrow(), filled(1));
        assert_eq!((cpu.controls.get(), cpu.zcr_el2.get()), (host, 9));
        for (vcpu, first) in [(&a, 102), (&b, 202)] {
            assert_eq!(vcpu.fp().q[..31], filled(first).q[..31]);
        }
        let q = u128::from_le_bytes([0x5a; 16]) + 2;
        assert_eq!(a.fp().q[31], q);
        let found = a.z(31).unwrap();
        assert_eq!(
            (&found[..16], &found[16..]),
            (&q.to_le_bytes()[..], &z[16..])
        );
    }
}
