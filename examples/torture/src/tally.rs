//! How much was executed, and how it left the guest.

use machine::{SingleCpu, println};
use vcpu_core::{Exit, ExitOf};
use vcpu_exits::Access;

use crate::memory::SKIP_COST;

/// The sums.
#[derive(Default)]
pub struct Tally {
    skipped: u64,
    exits: [u64; NAMES.len()],
    /// Guests, each with its own code and state.
    pub rounds: u64,
}

const NAMES: [&str; 13] = [
    "mmio", "fault", "sysreg", "psci", "hvc", "smc", "wfi", "wfe", "irq", "fiq", "serror", "other",
    "fetch",
];
const IRQ: usize = 8;
const FETCH: usize = 12;

impl Tally {
    /// Counts an exit.
    pub fn count(&mut self, exit: &ExitOf<SingleCpu>) {
        let class = match exit {
            Exit::Mmio(_) => 0,
            Exit::Fault(fault) if fault.access() == Access::Fetch => FETCH,
            Exit::Fault(_) => 1,
            Exit::SysReg(_) => 2,
            Exit::Psci(_) => 3,
            Exit::Hypercall(_) => 4,
            Exit::Smc(_) => 5,
            Exit::Wfi(_) => 6,
            Exit::Wfe(_) => 7,
            Exit::Irq(()) => IRQ,
            Exit::Fiq => 9,
            Exit::SError(_) => 10,
            _ => 11,
        };
        self.exits[class] += 1;
    }

    /// Counts what the guest's own vectors skipped, by TPIDRRO_EL0 since it was 0. A number that no
    /// run can reach was not counted there: the guest wrote it.
    pub fn count_skipped(&mut self, tpidrro: u64) {
        const MOST: u64 = 100_000;
        if tpidrro < MOST {
            self.skipped += tpidrro;
        }
    }

    /// Returns how many instructions guests executed at least: those that left for the host, and
    /// those that took an exception to the guest's own vectors, with these. What was executed
    /// without an exception is not counted.
    pub fn instructions(&self) -> u64 {
        let exits = self.exits.iter().sum::<u64>() - self.exits[IRQ] - self.exits[FETCH];
        exits + SKIP_COST * self.skipped
    }

    /// Says all of it.
    pub fn print(&self) {
        println!(
            "{} guests executed {} instructions or more; their vectors skipped {}, and the host saw:",
            self.rounds,
            self.instructions(),
            self.skipped
        );
        for (name, count) in NAMES.iter().zip(self.exits) {
            println!("  {name:<7}{count}");
        }
    }
}
