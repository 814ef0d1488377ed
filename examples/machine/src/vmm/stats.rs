//! What there was to do for guests.

use core::{
    fmt::{self, Display, Formatter},
    ops::AddAssign,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use vcpu_core::Exit;

/// Why runs ended, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    /// A device's register.
    Mmio,
    /// A system register, an SGI's among them.
    SysReg,
    /// HVC or SMC.
    Call,
    /// WFI.
    Wfi,
    /// WFE.
    Wfe,
    /// A physical interrupt.
    Irq,
    /// An access that stage 2 refused, with nothing to emulate.
    Fault,
    /// Anything else.
    Other,
}

impl Kind {
    const NAMES: [&'static str; 8] = [
        "mmio", "sysreg", "call", "wfi", "wfe", "irq", "fault", "other",
    ];
}

impl<T> From<&Exit<T>> for Kind {
    fn from(exit: &Exit<T>) -> Self {
        match exit {
            Exit::Mmio(_) => Self::Mmio,
            Exit::SysReg(_) => Self::SysReg,
            Exit::Psci(_) | Exit::Hypercall(_) | Exit::Smc(_) => Self::Call,
            Exit::Wfi(_) => Self::Wfi,
            Exit::Wfe(_) => Self::Wfe,
            Exit::Irq(_) => Self::Irq,
            Exit::Fault(_) => Self::Fault,
            _ => Self::Other,
        }
    }
}

/// Counts of one vCPU: whoever runs it adds to them, and anybody reads them.
#[derive(Debug, Default)]
pub struct Counters {
    exits: [AtomicU64; 8],
    injections: AtomicU64,
    switches: AtomicU64,
    guest_ticks: AtomicU64,
    host_ticks: AtomicU64,
}

/// Adds to a counter that nobody else adds to now.
#[inline]
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

impl Counters {
    /// Counts an exit.
    #[inline]
    pub fn count(&self, kind: Kind) {
        add(&self.exits[kind as usize], 1);
    }

    /// Counts an interrupt that the vCPU was handed.
    #[inline]
    pub fn injected(&self) {
        add(&self.injections, 1);
    }

    /// Counts a load.
    #[inline]
    pub fn switched(&self) {
        add(&self.switches, 1);
    }

    /// Counts ticks in the guest, from entry to exit.
    #[inline]
    pub fn guest_took(&self, ticks: u64) {
        add(&self.guest_ticks, ticks);
    }

    /// Counts ticks in the host on behalf of the vCPU.
    #[inline]
    pub fn host_took(&self, ticks: u64) {
        add(&self.host_ticks, ticks);
    }

    /// Returns what was counted until now.
    pub fn read(&self) -> Stats {
        Stats {
            exits: self.exits.each_ref().map(|count| count.load(Relaxed)),
            injections: self.injections.load(Relaxed),
            switches: self.switches.load(Relaxed),
            guest_ticks: self.guest_ticks.load(Relaxed),
            host_ticks: self.host_ticks.load(Relaxed),
        }
    }
}

/// What was counted, of one vCPU or more.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    exits: [u64; 8],
    injections: u64,
    switches: u64,
    guest_ticks: u64,
    host_ticks: u64,
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        for (sum, count) in self.exits.iter_mut().zip(other.exits) {
            *sum += count;
        }
        self.injections += other.injections;
        self.switches += other.switches;
        self.guest_ticks += other.guest_ticks;
        self.host_ticks += other.host_ticks;
    }
}

impl Display for Stats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "exits: {}", self.exits.iter().sum::<u64>())?;
        for (name, count) in Kind::NAMES.iter().zip(self.exits) {
            write!(f, ", {name} {count}")?;
        }
        let (injections, switches) = (self.injections, self.switches);
        write!(f, "; injections {injections}, switches {switches}")?;
        if self.guest_ticks != 0 {
            let (guest, host) = (ms(self.guest_ticks), ms(self.host_ticks));
            write!(f, "; guest {guest} ms, host {host} ms")?;
        }
        Ok(())
    }
}

/// Returns whole milliseconds.
pub fn ms(ticks: u64) -> u64 {
    ticks / crate::timer::ticks(1000).max(1)
}
