//! The backends that the machine swaps into `vcpu-core`.

use core::fmt::Debug;

use vcpu_asm::El2Cpu;
use vcpu_hal::{
    FetchIrq, Inject, Platform,
    irq::{self, AcknowledgedV2},
    percpu::MpidrTable,
};
use vcpu_regs::Intid;

use crate::gic::Gic;

/// A host whose CPUs fetch their interrupts themselves.
pub trait Host:
    Platform<FetchIrq: FetchIrq<Token: Copy + Debug>, Inject: Inject<State: Send>> + Sync + 'static
{
    /// The machine's interrupt controller.
    fn gic(&self) -> Gic;

    /// Returns which interrupt was fetched, if it was not gone by then.
    fn intid(token: Token<Self>) -> Option<Intid>;

    /// Drops the running priority of a fetched interrupt, which stays active.
    fn end(&self, cpu: &El2Cpu, token: Token<Self>);

    /// Deactivates an ended interrupt: it can come again.
    fn deactivate(&self, cpu: &El2Cpu, token: Token<Self>);
}

/// What fetching an interrupt gives.
pub type Token<P> = <<P as Platform>::FetchIrq as FetchIrq>::Token;

/// The machine's platform, of two backends that fit its interrupt controller.
pub struct VirtHost<I, F> {
    inject: I,
    fetch: F,
    gic: Gic,
    affinity: MpidrTable<'static>,
}

impl<I, F> VirtHost<I, F> {
    /// Returns the platform.
    ///
    /// # Safety
    ///
    /// `virt` has this `gic`.
    pub unsafe fn new(inject: I, fetch: F, gic: Gic) -> Self {
        // SAFETY: QEMU numbers the CPUs of `virt` by Aff0 up to eight, and we use no more.
        let affinity = unsafe { MpidrTable::new(&[0, 1, 2, 3, 4, 5, 6, 7]) };
        Self {
            inject,
            fetch,
            gic,
            affinity,
        }
    }
}

impl<I: Inject, F: FetchIrq> Platform for VirtHost<I, F> {
    type Inject = I;
    type FetchIrq = F;
    type PerCpu = MpidrTable<'static>;

    fn inject(&self) -> &I {
        &self.inject
    }

    fn fetch_irq(&self) -> &F {
        &self.fetch
    }

    fn per_cpu(&self) -> &MpidrTable<'static> {
        &self.affinity
    }
}

impl<I: Inject<State: Send> + Sync + 'static> Host for VirtHost<I, irq::GicV3> {
    fn gic(&self) -> Gic {
        self.gic
    }

    fn intid(token: Option<Intid>) -> Option<Intid> {
        token
    }

    fn end(&self, cpu: &El2Cpu, token: Option<Intid>) {
        if let Some(intid) = token {
            self.fetch.end(cpu, intid);
        }
    }

    fn deactivate(&self, cpu: &El2Cpu, token: Option<Intid>) {
        if let Some(intid) = token {
            self.fetch.deactivate(cpu, intid);
        }
    }
}

impl<I: Inject<State: Send> + Sync + 'static> Host for VirtHost<I, irq::GicV2> {
    fn gic(&self) -> Gic {
        self.gic
    }

    fn intid(token: Option<AcknowledgedV2>) -> Option<Intid> {
        token.map(AcknowledgedV2::intid)
    }

    fn end(&self, _: &El2Cpu, token: Option<AcknowledgedV2>) {
        if let Some(acknowledged) = token {
            self.fetch.end(acknowledged);
        }
    }

    fn deactivate(&self, _: &El2Cpu, token: Option<AcknowledgedV2>) {
        if let Some(acknowledged) = token {
            self.fetch.deactivate(acknowledged);
        }
    }
}
