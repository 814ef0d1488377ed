//! How virtual interrupts reach a guest.

mod interrupt;
mod line;
pub mod list;
mod recorder;

use vcpu_regs::{Hcr, Intid};

use crate::Cpu;

pub use interrupt::{Group, Status, Trigger, VirtualInterrupt};
pub use line::{HcrLine, IntidTooLarge, Pending};
pub use list::{ListRegisters, ListRegistersV2, ListState, QueueError};
pub use recorder::{Recorder, Recording};

/// The interrupt lines into a guest's CPU, as `HCR_EL2.VI` and `VF` drive them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lines {
    /// The virtual IRQ line is high.
    pub irq: bool,
    /// The virtual FIQ line is high.
    pub fiq: bool,
}

impl Lines {
    /// Returns the lines as bits of `HCR_EL2`.
    pub const fn hcr(self) -> Hcr {
        let irq = if self.irq { Hcr::VI } else { Hcr::empty() };
        let fiq = if self.fiq { Hcr::VF } else { Hcr::empty() };
        irq.union(fiq)
    }
}

/// The CPU interface at which a guest acknowledges and ends interrupts without an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CpuInterface {
    /// None: `ICC_*` trap.
    None,
    /// System registers, `ICC_*`, over list registers of this CPU.
    SystemRegisters,
    /// A GICv2's registers in memory; `ICC_*` trap.
    Memory,
}

/// Delivers virtual interrupts to one vCPU after another.
///
/// What is pending on a vCPU is a value that travels with the vCPU: the backend itself is shared.
/// Between [`load`](Self::load) and [`put`](Self::put) some of it may be on the hardware instead:
/// [`sync`](Self::sync) makes the value true again, and [`settle`](Self::settle) the hardware.
pub trait Inject {
    /// What is pending and active on one vCPU.
    type State: Default;
    /// Why an interrupt was not taken.
    type Error: core::fmt::Debug;

    /// Whether the lines change by [`inject`](Self::inject) and [`retract`](Self::retract) alone:
    /// then a loaded vCPU asks for them after those, and not before every entry.
    const LINES_KEEP: bool = false;

    /// Whether [`before_entry`](Self::before_entry) does anything.
    const CHANGES_BEFORE_ENTRY: bool = false;

    /// What the guest acknowledges interrupts at.
    const CPU_INTERFACE: CpuInterface = CpuInterface::None;

    /// Makes an interrupt pending. One that is pending already stays so, with what is said of it
    /// now; one that is active is pending besides.
    ///
    /// Never blocks. An SGI or a PPI always fits; of others the caller keeps what is refused and
    /// tries again when the vCPU has ended some.
    fn inject(
        &self,
        state: &mut Self::State,
        interrupt: VirtualInterrupt,
    ) -> Result<(), Self::Error>;

    /// Takes `intid` back: a level that fell, an edge that the guest's controller took or disabled.
    /// Returns whether it was pending still. An active one stays active.
    ///
    /// A [`Trigger::Hardware`] one that is taken back is the host's to deactivate.
    fn retract(&self, state: &mut Self::State, intid: Intid) -> bool;

    /// Returns where `intid` stands. A backend that has no CPU interface knows of none active.
    fn status(&self, state: &Self::State, intid: Intid) -> Status {
        let _ = (state, intid);
        Status::default()
    }

    /// Returns which CPUs, a bit for each, sent the SGI `intid` that is pending
    /// ([`Trigger::SentBy`]), where a backend tells them apart.
    fn senders(&self, state: &Self::State, intid: Intid) -> u8 {
        let _ = (state, intid);
        0
    }

    /// Makes an interrupt active that the guest did not acknowledge (`GICD_ISACTIVER<n>`). Does
    /// nothing where there is no CPU interface.
    fn activate(
        &self,
        state: &mut Self::State,
        interrupt: VirtualInterrupt,
    ) -> Result<(), Self::Error> {
        let _ = (state, interrupt);
        Ok(())
    }

    /// Deactivates an interrupt (`GICD_ICACTIVER<n>`, a trapped `ICC_DIR_EL1`). Returns whether it
    /// was active.
    fn deactivate(&self, state: &mut Self::State, intid: Intid) -> bool {
        let _ = (state, intid);
        false
    }

    /// Returns one [`Trigger::Level`] interrupt that the guest has ended since it was last asked
    /// for: the host looks at its level again. To be asked until it says `None`, after each
    /// physical interrupt that ends a run and after a put.
    ///
    /// A [`Trigger::Hardware`] interrupt is among them when it had to give up its list register
    /// while it was active: its physical one is the host's to deactivate then.
    fn next_ended(&self, state: &mut Self::State) -> Option<Intid> {
        let _ = state;
        None
    }

    /// Returns the lines for the next entry. Called with interrupts masked, before every entry
    /// unless [`LINES_KEEP`](Self::LINES_KEEP).
    fn lines(&self, state: &Self::State) -> Lines;

    /// Returns whether something is pending for which a guest that waits (`WFI`) goes on. It may say
    /// so once too often: a `WFI` may end for no reason.
    fn wakes(&self, state: &Self::State) -> bool {
        self.lines(state) != Lines::default()
    }

    /// [`wakes`](Self::wakes) for a loaded vCPU.
    fn wakes_loaded<C: Cpu>(&self, cpu: &C, state: &mut Self::State) -> bool {
        self.sync(cpu, state);
        self.wakes(state)
    }

    /// Puts on this CPU, of which the host's index is `index`, what the hardware delivers by itself.
    /// The guest's controls are in force.
    fn load<C: Cpu>(&self, cpu: &C, state: &mut Self::State, index: usize) {
        let _ = (cpu, state, index);
    }

    /// Called before each entry, masked, if [`CHANGES_BEFORE_ENTRY`](Self::CHANGES_BEFORE_ENTRY):
    /// what others have sent meanwhile comes in here. Returns whether the lines may have changed.
    fn before_entry<C: Cpu>(&self, cpu: &C, state: &mut Self::State) -> bool {
        let _ = (cpu, state);
        false
    }

    /// Takes it back.
    fn put<C: Cpu>(&self, cpu: &C, state: &mut Self::State) {
        let _ = (cpu, state);
    }

    /// Called when a physical interrupt ended a run, masked, before it is fetched: what the
    /// hardware wants of the backend (a maintenance interrupt) is done here.
    fn interrupted<C: Cpu>(&self, cpu: &C, state: &mut Self::State) {
        let _ = (cpu, state);
    }

    /// Makes the state of a loaded vCPU true to the hardware.
    fn sync<C: Cpu>(&self, cpu: &C, state: &mut Self::State) {
        let _ = (cpu, state);
    }

    /// Makes the hardware true to the state of a loaded vCPU, after [`sync`](Self::sync).
    fn settle<C: Cpu>(&self, cpu: &C, state: &mut Self::State) {
        let _ = (cpu, state);
    }

    /// [`inject`](Self::inject) for a loaded vCPU.
    fn inject_loaded<C: Cpu>(
        &self,
        cpu: &C,
        state: &mut Self::State,
        interrupt: VirtualInterrupt,
    ) -> Result<(), Self::Error> {
        self.sync(cpu, state);
        let done = self.inject(state, interrupt);
        self.settle(cpu, state);
        done
    }

    /// [`retract`](Self::retract) for a loaded vCPU.
    fn retract_loaded<C: Cpu>(&self, cpu: &C, state: &mut Self::State, intid: Intid) -> bool {
        self.sync(cpu, state);
        let was_pending = self.retract(state, intid);
        self.settle(cpu, state);
        was_pending
    }
}
