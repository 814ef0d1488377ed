//! The queue by itself, and in a machine that does as a host does: a CPU looks at its slice's end,
//! when it is told to, and when its vCPU sleeps.

extern crate std;

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;

const PACE: Pace = Pace {
    slice: 100,
    gain: 10,
};

/// Up to four guests of up to four vCPUs.
type Queue = RunQueue<4, 4>;

/// Returns a queue of one guest with so many vCPUs on.
fn queue(on: usize) -> Queue {
    let mut queue = RunQueue::new(PACE, 1);
    for vcpu in 0..on {
        queue.turn_on(vcpu, 0);
    }
    queue
}

#[test]
fn idle_cpu_is_woken_for_what_becomes_ready_its_own_first() {
    let mut queue = queue(1);
    assert_eq!(queue.pick(1, 0), Some(0));
    assert_eq!(queue.pick(0, 0), None);
    queue.stop(0, 5, State::Blocked { until: None });
    assert_eq!(queue.pick(1, 5), None);
    assert_eq!(queue.wake(0, 7), Some(1));
    assert_eq!(queue.wake(0, 7), None, "it is ready");
    assert_eq!(queue.pick(0, 7), Some(0));
    assert_eq!(queue.wake(0, 8), Some(0), "it runs");
}

#[test]
fn sleeper_runs_soon_and_saves_up_no_more_than_the_gain() {
    for other in [1, 4] {
        // Of the same guest; of another.
        let mut queue = queue(1);
        queue.turn_on(other, 0);
        assert_eq!(queue.pick(0, 0), Some(0));
        queue.stop(0, 1, State::Blocked { until: Some(1000) });
        assert_eq!(queue.pick(0, 1), Some(other));
        assert_eq!(queue.next_look(950), Some(1000));
        assert_eq!(queue.expire(999), None);
        let woken = queue.expire(1000);
        assert_eq!(woken, Some((0, Some(0))), "the other ran much more");
        assert!(queue.has_to_yield(other, 1000));
        queue.stop(other, 1000, State::Ready);
        assert_eq!(queue.pick(0, 1000), Some(0));
        assert!(!queue.has_to_yield(0, 1005));
        assert!(queue.has_to_yield(0, 1020));
    }
}

#[test]
fn who_worked_while_others_were_off_is_not_behind_them() {
    for other in [1, 4] {
        let mut queue = queue(1);
        assert_eq!(queue.pick(0, 0), Some(0));
        queue.stop(
            0,
            10_000,
            State::Blocked {
                until: Some(10_050),
            },
        );
        queue.turn_on(other, 10_000);
        assert_eq!(queue.pick(0, 10_000), Some(other));
        assert_eq!(queue.expire(10_050), Some((0, Some(0))));
        assert!(queue.has_to_yield(other, 10_050));
    }
}

#[test]
fn what_is_turned_off_is_not_picked_and_has_to_yield() {
    let mut queue = queue(1);
    queue.pick(0, 0);
    queue.stop(0, 1, State::Off);
    assert!(queue.has_to_yield(0, 1));
    assert_eq!(queue.wake(0, 1), None);
    assert_eq!(queue.pick(0, 1), None);
    assert_eq!(queue.turn_on(0, 2), Some(0));
}

#[test]
fn guest_is_turned_off_once_none_of_its_vcpus_runs() {
    let mut queue = queue(3);
    queue.turn_on(4, 0);
    assert_eq!(queue.pick(0, 0), Some(0));
    queue.stop(0, 1, State::Blocked { until: Some(50) });
    assert_eq!(queue.pick(0, 1), Some(4));
    assert_eq!(queue.pick(1, 1), Some(1));
    assert!(!queue.turn_off(0, 2));
    assert_eq!(queue.state(1), State::Running { cpu: 1, since: 1 });
    queue.stop(1, 3, State::Ready);
    assert!(queue.turn_off(0, 3));
    let states: Vec<_> = (0..4).map(|vcpu| queue.state(vcpu)).collect();
    assert_eq!(states, [State::Off; 4]);
    assert_eq!(queue.expire(60), None, "nor does it wake");
    assert_eq!(queue.pick(1, 60), None);
    assert_eq!(queue.state(4), State::Running { cpu: 0, since: 1 });
}

#[test]
fn usage_is_what_was_run_and_waited() {
    let mut queue = queue(1);
    queue.turn_on(4, 0);
    assert_eq!(queue.pick(0, 0), Some(0));
    queue.stop(0, 30, State::Blocked { until: Some(50) });
    assert_eq!(queue.pick(0, 40), Some(4));
    queue.expire(50);
    let (first, second) = (queue.usage(0, 60), queue.usage(1, 60));
    assert_eq!((first.ran, first.waited, first.percent()), (30, 10, 75));
    assert_eq!((second.ran, second.waited, second.percent()), (20, 40, 33));
    assert_eq!(Usage::default().percent(), 100);
    assert_eq!((queue.waited(0), queue.waited(4)), (0, 40));
    assert_eq!(queue.pick(1, 65), Some(0));
    assert_eq!(queue.waited(0), 15);
    queue.stop(0, 70, State::Off);
    assert!(queue.turn_off(0, 70));
    assert_eq!((queue.waited(0), queue.waited(4)), (0, 40));
}

#[test]
fn slices_end_only_where_somebody_may_wait() {
    let mut queue = queue(1);
    assert_eq!(queue.pick(0, 0), Some(0));
    assert_eq!((queue.has_slices(), queue.next_look(0)), (false, None));
    queue.turn_on(4, 0);
    assert_eq!((queue.has_slices(), queue.next_look(5)), (true, Some(105)));
    queue.stop(0, 10, State::Blocked { until: Some(50) });
    assert!(queue.has_slices(), "it is on, and may come back");
    assert_eq!(queue.next_look(10), Some(50));
    queue.turn_off(0, 20);
    assert_eq!((queue.has_slices(), queue.next_look(20)), (false, None));
}

/// A machine that runs so many vCPUs of each guest; its last vCPU works and sleeps by turns.
struct Machine {
    queue: Queue,
    /// What runs there, and when to look.
    cpus: Vec<(Option<usize>, u64)>,
    /// How long each vCPU ran.
    time: Vec<u64>,
}

impl Machine {
    fn run(cpus: usize, guests: &[usize], naps: &[(u64, u64)], total: u64) -> Self {
        let mut machine = Self {
            queue: RunQueue::new(PACE, cpus),
            cpus: vec![(None, 0); cpus],
            time: vec![0; 16],
        };
        let all = guests.iter().enumerate();
        let all = all.flat_map(|(guest, vcpus)| (0..*vcpus).map(move |vcpu| 4 * guest + vcpu));
        for vcpu in all.clone() {
            machine.queue.turn_on(vcpu, 0);
        }
        let sleeper = all.last().filter(|_| !naps.is_empty());
        let (mut nap, mut awake) = (naps.iter().cycle(), 20);
        for now in 0..total {
            while let Some((_, told)) = machine.queue.expire(now) {
                machine.tell(told, now);
            }
            for cpu in 0..cpus {
                let Some(vcpu) = machine.cpus[cpu].0 else {
                    continue;
                };
                machine.time[vcpu] += 1;
                awake -= u64::from(Some(vcpu) == sleeper);
                if Some(vcpu) == sleeper && awake == 0 {
                    let (sleep, work) = *nap.next().unwrap();
                    awake = work;
                    let until = Some(now + sleep);
                    machine.queue.stop(vcpu, now, State::Blocked { until });
                    machine.cpus[cpu].0 = None;
                } else if machine.cpus[cpu].1 <= now {
                    if machine.queue.has_to_yield(vcpu, now) {
                        machine.queue.stop(vcpu, now, State::Ready);
                        machine.cpus[cpu].0 = None;
                    } else {
                        machine.cpus[cpu].1 = machine.next_look(now);
                    }
                }
            }
            for cpu in 0..cpus {
                if machine.cpus[cpu].0.is_none() {
                    let picked = machine.queue.pick(cpu, now);
                    machine.cpus[cpu] = (picked, machine.next_look(now));
                }
            }
            let mut running: Vec<_> = machine.cpus.iter().filter_map(|cpu| cpu.0).collect();
            let count = running.len();
            running.sort_unstable();
            running.dedup();
            assert_eq!(running.len(), count, "one CPU each");
        }
        machine
    }

    fn next_look(&self, now: u64) -> u64 {
        self.queue.next_look(now).unwrap_or(u64::MAX)
    }

    fn tell(&mut self, cpu: Option<usize>, now: u64) {
        if let Some(cpu) = cpu {
            self.cpus[cpu].1 = now;
        }
    }

    fn guest_time(&self, guest: usize) -> u64 {
        self.time[4 * guest..4 * guest + 4].iter().sum()
    }
}

/// Returns what each guest is due: no more than it has vCPUs, and what one leaves is the others'.
fn due(cpus: usize, guests: &[usize], total: u64) -> Vec<u64> {
    let mut due = vec![0; guests.len()];
    let mut left = cpus as u64 * total;
    let mut by_size: Vec<_> = (0..guests.len()).collect();
    by_size.sort_by_key(|guest| guests[*guest]);
    for (done, guest) in by_size.iter().enumerate() {
        let equal = left / (guests.len() - done) as u64;
        due[*guest] = equal.min(guests[*guest] as u64 * total);
        left -= due[*guest];
    }
    due
}

#[test]
fn four_vcpus_get_no_more_of_a_cpu_than_one() {
    let machine = Machine::run(1, &[1, 4], &[], 10_000);
    assert!(machine.guest_time(0) > 4800, "{:?}", machine.time);
    assert!(machine.guest_time(1) > 4800, "{:?}", machine.time);
    let machine = Machine::run(2, &[1, 4], &[], 10_000);
    assert!(machine.guest_time(0) > 9000, "{:?}", machine.time);
}

proptest! {
    /// Whoever always wants to run gets an equal share of the CPUs, whatever the others do.
    #[test]
    fn spinning_vcpus_get_equal_shares(
        cpus in 1_usize..4,
        spinning in 1_usize..4,
        naps in proptest::collection::vec((1_u64..300, 1_u64..50), 1..20),
    ) {
        let total = 10_000;
        let machine = Machine::run(cpus, &[spinning + 1], &naps, total);
        let fair = (total * cpus as u64 / (spinning as u64 + 1)).min(total);
        for vcpu in 0..spinning {
            prop_assert!(machine.time[vcpu] + 1000 > fair, "{:?} of {fair}", machine.time);
        }
    }

    /// A guest whose vCPUs spin gets its share of the CPUs, whatever the others have and do; and
    /// each of its vCPUs its share of that.
    #[test]
    fn guests_get_equal_shares(
        cpus in 1_usize..4,
        guests in proptest::collection::vec(1_usize..5, 1..5),
        naps in proptest::collection::vec((1_u64..300, 1_u64..50), 0..20),
    ) {
        let total = 20_000;
        let machine = Machine::run(cpus, &guests, &naps, total);
        let due = due(cpus, &guests, total);
        for guest in 0..guests.len() {
            let sleeps = guest == guests.len() - 1 && !naps.is_empty();
            if sleeps {
                continue;
            }
            let (got, due) = (machine.guest_time(guest), due[guest]);
            prop_assert!(got * 10 > due * 9, "guest {guest}: {got} of {due}, {:?}", machine.time);
            for vcpu in 0..guests[guest] {
                let (got, due) = (machine.time[4 * guest + vcpu], due / guests[guest] as u64);
                prop_assert!(got * 10 > due * 8, "vCPU {vcpu}: {got} of {due}, {:?}", machine.time);
            }
        }
    }
}
