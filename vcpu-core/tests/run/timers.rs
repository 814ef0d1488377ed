//! The guest's timers: the physical one emulated, what is on the hardware, how interrupts are delivered.

use vcpu_core::{
    El2, Ended, Exit, Fired, Policy, TimerDelivery, TimerKind, TimerPpis, TimerState, Timers, Vcpu,
    Vm,
};
use vcpu_hal::{
    fake::{ScriptedCpu, Step},
    inject::Trigger,
};
use vcpu_regs::{Cnthctl, Gpr, GuestFrame, Hcr, Intid, SwitchedReg, SysReg, Timer, TimerCtl};

use crate::rig::*;

const CTL: SysReg = SysReg::new(3, 3, 14, 2, 1);
const CVAL: SysReg = SysReg::new(3, 3, 14, 2, 2);
const TVAL: SysReg = SysReg::new(3, 3, 14, 2, 0);
const CNTPCT: SysReg = SysReg::new(3, 3, 14, 0, 1);
pub const VIRTUAL: TimerKind = TimerKind::Virtual;
pub const PHYSICAL: TimerKind = TimerKind::Physical;

pub fn on(cval: u64) -> Timer {
    Timer::new(TimerCtl::ENABLE, cval)
}

pub fn masked(cval: u64) -> Timer {
    Timer::new(TimerCtl::ENABLE | TimerCtl::IMASK, cval)
}

/// A CPU whose counter stands at `now`, a VM made then, and a vCPU at rest.
pub fn rest(now: u64, test: impl FnOnce(&mut El2<'_, Plain, ScriptedCpu<'_>>, Vm, Vcpu<Plain>)) {
    let host = Plain::new(Default::default(), Default::default());
    let guest = Guest::default();
    let cpu = guest.cpu(&[]);
    cpu.counter.set(now);
    let mut el2 = El2::enable_on(cpu, &host).unwrap();
    let vm = Vm::new(&el2, stage2(1));
    test(&mut el2, vm, guest.vcpu());
}

/// Plays the guest's accesses, each of x5, at these counts of the host, and gives what was read.
fn emulated(physical_offset: u64, accesses: &[(u64, SysReg, Option<u64>)]) -> Vec<u64> {
    let guest = Guest {
        physical_offset,
        ..Guest::default()
    };
    let before: Vec<_> = accesses
        .iter()
        .map(|&(.., write)| move |frame: &mut GuestFrame| frame.x[5] = write.unwrap_or(0xbad))
        .collect();
    let steps = accesses.iter().zip(&before);
    let script: Vec<Step<'_>> = steps
        .map(|(&(_, reg, write), before)| after(before, sysreg(reg, 5, write.is_none())))
        .collect();
    let mut values = Vec::new();
    guest.play(&script, |live, watched| {
        for (n, &(now, reg, write)) in (1..).zip(accesses) {
            watched.cpu.counter.set(now);
            let exit = live.run();
            live.reflect(exit);
            assert_eq!(live.pc(), PC + 4 * n, "{reg}");
            if write.is_none() {
                values.push(live.reg(Gpr::X5));
            }
        }
    });
    values
}

#[test]
fn trapped_physical_timer_is_emulated() {
    for offset in [0, 5_000] {
        let at = |count| count + offset;
        let read = emulated(
            offset,
            &[
                (at(100), CNTPCT, None),
                (at(100), CTL, None),
                (at(100), CVAL, Some(150)),
                (at(100), CVAL, None),
                (at(100), CTL, Some(0xffff_ffff_ffff_fff9)), // ENABLE, and what is not writable
                (at(149), CTL, None),
                (at(150), CTL, None),
                (at(150), CTL, Some(3)),
                (at(150), CTL, None),
                (at(160), TVAL, None), // 10 ago
                (at(160), TVAL, Some(0xffff_fff0)),
                (at(160), CVAL, None),
                (at(160), TVAL, Some(0x7fff_ffff)),
                (at(160), CVAL, None),
                (at(161), TVAL, None),
            ],
        );
        let expected = [
            100,
            0,
            150,
            1,
            5,
            7,
            0xffff_fff6,
            144,
            160 + 0x7fff_ffff,
            0x7fff_fffe,
        ];
        assert_eq!(read, expected, "{offset}");
    }
}

/// The hardware's stays off: its interrupt is for the host to make, at the deadline.
#[test]
fn emulated_timer_is_never_on_the_hardware() {
    for offset in [0, 5_000] {
        let guest = Guest {
            physical_offset: offset,
            ..Guest::default()
        };
        guest.play(&[], |live, watched| {
            watched.cpu.counter.set(5_100);
            live.set_timer(PHYSICAL, on(9_000));
            let hardware = watched.cpu.switched.borrow().physical_timer.clone();
            assert_eq!(hardware.cntp_ctl_el0, 0);
            assert_eq!(live.timer(PHYSICAL), on(9_000));
            assert_eq!(live.timer_state(PHYSICAL).deadline, Some(9_000 + offset));
            assert_eq!(live.earliest_deadline(), Some(9_000 + offset));
            live.set_timer(VIRTUAL, on(8_000));
            assert_eq!(live.earliest_deadline(), Some(8_000));
        });
    }
}

/// The guest's own is: it fires by itself.
#[test]
fn granted_timers_are_on_the_hardware() {
    let policy = Policy {
        timers: Timers::PassThrough,
        ..Policy::default()
    };
    let guest = Guest {
        policy,
        ..Guest::default()
    };
    guest.play(&[], |live, watched| {
        live.set_timer(PHYSICAL, on(700));
        live.set_timer(VIRTUAL, on(800));
        let hardware = watched.cpu.switched.borrow();
        let physical = &hardware.physical_timer;
        assert_eq!((physical.cntp_ctl_el0, physical.cntp_cval_el0), (1, 700));
        let virtual_timer = &hardware.timers;
        assert_eq!(virtual_timer.cntv_ctl_el0, 1);
        assert_eq!(virtual_timer.cntv_cval_el0, 800);
    });
}

#[test]
fn emulated_timer_travels_with_the_vcpu() {
    rest(9_000, |el2, vm, mut vcpu| {
        let vm = vm.with_physical_offset(5_000);
        vcpu.set_timer(PHYSICAL, on(700));
        for _ in 0..2 {
            let live = vcpu.load(el2, &vm).unwrap();
            assert_eq!(live.timer(PHYSICAL), on(700));
            live.put();
            assert_eq!(vcpu.timer(PHYSICAL), on(700));
        }
    });
}

/// Only a counter with an offset has to trap, and only where the host owns the timer.
#[test]
fn physical_counter_traps_where_it_is_not_the_hosts() {
    let both = (Cnthctl::EL1PCTEN | Cnthctl::EL1PCEN).bits();
    for (timers, offset, granted) in [
        (Timers::Virtual, 0, 1),
        (Timers::Virtual, 1, 0),
        (Timers::PassThrough, 0, 3),
        (Timers::PassThrough, 1, 3),
    ] {
        for e2h in [false, true] {
            let mut guest = Guest {
                policy: Policy {
                    timers,
                    ..Policy::default()
                },
                physical_offset: offset,
                ..Guest::default()
            };
            let mut shift = 0;
            if e2h {
                guest.host.hcr |= Hcr::E2H | Hcr::TGE;
                shift = Cnthctl::E2H_SHIFT;
            }
            guest.play(&[], |_, watched| {
                let bits = watched.cpu.controls.get().cnthctl.bits();
                assert_eq!(bits >> shift & both, granted, "{timers:?} {offset} {e2h}");
            });
        }
    }
}

/// A vCPU that was loaded before the offset changed does not go on with the old controls.
#[test]
fn controls_are_made_anew_for_another_offset() {
    rest(0, |el2, vm, mut vcpu| {
        let granted = |el2: &El2<'_, Plain, ScriptedCpu<'_>>| {
            el2.cpu().controls.get().cnthctl.contains(Cnthctl::EL1PCTEN)
        };
        let live = vcpu.load(el2, &vm).unwrap();
        assert!(
            live.cpu()
                .controls
                .get()
                .cnthctl
                .contains(Cnthctl::EL1PCTEN)
        );
        live.put();
        let vm = vm.with_physical_offset(7);
        let live = vcpu.load(el2, &vm).unwrap();
        assert!(
            !live
                .cpu()
                .controls
                .get()
                .cnthctl
                .contains(Cnthctl::EL1PCTEN)
        );
        live.put();
        assert!(!granted(el2), "the host's own");
    });
}

#[test]
fn a_loaded_timer_tells_its_state() {
    Guest::default().play(&[], |live, watched| {
        live.set_timer(VIRTUAL, on(50));
        let timer = on(50);
        for (now, is_asserted, deadline) in [(49, false, 50), (50, true, 50), (60, true, 60)] {
            watched.cpu.counter.set(now);
            let expected = TimerState {
                timer,
                count: now, // the VM was made at 0
                is_asserted,
                deadline: Some(deadline),
            };
            assert_eq!(live.timer_state(VIRTUAL), expected);
        }
    });
}

/// The mask is the host's: the guest's own programming stays what it was.
#[test]
fn the_hosts_mask_is_not_the_guests() {
    let script = [Step::synchronous(sysreg(CTL, 5, true))];
    Guest::default().play(&script, |live, watched| {
        watched.cpu.counter.set(100);
        for kind in TimerKind::ALL {
            live.set_timer(kind, on(50));
            live.mask_timer(kind);
            assert_eq!(live.timer(kind), on(50));
            let state = live.timer_state(kind);
            assert_eq!((state.is_asserted, state.deadline), (true, None));
        }
        let hardware = watched.cpu.switched.borrow().timers.clone();
        assert_eq!(hardware.cntv_ctl_el0, 3);
        let exit = live.run();
        live.reflect(exit);
        assert_eq!(live.reg(Gpr::X5), 5, "ENABLE and ISTATUS");
        for kind in TimerKind::ALL {
            live.unmask_timer(kind);
            assert_eq!(live.timer(kind), on(50));
        }
        let hardware = watched.cpu.switched.borrow().timers.clone();
        assert_eq!(hardware.cntv_ctl_el0, 1);
    });
}

/// A guest that masks its physical timer while the host does keeps it masked.
#[test]
fn the_guests_mask_outlives_the_hosts() {
    let guest = |frame: &mut GuestFrame| frame.x[5] = 3;
    let script = [after(&guest, sysreg(CTL, 5, false))];
    Guest::default().play(&script, |live, _| {
        live.set_timer(PHYSICAL, on(0));
        live.mask_timer(PHYSICAL);
        let exit = live.run();
        live.reflect(exit);
        live.unmask_timer(PHYSICAL);
        assert_eq!(live.timer(PHYSICAL), masked(0));
    });
}

#[test]
fn the_hosts_mask_travels_with_the_vcpu() {
    rest(100, |el2, vm, mut vcpu| {
        vcpu.set_timer(VIRTUAL, on(0));
        let mut live = vcpu.load(el2, &vm).unwrap();
        live.mask_timer(VIRTUAL);
        live.put();
        assert_eq!(vcpu.timer(VIRTUAL), on(0));
        assert_eq!(vcpu.earliest_deadline(&vm, 100), None, "it is on its way");
        vcpu.unmask_timer(VIRTUAL);
        assert_eq!(vcpu.earliest_deadline(&vm, 100), Some(100));
        assert_eq!(vcpu.sysreg(SwitchedReg::CNTV_CTL_EL0) & 3, 1);
    });
}

/// Between the physical interrupt and the guest's end of the virtual one, something keeps the
/// physical one down; afterwards nothing does.
#[test]
fn a_fired_timer_is_quiet_until_the_guest_has_ended_its_interrupt() {
    for delivery in [
        TimerDelivery::Mapped,
        TimerDelivery::Active,
        TimerDelivery::Masked,
    ] {
        let fired = delivery.fired(true);
        assert!(fired.inject);
        // Either it stays active, or the timer is masked.
        assert_eq!(fired.deactivate, fired.mask, "{delivery:?}");
        let ended = delivery.ended();
        assert_eq!(ended.unmask, fired.mask, "{delivery:?}");
        let by_hardware = delivery == TimerDelivery::Mapped;
        let is_active = !fired.deactivate && !by_hardware;
        assert_eq!(ended.deactivate, is_active, "{delivery:?}");
        let gone = Fired {
            deactivate: true,
            ..Fired::default()
        };
        assert_eq!(delivery.fired(false), gone, "{delivery:?}");
    }
    let of = |delivery: TimerDelivery| delivery.interrupt(Intid(20), Intid(27));
    let mapped = of(TimerDelivery::Mapped);
    assert_eq!(
        (mapped.intid, mapped.trigger),
        (Intid(20), Trigger::Hardware(Intid(27)))
    );
    assert_eq!(of(TimerDelivery::Active).trigger, Trigger::Level);
    assert_eq!(of(TimerDelivery::Masked).trigger, Trigger::Level);
    assert_eq!(TimerDelivery::Mapped.ended(), Ended::default());
    assert_eq!(TimerDelivery::Mapped.active_on_load(true), Some(true));
    assert_eq!(TimerDelivery::Active.active_on_load(false), Some(false));
    assert_eq!(TimerDelivery::Masked.active_on_load(true), None);
}

#[test]
fn timers_interrupts_are_configuration() {
    let usual = TimerPpis::default();
    assert_eq!(
        (usual.of(VIRTUAL), usual.of(PHYSICAL)),
        (Intid(27), Intid(30))
    );
    let other = TimerPpis {
        virtual_timer: Intid(20),
        ..usual
    };
    assert_eq!(other.timer(Intid(20)), Some(VIRTUAL));
    assert_eq!(other.timer(Intid(30)), Some(PHYSICAL));
    assert_eq!(other.timer(Intid(27)), None);
}

#[test]
fn trapped_timer_access_of_xzr_is_a_write_of_zero() {
    let script = [Step::synchronous(sysreg(CVAL, 31, false))];
    Guest::default().play(&script, |live, _| {
        live.set_timer(PHYSICAL, on(77));
        let exit = live.run();
        assert!(matches!(exit, Exit::SysReg(_)));
        live.reflect(exit);
        assert_eq!(live.timer(PHYSICAL), on(0));
    });
}
