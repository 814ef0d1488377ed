//! The mailbox over loom's atomics: whatever is posted is taken, or somebody is told to see to it.

extern crate std;

use std::vec::Vec;

use loom::sync::atomic;
use loom::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use vcpu_regs::Intid;

use super::message::{self, Message};

macro_rules! constructor {
    ($(#[$doc:meta])* pub fn $($rest:tt)*) => { $(#[$doc])* pub fn $($rest)* };
}
macro_rules! atomics {
    ($new:expr; $count:expr) => {
        core::array::from_fn::<_, { $count }, _>(|_| $new)
    };
}

/// Few, for there are more ways through many.
const SLOTS: usize = 34;

#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "the same code with atomics that loom watches"
)]
#[path = "post.rs"]
mod post;

use post::{Delivery, Mailbox};

/// A CPU with one vCPU, and the interrupt that a kick sends it.
#[derive(Default)]
struct Machine {
    mailbox: Mailbox,
    kicked: AtomicBool,
    /// The scheduler was told to run the vCPU again.
    woken: AtomicBool,
}

impl Machine {
    fn post(&self, intid: u32) {
        let posted = self.mailbox.post(Message::Inject(Intid(intid).into()));
        match posted.unwrap() {
            Delivery::Noted => {}
            Delivery::Kick(0) => self.kicked.store(true, Ordering::Release),
            Delivery::Kick(cpu) => panic!("there is no CPU {cpu}"),
            Delivery::Wake => self.woken.store(true, Ordering::Release),
        }
    }

    /// One entry with interrupts masked: a kick that is pending ends it at once.
    fn run(&self, taken: &mut u64) {
        if self.mailbox.may_have_news() {
            self.mailbox.take(|message| {
                *taken |= 1 << message.intid().0;
                true
            });
        }
    }
}

fn check(senders: &'static [&'static [u32]], stays: usize, preemptions: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let machine = Arc::new(Machine::default());
        let threads: Vec<_> = senders
            .iter()
            .map(|&intids| {
                let machine = machine.clone();
                loom::thread::spawn(move || intids.iter().for_each(|&intid| machine.post(intid)))
            })
            .collect();
        let mut taken = 0;
        for _ in 0..stays {
            machine.mailbox.arrive(0);
            machine.run(&mut taken);
            // The kick is an exception: after it, what was posted before is seen.
            while machine.kicked.swap(false, Ordering::Acquire) {
                machine.run(&mut taken);
            }
            machine.mailbox.leave();
        }
        // The scheduler lets it wait if there is nothing.
        let waits = !machine.mailbox.has_news();
        for thread in threads {
            thread.join().unwrap();
        }
        let all = senders
            .iter()
            .copied()
            .flatten()
            .fold(0, |all, intid| all | 1 << intid);
        if taken != all {
            let woken = machine.woken.load(Ordering::Acquire);
            let kicked = machine.kicked.load(Ordering::Acquire);
            // A kick that comes after the put does nothing: it is a wake-up that counts.
            assert!(
                woken || !waits,
                "lost: {taken:#x} of {all:#x}, kicked: {kicked}"
            );
            machine.mailbox.arrive(0);
            machine.run(&mut taken);
            assert_eq!(taken, all, "it was woken for nothing");
        }
    });
}

/// The vCPU is in its guest, and stays there unless it is kicked.
#[test]
fn loaded_vcpu_is_kicked() {
    loom::model(|| {
        let machine = Arc::new(Machine::default());
        let other = machine.clone();
        let sender = loom::thread::spawn(move || {
            other.post(3);
            other.post(5);
        });
        let mut taken = 0;
        machine.mailbox.arrive(0);
        machine.run(&mut taken);
        sender.join().unwrap();
        // Whoever posted is done: what was not taken on the way in has a kick pending. A scheduler that
        // was told has nothing to do for a vCPU that runs.
        if taken != 1 << 3 | 1 << 5 {
            let kicked = machine.kicked.load(Ordering::Acquire);
            assert!(kicked, "the guest runs on with {taken:#x}");
            machine.run(&mut taken);
        }
        assert_eq!(taken, 1 << 3 | 1 << 5);
    });
}

#[test]
fn nothing_is_lost_when_the_vcpu_leaves() {
    check(&[&[3, 5]], 1, 3);
}

#[test]
fn nothing_is_lost_between_two_stays_and_two_senders() {
    check(&[&[3], &[3, 40]], 2, 2);
}
