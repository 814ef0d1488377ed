//! A guest whose interrupts are in list registers.

use vcpu_core::{El2, Exit, LoadError, Policy, Vm};
use vcpu_exits::{SgiGroup, SgiTarget};
use vcpu_hal::{
    Cause,
    fake::Step,
    inject::{Group, ListRegisters, Trigger, VirtualInterrupt},
    irq::LeavePending,
};
use vcpu_regs::{Gpr, IchHcr, IchMisr, IchReg, Intid, ListRegister, SysReg};

use crate::rig::*;

type Lists = Host<ListRegisters, LeavePending>;

fn host() -> Lists {
    // SAFETY: scripted CPUs have no GIC to misuse.
    Host::new(unsafe { ListRegisters::new() }, LeavePending)
}

const TIMER: VirtualInterrupt = VirtualInterrupt {
    intid: Intid(27),
    priority: 0x80,
    group: Group::One,
    trigger: Trigger::Hardware(Intid(27)),
};
const UART: VirtualInterrupt = VirtualInterrupt {
    intid: Intid(33),
    priority: 0xa0,
    group: Group::One,
    trigger: Trigger::Level,
};

fn list(watched: Watched<'_>, n: usize) -> ListRegister {
    ListRegister::from_bits(watched.cpu.ich.borrow().lr[n])
}

fn set_list(watched: Watched<'_>, n: usize, change: impl FnOnce(ListRegister) -> ListRegister) {
    let changed = change(list(watched, n));
    watched.cpu.ich.borrow_mut().lr[n] = changed.bits();
}

#[test]
fn guest_has_its_interface_and_sre_stays() {
    Guest::default().play_on(&host(), &[], |_, watched| {
        let controls = watched.cpu.controls.get();
        assert_eq!(controls.icc_sre.bits(), 0b0111, "SRE, and no Enable");
        let ich = watched.cpu.ich.borrow();
        assert_eq!(ich.hcr, IchHcr::EN.bits(), "no trap");
        assert_eq!(ich.sre_el1, 0b111);
    });
}

#[test]
fn passed_through_interface_is_left_alone() {
    let guest = Guest {
        policy: Policy::PASS_THROUGH,
        ..Guest::default()
    };
    guest.play_on(&host(), &[], |live, watched| {
        live.inject_irq(TIMER).unwrap();
        let log = watched.take();
        assert!(
            !log.iter().any(|event| matches!(event, Event::WriteIch(..))),
            "{log:?}"
        );
    });
}

#[test]
fn cpu_without_list_registers_is_told_of() {
    let host = host();
    let guest = Guest::with_ids(ids(&[(4, 0, 0, 2), (7, 0, 0, 2)]));
    let cpu = guest.cpu(&[]);
    let log = Default::default();
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let mut el2 = El2::enable_on(watched, &host).unwrap();
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    let loaded = vcpu.load(&mut el2, &vm).err();
    assert_eq!(loaded, Some(LoadError::NoListRegisters));
}

/// The rest of a run has nothing of it: an entry costs what it costs without.
#[test]
fn injection_writes_one_register_and_a_run_none() {
    let script = [Step::synchronous(WFI); 2];
    Guest::default().play_on(&host(), &script, |live, watched| {
        let _ = live.run();
        watched.take();
        live.inject_irq(TIMER).unwrap();
        let pending = ListRegister::new(Intid(27), 0x80, true)
            .with_hardware(Intid(27))
            .unwrap()
            .with_pending(true);
        let written = Event::WriteIch(IchReg::Lr(0), pending.bits());
        assert_eq!(watched.take(), [written]);
        let _ = live.run();
        let log = watched.take();
        assert!(
            matches!(log[..], [Event::Mask, Event::Enter(_), Event::Unmask(_)]),
            "{log:?}"
        );
    });
}

#[test]
fn state_travels_with_the_vcpu_and_the_hosts_own_comes_back() {
    let host = host();
    let guest = Guest::default();
    let cpu = guest.cpu(&[]);
    let log = Default::default();
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let mut el2 = El2::enable_on(watched, &host).unwrap();
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    vcpu.inject_irq(&host, TIMER).unwrap();
    let mut live = vcpu.load(&mut el2, &vm).unwrap();
    assert!(list(watched, 0).is_pending());
    assert!(live.irq_status(Intid(27)).pending);
    // The guest takes the timer.
    set_list(watched, 0, |list| {
        list.with_pending(false).with_active(true)
    });
    {
        let mut ich = cpu.ich.borrow_mut();
        ich.vmcr = 0xf0 << 24 | 2;
        (ich.ap0r[0], ich.ap1r[0]) = (0, 1 << 16);
    }
    let status = live.irq_status(Intid(27));
    assert!(status.active && !status.pending);
    drop(live);
    assert_eq!(cpu.controls.get().ich_hcr, host_controls().ich_hcr);
    assert!(vcpu.irq_status(&host, Intid(27)).active);
    // Another guest was here.
    *cpu.ich.borrow_mut() = vcpu_hal::fake::IchRegisters {
        lr: [!0; 16],
        ..Default::default()
    };
    let live = vcpu.load(&mut el2, &vm).unwrap();
    let ich = cpu.ich.borrow();
    assert_eq!(ich.vmcr, 0xf0 << 24 | 2);
    assert_eq!((ich.ap0r[0], ich.ap1r[0]), (0, 1 << 16));
    assert_eq!(ich.lr[1..4], [0; 3], "the other's");
    drop(ich);
    assert!(list(watched, 0).is_active() && !list(watched, 0).is_pending());
    drop(live);
}

#[test]
fn maintenance_is_done_before_the_interrupt_is_fetched() {
    let script = [Step::interrupt(Cause::Irq)];
    Guest::default().play_on(&host(), &script, |live, watched| {
        live.inject_irq(UART).unwrap();
        // The guest took it and ended it.
        set_list(watched, 0, |list| list.with_pending(false));
        watched.cpu.ich.borrow_mut().misr = IchMisr::EOI.bits();
        assert_eq!(live.run(), Exit::Irq(()));
        assert_eq!(list(watched, 0), ListRegister::EMPTY);
        assert_eq!(live.next_ended_irq(), Some(Intid(33)));
        assert_eq!(live.next_ended_irq(), None);
    });
}

/// The guest ended a level and left by another exit: the host's own handler met the interrupt.
#[test]
fn maintenance_outside_of_a_run_is_done_on_demand() {
    let script = [Step::synchronous(WFI)];
    Guest::default().play_on(&host(), &script, |live, watched| {
        live.inject_irq(UART).unwrap();
        set_list(watched, 0, |list| list.with_pending(false));
        watched.cpu.ich.borrow_mut().misr = IchMisr::EOI.bits();
        let _ = live.run();
        assert_eq!(live.next_ended_irq(), None);
        live.maintain_irqs();
        assert_eq!(list(watched, 0), ListRegister::EMPTY);
        assert_eq!(live.next_ended_irq(), Some(Intid(33)));
    });
}

#[test]
fn level_that_fell_leaves_its_list_register() {
    Guest::default().play_on(&host(), &[], |live, watched| {
        live.inject_irq(UART).unwrap();
        assert!(live.retract_irq(Intid(33)));
        assert_eq!(list(watched, 0), ListRegister::EMPTY);
        assert!(!live.retract_irq(Intid(33)));
    });
}

const DIR: SysReg = SysReg::new(3, 0, 12, 11, 1);
const SRE: SysReg = SysReg::new(3, 0, 12, 12, 5);
const PFR0: SysReg = SysReg::new(3, 0, 0, 4, 0);
const SGI1R: SysReg = SysReg::new(3, 0, 12, 11, 5);

#[test]
fn trapped_parts_of_the_interface_are_reflected() {
    let script = [
        Step::synchronous(sysreg(DIR, 3, false)),
        Step::synchronous(sysreg(SRE, 4, true)),
        Step::synchronous(sysreg(SRE, 4, false)),
        Step::synchronous(sysreg(PFR0, 5, true)),
        Step::synchronous(sysreg(SGI1R, 6, false)),
    ];
    Guest::default().play_on(&host(), &script, |live, watched| {
        live.activate_irq(UART).unwrap();
        assert!(list(watched, 0).is_active());
        live.set_reg(Gpr::new(3), 33);
        for _ in &script {
            let exit = live.run();
            live.reflect(exit);
        }
        assert_eq!(
            live.pc(),
            PC + 4 * script.len() as u64,
            "none was undefined"
        );
        assert_eq!(list(watched, 0), ListRegister::EMPTY);
        assert_eq!(live.next_ended_irq(), Some(Intid(33)));
        assert_eq!(live.reg(Gpr::X4), 0b111);
        assert_eq!(live.reg(Gpr::X5) >> 24 & 0xf, 1, "ID_AA64PFR0_EL1.GIC");
    });
}

/// `msr icc_sgi1r_el1, x6`: SGI 5 to Aff0 17 and 18 of cluster 1.
#[test]
fn sgi_names_its_targets() {
    let script = [
        Step::synchronous(sysreg(SGI1R, 6, false)),
        Step::synchronous(sysreg(SGI1R, 6, true)),
        Step::synchronous(sysreg(DIR, 6, false)),
    ];
    Guest::default().play_on(&host(), &script, |live, _| {
        live.set_reg(Gpr::new(6), 5 << 24 | 1 << 44 | 1 << 16 | 0b110);
        let Exit::SysReg(access) = live.run() else {
            panic!("no access");
        };
        let (group, request) = access.sgi().unwrap();
        assert_eq!((group, request.intid), (SgiGroup::Group1, Intid(5)));
        let target = SgiTarget::List {
            cluster: 0x100,
            first_aff0: 16,
            list: 0b110,
        };
        assert_eq!(request.target, target);
        live.complete(access, 0);
        for what in ["a read", "another register"] {
            let Exit::SysReg(access) = live.run() else {
                panic!("no access");
            };
            assert_eq!(access.sgi(), None, "{what}");
        }
    });
}
