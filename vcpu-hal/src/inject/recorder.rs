//! A backend that delivers nothing.

use core::convert::Infallible;

use vcpu_regs::Intid;

use super::{Inject, Lines, VirtualInterrupt};

/// Writes down what was injected and delivers nothing: for tests of a host's own logic.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recorder;

/// The last 16 injections into one vCPU, oldest first, and how many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    last: [Option<VirtualInterrupt>; 16],
    count: usize,
}

impl Recording {
    /// Returns how many interrupts were injected.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Returns the most recent ones, oldest first.
    pub fn recent(&self) -> impl Iterator<Item = VirtualInterrupt> + '_ {
        let len = self.last.len();
        (0..len).filter_map(move |i| self.last[(self.count + i) % len])
    }
}

impl Inject for Recorder {
    type State = Recording;
    type Error = Infallible;

    const LINES_KEEP: bool = true;

    fn inject(&self, state: &mut Recording, interrupt: VirtualInterrupt) -> Result<(), Infallible> {
        state.last[state.count % state.last.len()] = Some(interrupt);
        state.count = state.count.wrapping_add(1);
        Ok(())
    }

    fn retract(&self, _: &mut Recording, _: Intid) -> bool {
        false
    }

    fn lines(&self, _: &Recording) -> Lines {
        Lines::default()
    }
}
