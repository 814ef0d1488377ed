//! Timers: each deadline gives one interrupt, and not before it.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use machine::Random;

use super::{
    clock, messages,
    registers::{execute, read, write},
    report::fail,
    shared::{Cpu, Shared, count},
    wait::{self, Wait},
};

/// A timer of the calling vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CNTV.
    Virtual,
    /// CNTP.
    Physical,
}

/// What was asked of a timer.
#[derive(Default)]
pub struct Timer {
    state: AtomicU64,
    /// By the counter that it compares with.
    deadline: AtomicU64,
    /// How often the other vCPUs had looked at the clocks when it was set.
    looks: AtomicU64,
}

/// Nothing was asked of it.
const IDLE: u64 = 0;
/// It is to fire.
const ARMED: u64 = 1;
/// It is to fire only if something else does not come: as a watchdog.
const WATCHES: u64 = 2;

/// CTL: ENABLE, IMASK, ISTATUS.
const ENABLE: u64 = 1;
const IMASK: u64 = 2;
const ISTATUS: u64 = 4;

impl Kind {
    /// The counter that it compares with.
    fn now(self) -> u64 {
        match self {
            Self::Virtual => clock::virtual_now(),
            Self::Physical => clock::physical_now(),
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Virtual => Self::Physical,
            Self::Physical => Self::Virtual,
        }
    }

    fn timer(self, me: &Cpu) -> &Timer {
        &me.timers[self as usize]
    }

    /// CTL.
    pub fn control(self) -> u64 {
        match self {
            Self::Virtual => read!(cntv_ctl_el0),
            Self::Physical => read!(cntp_ctl_el0),
        }
    }

    fn set_control(self, value: u64) {
        match self {
            Self::Virtual => write!(cntv_ctl_el0, value),
            Self::Physical => write!(cntp_ctl_el0, value),
        }
        execute!("isb");
    }

    /// CVAL.
    pub fn deadline(self) -> u64 {
        match self {
            Self::Virtual => read!(cntv_cval_el0),
            Self::Physical => read!(cntp_cval_el0),
        }
    }

    fn set_deadline(self, value: u64) {
        match self {
            Self::Virtual => write!(cntv_cval_el0, value),
            Self::Physical => write!(cntp_cval_el0, value),
        }
    }

    fn set_rest(self, ticks: i32) {
        let value = u64::from(ticks as u32);
        match self {
            Self::Virtual => write!(cntv_tval_el0, value),
            Self::Physical => write!(cntp_tval_el0, value),
        }
    }
}

impl Timer {
    fn is_armed(&self) -> bool {
        self.state.load(Relaxed) == ARMED
    }

    /// When it is to fire, if it is.
    pub fn due(&self) -> Option<u64> {
        self.is_armed().then(|| self.deadline.load(Relaxed))
    }
}

/// Sets one timer, and waits for it.
pub fn one(shared: &Shared, me: &Cpu, kind: Kind, random: &mut Random) {
    arm(shared, me, kind, random);
    let watch = watch_sometimes(me, kind.other(), random);
    let what = match kind {
        Kind::Virtual => Wait::VirtualTimer,
        Kind::Physical => Wait::PhysicalTimer,
    };
    let done = || !kind.timer(me).is_armed();
    if random.below(2) == 0 {
        messages::quietly(me, || wait::until(shared, me, what, random, done));
    } else {
        wait::until(shared, me, what, random, done);
    }
    watch.end(me);
}

/// Sets both, and waits for both.
pub fn both(shared: &Shared, me: &Cpu, random: &mut Random) {
    let kinds = [Kind::Virtual, Kind::Physical];
    for kind in kinds {
        arm(shared, me, kind, random);
    }
    let done = || !kinds.iter().any(|kind| kind.timer(me).is_armed());
    wait::until(shared, me, Wait::BothTimers, random, done);
}

/// A timer that watches over a wait, or none.
pub struct Watch(Option<Kind>);

/// Has a timer watch over a wait: always that of the first vCPU, so that one of them finds out if
/// all wait in vain, and otherwise sometimes, so that there are waits with nothing else to end them.
pub fn watch_sometimes(me: &Cpu, kind: Kind, random: &mut Random) -> Watch {
    if me.index() != 0 && random.below(2) == 0 {
        return Watch(None);
    }
    let timer = kind.timer(me);
    let deadline = kind.now() + clock::ticks(wait::PATIENCE_US);
    timer.deadline.store(deadline, Relaxed);
    timer.state.store(WATCHES, Relaxed);
    kind.set_deadline(deadline);
    kind.set_control(ENABLE);
    Watch(Some(kind))
}

impl Watch {
    /// The wait is over.
    pub fn end(self, me: &Cpu) {
        if let Some(kind) = self.0 {
            kind.set_control(0);
            kind.timer(me).state.store(IDLE, Relaxed);
        }
    }
}

fn looks_of_others(shared: &Shared, me: &Cpu) -> u64 {
    let others = shared.cpus().iter().filter(|cpu| cpu.index() != me.index());
    others
        .map(|cpu| cpu.counts.clock_checks.load(Relaxed))
        .sum()
}

/// Sets a timer to some deadline.
fn arm(shared: &Shared, me: &Cpu, kind: Kind, random: &mut Random) {
    let timer = kind.timer(me);
    let rest = match random.below(16) {
        0 | 1 => -(random.below(clock::ticks(1_000)) as i64),
        2..=4 => random.below(clock::ticks(10)) as i64,
        5..=12 => random.below(clock::ticks(500)) as i64,
        13 | 14 => random.below(clock::ticks(5_000)) as i64,
        _ => random.below(clock::ticks(50_000)) as i64,
    };
    let counter = match kind {
        Kind::Virtual => &me.counts.virtual_set,
        Kind::Physical => &me.counts.physical_set,
    };
    count(counter);
    // What it is to do is said first, for it may fire at once; for its rest, the least that it can be.
    timer.looks.store(looks_of_others(shared, me), Relaxed);
    timer
        .deadline
        .store(kind.now().wrapping_add_signed(rest), Relaxed);
    timer.state.store(ARMED, Relaxed);
    // It may be enabled still, and far away: the deadline alone arms it then.
    let is_enabled = kind.control() == ENABLE;
    if random.below(2) == 0 {
        kind.set_deadline(timer.deadline.load(Relaxed));
    } else {
        kind.set_rest(rest as i32);
    }
    if !is_enabled {
        kind.set_control(ENABLE);
    }
}

/// A timer's interrupt has come.
pub fn fired(shared: &Shared, me: &Cpu, kind: Kind) {
    let timer = kind.timer(me);
    let (control, now) = (kind.control(), kind.now());
    let due = timer.deadline.load(Relaxed).max(kind.deadline());
    let state = timer.state.load(Relaxed);
    if state == WATCHES {
        let what = wait::what(me);
        fail!(
            "it waits for {what:?}, and nothing comes in {} ms",
            wait::PATIENCE_US / 1000
        );
    }
    if state != ARMED {
        fail!("{kind:?} timer: an interrupt that nobody asked for: CTL {control:#x}");
    }
    if now < due {
        fail!("{kind:?} timer: an interrupt at {now}, before its deadline {due}");
    }
    if control != ENABLE | ISTATUS {
        fail!("{kind:?} timer: an interrupt, and CTL is {control:#x}");
    }
    let counter = match kind {
        Kind::Virtual => &me.counts.virtual_taken,
        Kind::Physical => &me.counts.physical_taken,
    };
    count(counter);
    if me.latest.fetch_max(now - due, Relaxed) < now - due {
        let looks = looks_of_others(shared, me) - timer.looks.load(Relaxed);
        me.latest_looks.store(looks, Relaxed);
    }
    // Its level falls, in one way or another.
    match counter.load(Relaxed) % 3 {
        0 => kind.set_control(0),
        1 => kind.set_control(ENABLE | IMASK),
        _ => kind.set_deadline(now + clock::frequency() * 3600),
    }
    execute!("isb"); // before the interrupt's end
    timer.state.store(IDLE, Relaxed);
}
