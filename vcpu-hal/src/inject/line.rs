//! The plain line.

use vcpu_regs::Intid;

use super::{Inject, Lines, Status, VirtualInterrupt};

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

    fn inject(
        &self,
        state: &mut Pending,
        interrupt: VirtualInterrupt,
    ) -> Result<(), IntidTooLarge> {
        let intid = interrupt.intid;
        let bit = 1u64.checked_shl(intid.0).ok_or(IntidTooLarge(intid))?;
        state.0 |= bit;
        Ok(())
    }

    fn retract(&self, state: &mut Pending, intid: Intid) -> bool {
        let bit = 1u64.checked_shl(intid.0).unwrap_or(0);
        let was_pending = state.0 & bit != 0;
        state.0 &= !bit;
        was_pending
    }

    fn status(&self, state: &Pending, intid: Intid) -> Status {
        Status {
            pending: state.0 & 1u64.checked_shl(intid.0).unwrap_or(0) != 0,
            active: false,
        }
    }

    fn lines(&self, state: &Pending) -> Lines {
        Lines {
            irq: state.0 != 0,
            fiq: false,
        }
    }
}
