//! The clock that the vCPUs of a VM share.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

use super::TimerKind;
use crate::Vm;

/// What a VM's counters lag behind the host's.
#[derive(Debug)]
pub(crate) struct Clock {
    virtual_offset: AtomicU64,
    physical_offset: u64,
    /// The host's counter when the clock stopped, or [`RUNNING`].
    stopped_at: AtomicU64,
}

/// No counter gets there.
const RUNNING: u64 = u64::MAX;

impl Clock {
    /// Returns a clock that runs, its virtual counter at 0 when the host's is at `offset`.
    pub const fn new(offset: u64) -> Self {
        Self {
            virtual_offset: AtomicU64::new(offset),
            physical_offset: 0,
            stopped_at: AtomicU64::new(RUNNING),
        }
    }
}

/// The clock: one for all vCPUs, so that they agree about time.
impl Vm {
    /// Returns what the guest's virtual counter lags behind the host's, in ticks.
    #[inline(always)]
    pub fn counter_offset(&self) -> u64 {
        self.clock.virtual_offset.load(Acquire)
    }

    /// Returns what the guest's physical counter lags behind the host's, in ticks.
    #[inline(always)]
    pub fn physical_offset(&self) -> u64 {
        self.clock.physical_offset
    }

    /// Returns the VM with a physical counter that lags behind the host's by so many ticks.
    ///
    /// It holds for vCPUs whose physical timer is [virtual](crate::Timers::Virtual); their reads of
    /// the counter trap then. With [`PassThrough`](crate::Timers::PassThrough) it is the host's.
    #[must_use]
    pub fn with_physical_offset(mut self, ticks: u64) -> Self {
        self.clock.physical_offset = ticks;
        self.renumber();
        self
    }

    /// Returns the guest's counter of a timer when the host's is `now`.
    pub fn count(&self, kind: TimerKind, now: u64) -> u64 {
        match kind {
            TimerKind::Virtual => {
                let now = now.min(self.clock.stopped_at.load(Acquire));
                now.wrapping_sub(self.counter_offset())
            }
            TimerKind::Physical => now.wrapping_sub(self.physical_offset()),
        }
    }

    /// Sets the guest's virtual counter to `count` at `now`: of a snapshot, say.
    ///
    /// As with [`stop_clock`](Self::stop_clock), no vCPU of it is loaded meanwhile: what is loaded
    /// keeps the clock it was loaded with.
    pub fn set_virtual_count(&self, count: u64, now: u64) {
        let now = now.min(self.clock.stopped_at.load(Acquire));
        let offset = now.wrapping_sub(count);
        self.clock.virtual_offset.store(offset, Release);
        self.renumber();
    }

    /// Stops the virtual counter at `now`; returns whether it ran.
    ///
    /// Until [`start_clock`](Self::start_clock) no vCPU of the VM is loaded, and the guest finds no
    /// time passed: its virtual timers are as far from due as they were. The physical counter goes
    /// on.
    pub fn stop_clock(&self, now: u64) -> bool {
        let stopped_at = &self.clock.stopped_at;
        let ran = stopped_at
            .compare_exchange(RUNNING, now, Release, Acquire)
            .is_ok();
        self.renumber();
        ran
    }

    /// Lets the virtual counter go on at `now`, from where it stopped; returns whether it stood.
    pub fn start_clock(&self, now: u64) -> bool {
        // Of two callers one gets the value, and adds what passed once.
        match self.clock.stopped_at.swap(RUNNING, Acquire) {
            RUNNING => false,
            stopped_at => {
                let passed = now.wrapping_sub(stopped_at);
                self.clock.virtual_offset.fetch_add(passed, Release);
                self.renumber();
                true
            }
        }
    }

    /// Returns whether the virtual counter stands still.
    #[inline(always)]
    pub fn is_clock_stopped(&self) -> bool {
        self.clock.stopped_at.load(Acquire) != RUNNING
    }
}
