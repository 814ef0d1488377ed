//! What the TLB of a CPU may still hold of a VMID when a vCPU comes to it.

use std::cell::RefCell;

use vcpu_core::{El2, Vcpu, Vm};
use vcpu_hal::{fake::ScriptedCpu, inject::HcrLine, irq::LeavePending};
use vcpu_regs::InvalidateStep;

use crate::rig::*;

/// Two CPUs, and what was invalidated on each.
struct Machine<'t> {
    cpus: [El2<'t, Plain, Watched<'t>>; 2],
}

impl<'t> Machine<'t> {
    fn new(
        host: &'t Plain,
        cpus: &'t [ScriptedCpu<'t>; 2],
        logs: &'t [RefCell<Vec<Event>>; 2],
    ) -> Self {
        let el2 = |i: usize| {
            cpus[i].mpidr.set(1 << 31 | i as u64);
            let watched = Watched {
                cpu: &cpus[i],
                log: &logs[i],
            };
            El2::enable_on(watched, host).unwrap()
        };
        Self {
            cpus: [el2(0), el2(1)],
        }
    }

    /// Loads and puts; returns what was invalidated meanwhile, on that CPU.
    fn visit(&mut self, cpu: usize, vcpu: &mut Vcpu<Plain>, vm: &Vm) -> Vec<InvalidateStep> {
        drop(vcpu.load(&mut self.cpus[cpu], vm).unwrap());
        self.invalidated(cpu)
    }

    fn invalidated(&self, cpu: usize) -> Vec<InvalidateStep> {
        let log = self.cpus[cpu].cpu().take();
        let steps = log.into_iter().filter_map(|event| match event {
            Event::Invalidate(step) => Some(step),
            _ => None,
        });
        steps.collect()
    }
}

fn with_machine(test: impl FnOnce(&mut Machine<'_>)) {
    let guest = Guest::default();
    let host = Plain::new(HcrLine, LeavePending);
    let cpus = [guest.cpu(&[]), guest.cpu(&[])];
    let logs = Default::default();
    test(&mut Machine::new(&host, &cpus, &logs));
}

fn vcpu() -> Vcpu<Plain> {
    Guest::default().vcpu()
}

/// This CPU's share of the VMID, between barriers: all of it, and no other CPU's.
fn assert_local_vmid(steps: &[InvalidateStep]) {
    use InvalidateStep::*;
    // `some_ids` has an all-zero CTR_EL0: a VPIPT instruction cache cannot be excluded.
    assert_eq!(steps, [DsbNshst, Vmalle1, IcIallu, DsbNsh, Isb]);
}

#[test]
fn same_vcpu_on_the_same_cpu_keeps_them() {
    with_machine(|machine| {
        let vm = Vm::new(&machine.cpus[0], stage2(1));
        let mut vcpu = vcpu();
        assert_local_vmid(&machine.visit(0, &mut vcpu, &vm));
        for _ in 0..3 {
            assert_eq!(machine.visit(0, &mut vcpu, &vm), []);
        }
    });
}

#[test]
fn another_vcpu_of_the_vmid_takes_them_away() {
    with_machine(|machine| {
        let vm = Vm::new(&machine.cpus[0], stage2(1));
        let (mut a, mut b) = (vcpu(), vcpu());
        machine.visit(0, &mut a, &vm);
        assert_local_vmid(&machine.visit(0, &mut b, &vm));
        assert_local_vmid(&machine.visit(0, &mut a, &vm));
        assert_eq!(machine.visit(0, &mut a, &vm), []);
    });
}

#[test]
fn return_to_a_cpu_it_left_takes_them_away() {
    with_machine(|machine| {
        let vm = Vm::new(&machine.cpus[0], stage2(1));
        let mut vcpu = vcpu();
        machine.visit(0, &mut vcpu, &vm);
        assert_local_vmid(&machine.visit(1, &mut vcpu, &vm));
        // CPU 0 saw nobody else, but missed what was changed from CPU 1.
        assert_local_vmid(&machine.visit(0, &mut vcpu, &vm));
        assert_eq!(machine.visit(0, &mut vcpu, &vm), []);
    });
}

#[test]
fn same_vcpu_under_another_root_or_vmid_does_not_trust_them() {
    with_machine(|machine| {
        let one = Vm::new(&machine.cpus[0], stage2(1));
        let two = Vm::new(&machine.cpus[0], stage2(2));
        let mut vcpu = vcpu();
        machine.visit(0, &mut vcpu, &one);
        assert_local_vmid(&machine.visit(0, &mut vcpu, &two));
    });
}

/// A forgotten vCPU used the CPU all the same.
#[test]
fn forgotten_vcpu_counts_as_having_been_there() {
    with_machine(|machine| {
        let vm = Vm::new(&machine.cpus[0], stage2(1));
        let (mut a, mut b) = (vcpu(), vcpu());
        machine.visit(0, &mut a, &vm);
        core::mem::forget(b.load(&mut machine.cpus[0], &vm).unwrap());
        machine.invalidated(0);
        assert_local_vmid(&machine.visit(0, &mut a, &vm));
    });
}

#[test]
fn no_exit_invalidates_anything() {
    use vcpu_hal::{Cause, fake::Step};
    let script = [
        at_uart(transfer(4, 0, 0)),
        Step::synchronous(hvc(0)),
        Step::synchronous(WFI),
        Step::interrupt(Cause::Irq),
        at_uart(esr(0x20, TRANSLATION_L3)),
    ];
    Guest::default().play(&script, |live, watched| {
        watched.take();
        for _ in &script {
            let exit = live.run();
            live.reflect(exit);
        }
        let log = watched.take();
        assert!(
            !log.iter()
                .any(|event| matches!(event, Event::Invalidate(_)))
        );
    });
}
