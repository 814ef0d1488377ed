//! List registers: a virtual CPU interface in hardware, which the guest acknowledges and ends
//! interrupts at by itself.
//!
//! A [`Queue`] holds all that is pending or active on a vCPU; `choice` says which of it is in a
//! list register, as a function of values; `interface` is the hardware behind.

mod choice;
mod interface;
mod memory;
mod queue;
#[cfg(test)]
mod tests;

use vcpu_regs::{IchHcr, IchVmcr, Intid};

use super::{CpuInterface, Inject, Lines, Status, Trigger, VirtualInterrupt};
use crate::Cpu;
use interface::{SystemRegisters, VirtualInterface};
use memory::Gich;

pub use queue::{Queue, QueueError};

/// GICv3's list registers (`ICH_LR<n>_EL2`): the guest has the system registers of a CPU interface
/// (`ICC_*`), and no exit for them but for what concerns other CPUs (SGIs).
///
/// When there are more interrupts than list registers, and when a level was ended, the hardware
/// asks for the host by a maintenance interrupt, a PPI (INTID 25 on most machines) that the host
/// enables as a level. It ends a run as any interrupt does, and is done with by the time that the
/// host fetches it: what is left for the host is to ask for
/// [`next_ended`](Inject::next_ended) and to end it, if it was fetched at all. A host that takes
/// interrupts outside of runs may meet it there: `vcpu_core::Live::maintain_irqs` says what to do.
///
/// A guest that ends interrupts in two steps (`ICC_CTLR_EL1.EOImode` = 1), with more of them active
/// than there are list registers, has its writes of `ICC_DIR_EL1` trap meanwhile. Where the CPU
/// cannot trap these (`ICH_VTR_EL2.TDS`), those without a list register are taken to be deactivated
/// in the order of their priorities.
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

    #[inline(always)]
    fn hardware<'c, C: Cpu>(&self, cpu: &'c C) -> SystemRegisters<'c, C> {
        // SAFETY: `new`'s caller has the interface in use on every CPU that runs guests.
        unsafe { SystemRegisters::new(cpu) }
    }

    /// Returns the interrupt without what a GICv3 does not tell.
    #[inline(always)]
    fn admit(&self, mut interrupt: VirtualInterrupt) -> Result<VirtualInterrupt, QueueError> {
        if let Trigger::SentBy(_) = interrupt.trigger {
            interrupt.trigger = Trigger::Edge;
        }
        Ok(interrupt)
    }
}

/// List registers of a GICv2 (`GICH_LR<n>`): the guest has the CPU interface `GICV`, mapped where it
/// expects `GICC`, and no exit for it.
///
/// As with [`ListRegisters`] in all else, but that there is no telling which interrupt a guest
/// deactivates that has lost its list register: it is best not given the page of `GICC_DIR`
/// (0x1000 on) when it may have more active interrupts than there are list registers.
#[derive(Clone, Copy, Debug)]
pub struct ListRegistersV2 {
    control: Gich,
}

impl ListRegistersV2 {
    /// Returns the backend for the control block `GICH` that is mapped at `address`.
    ///
    /// # Safety
    ///
    /// On every CPU that runs guests, at `address` is the `GICH` block of a GICv2, mapped as Device
    /// memory for EL2 for good, and nothing else uses it.
    pub const unsafe fn new(address: usize) -> Self {
        // SAFETY: our caller's promise.
        let control = unsafe { Gich::new(address) };
        Self { control }
    }

    #[inline(always)]
    fn hardware<C: Cpu>(&self, _: &C) -> Gich {
        self.control
    }

    /// Returns the interrupt, if its numbers are ones that a GICv2 has.
    #[inline(always)]
    fn admit(&self, interrupt: VirtualInterrupt) -> Result<VirtualInterrupt, QueueError> {
        match interrupt {
            VirtualInterrupt { intid, .. } if intid.0 >= 1020 => {
                Err(QueueError::NoSuchIntid(intid))
            }
            VirtualInterrupt {
                trigger: Trigger::Hardware(physical),
                ..
            } if physical.0 >= 1020 => Err(QueueError::NoSuchHardware(physical)),
            VirtualInterrupt {
                trigger: Trigger::SentBy(_),
                intid,
                ..
            } if intid.0 >= 16 => Err(QueueError::NoSuchIntid(intid)),
            interrupt => Ok(interrupt),
        }
    }
}

/// A vCPU's interrupts and its CPU interface.
#[derive(Clone, Debug, Default)]
pub struct ListState {
    queue: Queue,
    /// The guest's `ICC_PMR_EL1`, `ICC_BPR<n>_EL1`, `ICC_CTLR_EL1` and group enables, while not loaded.
    vmcr: IchVmcr,
    /// Active priorities of Group 0 and Group 1, while not loaded. A GICv2 has one word for both.
    active_priorities: [[u64; 2]; 4],
}

impl ListState {
    /// Returns what is pending and active.
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }
}

/// Both deliver alike: what differs is how the hardware is reached, and which numbers it has.
macro_rules! list_backend {
    ($backend:ident, $interface:ident) => {
        impl Inject for $backend {
            type State = ListState;
            type Error = QueueError;

            const LINES_KEEP: bool = true;
            const CPU_INTERFACE: CpuInterface = CpuInterface::$interface;

            fn inject(
                &self,
                state: &mut ListState,
                interrupt: VirtualInterrupt,
            ) -> Result<(), QueueError> {
                state.queue.inject(self.admit(interrupt)?)
            }

            fn retract(&self, state: &mut ListState, intid: Intid) -> bool {
                state.queue.retract(intid)
            }

            fn status(&self, state: &ListState, intid: Intid) -> Status {
                state.queue.status(intid)
            }

            fn senders(&self, state: &ListState, intid: Intid) -> u8 {
                state.queue.senders(intid)
            }

            fn activate(
                &self,
                state: &mut ListState,
                interrupt: VirtualInterrupt,
            ) -> Result<(), QueueError> {
                state.queue.activate(self.admit(interrupt)?)
            }

            fn deactivate(&self, state: &mut ListState, intid: Intid) -> bool {
                state.queue.deactivate(intid)
            }

            #[inline]
            fn next_ended(&self, state: &mut ListState) -> Option<Intid> {
                state.queue.next_ended()
            }

            fn wakes(&self, state: &ListState) -> bool {
                state.queue.has_takable(state.vmcr)
            }

            fn wakes_loaded<C: Cpu>(&self, cpu: &C, state: &mut ListState) -> bool {
                let hardware = self.hardware(cpu);
                state.queue.sync(&hardware);
                state.queue.has_takable(hardware.vmcr())
            }

            #[inline(always)]
            fn lines(&self, _: &ListState) -> Lines {
                Lines::default() // the hardware's own come from the list registers
            }

            fn load<C: Cpu>(&self, cpu: &C, state: &mut ListState, _: usize) {
                let hardware = self.hardware(cpu);
                hardware.load(state.vmcr, &state.active_priorities);
                state.queue.load(&hardware, state.vmcr);
            }

            fn put<C: Cpu>(&self, cpu: &C, state: &mut ListState) {
                let hardware = self.hardware(cpu);
                state.queue.put(&hardware);
                state.vmcr = hardware.vmcr();
                hardware.save(&mut state.active_priorities);
                hardware.set_hcr(IchHcr::empty());
            }

            #[inline]
            fn interrupted<C: Cpu>(&self, cpu: &C, state: &mut ListState) {
                state.queue.maintain(&self.hardware(cpu));
            }

            fn sync<C: Cpu>(&self, cpu: &C, state: &mut ListState) {
                state.queue.sync(&self.hardware(cpu));
            }

            fn settle<C: Cpu>(&self, cpu: &C, state: &mut ListState) {
                state.queue.settle(&self.hardware(cpu));
            }

            #[inline]
            fn inject_loaded<C: Cpu>(
                &self,
                cpu: &C,
                state: &mut ListState,
                interrupt: VirtualInterrupt,
            ) -> Result<(), QueueError> {
                let interrupt = self.admit(interrupt)?;
                state.queue.inject_loaded(&self.hardware(cpu), interrupt)
            }
        }
    };
}

list_backend!(ListRegisters, SystemRegisters);
list_backend!(ListRegistersV2, Memory);
