//! The queue against a model of a GIC: what a guest sees through few list registers is what it
//! would see through as many as it likes.

mod model;
mod senders;
mod single;

extern crate std;

use std::{vec, vec::Vec};

use proptest::prelude::*;
use vcpu_regs::Intid;

use super::{Queue, interface::VirtualInterface};
use crate::inject::{Group, Status, Trigger, VirtualInterrupt};
use model::{Hardware, Ideal, Settings};

/// Something that the guest or its host does.
#[derive(Clone, Debug)]
enum Act {
    Inject(VirtualInterrupt),
    /// While the vCPU is at rest.
    InjectAtRest(VirtualInterrupt),
    Retract(Intid),
    Activate(VirtualInterrupt),
    /// By the distributor.
    Deactivate(Intid),
    Acknowledge,
    /// Ends the interrupt that was acknowledged last.
    End,
    /// Deactivates one of those that were ended apart from that.
    Direct(usize),
    Mask(u8),
    /// As far as nothing runs: otherwise two of one priority could both be running.
    BinaryPoints(u8, u8, bool),
    Enable(bool, bool),
    /// As far as nothing is active.
    SplitEnd(bool),
    /// To a CPU with so many list registers.
    Move(usize, bool),
    AskForEnded,
}

struct World {
    queue: Queue,
    hardware: Hardware,
    ideal: Ideal,
    /// Acknowledged, and not ended.
    running: Vec<Intid>,
    /// Ended, and not deactivated.
    dropped: Vec<Intid>,
    told: Vec<Intid>,
}

impl World {
    fn new(count: usize) -> Self {
        let hardware = Hardware::new(count, Settings::default(), true);
        let mut queue = Queue::default();
        queue.load(&hardware, hardware.vmcr());
        Self {
            queue,
            hardware,
            ideal: Ideal::default(),
            running: Vec::new(),
            dropped: Vec::new(),
            told: Vec::new(),
        }
    }

    fn act(&mut self, act: Act) {
        // A physical interrupt cannot come again, nor be active again, before it was deactivated.
        if let Act::Inject(interrupt) | Act::InjectAtRest(interrupt) | Act::Activate(interrupt) =
            &act
            && matches!(interrupt.trigger, Trigger::Hardware(_))
        {
            self.hear_of_ended();
        }
        let Self {
            queue,
            hardware,
            ideal,
            ..
        } = self;
        match act {
            Act::Inject(interrupt) => {
                queue.inject_loaded(hardware, interrupt).unwrap();
                ideal.inject(interrupt);
            }
            Act::InjectAtRest(interrupt) => {
                queue.put(hardware);
                queue.inject(interrupt).unwrap();
                queue.load(hardware, hardware.vmcr());
                ideal.inject(interrupt);
            }
            Act::Retract(intid) => {
                queue.sync(hardware);
                assert_eq!(queue.retract(intid), ideal.retract(intid));
                queue.settle(hardware);
            }
            // A guest that ends by ICC_EOIR alone would not end one that it did not acknowledge.
            Act::Activate(interrupt) => {
                queue.sync(hardware);
                queue.activate(interrupt).unwrap();
                queue.settle(hardware);
                ideal.activate(interrupt);
            }
            Act::Deactivate(intid) => {
                // Not under the guest's hands: it is to be ended once.
                if !self.running.contains(&intid) {
                    queue.sync(hardware);
                    assert_eq!(queue.deactivate(intid), ideal.deactivate(intid));
                    queue.settle(hardware);
                    self.dropped.retain(|&dropped| dropped != intid);
                }
            }
            Act::Acknowledge => {
                let before = hardware.settings.clone();
                let taken = hardware.acknowledge();
                ideal.acknowledge(&before, taken);
                self.running.extend(taken);
            }
            Act::End => {
                if let Some(intid) = self.running.pop() {
                    hardware.end(intid);
                    if hardware.settings.split_end {
                        self.dropped.push(intid);
                    } else {
                        assert!(ideal.deactivate(intid));
                    }
                }
            }
            Act::Direct(index) => {
                if !self.dropped.is_empty() {
                    let intid = self.dropped.swap_remove(index % self.dropped.len());
                    if hardware.direct(intid) {
                        queue.sync(hardware);
                        assert!(queue.deactivate(intid), "{intid:?} was not active");
                        queue.settle(hardware);
                    }
                    assert!(ideal.deactivate(intid));
                }
            }
            Act::Mask(mask) => hardware.settings.mask = mask,
            Act::BinaryPoints(group0, group1, common) => {
                if self.running.is_empty() {
                    hardware.settings.binary_points = [group0, group1];
                    hardware.settings.common_binary_point = common;
                }
            }
            Act::Enable(group0, group1) => hardware.settings.enabled = [group0, group1],
            Act::SplitEnd(split) => {
                // Ends are told apart by the trap alone.
                let can_split = hardware.traps_dir || !split;
                if can_split && !ideal.all.values().any(|known| known.active) {
                    hardware.settings.split_end = split;
                }
            }
            Act::Move(count, can_trap_dir) => {
                queue.put(hardware);
                let settings = hardware.settings.clone();
                let can_trap_dir = can_trap_dir || settings.split_end;
                let deactivated = core::mem::take(&mut hardware.deactivated);
                *hardware = Hardware::new(count, settings, can_trap_dir);
                hardware.deactivated = deactivated;
                queue.load(hardware, hardware.vmcr());
            }
            Act::AskForEnded => self.ask_for_ended(),
        }
        self.queue.maintain(&self.hardware);
        self.hardware.check();
    }

    fn hear_of_ended(&mut self) {
        while let Some(intid) = self.queue.next_ended() {
            match self.ideal.all[&intid.0].is.trigger {
                Trigger::Hardware(physical) => self.hardware.deactivated.push(physical),
                _ => self.told.push(intid),
            }
        }
    }

    fn ask_for_ended(&mut self) {
        self.hear_of_ended();
        self.told.sort();
        self.told.dedup(); // a level that ended twice before it was looked at
        self.ideal.ended.sort();
        assert_eq!(self.told, self.ideal.ended, "levels to look at again");
        self.told.clear();
        self.ideal.ended.clear();
        let (mine, due) = (&mut self.hardware.deactivated, &mut self.ideal.deactivated);
        mine.sort();
        due.sort();
        assert_eq!(mine, due, "physical interrupts that were deactivated");
    }

    fn compare(&mut self) {
        self.queue.sync(&self.hardware);
        for known in self.ideal.all.values() {
            let status = Status {
                pending: known.pending,
                active: known.active,
            };
            assert_eq!(self.queue.status(known.is.intid), status, "{known:?}");
        }
        self.queue.settle(&self.hardware);
        self.ask_for_ended();
    }

    /// Lets the guest finish: everything that is pending comes, and ends.
    fn finish(&mut self) {
        self.act(Act::Mask(0xff));
        self.act(Act::BinaryPoints(2, 3, false));
        self.act(Act::Enable(true, true));
        let mut left = 1000;
        while self
            .ideal
            .all
            .values()
            .any(|known| known.pending || known.active)
        {
            left -= 1;
            assert_ne!(left, 0, "the guest waits for what does not come");
            while !self.running.is_empty() {
                self.act(Act::End);
            }
            while !self.dropped.is_empty() {
                self.act(Act::Direct(0));
            }
            let active = self.ideal.all.values().find(|known| known.active);
            match active.map(|known| known.is.intid) {
                Some(intid) => self.act(Act::Deactivate(intid)),
                None => self.act(Act::Acknowledge),
            }
        }
        self.compare();
        assert!(self.queue.is_empty());
    }
}

/// A few numbers of every kind, so that they meet.
fn intid() -> impl Strategy<Value = Intid> {
    prop_oneof![0..4u32, 16..20u32, 32..44u32, 8192..8196u32].prop_map(Intid)
}

fn interrupt() -> impl Strategy<Value = VirtualInterrupt> {
    // A number has its trigger for good, as a distributor has it.
    (intid(), 0..30u8, any::<bool>()).prop_map(|(intid, priority, is_group1)| VirtualInterrupt {
        intid,
        priority: priority * 8,
        group: if is_group1 { Group::One } else { Group::Zero },
        trigger: match intid.0 {
            n if n < 16 => Trigger::Edge,
            n if n % 3 == 0 => Trigger::Level,
            n if n % 3 == 1 => Trigger::Hardware(Intid(n % 1000 + 500)),
            _ => Trigger::Edge,
        },
    })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => interrupt().prop_map(Act::Inject),
        1 => interrupt().prop_map(Act::InjectAtRest),
        1 => intid().prop_map(Act::Retract),
        1 => interrupt().prop_map(Act::Activate),
        1 => intid().prop_map(Act::Deactivate),
        8 => Just(Act::Acknowledge),
        5 => Just(Act::End),
        3 => any::<usize>().prop_map(Act::Direct),
        1 => (0..32u8).prop_map(|mask| Act::Mask(mask * 8)),
        1 => (2..8u8, 3..8u8, any::<bool>()).prop_map(|(a, b, c)| Act::BinaryPoints(a, b, c)),
        1 => any::<(bool, bool)>().prop_map(|(a, b)| Act::Enable(a, b)),
        2 => any::<bool>().prop_map(Act::SplitEnd),
        1 => (1..=16usize, any::<bool>()).prop_map(|(n, dir)| Act::Move(n, dir)),
        1 => Just(Act::AskForEnded),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing is lost, nothing comes twice, the highest priority comes first, a physical interrupt
    /// is deactivated once, and every level that ended is told of once.
    #[test]
    fn guest_sees_what_enough_list_registers_would_show(
        count in prop_oneof![3 => 1..=4usize, 1 => 5..=16usize],
        acts in prop::collection::vec(act(), 1..120),
    ) {
        let mut world = World::new(count);
        for act in acts {
            world.act(act);
        }
        world.compare();
        world.finish();
    }
}
