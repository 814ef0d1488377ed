//! vCPUs that take turns: the host's controls stay away, and each guest has its own.

use std::cell::RefCell;

use vcpu_core::{El2, LoadError, Policy, Vcpu, Vm, Vmids, Waits};
use vcpu_hal::{fake::Step, inject::HcrLine, irq::LeavePending};
use vcpu_regs::{Controls, Hcr, InvalidateStep, Pa, SwitchedReg};
use vcpu_stage2::{Geometry, Request, Stage2};

use crate::rig::*;

/// The controls that each of `guests` runs under when they take turns, twice, and alone.
#[test]
fn each_turn_is_as_alone() {
    let policies = [
        Policy::default(),
        Policy::default(),
        Policy {
            wfi: Waits::Native,
            ..Policy::PASS_THROUGH
        },
        Policy::default(),
    ];
    let steps = [Step::synchronous(WFI); 12];
    let guest = Guest::default();
    enabled!(guest.cpu(&steps) => cpu, watched, host, el2);
    let vms: Vec<_> = (1..=4).map(|vmid| Vm::new(&el2, stage2(vmid))).collect();
    let vcpu = |(n, policy): (usize, Policy)| {
        Vcpu::new(&vcpu_core::VcpuConfig {
            mpidr: n as u64,
            policy,
        })
    };
    let mut vcpus: Vec<Vcpu<Plain>> = policies.into_iter().enumerate().map(vcpu).collect();
    let mut run = |el2: &mut El2<'_, _, Watched<'_>>, n: usize| -> Controls {
        watched.take();
        let exit = vcpus[n].load(el2, &vms[n]).unwrap().run();
        drop(exit);
        let entered = |event| match event {
            Event::Enter(controls) => Some(controls),
            _ => None,
        };
        watched.take().into_iter().find_map(entered).unwrap()
    };
    let alone: Vec<_> = (0..4).map(|n| run(&mut el2, n)).collect();
    assert_eq!(cpu.controls.get(), host_controls());
    let mut turns = el2.take_turns();
    for n in (0..4).chain(0..4) {
        assert_eq!(run(&mut turns, n), alone[n], "guest {n}");
        assert_ne!(cpu.controls.get(), host_controls());
    }
    drop(turns);
    assert_eq!(cpu.controls.get(), host_controls());
}

/// Between two turns the host sees of itself what it does between two runs.
#[test]
fn host_keeps_its_routing_and_no_timer_fires() {
    let guest = Guest::eager();
    enabled!(guest.cpu(&[]) => cpu, watched, host, el2);
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    let mut turns = el2.take_turns();
    let live = vcpu.load(&mut turns, &vm).unwrap();
    let timers = [SwitchedReg::CNTV_CTL_EL0, SwitchedReg::CNTP_CTL_EL0];
    for ctl in timers {
        cpu.switched.borrow_mut().set(ctl, 5);
    }
    drop(live);
    assert_eq!(timers.map(|ctl| cpu.switched.borrow().get(ctl)), [0, 0]);
    let routing = Hcr::IMO | Hcr::FMO | Hcr::AMO | Hcr::TGE;
    let hcr = cpu.controls.get().hcr;
    assert_eq!(hcr & routing, host_controls().hcr & routing);
    drop(turns);
    drop(el2);
    assert_eq!(cpu.controls.get(), host_controls());
}

/// What the host changes before it takes turns is found, and comes back.
#[test]
fn host_may_change_its_controls_between_two_sets_of_turns() {
    let guest = Guest::default();
    enabled!(guest.cpu(&[]) => cpu, watched, host, el2);
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    let mut mdcr = host_controls().mdcr;
    for hpmn in [6, 3, 6] {
        mdcr = vcpu_regs::Mdcr::from_bits_retain(mdcr.bits() & !0x1f | hpmn);
        let own = Controls {
            mdcr,
            ..host_controls()
        };
        cpu.controls.set(own);
        let mut turns = el2.take_turns();
        for _ in 0..2 {
            let _live = vcpu.load(&mut turns, &vm).unwrap();
            assert_eq!(cpu.controls.get().mdcr.bits() & 0x1f, hpmn);
        }
        drop(turns);
        assert_eq!(cpu.controls.get(), own);
    }
}

/// A stage 2 without a VMID.
fn unnumbered(root: u64) -> Stage2 {
    let geometry = Geometry::probe(&some_ids().memory_model(), &Request::exactly(40)).unwrap();
    // SAFETY: no hardware walks a table of these tests.
    unsafe { Stage2::unnumbered(Pa(root), &geometry).unwrap() }
}

fn vmid_in_force(cpu: &vcpu_hal::fake::ScriptedCpu<'_>) -> u64 {
    cpu.controls.get().vttbr >> 48
}

#[test]
fn vmids_that_the_stage_2_does_not_count_are_refused() {
    let guest = Guest::default();
    let cpu = guest.cpu(&[]);
    let log = RefCell::default();
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let host = Plain::new(HcrLine, LeavePending);
    let vmids = Vmids::new(16).unwrap();
    let el2 = El2::enable_on(watched, &host).unwrap();
    // SAFETY: no guest runs in this test.
    let mut el2 = unsafe { el2.with_vmids(&vmids) };
    let vm = Vm::new(&el2, unnumbered(0x8000_0000));
    assert_eq!(vm.vmid(), None);
    let mut vcpu = guest.vcpu();
    let error = vcpu.load(&mut el2, &vm).err();
    // `some_ids` has 8-bit VMIDs, and so has the stage 2.
    assert_eq!(
        error,
        Some(LoadError::VmidTooWide {
            given: 16,
            counted: 8
        })
    );
    let vmids = Vmids::new(8).unwrap();
    let el2 = El2::enable_on(watched, &host).unwrap();
    // SAFETY: no guest runs in this test.
    let mut el2 = unsafe { el2.with_vmids(&vmids) };
    drop(vcpu.load(&mut el2, &vm).unwrap());
    assert_eq!(vm.vmid().map(|vmid| vmid.get()), Some(1));
}

/// CPUs with 16-bit VMIDs.
#[test]
fn vmid_is_in_force_and_nothing_is_forgotten_in_turns() {
    let mut guest = Guest::default();
    guest.ids.set_mmfr1(guest.ids.mmfr1() | 2 << 4);
    let cpu = guest.cpu(&[]);
    let log = RefCell::default();
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let host = Plain::new(HcrLine, LeavePending);
    let vmids = Vmids::new(16).unwrap();
    let el2 = El2::enable_on(watched, &host).unwrap();
    // SAFETY: no guest runs in this test.
    let mut el2 = unsafe { el2.with_vmids(&vmids) };
    let geometry = Geometry::probe(&guest.ids.memory_model(), &Request::exactly(40)).unwrap();
    let vms = [0x8000_0000, 0x9000_0000].map(|root| {
        // SAFETY: no hardware walks a table of these tests.
        let stage2 = unsafe { Stage2::unnumbered(Pa(root), &geometry).unwrap() };
        Vm::new(&el2, stage2)
    });
    let mut vcpus = [guest.vcpu(), guest.vcpu()];
    let invalidated = || -> Vec<InvalidateStep> {
        let steps = watched.take().into_iter().filter_map(|event| match event {
            Event::Invalidate(step) => Some(step),
            _ => None,
        });
        steps.collect()
    };
    let mut turns = el2.take_turns();
    for round in 0..3 {
        for (n, (vcpu, vm)) in vcpus.iter_mut().zip(&vms).enumerate() {
            cpu.daif.set(0x80);
            let live = vcpu.load(&mut turns, vm).unwrap();
            assert_eq!(vmid_in_force(&cpu), 1 + n as u64);
            assert_eq!(
                cpu.controls.get().vttbr << 16 >> 16,
                0x8000_0000 + n as u64 * 0x1000_0000
            );
            assert_eq!(cpu.daif.get(), 0x80, "the host's masks");
            drop(live);
            // The first guest of all finds what was there before us.
            let first = (round, n) == (0, 0);
            assert_eq!(invalidated().contains(&InvalidateStep::Alle1), first);
        }
    }
    assert_eq!(vms.each_ref().map(|vm| vm.vmid().unwrap().get()), [1, 2]);
    // A second vCPU of the first VM: they share the VMID, and not their translations.
    let mut second = guest.vcpu();
    drop(second.load(&mut turns, &vms[0]).unwrap());
    assert!(invalidated().contains(&InvalidateStep::Vmalle1));
    drop(turns);

    let mut bare = El2::enable_on(watched, &host).unwrap();
    let error = vcpus[0].load(&mut bare, &vms[0]).err();
    assert_eq!(error, Some(LoadError::NoVmid));
}
