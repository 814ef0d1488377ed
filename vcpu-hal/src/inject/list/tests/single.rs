//! Single facts, each with the one case that shows it.

use vcpu_regs::{IchHcr, IchMisr, Intid};

use super::*;
use crate::inject::QueueError;

fn edge(intid: u32, priority: u8) -> VirtualInterrupt {
    VirtualInterrupt {
        priority,
        ..Intid(intid).into()
    }
}

fn level(intid: u32) -> VirtualInterrupt {
    VirtualInterrupt {
        trigger: Trigger::Level,
        ..Intid(intid).into()
    }
}

fn intids(hardware: &Hardware) -> Vec<(u32, bool, bool)> {
    let lists = hardware.lists.borrow();
    let held = lists.iter().filter(|list| !list.is_inactive());
    held.map(|list| (list.intid().0, list.is_pending(), list.is_active()))
        .collect()
}

#[test]
fn injection_into_a_loaded_vcpu_writes_one_list_register_and_no_control() {
    let mut world = World::new(4);
    let hcr = world.hardware.hcr();
    for (count, intid) in [3, 27, 40, 9000].into_iter().enumerate() {
        world.act(Act::Inject(edge(intid, 0x80)));
        assert_eq!(intids(&world.hardware).len(), count + 1);
        assert_eq!(world.hardware.hcr(), hcr);
    }
    assert_eq!(hcr, IchHcr::EN);
}

#[test]
fn the_highest_are_resident_and_the_rest_ask_when_none_is_pending() {
    let mut world = World::new(2);
    for (intid, priority) in [(40, 0xa0), (41, 0x20), (42, 0x60), (43, 0x40)] {
        world.act(Act::Inject(edge(intid, priority)));
    }
    let mut held = intids(&world.hardware);
    held.sort();
    assert_eq!(held, [(41, true, false), (43, true, false)]);
    let hcr = IchHcr::EN | IchHcr::NPIE | IchHcr::VGRP1DIE;
    assert_eq!(world.hardware.hcr(), hcr);
}

#[test]
fn pending_while_active_is_both() {
    let mut world = World::new(4);
    world.act(Act::Inject(edge(5, 0)));
    world.act(Act::Acknowledge);
    world.act(Act::Inject(edge(5, 0)));
    assert_eq!(intids(&world.hardware), [(5, true, true)]);
}

/// HW = 1 is not for what is active and pending: the physical interrupt is deactivated when the
/// second has ended.
#[test]
fn hardware_that_comes_again_while_active_is_deactivated_once() {
    for is_noticed in [false, true] {
        let mut world = World::new(4);
        let timer = VirtualInterrupt {
            trigger: Trigger::Hardware(Intid(27)),
            ..Intid(27).into()
        };
        world.act(Act::Inject(timer));
        world.act(Act::Acknowledge);
        world.act(Act::Inject(timer));
        assert_eq!(intids(&world.hardware), [(27, true, true)]);
        world.act(Act::End);
        if is_noticed {
            world.compare();
            assert_eq!(world.hardware.list(0).hardware(), Some(Intid(27)));
        }
        world.act(Act::Acknowledge);
        world.act(Act::End);
        world.compare();
    }
}

#[test]
fn ended_level_is_told_of_once() {
    let mut world = World::new(4);
    world.act(Act::Inject(level(33)));
    world.act(Act::Acknowledge);
    world.hardware.end(Intid(33));
    assert_eq!(world.hardware.misr(), IchMisr::EOI);
    world.queue.maintain(&world.hardware);
    assert_eq!(world.queue.next_ended(), Some(Intid(33)));
    assert_eq!(world.queue.next_ended(), None);
    world.hardware.check();
}

#[test]
fn level_that_fell_is_not_taken() {
    let mut world = World::new(1);
    world.act(Act::Inject(level(33)));
    world.act(Act::Retract(Intid(33)));
    assert_eq!(world.hardware.acknowledge(), None);
    assert_eq!(world.queue.next_ended(), None);
}

/// With one list register, an active interrupt gives it up to a higher one; its end is counted.
#[test]
fn active_interrupt_without_a_list_register_is_ended_by_the_count() {
    let mut world = World::new(1);
    world.act(Act::Inject(edge(40, 0xa0)));
    world.act(Act::Acknowledge);
    world.act(Act::Inject(edge(41, 0x20)));
    assert_eq!(intids(&world.hardware), [(41, true, false)]);
    assert_eq!(world.hardware.hcr(), IchHcr::EN | IchHcr::LRENPIE);
    world.act(Act::Acknowledge);
    world.act(Act::End);
    world.act(Act::End);
    world.compare();
    assert!(world.queue.is_empty());
}

#[test]
fn deactivation_traps_only_while_its_interrupt_may_be_elsewhere() {
    let mut world = World::new(1);
    world.act(Act::SplitEnd(true));
    world.act(Act::Inject(edge(40, 0xa0)));
    world.act(Act::Acknowledge);
    assert!(!world.hardware.hcr().contains(IchHcr::TDIR));
    world.act(Act::Inject(edge(41, 0x20)));
    assert!(
        world
            .hardware
            .hcr()
            .contains(IchHcr::TDIR | IchHcr::LRENPIE)
    );
}

/// A pending interrupt of a disabled group is not in the way of one that can be taken.
#[test]
fn disabled_group_waits_outside() {
    let mut world = World::new(2);
    world.act(Act::Enable(false, true));
    for intid in 0..4 {
        world.act(Act::Inject(VirtualInterrupt {
            group: Group::Zero,
            ..edge(intid, 0)
        }));
    }
    world.act(Act::Inject(edge(40, 0x80)));
    world.act(Act::Inject(edge(41, 0x90)));
    world.act(Act::Acknowledge);
    assert_eq!(world.running, [Intid(40)]);
    assert!(world.hardware.hcr().contains(IchHcr::VGRP0EIE));
    world.act(Act::Enable(true, true));
    world.act(Act::Acknowledge);
    assert_eq!(world.running, [Intid(40), Intid(0)]);
}

/// What was withheld for a disabled group, and is injected anew, comes once.
#[test]
fn withheld_interrupt_that_is_injected_again_comes_once() {
    let mut world = World::new(4);
    let fiq = VirtualInterrupt {
        group: Group::Zero,
        ..edge(5, 0)
    };
    for act in [
        Act::Inject(fiq),
        Act::Acknowledge,
        Act::Inject(fiq),
        Act::Enable(false, true),
        Act::Retract(Intid(9)), // has the choice made anew
    ] {
        world.act(act);
    }
    assert_eq!(intids(&world.hardware), [(5, false, true)]);
    for act in [Act::End, Act::Inject(edge(5, 0)), Act::Acknowledge] {
        world.act(act);
    }
    world.compare();
    world.finish();
}

/// It came again with another priority while it was active, ended, and was acknowledged once more: it
/// runs at the one that it had when ends are counted.
#[test]
fn interrupt_taken_twice_runs_at_the_priority_it_had() {
    let mut world = World::new(3);
    for act in [
        Act::Inject(edge(1, 56)),
        Act::Acknowledge,
        Act::Inject(edge(1, 0)),
        Act::End,
        Act::Acknowledge,
        Act::Move(1, false),
        Act::Inject(edge(2, 0)),
        Act::Acknowledge,
        Act::Inject(edge(16, 0)), // takes the list register: both the others are counted
        Act::End,
    ] {
        world.act(act);
    }
    world.compare();
    world.finish();
}

/// The hardware ends only what has the priority that is dropped.
#[test]
fn active_interrupt_keeps_its_priority_and_group() {
    let other = VirtualInterrupt {
        group: Group::Zero,
        ..edge(1, 8)
    };
    for again in [Act::Inject(other), Act::InjectAtRest(other)] {
        let mut world = World::new(3);
        for act in [Act::Inject(edge(1, 56)), Act::Acknowledge, again, Act::End] {
            world.act(act);
        }
        assert_eq!(intids(&world.hardware), [(1, true, false)]);
        world.compare();
        world.finish();
    }
}

/// What is active and pending is in the way too, once it has ended and its group is disabled.
#[test]
fn disabled_group_that_was_active_is_not_in_the_way() {
    let mut world = World::new(2);
    let fiq = |intid: u32| VirtualInterrupt {
        group: Group::Zero,
        ..edge(intid, 8 * intid as u8)
    };
    for act in [
        Act::Inject(edge(5, 0)),
        Act::Acknowledge,
        Act::Inject(edge(5, 0)),
        Act::Inject(fiq(1)),
        Act::Inject(fiq(2)),
        Act::End,
        Act::Enable(true, false),
        Act::Acknowledge,
        Act::End,
        Act::Acknowledge,
    ] {
        world.act(act);
    }
    assert_eq!(world.running, [Intid(2)]);
}

#[test]
fn full_queue_says_whom_it_refuses_and_keeps_room_for_private_ones() {
    for is_loaded in [false, true] {
        let mut world = World::new(4);
        if !is_loaded {
            world.queue.put(&world.hardware);
        }
        let inject = |world: &mut World, interrupt| match is_loaded {
            true => world.queue.inject_loaded(&world.hardware, interrupt),
            false => world.queue.inject(interrupt),
        };
        for intid in (100..).take(Queue::SHARED) {
            inject(&mut world, edge(intid, 0x80)).unwrap();
        }
        let refused = Intid(100 + Queue::SHARED as u32);
        assert_eq!(
            inject(&mut world, refused.into()),
            Err(QueueError::Full(refused))
        );
        for intid in (0..32).chain([100]) {
            inject(&mut world, edge(intid, 0)).unwrap(); // merges, or has its own place
        }
        if is_loaded {
            world.hardware.acknowledge();
            world.hardware.end(Intid(0));
            world.queue.maintain(&world.hardware);
            let still_refused = inject(&mut world, refused.into());
            assert_eq!(still_refused, Err(QueueError::Full(refused)));
            world.queue.sync(&world.hardware);
            assert!(world.queue.retract(Intid(100)));
            world.queue.settle(&world.hardware);
            inject(&mut world, refused.into()).unwrap();
        }
    }
}

#[test]
fn numbers_that_no_interrupt_has_are_refused() {
    let mut queue = Queue::default();
    for intid in [1020, 1021, 1022, 1023, 1 << 24, u32::MAX].map(Intid) {
        let refused = Err(QueueError::NoSuchIntid(intid));
        assert_eq!(queue.inject(intid.into()), refused);
        assert!(!queue.retract(intid) && !queue.deactivate(intid));
        assert_eq!(queue.status(intid), Status::default());
    }
    let physical = Intid(1 << 13);
    let interrupt = VirtualInterrupt {
        trigger: Trigger::Hardware(physical),
        ..Intid(27).into()
    };
    let refused = Err(QueueError::NoSuchHardware(physical));
    assert_eq!(queue.inject(interrupt), refused);
    assert!(queue.is_empty());
}

/// A `WFI` ends for what the guest's interface lets through.
#[test]
fn waiting_guest_wakes_for_what_it_can_take() {
    let mut world = World::new(2);
    let wakes = |world: &mut World| {
        world.queue.sync(&world.hardware);
        world.queue.has_takable(world.hardware.vmcr())
    };
    assert!(!wakes(&mut world));
    world.act(Act::Inject(edge(40, 0x80)));
    assert!(wakes(&mut world));
    world.act(Act::Mask(0x80));
    assert!(!wakes(&mut world));
    world.act(Act::Mask(0x88));
    assert!(wakes(&mut world));
    world.act(Act::Enable(true, false));
    assert!(!wakes(&mut world));
    world.act(Act::Enable(false, true));
    world.act(Act::Acknowledge);
    assert!(!wakes(&mut world), "it is active");
}

/// The guest that was forgotten instead of put: its interrupts come again, none is lost.
#[test]
fn forgotten_stay_loses_nothing() {
    let mut world = World::new(2);
    for intid in 40..45 {
        world.act(Act::Inject(edge(intid, 0x80)));
    }
    world.hardware = Hardware::new(4, Settings::default(), true);
    world.queue.load(&world.hardware, world.hardware.vmcr());
    world.finish();
}

/// QEMU counts priority drops without a list register where the guest ends in two steps; the
/// architecture counts deactivations, and those trap.
#[test]
fn counted_ends_are_nobodys_while_deactivations_trap() {
    let mut world = World::new(1);
    world.act(Act::SplitEnd(true));
    world.act(Act::Inject(edge(40, 0xa0)));
    world.act(Act::Acknowledge);
    world.act(Act::Inject(edge(41, 0x20)));
    assert!(world.hardware.hcr().contains(IchHcr::TDIR));
    let counted = world.hardware.hcr() | IchHcr::from_bits_retain(1 << 27);
    assert_eq!(counted.eoi_count(), 1);
    *world.hardware.hcr.get_mut() = counted;
    world.queue.sync(&world.hardware);
    assert!(world.queue.status(Intid(40)).active);
}
