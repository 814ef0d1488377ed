//! The host's interrupts: the timer's, taken at EL2 in two steps.

use core::{arch::asm, ptr::NonNull};

use arm_gic::{
    IntId, UniqueMmioPointer,
    gicv3::{GicCpuInterface, GicV3 as Controller},
};
use machine::{Error, layout};
use vcpu_hal::{Platform, inject::HcrLine, irq::GicV3, percpu::MpidrTable};
use vcpu_regs::Intid;

/// A host on QEMU's first CPU that acknowledges its interrupts itself.
pub struct Host {
    affinity: MpidrTable<'static>,
    pub gic: GicV3,
}

impl Host {
    /// Sets up the interrupt controller for one private interrupt. Interrupts stay masked at EL2.
    ///
    /// # Safety
    ///
    /// Called once; nothing else uses the interrupt controller, and guests run on QEMU's first CPU,
    /// affinity 0, alone.
    pub unsafe fn enable(ppi: Intid) -> Result<Self, Error> {
        const NOT_THERE: Error = Error::Guest("the interrupt controller cannot be used");
        let distributor = NonNull::new(layout::GIC_DISTRIBUTOR.start as *mut _).ok_or(NOT_THERE)?;
        let redistributor = NonNull::new(layout::GIC_CPU_0.start as *mut _).ok_or(NOT_THERE)?;
        // SAFETY: a GICv3 stands at these addresses of `virt`, mapped as Device; it is ours.
        let gic = unsafe { Controller::new(UniqueMmioPointer::new(distributor), redistributor, 1) };
        let mut gic = gic.map_err(|_| NOT_THERE)?;
        gic.setup(0);
        GicCpuInterface::set_priority_mask(0xff);
        let ppi = IntId::ppi(ppi.0.wrapping_sub(16));
        let configured = gic
            .set_interrupt_priority(ppi, Some(0), 0x80)
            .and_then(|()| gic.enable_interrupt(ppi, Some(0), true));
        configured.map_err(|_| NOT_THERE)?;
        // SAFETY: ICC_CTLR_EL1.EOImode = 1 (the rest of the register is 0 or read-only here):
        // ending an interrupt drops its priority and leaves it active. We use the interface alone.
        unsafe { asm!("msr S3_0_C12_C12_4, {}", "isb", in(reg) 2u64, options(nostack)) };
        // SAFETY: the interface is set up, on the one CPU that our caller speaks of.
        let (affinity, gic) = unsafe { (MpidrTable::new(&[0]), GicV3::new()) };
        Ok(Self { affinity, gic })
    }
}

impl Platform for Host {
    type Inject = HcrLine;
    type FetchIrq = GicV3;
    type PerCpu = MpidrTable<'static>;

    fn inject(&self) -> &HcrLine {
        &HcrLine
    }

    fn fetch_irq(&self) -> &GicV3 {
        &self.gic
    }

    fn per_cpu(&self) -> &MpidrTable<'static> {
        &self.affinity
    }
}
