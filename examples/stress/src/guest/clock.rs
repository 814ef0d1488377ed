//! Virtual time: the counters never go back, whichever vCPU looks, and never drift apart.

use core::sync::atomic::{
    AtomicI64, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use super::{
    registers::{execute, read},
    report::fail,
    shared::{Cpu, Shared, count},
};

/// What the vCPUs have seen.
#[derive(Default)]
pub struct Clocks {
    /// The latest of the virtual and of the physical counter.
    latest: [AtomicU64; 2],
    /// CNTPCT - CNTVCT, which is the same for all: at least, and at most.
    least: AtomicI64,
    most: AtomicI64,
}

impl Clocks {
    /// Knows nothing yet.
    pub fn set_up(&self) {
        self.least.store(i64::MIN, Relaxed);
        self.most.store(i64::MAX, Relaxed);
    }
}

/// The virtual counter.
pub fn virtual_now() -> u64 {
    execute!("isb"); // not before what came before
    read!(cntvct_el0)
}

/// The physical counter.
pub fn physical_now() -> u64 {
    execute!("isb");
    read!(cntpct_el0)
}

/// Ticks in a second.
pub fn frequency() -> u64 {
    read!(cntfrq_el0)
}

/// Ticks in so many microseconds.
pub fn ticks(us: u64) -> u64 {
    us * frequency() / 1_000_000
}

/// Looks at both counters.
pub fn check(shared: &Shared, me: &Cpu) {
    let clocks = &shared.clocks;
    let counters = [virtual_now as fn() -> u64, physical_now];
    for ((latest, now), name) in clocks.latest.iter().zip(counters).zip(["CNTVCT", "CNTPCT"]) {
        let seen = latest.load(Acquire);
        execute!("dsb ishld"); // an ISB alone does not wait for the load
        let now = now();
        if now < seen {
            fail!("{name} is {now}, and was {seen} on some vCPU before");
        }
        latest.fetch_max(now, AcqRel);
    }
    // The physical counter was read between two reads of the virtual one.
    let (before, physical, after) = (virtual_now(), physical_now(), virtual_now());
    let (least, most) = (physical.wrapping_sub(after), physical.wrapping_sub(before));
    let least = clocks
        .least
        .fetch_max(least as i64, AcqRel)
        .max(least as i64);
    let most = clocks.most.fetch_min(most as i64, AcqRel).min(most as i64);
    if least > most {
        fail!(
            "CNTPCT - CNTVCT is not the same on all vCPUs: at least {least}, and at most {most}; \
             here {physical} between {before} and {after}"
        );
    }
    count(&me.counts.clock_checks);
}
