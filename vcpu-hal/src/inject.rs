//! How virtual interrupts reach a guest.

use core::convert::Infallible;

use vcpu_regs::{Hcr, Intid};

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

/// Delivers virtual interrupts to one vCPU after another.
///
/// What is pending on a vCPU is a value that travels with the vCPU: the backend itself is shared.
pub trait Inject {
    /// What is pending on one vCPU.
    type State: Default;
    /// Why an interrupt was not taken.
    type Error: core::fmt::Debug;

    /// Whether the lines change by [`inject`](Self::inject) and [`retract`](Self::retract) alone:
    /// then a loaded vCPU asks for them after those, and not before every entry.
    const LINES_KEEP: bool = false;

    /// Whether a guest whose interrupts are virtual has a GICv3 CPU interface by it: list registers.
    /// Its `ICC_*` registers trap otherwise, and `ID_AA64PFR0_EL1` does not tell of them.
    const HAS_INTERFACE: bool = false;

    /// Makes `intid` pending. Never blocks; works whether or not the vCPU is loaded.
    fn inject(&self, state: &mut Self::State, intid: Intid) -> Result<(), Self::Error>;

    /// Takes `intid` back: a level that fell, an interrupt the guest's controller took.
    fn retract(&self, state: &mut Self::State, intid: Intid);

    /// Returns the lines for the next entry. Called with interrupts masked, before every entry
    /// unless [`LINES_KEEP`](Self::LINES_KEEP).
    fn lines(&self, state: &Self::State) -> Lines;
}

/// The plain line: `HCR_EL2.VI`, for a guest whose interrupt controller is emulated or absent.
///
/// The line stays high while anything is pending; which interrupt it is, the guest asks of
/// whatever controller the host shows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct HcrLine;

/// The first 64 INTIDs that are pending on one vCPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending(u64);

impl Pending {
    /// Returns the lowest pending INTID.
    pub const fn first(self) -> Option<Intid> {
        match self.0 {
            0 => None,
            bits => Some(Intid(bits.trailing_zeros())),
        }
    }
}

/// The interrupt is none of the 64 this backend keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IntidTooLarge(pub Intid);

impl Inject for HcrLine {
    type State = Pending;
    type Error = IntidTooLarge;

    const LINES_KEEP: bool = true;

    fn inject(&self, state: &mut Pending, intid: Intid) -> Result<(), IntidTooLarge> {
        let bit = 1u64.checked_shl(intid.0).ok_or(IntidTooLarge(intid))?;
        state.0 |= bit;
        Ok(())
    }

    fn retract(&self, state: &mut Pending, intid: Intid) {
        state.0 &= !1u64.checked_shl(intid.0).unwrap_or(0);
    }

    fn lines(&self, state: &Pending) -> Lines {
        Lines {
            irq: state.0 != 0,
            fiq: false,
        }
    }
}

/// Writes down what was injected and delivers nothing: for tests of a host's own logic.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recorder;

/// The last 16 injections into one vCPU, oldest first, and how many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    last: [Option<Intid>; 16],
    count: usize,
}

impl Recording {
    /// Returns how many interrupts were injected.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Returns the most recent ones, oldest first.
    pub fn recent(&self) -> impl Iterator<Item = Intid> + '_ {
        let len = self.last.len();
        (0..len).filter_map(move |i| self.last[(self.count + i) % len])
    }
}

impl Inject for Recorder {
    type State = Recording;
    type Error = Infallible;

    const LINES_KEEP: bool = true;

    fn inject(&self, state: &mut Recording, intid: Intid) -> Result<(), Infallible> {
        state.last[state.count % state.last.len()] = Some(intid);
        state.count = state.count.wrapping_add(1);
        Ok(())
    }

    fn retract(&self, _: &mut Recording, _: Intid) {}

    fn lines(&self, _: &Recording) -> Lines {
        Lines::default()
    }
}
