//! SGIs of several senders, as a GICv2 has them: each sender's is an interrupt of its own.

use std::collections::BTreeSet;

use super::*;

/// Number and sender of what is pending, as the guest is to acknowledge it; and what it has
/// acknowledged and not ended.
struct World {
    queue: Queue,
    hardware: Hardware,
    pending: BTreeSet<(u32, u8)>,
    running: Vec<Intid>,
}

impl World {
    fn new(count: usize) -> Self {
        let hardware = Hardware::new(count, Settings::default(), false);
        let mut queue = Queue::default();
        queue.load(&hardware, hardware.vmcr());
        Self {
            queue,
            hardware,
            pending: BTreeSet::new(),
            running: Vec::new(),
        }
    }

    fn send(&mut self, sgi: u32, sender: u8) {
        let sent = VirtualInterrupt {
            // Equal for all of a number, lower numbers first.
            priority: sgi as u8 * 16,
            trigger: Trigger::SentBy(sender),
            ..Intid(sgi).into()
        };
        self.queue.inject_loaded(&self.hardware, sent).unwrap();
        self.pending.insert((sgi, sender));
    }

    /// Returns whether there was something to acknowledge.
    fn acknowledge(&mut self) -> bool {
        let Some(intid) = self.hardware.acknowledge() else {
            return false;
        };
        let sender = {
            let lists = self.hardware.lists.borrow();
            let taken = lists
                .iter()
                .find(|list| list.is_active() && list.intid() == intid);
            taken.unwrap().sender()
        };
        assert!(
            self.pending.remove(&(intid.0, sender)),
            "SGI {} of {sender}: not sent, or twice",
            intid.0
        );
        self.running.push(intid);
        self.queue.maintain(&self.hardware);
        true
    }

    fn end(&mut self) {
        if let Some(intid) = self.running.pop() {
            self.hardware.end(intid);
            self.queue.maintain(&self.hardware);
        }
    }

    fn retract(&mut self, sgi: u32) {
        self.queue.sync(&self.hardware);
        let was_pending = self.queue.retract(Intid(sgi));
        self.queue.settle(&self.hardware);
        let count = self.pending.len();
        self.pending.retain(|&(number, _)| number != sgi);
        assert_eq!(was_pending, self.pending.len() != count);
    }

    fn compare(&mut self) {
        self.queue.sync(&self.hardware);
        for sgi in 0..4 {
            let of = self.pending.iter().filter(|sent| sent.0 == sgi);
            let senders = of.fold(0, |bits, sent| bits | 1 << sent.1);
            assert_eq!(self.queue.senders(Intid(sgi)), senders, "SGI {sgi}");
            let status = self.queue.status(Intid(sgi));
            assert_eq!(status.pending, senders != 0, "SGI {sgi}");
            assert_eq!(status.active, self.running.contains(&Intid(sgi)));
        }
        self.queue.settle(&self.hardware);
        assert_eq!(self.queue.next_ended(), None, "an SGI has no level");
    }
}

#[derive(Clone, Debug)]
enum Act {
    Send(u32, u8),
    Acknowledge,
    End,
    Retract(u32),
    Deactivate(u32),
    Move(usize),
    /// To be asked seldom: it looks at the list registers, which the guest's own doing must not need.
    Compare,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..4_u32, 0..4_u8).prop_map(|(sgi, sender)| Act::Send(sgi, sender)),
        4 => Just(Act::Acknowledge),
        4 => Just(Act::End),
        1 => (0..4_u32).prop_map(Act::Retract),
        1 => (0..4_u32).prop_map(Act::Deactivate),
        1 => (1..5_usize).prop_map(Act::Move),
        1 => Just(Act::Compare),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Each sender's SGI comes once, with its sender, however few list registers there are.
    #[test]
    fn each_sender_of_an_sgi_is_acknowledged_once(
        count in 1..5_usize,
        acts in prop::collection::vec(act(), 1..80),
    ) {
        let mut world = World::new(count);
        for act in acts {
            match act {
                Act::Send(sgi, sender) => world.send(sgi, sender),
                Act::Acknowledge => {
                    world.acknowledge();
                }
                Act::End => world.end(),
                Act::Retract(sgi) => world.retract(sgi),
                Act::Deactivate(sgi) => {
                    // Only the last one is: an end is of what is active.
                    if world.running.last() == Some(&Intid(sgi)) {
                        world.running.pop();
                        world.hardware.settings.running.pop();
                        world.queue.sync(&world.hardware);
                        assert!(world.queue.deactivate(Intid(sgi)));
                        world.queue.settle(&world.hardware);
                    }
                }
                Act::Move(count) => {
                    world.queue.put(&world.hardware);
                    let settings = world.hardware.settings.clone();
                    world.hardware = Hardware::new(count, settings, false);
                    world.queue.load(&world.hardware, world.hardware.vmcr());
                }
                Act::Compare => world.compare(),
            }
        }
        while !world.pending.is_empty() || !world.running.is_empty() {
            if !world.acknowledge() {
                assert!(!world.running.is_empty(), "one was lost: {:?}", world.pending);
                world.end();
            }
        }
        world.compare();
        assert!(world.queue.is_empty());
    }
}
