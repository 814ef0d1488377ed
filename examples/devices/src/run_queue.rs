//! Which vCPU runs next: an equal share for each, and a short wait for those that sleep much.
//!
//! Times are ticks of one counter. The host calls this under a lock and does what it says.

/// What the host wants of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long a vCPU runs while others want to.
    pub slice: u64,
    /// How much less than another a vCPU must have run to take its place at once; also what a move
    /// to another CPU must be worth, and the most that is saved up by sleeping.
    pub gain: u64,
}

/// All vCPUs of a host, by number, and what each is doing.
#[derive(Clone, Debug)]
pub struct RunQueue<const N: usize> {
    entries: [Entry; N],
    /// Entries beyond these were never turned on.
    used: usize,
    /// CPUs that found nothing to run, a bit for each.
    idle: u64,
    /// Nobody who wants to run has run less than this.
    floor: u64,
    pace: Pace,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    state: State,
    /// How long it ran, or could have while it slept.
    ran: u64,
    /// The CPU it ran on last.
    last_cpu: usize,
}

/// What a vCPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is off.
    Off,
    /// It wants to run.
    Ready,
    /// It runs.
    Running {
        /// Where.
        cpu: usize,
        /// Since when.
        since: u64,
    },
    /// It waits for an interrupt, or until a time.
    Blocked {
        /// The time.
        until: Option<u64>,
    },
}

impl<const N: usize> RunQueue<N> {
    /// Returns a queue of vCPUs that are all off.
    pub const fn new(pace: Pace) -> Self {
        let entry = Entry {
            state: State::Off,
            ran: 0,
            last_cpu: 0,
        };
        Self {
            entries: [entry; N],
            used: 0,
            idle: 0,
            floor: 0,
            pace,
        }
    }

    /// Returns what a vCPU does.
    pub fn state(&self, vcpu: usize) -> State {
        self.entries
            .get(vcpu)
            .map_or(State::Off, |entry| entry.state)
    }

    /// Gives `cpu` the vCPU that ran least, if one wants to run.
    pub fn pick(&mut self, cpu: usize, now: u64) -> Option<usize> {
        let gain = self.pace.gain;
        let ready = self.entries().iter().enumerate();
        let best = ready
            .filter(|(_, entry)| entry.state == State::Ready)
            .min_by_key(|(_, entry)| {
                let move_cost = if entry.last_cpu == cpu { 0 } else { gain };
                entry.ran.saturating_add(move_cost)
            })
            .map(|(vcpu, _)| vcpu);
        let bit = 1_u64.checked_shl(cpu as u32).unwrap_or(0);
        let Some(vcpu) = best else {
            self.idle |= bit;
            return None;
        };
        self.idle &= !bit;
        let entry = &mut self.entries[vcpu];
        entry.state = State::Running { cpu, since: now };
        entry.last_cpu = cpu;
        Some(vcpu)
    }

    /// Notes that a vCPU that ran does `next` from now on.
    pub fn stop(&mut self, vcpu: usize, now: u64, next: State) {
        let ran = self.ran(vcpu, now);
        if let Some(entry) = self.entries.get_mut(vcpu) {
            entry.ran = ran;
            entry.state = next;
        }
        self.raise_floor(now);
    }

    /// Notes that something came for a vCPU; returns the CPU that has to look, if one has to.
    pub fn wake(&mut self, vcpu: usize, now: u64) -> Option<usize> {
        match self.state(vcpu) {
            State::Running { cpu, .. } => Some(cpu),
            State::Blocked { .. } => self.make_ready(vcpu, now),
            State::Ready | State::Off => None,
        }
    }

    /// Notes that a vCPU was turned on; returns as [`Self::wake`] does.
    pub fn turn_on(&mut self, vcpu: usize, now: u64) -> Option<usize> {
        match self.state(vcpu) {
            State::Off => {
                self.used = self.used.max(vcpu + 1).min(N);
                self.make_ready(vcpu, now)
            }
            _ => self.wake(vcpu, now),
        }
    }

    /// Wakes one vCPU whose time has come; to be called until there is none.
    pub fn expire(&mut self, now: u64) -> Option<(usize, Option<usize>)> {
        let due = |entry: &Entry| matches!(entry.state, State::Blocked { until: Some(until) } if until <= now);
        let vcpu = self.entries().iter().position(due)?;
        Some((vcpu, self.make_ready(vcpu, now)))
    }

    /// Returns when a CPU that runs a vCPU has to look again.
    pub fn next_look(&self, now: u64) -> u64 {
        let slice_end = now.saturating_add(self.pace.slice);
        self.next_deadline()
            .map_or(slice_end, |deadline| deadline.min(slice_end))
    }

    /// Returns the time at which the first of those that wait is to run.
    pub fn next_deadline(&self) -> Option<u64> {
        let deadlines = self.entries().iter().filter_map(|entry| match entry.state {
            State::Blocked { until } => until,
            _ => None,
        });
        deadlines.min()
    }

    /// Returns whether the vCPU on `cpu` is to make room for another.
    pub fn has_to_yield(&self, vcpu: usize, now: u64) -> bool {
        let State::Running { since, .. } = self.state(vcpu) else {
            return true; // it was turned off behind its back
        };
        let ran = self.ran(vcpu, now);
        let is_over = now.saturating_sub(since) >= self.pace.slice;
        let mut ready = self
            .entries()
            .iter()
            .filter(|entry| entry.state == State::Ready);
        ready.any(|entry| {
            let lead = if is_over { 0 } else { self.pace.gain };
            entry.ran.saturating_add(lead) <= ran
        })
    }

    fn entries(&self) -> &[Entry] {
        self.entries.get(..self.used).unwrap_or(&self.entries)
    }

    /// Returns how long a vCPU ran.
    fn ran(&self, vcpu: usize, now: u64) -> u64 {
        let Some(entry) = self.entries.get(vcpu) else {
            return 0;
        };
        match entry.state {
            State::Running { since, .. } => entry.ran + now.saturating_sub(since),
            _ => entry.ran,
        }
    }

    fn make_ready(&mut self, vcpu: usize, now: u64) -> Option<usize> {
        self.raise_floor(now);
        let least = self.floor.saturating_sub(self.pace.gain);
        let entry = self.entries.get_mut(vcpu)?;
        entry.state = State::Ready;
        entry.ran = entry.ran.max(least);
        let Entry { ran, last_cpu, .. } = *entry;
        if self.idle != 0 {
            let has_last = self.idle >> last_cpu & 1 != 0;
            let cpu = if has_last {
                last_cpu
            } else {
                self.idle.trailing_zeros() as usize
            };
            return Some(cpu);
        }
        // Nobody is idle: who ran most, if that is much more.
        let running = (0..self.used).filter_map(|other| match self.state(other) {
            State::Running { cpu, .. } => Some((self.ran(other, now), cpu)),
            _ => None,
        });
        let (most, cpu) = running.max()?;
        (ran.saturating_add(self.pace.gain) <= most).then_some(cpu)
    }

    fn raise_floor(&mut self, now: u64) {
        let wants =
            |vcpu: &usize| matches!(self.state(*vcpu), State::Ready | State::Running { .. });
        let least = (0..self.used)
            .filter(wants)
            .map(|vcpu| self.ran(vcpu, now))
            .min();
        self.floor = self.floor.max(least.unwrap_or(self.floor));
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    const PACE: Pace = Pace {
        slice: 100,
        gain: 10,
    };

    fn queue(on: usize) -> RunQueue<8> {
        let mut queue = RunQueue::new(PACE);
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
        let mut queue = queue(2);
        assert_eq!(queue.pick(0, 0), Some(0));
        queue.stop(0, 1, State::Blocked { until: Some(1000) });
        assert_eq!(queue.pick(0, 1), Some(1));
        assert_eq!(queue.next_look(950), 1000);
        assert_eq!(queue.expire(999), None);
        assert_eq!(
            queue.expire(1000),
            Some((0, Some(0))),
            "the other ran much more"
        );
        assert!(queue.has_to_yield(1, 1000));
        queue.stop(1, 1000, State::Ready);
        assert_eq!(queue.pick(0, 1000), Some(0));
        assert!(!queue.has_to_yield(0, 1005));
        assert!(queue.has_to_yield(0, 1020));
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

    proptest! {
        /// Whoever always wants to run gets an equal share of the CPUs, whatever the others do.
        #[test]
        fn spinning_vcpus_get_equal_shares(
            cpus in 1_usize..4,
            spinning in 1_usize..5,
            naps in proptest::collection::vec((1_u64..300, 1_u64..50), 1..20),
        ) {
            let sleeper = spinning; // the number after those that spin
            let mut queue = queue(spinning + 1);
            let mut on: Vec<Option<usize>> = vec![None; cpus];
            let mut time = vec![0_u64; spinning + 1];
            let (mut nap, mut awake) = (naps.iter().cycle(), 20);
            let total = 10_000;
            for now in 0..total {
                while queue.expire(now).is_some() {}
                for (cpu, on) in on.iter_mut().enumerate() {
                    if let Some(vcpu) = *on {
                        time[vcpu] += 1;
                        if vcpu == sleeper {
                            awake -= 1;
                        }
                        if vcpu == sleeper && awake == 0 {
                            let (sleep, work) = *nap.next().unwrap();
                            awake = work;
                            queue.stop(vcpu, now, State::Blocked { until: Some(now + sleep) });
                            *on = None;
                        } else if queue.has_to_yield(vcpu, now) {
                            queue.stop(vcpu, now, State::Ready);
                            *on = None;
                        }
                    }
                    if on.is_none() {
                        *on = queue.pick(cpu, now);
                    }
                }
                let mut running: Vec<_> = on.iter().flatten().collect();
                running.sort();
                running.dedup();
                prop_assert_eq!(running.len(), on.iter().flatten().count(), "one CPU each");
            }
            let fair = (total * cpus as u64 / (spinning as u64 + 1)).min(total);
            for vcpu in 0..spinning {
                prop_assert!(time[vcpu] + 1000 > fair, "{time:?} of {fair}");
            }
        }
    }
}
