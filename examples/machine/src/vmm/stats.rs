//! What a CPU had to do for its guests.

use core::{
    fmt::{self, Display, Formatter},
    ops::AddAssign,
};

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

/// Counts of one CPU, or of all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    exits: [u64; 8],
    /// Interrupts handed to vCPUs.
    pub injections: u64,
    /// Times that a vCPU was loaded.
    pub switches: u64,
    /// Ticks of the counter in guests, from entry to exit.
    pub guest_ticks: u64,
    /// Ticks of the counter in the host on behalf of a vCPU.
    pub host_ticks: u64,
    /// Ticks with nothing to run.
    pub idle_ticks: u64,
}

impl Stats {
    /// Counts an exit.
    #[inline]
    pub fn count(&mut self, kind: Kind) {
        self.exits[kind as usize] += 1;
    }
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
        self.idle_ticks += other.idle_ticks;
    }
}

impl Display for Stats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "exits: {}", self.exits.iter().sum::<u64>())?;
        for (name, count) in Kind::NAMES.iter().zip(self.exits) {
            write!(f, ", {name} {count}")?;
        }
        let ms = |ticks: u64| ticks / crate::timer::ticks(1000).max(1);
        write!(
            f,
            "; injections {}, switches {}; guest {} ms, host {} ms, idle {} ms",
            self.injections,
            self.switches,
            ms(self.guest_ticks),
            ms(self.host_ticks),
            ms(self.idle_ticks),
        )
    }
}
