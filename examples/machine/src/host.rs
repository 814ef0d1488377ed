//! What the examples swap into `vcpu-core`.

use vcpu_hal::{Platform, inject::HcrLine, irq::LeavePending, percpu::MpidrTable};

/// A host with one CPU, no interrupts of its own and a plain interrupt line into its guests.
pub struct SingleCpu {
    affinity: MpidrTable<'static>,
}

impl SingleCpu {
    /// Returns the host of QEMU's first CPU.
    pub const fn new() -> Self {
        // SAFETY: an example that uses this runs guests on QEMU's first CPU, affinity 0, alone.
        let affinity = unsafe { MpidrTable::new(&[0]) };
        Self { affinity }
    }
}

impl Default for SingleCpu {
    fn default() -> Self {
        Self::new()
    }
}

impl Platform for SingleCpu {
    type Inject = HcrLine;
    type FetchIrq = LeavePending;
    type PerCpu = MpidrTable<'static>;

    fn inject(&self) -> &HcrLine {
        &HcrLine
    }

    fn fetch_irq(&self) -> &LeavePending {
        &LeavePending
    }

    fn per_cpu(&self) -> &MpidrTable<'static> {
        &self.affinity
    }
}
