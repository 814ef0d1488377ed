//! What the vCPUs of one guest share.

use core::sync::atomic::{AtomicU64, Ordering};

use vcpu_hal::{Cpu, Platform};
use vcpu_regs::IdRegisters;
use vcpu_stage2::Stage2;

use crate::{El2, ids::guest_ids, timers::Clock};

/// One guest: its memory, its clock and what it believes its CPUs to be.
///
/// One `Vm` for each [`Stage2`]: it remembers where its vCPUs ran, for they share a VMID.
#[derive(Debug)]
pub struct Vm {
    pub(crate) stage2: Stage2,
    pub(crate) ids: IdRegisters,
    pub(crate) clock: Clock,
    /// The vCPU that ran last on each CPU: its number plus one; 0 for none.
    last: [AtomicU64; TRACKED_CPUS],
}

/// On a CPU beyond these, each load of a vCPU drops the VM's translations.
const TRACKED_CPUS: usize = 64;

impl Vm {
    /// Returns a guest whose virtual counter starts near 0 now, and whose ID registers are this
    /// CPU's without what is hidden.
    pub fn new<P: Platform, C: Cpu>(el2: &El2<'_, P, C>, stage2: Stage2) -> Self {
        let ipa_bits = stage2.vtcr().fields().map_or(0, |vtcr| vtcr.ipa_bits);
        Self {
            ids: guest_ids(el2.ids(), ipa_bits),
            clock: Clock::new(el2.counter()),
            stage2,
            last: [const { AtomicU64::new(0) }; TRACKED_CPUS],
        }
    }

    /// Notes that a vCPU runs on CPU `index` now; returns whether it was the last there before.
    pub(crate) fn came_to(&self, index: usize, vcpu: u64) -> bool {
        // Only the CPU itself touches its entry.
        let last = self
            .last
            .get(index)
            .map(|last| last.swap(vcpu + 1, Ordering::Relaxed));
        last == Some(vcpu + 1)
    }

    /// Returns the ID registers as the guest reads them.
    pub fn ids(&self) -> &IdRegisters {
        &self.ids
    }
}
