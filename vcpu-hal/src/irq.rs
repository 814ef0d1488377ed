//! How a physical interrupt that ended a run is fetched.

use vcpu_regs::Intid;

use crate::Cpu;

/// Takes physical interrupts from the interrupt controller, or leaves them there.
pub trait FetchIrq {
    /// What the host gets in its hands: an INTID, a token of its own, or nothing.
    type Token;

    /// Fetches the interrupt that brought the CPU to EL2. Called with interrupts masked.
    fn fetch<C: Cpu>(&self, cpu: &C) -> Self::Token;
}

/// Leaves the interrupt pending: the host's own vector takes it once `run` unmasks interrupts.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeavePending;

impl FetchIrq for LeavePending {
    type Token = ();

    fn fetch<C: Cpu>(&self, _: &C) {}
}

/// Acknowledges at the GICv3 CPU interface; ending and deactivating stay with the host.
#[derive(Clone, Copy, Debug)]
pub struct GicV3(());

impl GicV3 {
    /// Returns the backend.
    ///
    /// # Safety
    ///
    /// On every CPU that runs guests, the GICv3 CPU interface is enabled for Group 1 and used by
    /// system registers (`ICC_SRE_EL2.SRE` = 1).
    pub const unsafe fn new() -> Self {
        Self(())
    }

    /// Drops the running priority of an acknowledged interrupt: it can be deactivated later.
    pub fn end<C: Cpu>(&self, cpu: &C, intid: Intid) {
        // SAFETY: `new`'s caller has the interface in use on every CPU that runs guests, at EL2.
        unsafe { cpu.gic_end(intid) }
    }

    /// Deactivates an ended interrupt: it can come again.
    pub fn deactivate<C: Cpu>(&self, cpu: &C, intid: Intid) {
        // SAFETY: as in `end`.
        unsafe { cpu.gic_deactivate(intid) }
    }
}

impl FetchIrq for GicV3 {
    /// The INTID, or `None` when the interrupt was gone by then (INTID 1020 to 1023).
    type Token = Option<Intid>;

    fn fetch<C: Cpu>(&self, cpu: &C) -> Option<Intid> {
        // SAFETY: `new`'s caller has the interface in use; `fetch` is called at EL2 by `run`.
        let intid = unsafe { cpu.gic_acknowledge() };
        (!(1020..=1023).contains(&intid.0)).then_some(intid)
    }
}
