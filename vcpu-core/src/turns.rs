//! Guests that take turns on a CPU without the host's controls between them.

use core::ops::{Deref, DerefMut};

use vcpu_hal::{Cpu, Platform};

use crate::El2;

/// A CPU on which vCPUs take turns: made by [`El2::take_turns`].
///
/// It dereferences to [`El2`], which is what [`Vcpu::load`](crate::Vcpu::load) wants. Dropping it
/// gives the host its controls back.
pub struct Turns<'e, 'h, P: Platform, C: Cpu>(&'e mut El2<'h, P, C>);

impl<'h, P: Platform, C: Cpu> El2<'h, P, C> {
    /// Keeps the host's controls off this CPU from the first load until the result is dropped: a
    /// `put` leaves the EL2 registers as they are between two runs, and the next load writes only
    /// what differs. A host that goes from vCPU to vCPU has it cheaper so.
    ///
    /// Meanwhile the host does without what a guest's controls take away from EL2 (FP, where
    /// guests get it lazily and the host is soft-float; its own breakpoints and `MDSCR_EL1`), and
    /// leaves alone the registers that [`Controls`](vcpu_regs::Controls) names: what it writes
    /// there is lost. `VBAR_EL2` and `TPIDR_EL1` stay as they were at the first load, as they do
    /// while a guest is loaded: the next run would bring the old ones back.
    pub fn take_turns(&mut self) -> Turns<'_, 'h, P, C> {
        self.keeps_controls = true;
        Turns(self)
    }
}

impl<P: Platform, C: Cpu> Drop for Turns<'_, '_, P, C> {
    fn drop(&mut self) {
        self.0.keeps_controls = false;
        self.0.restore_host();
    }
}

impl<'h, P: Platform, C: Cpu> Deref for Turns<'_, 'h, P, C> {
    type Target = El2<'h, P, C>;

    fn deref(&self) -> &El2<'h, P, C> {
        self.0
    }
}

impl<'h, P: Platform, C: Cpu> DerefMut for Turns<'_, 'h, P, C> {
    fn deref_mut(&mut self) -> &mut El2<'h, P, C> {
        self.0
    }
}
