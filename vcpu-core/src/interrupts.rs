//! Virtual interrupts of a vCPU, at rest and loaded.

use vcpu_hal::{
    Cpu, Inject, Platform,
    inject::{Status, VirtualInterrupt},
};
use vcpu_regs::Intid;

use crate::{Live, Vcpu};

type Refusal<P> = <<P as Platform>::Inject as Inject>::Error;

/// A backend that cannot keep it says so: see [`Inject`] for each.
impl<P: Platform> Vcpu<P> {
    /// Makes a virtual interrupt pending, for when the vCPU next runs.
    pub fn inject_irq(
        &mut self,
        host: &P,
        interrupt: impl Into<VirtualInterrupt>,
    ) -> Result<(), Refusal<P>> {
        host.inject().inject(&mut self.pending, interrupt.into())
    }

    /// Takes a virtual interrupt back; returns whether it was pending still.
    pub fn retract_irq(&mut self, host: &P, intid: Intid) -> bool {
        host.inject().retract(&mut self.pending, intid)
    }

    /// Returns where a virtual interrupt stands.
    pub fn irq_status(&self, host: &P, intid: Intid) -> Status {
        host.inject().status(&self.pending, intid)
    }

    /// Returns which CPUs, a bit for each, sent an SGI that is pending: see [`Inject::senders`].
    pub fn irq_senders(&self, host: &P, intid: Intid) -> u8 {
        host.inject().senders(&self.pending, intid)
    }

    /// Makes a virtual interrupt active that the guest did not acknowledge.
    pub fn activate_irq(
        &mut self,
        host: &P,
        interrupt: impl Into<VirtualInterrupt>,
    ) -> Result<(), Refusal<P>> {
        host.inject().activate(&mut self.pending, interrupt.into())
    }

    /// Deactivates a virtual interrupt; returns whether it was active.
    pub fn deactivate_irq(&mut self, host: &P, intid: Intid) -> bool {
        host.inject().deactivate(&mut self.pending, intid)
    }

    /// Returns whether something is pending for which a guest that waits (`WFI`) goes on. To be asked
    /// after the `put`: what comes later is told of by whoever sends it.
    pub fn has_irq(&self, host: &P) -> bool {
        host.inject().wakes(&self.pending)
    }

    /// Returns an interrupt that the guest has ended and whose level is to be looked at again.
    pub fn next_ended_irq(&mut self, host: &P) -> Option<Intid> {
        host.inject().next_ended(&mut self.pending)
    }
}

impl<P: Platform, C: Cpu> Live<'_, '_, P, C> {
    /// Makes a virtual interrupt pending, for the next run.
    #[inline]
    pub fn inject_irq(&mut self, interrupt: impl Into<VirtualInterrupt>) -> Result<(), Refusal<P>> {
        let (cpu, pending) = (&self.el2.cpu, &mut self.vcpu.pending);
        let inject = self.el2.host.inject();
        let done = inject.inject_loaded(cpu, pending, interrupt.into());
        self.note_lines();
        done
    }

    /// Takes a virtual interrupt back; returns whether it was pending still.
    pub fn retract_irq(&mut self, intid: Intid) -> bool {
        let (cpu, pending) = (&self.el2.cpu, &mut self.vcpu.pending);
        let inject = self.el2.host.inject();
        let was_pending = inject.retract_loaded(cpu, pending, intid);
        self.note_lines();
        was_pending
    }

    /// Returns where a virtual interrupt stands.
    pub fn irq_status(&mut self, intid: Intid) -> Status {
        let inject = self.el2.host.inject();
        inject.sync(&self.el2.cpu, &mut self.vcpu.pending);
        inject.status(&self.vcpu.pending, intid)
    }

    /// Returns which CPUs, a bit for each, sent an SGI that is pending: see [`Inject::senders`].
    pub fn irq_senders(&mut self, intid: Intid) -> u8 {
        let inject = self.el2.host.inject();
        inject.sync(&self.el2.cpu, &mut self.vcpu.pending);
        inject.senders(&self.vcpu.pending, intid)
    }

    /// Returns whether something is pending for which a guest that waits (`WFI`) goes on.
    pub fn has_irq(&mut self) -> bool {
        let inject = self.el2.host.inject();
        inject.wakes_loaded(&self.el2.cpu, &mut self.vcpu.pending)
    }

    /// Makes a virtual interrupt active that the guest did not acknowledge.
    pub fn activate_irq(
        &mut self,
        interrupt: impl Into<VirtualInterrupt>,
    ) -> Result<(), Refusal<P>> {
        self.change(|inject, pending| inject.activate(pending, interrupt.into()))
    }

    /// Deactivates a virtual interrupt; returns whether it was active.
    pub fn deactivate_irq(&mut self, intid: Intid) -> bool {
        self.change(|inject, pending| inject.deactivate(pending, intid))
    }

    /// Does what a maintenance interrupt asks for that reached the host outside of a run: with
    /// interrupts unmasked, one that came with another exit does. Its handler drops the priority and
    /// leaves it active, which keeps it quiet; it is deactivated after this.
    ///
    /// Within a run it is done with by the time of [`Exit::Irq`](crate::Exit::Irq).
    pub fn maintain_irqs(&mut self) {
        let inject = self.el2.host.inject();
        inject.interrupted(&self.el2.cpu, &mut self.vcpu.pending);
    }

    /// Returns an interrupt that the guest has ended and whose level is to be looked at again: to
    /// be asked after [`Exit::Irq`](crate::Exit::Irq) until it says `None`.
    #[inline]
    pub fn next_ended_irq(&mut self) -> Option<Intid> {
        self.el2.host.inject().next_ended(&mut self.vcpu.pending)
    }

    fn change<R>(
        &mut self,
        how: impl FnOnce(&P::Inject, &mut <P::Inject as Inject>::State) -> R,
    ) -> R {
        let (cpu, pending) = (&self.el2.cpu, &mut self.vcpu.pending);
        let inject = self.el2.host.inject();
        inject.sync(cpu, pending);
        let done = how(inject, pending);
        inject.settle(cpu, pending);
        self.note_lines();
        done
    }
}
