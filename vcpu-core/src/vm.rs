//! What the vCPUs of one guest share.

use vcpu_hal::{Cpu, Platform};
use vcpu_regs::{IdRegisters, Vmid};
use vcpu_stage2::{Stage2, VmTag};

use crate::{El2, ids::guest_ids, number};

/// CPUs of which is known which vCPU ran last: on one beyond, each load drops the translations of
/// a VM that has a VMID of its own, and other VMs are refused.
///
/// Fewer than there are 8-bit VMIDs, so that a machine with these has some to give.
pub const MAX_CPUS: usize = 128;

/// The VMIDs of a machine, for all VMs whose stage 2 has none of its own.
pub type Vmids = vcpu_stage2::Vmids<MAX_CPUS>;

/// One guest: its memory, its clock and what it believes its CPUs to be.
///
/// One `Vm` for each [`Stage2`]: it remembers where its vCPUs ran, for they share a VMID.
#[derive(Debug)]
pub struct Vm {
    pub(crate) stage2: Stage2,
    pub(crate) ids: IdRegisters,
    pub(crate) counter_offset: u64,
    /// Tells VMs apart: no two ever have the same.
    pub(crate) number: u64,
    pub(crate) tag: VmTag<MAX_CPUS>,
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
            number: number::fresh(),
            tag: VmTag::new(),
        }
    }

    /// Returns the VMID under which CPUs may have used the VM's table: the one to invalidate
    /// after a change of it. `None` if the VM has not run.
    ///
    /// Call it after the change: a CPU that takes another VMID later sees the change.
    pub fn vmid(&self) -> Option<Vmid> {
        self.stage2.vmid().or_else(|| self.tag.vmid())
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
