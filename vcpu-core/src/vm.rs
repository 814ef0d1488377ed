//! What the vCPUs of one guest share.

use vcpu_hal::{Cpu, Platform};
use vcpu_regs::IdRegisters;
use vcpu_stage2::Stage2;

use crate::{El2, ids::guest_ids};

/// One guest: its memory, its clock and what it believes its CPUs to be.
#[derive(Clone, Debug)]
pub struct Vm {
    pub(crate) stage2: Stage2,
    pub(crate) ids: IdRegisters,
    pub(crate) counter_offset: u64,
}

impl Vm {
    /// Returns a guest whose virtual counter starts near 0 now, and whose ID registers are this
    /// CPU's without what is hidden.
    pub fn new<P: Platform, C: Cpu>(el2: &El2<'_, P, C>, stage2: Stage2) -> Self {
        let ipa_bits = stage2.vtcr().fields().map_or(0, |vtcr| vtcr.ipa_bits);
        Self {
            ids: guest_ids(el2.ids(), ipa_bits),
            counter_offset: el2.counter(),
            stage2,
        }
    }

    /// Returns the ID registers as the guest reads them.
    pub fn ids(&self) -> &IdRegisters {
        &self.ids
    }

    /// Returns what the guest's virtual counter lags behind the physical one, in ticks.
    pub fn counter_offset(&self) -> u64 {
        self.counter_offset
    }
}
