//! The clock of a VM, and when timers are due by it.

use proptest::prelude::*;
use vcpu_core::{LoadError, TimerKind, TimerPpis, Vcpu};
use vcpu_regs::{Timer, TimerCtl};

use crate::{
    rig::*,
    timers::{PHYSICAL, VIRTUAL, masked, on, rest},
};

/// The offset is the VM's.
#[test]
fn vcpus_of_a_vm_agree_about_time() {
    rest(1_000, |el2, vm, mut one| {
        let mut other: Vcpu<Plain> = Guest::default().vcpu();
        for (vcpu, now) in [(&mut one, 2_000), (&mut other, 7_000)] {
            el2.cpu().counter.set(now);
            let live = vcpu.load(el2, &vm).unwrap();
            assert_eq!(live.cpu().controls.get().cntvoff, 1_000);
            assert_eq!(live.timer_state(VIRTUAL).count, now - 1_000);
        }
    });
}

/// Nothing of the guest's fires into a host that has put it.
#[test]
fn no_timer_runs_after_put() {
    rest(1_000, |el2, vm, mut vcpu| {
        for kind in TimerKind::ALL {
            vcpu.set_timer(kind, on(1));
        }
        vcpu.load(el2, &vm).unwrap().put();
        let timers = el2.cpu().switched.borrow().timers.clone();
        assert_eq!(timers.cntv_ctl_el0, 0);
        for kind in TimerKind::ALL {
            assert_eq!(vcpu.timer(kind), on(1), "what the guest had");
        }
    });
}

#[test]
fn a_stopped_clock_goes_on_where_it_stopped() {
    rest(1_000, |el2, vm, mut vcpu| {
        vcpu.load(el2, &vm).unwrap().put(); // with controls that are kept
        vcpu.set_timer(VIRTUAL, on(600));
        vcpu.set_timer(PHYSICAL, masked(0));
        assert_eq!(vcpu.earliest_deadline(&vm, 1_500), Some(1_600));
        assert!(vm.stop_clock(1_500));
        assert!(!vm.stop_clock(1_501), "it stands");
        assert_eq!(vm.count(VIRTUAL, 9_000), 500);
        assert_eq!(vm.count(PHYSICAL, 9_000), 9_000, "this one goes on");
        assert_eq!(vcpu.earliest_deadline(&vm, 9_000), None, "never, so far");
        let refused = vcpu.load(el2, &vm).err();
        assert_eq!(refused, Some(LoadError::ClockStopped));
        assert!(vm.start_clock(9_000));
        assert!(!vm.start_clock(9_100), "it runs");
        assert_eq!(vm.count(VIRTUAL, 9_001), 501);
        assert_eq!(vcpu.earliest_deadline(&vm, 9_000), Some(9_100));
        let live = vcpu.load(el2, &vm).unwrap();
        assert_eq!(live.cpu().controls.get().cntvoff, 8_500);
    });
}

#[test]
fn a_timer_that_was_due_when_the_clock_stopped_is_due() {
    rest(0, |_, vm, mut vcpu| {
        vcpu.set_timer(VIRTUAL, on(10));
        vm.stop_clock(10);
        assert_eq!(vcpu.earliest_deadline(&vm, 50), Some(50));
    });
}

#[test]
fn a_restored_clock_starts_at_its_count() {
    rest(1_000, |el2, vm, mut vcpu| {
        vcpu.load(el2, &vm).unwrap().put(); // with controls that are kept
        vm.set_virtual_count(600, 1_010);
        assert_eq!(vm.count(VIRTUAL, 1_011), 601);
        let live = vcpu.load(el2, &vm).unwrap();
        assert_eq!(live.cpu().controls.get().cntvoff, 410);
        live.put();
        vm.stop_clock(2_000);
        vm.set_virtual_count(7, 5_000);
        vm.start_clock(6_000);
        assert_eq!(vm.count(VIRTUAL, 6_001), 8);
    });
}

#[test]
fn the_earlier_of_both_timers_counts() {
    rest(1_000, |_, vm, mut vcpu| {
        let deadline = |vcpu: &Vcpu<Plain>| vcpu.earliest_deadline(&vm, 1_100);
        assert_eq!(deadline(&vcpu), None, "both off");
        vcpu.set_timer(VIRTUAL, on(500)); // at 1,500 of the host's
        assert_eq!(deadline(&vcpu), Some(1_500));
        vcpu.set_timer(PHYSICAL, on(1_300));
        assert_eq!(deadline(&vcpu), Some(1_300));
        vcpu.set_timer(PHYSICAL, masked(1_300));
        assert_eq!(deadline(&vcpu), Some(1_500));
        vcpu.set_timer(PHYSICAL, on(3));
        assert_eq!(deadline(&vcpu), Some(1_100), "due already");
        let state = vcpu.timer_state(PHYSICAL, &vm, 1_100);
        assert!(state.is_asserted);
        assert_eq!(state.count, 1_100);
        vcpu.set_timer(VIRTUAL, on(u64::MAX));
        vcpu.set_timer(PHYSICAL, Timer::new(TimerCtl::empty(), 0));
        assert_eq!(deadline(&vcpu), None, "past the end of the host's counter");
    });
}

/// A vCPU that waits while its timer's interrupt is in service is not woken by it over and over.
#[test]
fn a_timer_that_the_guest_knows_of_does_not_wake_it() {
    rest(0, |_, vm, mut vcpu| {
        let host = Plain::new(Default::default(), Default::default());
        let ppis = TimerPpis::default();
        vcpu.set_timer(VIRTUAL, on(50));
        vcpu.set_timer(PHYSICAL, on(900));
        let wake = |vcpu: &Vcpu<Plain>| vcpu.wake_deadline(&host, &vm, &ppis, 100);
        assert_eq!(wake(&vcpu), Some(100));
        vcpu.inject_irq(&host, ppis.of(VIRTUAL)).unwrap();
        assert_eq!(wake(&vcpu), Some(900));
        vcpu.retract_irq(&host, ppis.of(VIRTUAL));
        assert_eq!(wake(&vcpu), Some(100));
    });
}

/// Counts where sums wrap, and any others.
fn count() -> impl Strategy<Value = u64> {
    const EDGES: [u64; 5] = [0, 1 << 31, 1 << 32, 1 << 63, u64::MAX];
    prop_oneof![
        any::<u64>(),
        (prop::sample::select(&EDGES[..]), -3i64..4)
            .prop_map(|(edge, by)| edge.wrapping_add_signed(by)),
    ]
}

proptest! {
    /// The deadline is the first instant at which the interrupt is asserted.
    #[test]
    fn deadline_is_exact(offset in count(), now in count(), ctl in 0u64..8, cval in count(), probe in count()) {
        rest(offset, |_, vm, mut vcpu| {
            vcpu.set_timer(VIRTUAL, Timer::new(TimerCtl::from_bits_retain(ctl), cval));
            let state = |now| vcpu.timer_state(VIRTUAL, &vm, now);
            let asserted = |now| state(now).is_asserted;
            assert_eq!(state(now).count, now.wrapping_sub(offset));
            match state(now).deadline {
                Some(deadline) => {
                    assert!(deadline >= now);
                    assert!(asserted(deadline));
                    assert!(deadline == now || !asserted(deadline - 1));
                    if (now..deadline).contains(&probe) {
                        assert!(!asserted(probe));
                    }
                }
                None if probe >= now => assert!(!asserted(probe)),
                None => {}
            }
        });
    }

    /// A timer set by its value is read back by it, and is due when that has passed.
    #[test]
    fn timer_value_is_the_distance(count in count(), tval in any::<u32>(), passed in 0u64..1 << 31) {
        let mut timer = on(0);
        timer.set_tval(count, tval.into());
        assert_eq!(timer.tval(count), tval.into());
        let later = timer.tval(count.wrapping_add(passed)) as u32;
        assert_eq!(later, tval.wrapping_sub(passed as u32));
        let ahead = i64::from(tval as i32);
        if count.checked_add_signed(ahead).is_some() {
            assert_eq!(timer.is_met(count), ahead <= 0);
        }
    }

    /// However often the clock stops, the guest's counter goes by exactly what it ran.
    #[test]
    fn clock_counts_what_it_ran(start in 0u64..1 << 62, spans in prop::collection::vec((0u64..1 << 40, 0u64..1 << 40), 0..8)) {
        rest(start, |_, vm, _| {
            let (mut now, mut ran) = (start, 0);
            for (running, stopped) in spans {
                now += running;
                ran += running;
                vm.stop_clock(now);
                now += stopped;
                assert_eq!(vm.count(VIRTUAL, now), ran);
                vm.start_clock(now);
                assert_eq!(vm.count(VIRTUAL, now), ran);
            }
        });
    }
}
