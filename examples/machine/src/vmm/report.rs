//! What the host says of itself at the terminal, between the lines of guests.

use core::{
    fmt::{self, Display, Formatter},
    sync::atomic::Ordering::Relaxed,
};

use devices::terminal::Typed;

use super::{
    Guest, Host, Hypervisor,
    stats::{Stats, ms},
    trace,
};
use crate::{console, println, timer};

impl<P: Host> Hypervisor<P> {
    /// Shows a byte that a guest sent.
    pub(super) fn show(&self, guest: usize, byte: u8) {
        self.terminal.lock().show(guest, byte, console::write_bytes);
    }

    /// Shows what a guest has written of a line.
    pub(super) fn flush(&self, guest: usize) {
        self.terminal.lock().flush(guest, console::write_bytes);
    }

    /// Says something of a guest, after all that it wrote.
    pub(super) fn tell_of(&self, guest: usize, what: &str) {
        let mut terminal = self.terminal.lock();
        terminal.flush(guest, console::write_bytes);
        terminal.leave_line(console::write_bytes);
        println!("vcpu: guest {} {what}", guest + 1);
    }

    /// Says what there was to do until now.
    pub(super) fn tell_stats(&self) {
        let mut terminal = self.terminal.lock();
        terminal.leave_line(console::write_bytes);
        println!("{self}");
    }

    /// Gives what was typed to whom it is for.
    pub(super) fn console(&self) {
        while let Some(byte) = console::read_byte() {
            let typed = self.terminal.lock().typed(byte);
            match typed {
                Typed::For(guest, byte) => self.type_byte(guest, byte),
                Typed::Stats => self.tell_stats(),
                Typed::Trace => {
                    let mut terminal = self.terminal.lock();
                    terminal.leave_line(console::write_bytes);
                    trace::dump();
                }
                Typed::Nothing => {}
            }
        }
    }

    fn type_byte(&self, number: usize, byte: u8) {
        let Some(guest) = self.guests.get(number) else {
            return;
        };
        let mut peripherals = guest.peripherals.lock();
        peripherals.type_byte(byte);
        let changed = peripherals.gic.take_changed();
        drop(peripherals);
        self.tell(number, changed, usize::MAX);
    }
}

/// What there was to do: for each guest, where there are more, and in all.
impl<P: Host> Display for Hypervisor<P> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut sum = Stats::default();
        for (number, stats) in (1..).zip(self.guests.iter().map(Guest::stats)) {
            sum += stats;
            if self.guests.len() > 1 {
                writeln!(f, "guest {number}: {stats}")?;
            }
        }
        for guest in 0..self.guests.len() {
            let usage = self.queue.lock().usage(guest, timer::now());
            writeln!(
                f,
                "guest {} had {}% of the time it wanted: {} of {} ms",
                guest + 1,
                usage.percent(),
                ms(usage.ran),
                ms(usage.ran + usage.waited)
            )?;
        }
        let idle = self
            .idle_ticks
            .iter()
            .map(|ticks| ticks.load(Relaxed))
            .sum();
        write!(f, "{sum}, idle {} ms", ms(idle))
    }
}
