//! Which vCPU runs next: an equal share for each guest, of that an equal share for each of its
//! vCPUs, and a short wait for those that sleep much.
//!
//! So a guest gets no more by having more vCPUs. Times are ticks of one counter. The host calls
//! this under a lock and does what it says.

#[cfg(test)]
mod tests;

/// What the host wants of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long a vCPU runs while others want to.
    pub slice: u64,
    /// How much less than another a vCPU, or its guest, must have run to take its place at once;
    /// also what a move to another CPU must be worth, and the most that is saved up by sleeping.
    pub gain: u64,
}

/// `VCPUS` vCPUs of each of `GUESTS` guests, numbered through, and what each is doing.
#[derive(Clone, Debug)]
pub struct RunQueue<const GUESTS: usize, const VCPUS: usize> {
    guests: [Guest<VCPUS>; GUESTS],
    /// Guests beyond these were never turned on.
    used: usize,
    /// How many CPUs there are.
    cpus: usize,
    /// Those that found nothing to run, a bit for each.
    idle: u64,
    /// No guest that wants to run has run less than this.
    floor: u64,
    pace: Pace,
}

#[derive(Clone, Copy, Debug)]
struct Guest<const VCPUS: usize> {
    entries: [Entry; VCPUS],
    /// Entries beyond these were never turned on.
    used: usize,
    /// How long its vCPUs ran in all, or could have while all slept; those that run now, until
    /// they began to.
    ran: u64,
    /// None of its vCPUs that wants to run has run less than this.
    floor: u64,
    usage: Usage,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    state: State,
    /// How long it ran, or could have while it slept; if it runs now, until it began to.
    ran: u64,
    /// The CPU it ran on last.
    last_cpu: usize,
    /// Since when it is ready, if it is.
    ready_since: u64,
    /// How long it was ready before, since its guest's vCPUs were all turned off.
    waited: u64,
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

/// How the vCPUs of a guest fared, as it was: nothing saved up or forgiven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How long they ran, what the host did for them meanwhile included.
    pub ran: u64,
    /// How long they wanted to run and did not.
    pub waited: u64,
}

impl Usage {
    /// Returns for how much of the time that they wanted to run they did.
    pub fn percent(self) -> u64 {
        let wanted = u128::from(self.ran) + u128::from(self.waited);
        let percent = (u128::from(self.ran) * 100).checked_div(wanted);
        percent.unwrap_or(100) as u64
    }
}

/// A guest that had no use for its share gets at most so many slices of it later.
const OWED_SLICES: u64 = 8;

impl<const GUESTS: usize, const VCPUS: usize> RunQueue<GUESTS, VCPUS> {
    /// Returns a queue of vCPUs that are all off, for so many CPUs.
    pub const fn new(pace: Pace, cpus: usize) -> Self {
        let guest = Guest {
            entries: [Entry {
                state: State::Off,
                ran: 0,
                last_cpu: 0,
                ready_since: 0,
                waited: 0,
            }; VCPUS],
            used: 0,
            ran: 0,
            floor: 0,
            usage: Usage { ran: 0, waited: 0 },
        };
        Self {
            guests: [guest; GUESTS],
            used: 0,
            cpus,
            idle: 0,
            floor: 0,
            pace,
        }
    }

    /// Returns what a vCPU does.
    pub fn state(&self, vcpu: usize) -> State {
        self.entry(vcpu).map_or(State::Off, |entry| entry.state)
    }

    /// Returns how long a vCPU that runs was ready and did not, since its guest was turned off.
    pub fn waited(&self, vcpu: usize) -> u64 {
        self.entry(vcpu).map_or(0, |entry| entry.waited)
    }

    /// Returns how the vCPUs of a guest fared.
    pub fn usage(&self, guest: usize, now: u64) -> Usage {
        let Some(guest) = self.guests.get(guest) else {
            return Usage::default();
        };
        let so_far = guest.entries().iter();
        so_far.fold(guest.usage, |usage, entry| match entry.state {
            State::Running { since, .. } => Usage {
                ran: usage.ran + now.saturating_sub(since),
                ..usage
            },
            State::Ready => Usage {
                waited: usage.waited + now.saturating_sub(entry.ready_since),
                ..usage
            },
            _ => usage,
        })
    }

    /// Gives `cpu` the vCPU that ran least of the guest that ran least, if one wants to run.
    pub fn pick(&mut self, cpu: usize, now: u64) -> Option<usize> {
        let gain = self.pace.gain;
        let move_cost = |entry: &Entry| if entry.last_cpu == cpu { 0 } else { gain };
        let guests = self.guests().iter().enumerate();
        let least = guests.filter_map(|(number, guest)| {
            let cost = guest.ready().map(|(_, entry)| move_cost(entry)).min()?;
            Some((guest.ran(now).saturating_add(cost), number))
        });
        let bit = 1_u64.checked_shl(cpu as u32).unwrap_or(0);
        let Some((_, number)) = least.min() else {
            self.idle |= bit;
            return None;
        };
        let guest = &mut self.guests[number];
        let least = guest
            .ready()
            .min_by_key(|(_, entry)| entry.ran.saturating_add(move_cost(entry)));
        let (index, _) = least?;
        self.idle &= !bit;
        let entry = &mut guest.entries[index];
        let waited = now.saturating_sub(entry.ready_since);
        entry.waited += waited;
        guest.usage.waited += waited;
        entry.state = State::Running { cpu, since: now };
        entry.last_cpu = cpu;
        Some(number * VCPUS + index)
    }

    /// Notes that a vCPU that ran does `next` from now on.
    pub fn stop(&mut self, vcpu: usize, now: u64, next: State) {
        self.raise_floors(now); // it wanted to run until now
        let Some(guest) = self.guests.get_mut(vcpu / VCPUS) else {
            return;
        };
        let entry = &mut guest.entries[vcpu % VCPUS];
        if let State::Running { since, .. } = entry.state {
            let ran = now.saturating_sub(since);
            entry.ran += ran;
            guest.ran += ran;
            guest.usage.ran += ran;
        }
        entry.state = next;
        entry.ready_since = now;
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
                self.used = self.used.max(vcpu / VCPUS + 1).min(GUESTS);
                let guest = self.guests.get_mut(vcpu / VCPUS)?;
                guest.used = guest.used.max(vcpu % VCPUS + 1);
                self.make_ready(vcpu, now)
            }
            _ => self.wake(vcpu, now),
        }
    }

    /// Turns all vCPUs of a guest off, unless one runs; returns whether they are off.
    pub fn turn_off(&mut self, guest: usize, now: u64) -> bool {
        let Some(guest) = self.guests.get_mut(guest) else {
            return true;
        };
        let runs = |entry: &Entry| matches!(entry.state, State::Running { .. });
        if guest.entries().iter().any(runs) {
            return false;
        }
        for entry in &mut guest.entries {
            if entry.state == State::Ready {
                guest.usage.waited += now.saturating_sub(entry.ready_since);
            }
            entry.state = State::Off;
            entry.waited = 0;
        }
        true
    }

    /// Wakes one vCPU whose time has come; to be called until there is none.
    pub fn expire(&mut self, now: u64) -> Option<(usize, Option<usize>)> {
        let due = |entry: &Entry| matches!(entry.state, State::Blocked { until: Some(until) } if until <= now);
        let mut guests = self.guests().iter().enumerate();
        let vcpu = guests.find_map(|(number, guest)| {
            let index = guest.entries().iter().position(due)?;
            Some(number * VCPUS + index)
        })?;
        Some((vcpu, self.make_ready(vcpu, now)))
    }

    /// Returns when a CPU that runs a vCPU has to look again, if nobody tells it to before.
    pub fn next_look(&self, now: u64) -> Option<u64> {
        let slice_end = self
            .has_slices()
            .then(|| now.saturating_add(self.pace.slice));
        let deadline = self.next_deadline();
        slice_end.into_iter().chain(deadline).min()
    }

    /// Returns whether there are slices: more vCPUs are on than there are CPUs for them. Once there
    /// are, every CPU has to look.
    pub fn has_slices(&self) -> bool {
        let entries = self.guests().iter().flat_map(Guest::entries);
        let on = entries.filter(|entry| entry.state != State::Off);
        on.count() > self.cpus
    }

    /// Returns the time at which the first of those that wait is to run.
    pub fn next_deadline(&self) -> Option<u64> {
        let entries = self.guests().iter().flat_map(Guest::entries);
        let deadlines = entries.filter_map(|entry| match entry.state {
            State::Blocked { until } => until,
            _ => None,
        });
        deadlines.min()
    }

    /// Returns whether a vCPU that runs is to make room for another.
    pub fn has_to_yield(&self, vcpu: usize, now: u64) -> bool {
        let (Some(own), Some(entry)) = (self.guests.get(vcpu / VCPUS), self.entry(vcpu)) else {
            return true;
        };
        let State::Running { since, .. } = entry.state else {
            return true; // it was turned off behind its back
        };
        let is_over = now.saturating_sub(since) >= self.pace.slice;
        let lead = if is_over { 0 } else { self.pace.gain };
        let (guest_ran, ran) = (own.ran(now), entry.ran(now));
        let mut guests = self.guests().iter().enumerate();
        guests.any(|(number, guest)| {
            let mut ready = guest.ready();
            if number == vcpu / VCPUS {
                return ready.any(|(_, entry)| entry.ran.saturating_add(lead) <= ran);
            }
            ready.next().is_some() && guest.ran(now).saturating_add(lead) <= guest_ran
        })
    }

    fn guests(&self) -> &[Guest<VCPUS>] {
        self.guests.get(..self.used).unwrap_or(&self.guests)
    }

    fn entry(&self, vcpu: usize) -> Option<&Entry> {
        self.guests.get(vcpu / VCPUS)?.entries.get(vcpu % VCPUS)
    }

    fn make_ready(&mut self, vcpu: usize, now: u64) -> Option<usize> {
        self.raise_floors(now);
        let own = vcpu / VCPUS;
        let others = self.guests().iter().enumerate();
        let others = others.filter(|(number, guest)| *number != own && guest.wants());
        let others = others.map(|(_, guest)| guest.ran(now)).min();
        let Pace { slice, gain } = self.pace;
        // A guest that waits is owed its share; one that had no use for it is not.
        let least = match (self.guests.get(own)?.wants(), others) {
            (false, _) => self.floor.saturating_sub(gain),
            (true, Some(others)) => others.saturating_sub(OWED_SLICES * slice),
            (true, None) => 0,
        };
        let guest = &mut self.guests[own];
        guest.ran += least.saturating_sub(guest.ran(now));
        let entry = &mut guest.entries[vcpu % VCPUS];
        entry.ran = entry.ran.max(guest.floor.saturating_sub(gain));
        entry.state = State::Ready;
        entry.ready_since = now;
        let Entry { ran, last_cpu, .. } = *entry;
        let guest_ran = guest.ran(now);
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
        let guests = self.guests().iter().enumerate();
        let running = guests.flat_map(|(number, guest)| {
            let entries = guest.entries().iter();
            entries.filter_map(move |entry| match entry.state {
                State::Running { cpu, .. } if number == own => {
                    Some((entry.ran(now).saturating_sub(ran), cpu))
                }
                State::Running { cpu, .. } => Some((guest.ran(now).saturating_sub(guest_ran), cpu)),
                _ => None,
            })
        });
        let (more, cpu) = running.max()?;
        (more >= gain).then_some(cpu)
    }

    fn raise_floors(&mut self, now: u64) {
        let wanting = self.guests.iter_mut().take(self.used);
        let least = wanting.filter_map(|guest| {
            let ran = guest.wanting().map(|entry| entry.ran(now)).min()?;
            guest.floor = guest.floor.max(ran);
            Some(guest.ran(now))
        });
        self.floor = self.floor.max(least.min().unwrap_or(0));
    }
}

impl<const VCPUS: usize> Guest<VCPUS> {
    fn entries(&self) -> &[Entry] {
        self.entries.get(..self.used).unwrap_or(&self.entries)
    }

    fn ready(&self) -> impl Iterator<Item = (usize, &Entry)> {
        let entries = self.entries().iter().enumerate();
        entries.filter(|(_, entry)| entry.state == State::Ready)
    }

    /// Returns those that run or want to.
    fn wanting(&self) -> impl Iterator<Item = &Entry> {
        let wants = |entry: &&Entry| matches!(entry.state, State::Ready | State::Running { .. });
        self.entries().iter().filter(wants)
    }

    fn wants(&self) -> bool {
        self.wanting().next().is_some()
    }

    fn ran(&self, now: u64) -> u64 {
        let running = self.entries().iter().filter_map(|entry| match entry.state {
            State::Running { since, .. } => Some(now.saturating_sub(since)),
            _ => None,
        });
        self.ran.saturating_add(running.sum())
    }
}

impl Entry {
    fn ran(&self, now: u64) -> u64 {
        match self.state {
            State::Running { since, .. } => self.ran.saturating_add(now.saturating_sub(since)),
            _ => self.ran,
        }
    }
}
