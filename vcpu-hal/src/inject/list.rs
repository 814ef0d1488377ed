//! List registers: a virtual CPU interface in hardware, which the guest acknowledges and ends
//! interrupts at by itself.
//!
//! A [`Queue`] holds all that is pending or active on a vCPU; `choice` says which of it is in a
//! list register, as a function of values; `interface` is the hardware behind.

mod choice;
mod interface;
mod queue;
#[cfg(test)]
mod tests;

use vcpu_regs::{IccSre, IchHcr, IchReg, IchVmcr, Intid};

use super::{CpuInterface, Inject, Lines, Status, VirtualInterrupt};
use crate::Cpu;
use interface::SystemRegisters;

pub use queue::{Queue, QueueError};

/// GICv3's list registers (`ICH_LR<n>_EL2`): the guest has the system registers of a CPU interface
/// (`ICC_*`), and no exit for them but for what concerns other CPUs (SGIs).
///
/// When there are more interrupts than list registers, and when a level was ended, the hardware
/// asks for the host by a maintenance interrupt, a PPI (INTID 25 on most machines) that the host
/// enables as a level. It ends a run as any interrupt does, and is done with by the time that the
/// host fetches it: what is left for the host is to ask for
/// [`next_ended`](Inject::next_ended) and to end it, if it was fetched at all.
#[derive(Clone, Copy, Debug)]
pub struct ListRegisters(());

impl ListRegisters {
    /// Returns the backend.
    ///
    /// # Safety
    ///
    /// Every CPU that runs guests has a GICv3 CPU interface, used by system registers
    /// (`ICC_SRE_EL2.SRE` = 1), and runs at EL2.
    pub const unsafe fn new() -> Self {
        Self(())
    }

    fn interface<C: Cpu>(cpu: &C) -> SystemRegisters<'_, C> {
        // SAFETY: `new`'s caller has the interface in use on every CPU that runs guests.
        unsafe { SystemRegisters::new(cpu) }
    }
}

/// A vCPU's interrupts and its CPU interface.
#[derive(Clone, Debug, Default)]
pub struct ListState {
    queue: Queue,
    /// The guest's `ICC_PMR_EL1`, `ICC_BPR<n>_EL1`, `ICC_CTLR_EL1` and group enables, while not loaded.
    vmcr: IchVmcr,
    /// Active priorities of Group 0 and Group 1, while not loaded.
    active_priorities: [[u64; 2]; 4],
}

impl ListState {
    /// Returns what is pending and active.
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl Inject for ListRegisters {
    type State = ListState;
    type Error = QueueError;

    const LINES_KEEP: bool = true;
    const CPU_INTERFACE: CpuInterface = CpuInterface::SystemRegisters;

    fn inject(&self, state: &mut ListState, interrupt: VirtualInterrupt) -> Result<(), QueueError> {
        state.queue.inject(interrupt)
    }

    fn retract(&self, state: &mut ListState, intid: Intid) -> bool {
        state.queue.retract(intid)
    }

    fn status(&self, state: &ListState, intid: Intid) -> Status {
        state.queue.status(intid)
    }

    fn activate(
        &self,
        state: &mut ListState,
        interrupt: VirtualInterrupt,
    ) -> Result<(), QueueError> {
        state.queue.activate(interrupt)
    }

    fn deactivate(&self, state: &mut ListState, intid: Intid) -> bool {
        state.queue.deactivate(intid)
    }

    #[inline]
    fn next_ended(&self, state: &mut ListState) -> Option<Intid> {
        state.queue.next_ended()
    }

    #[inline(always)]
    fn lines(&self, _: &ListState) -> Lines {
        Lines::default() // the hardware's own are in ICH_*
    }

    fn load<C: Cpu>(&self, cpu: &C, state: &mut ListState) {
        let hardware = Self::interface(cpu);
        // The interface that the guest finds is system registers; a host that lets its EL1 have
        // others is told of by `ICC_SRE_EL1`, which nothing at EL2 depends on.
        let sre = IccSre::SRE | IccSre::DFB | IccSre::DIB;
        hardware.write(IchReg::SreEl1, sre.bits());
        hardware.write(IchReg::Vmcr, state.vmcr.0);
        let count = hardware.vtr().active_priority_registers();
        for (n, [group0, group1]) in (0..count).zip(state.active_priorities) {
            hardware.write(IchReg::Ap0r(n), group0);
            hardware.write(IchReg::Ap1r(n), group1);
        }
        state.queue.load(&hardware, state.vmcr);
    }

    fn put<C: Cpu>(&self, cpu: &C, state: &mut ListState) {
        let hardware = Self::interface(cpu);
        state.queue.put(&hardware);
        state.vmcr = IchVmcr(hardware.read(IchReg::Vmcr));
        let count = hardware.vtr().active_priority_registers();
        for (n, [group0, group1]) in (0..count).zip(&mut state.active_priorities) {
            *group0 = hardware.read(IchReg::Ap0r(n));
            *group1 = hardware.read(IchReg::Ap1r(n));
        }
        hardware.write(IchReg::Hcr, IchHcr::empty().bits());
    }

    #[inline]
    fn interrupted<C: Cpu>(&self, cpu: &C, state: &mut ListState) {
        state.queue.maintain(&Self::interface(cpu));
    }

    fn sync<C: Cpu>(&self, cpu: &C, state: &mut ListState) {
        state.queue.sync(&Self::interface(cpu));
    }

    fn settle<C: Cpu>(&self, cpu: &C, state: &mut ListState) {
        state.queue.settle(&Self::interface(cpu));
    }

    #[inline]
    fn inject_loaded<C: Cpu>(
        &self,
        cpu: &C,
        state: &mut ListState,
        interrupt: VirtualInterrupt,
    ) -> Result<(), QueueError> {
        let hardware = Self::interface(cpu);
        state.queue.inject_loaded(&hardware, interrupt)
    }
}
