//! The host's timer: it ends a run that would not end.

use core::{arch::asm, ptr::NonNull};

use aarch64_cpu::{
    asm::barrier,
    registers::{CNTFRQ_EL0, CNTPCT_EL0, HCR_EL2, ReadWriteable, Readable},
};
use arm_gic::{
    IntId, UniqueMmioPointer,
    gicv3::{GicCpuInterface, GicV3},
};
use machine::{Error, layout};

/// The EL2 physical timer's PPI. Base System Architecture (DEN0094), "PPI assignments": INTID 26.
const PPI: IntId = IntId::ppi(10);
/// How long a guest has for a few instructions.
const PER_S: u64 = 2_000;

/// CNTHP, which EL2 gets as a physical IRQ: it stays pending at the interrupt controller until the
/// timer is off.
pub struct Timer(());

impl Timer {
    /// Sets up the interrupt controller for the timer.
    ///
    /// # Safety
    ///
    /// Called once; nothing else uses the interrupt controller or the timer. Interrupts are masked,
    /// and stay so.
    pub unsafe fn new() -> Result<Self, Error> {
        const NOT_THERE: Error = Error::Guest("the interrupt controller cannot be used");
        let distributor = NonNull::new(layout::GIC_DISTRIBUTOR.start as *mut _).ok_or(NOT_THERE)?;
        let redistributor = NonNull::new(layout::GIC_CPU_0.start as *mut _).ok_or(NOT_THERE)?;
        // SAFETY: a GICv3 stands at these addresses of `virt`, mapped as Device; it is ours.
        let gic = unsafe { GicV3::new(UniqueMmioPointer::new(distributor), redistributor, 1) };
        let mut gic = gic.map_err(|_| NOT_THERE)?;
        gic.setup(0);
        GicCpuInterface::set_priority_mask(0xff);
        gic.set_interrupt_priority(PPI, Some(0), 0x80)
            .and_then(|()| gic.enable_interrupt(PPI, Some(0), true))
            .map_err(|_| NOT_THERE)?;
        HCR_EL2.modify(HCR_EL2::IMO::EnableVirtualIRQ + HCR_EL2::FMO::EnableVirtualFIQ);
        barrier::isb(barrier::SY); // the routing, before anything is pending
        Ok(Self(()))
    }

    /// Lets a run go on for so long from now.
    pub fn start(&self) {
        let until = CNTPCT_EL0.get() + CNTFRQ_EL0.get() / PER_S;
        // SAFETY: the timer is ours, and its interrupt masked at EL2.
        unsafe {
            asm!("msr cnthp_cval_el2, {}", "msr cnthp_ctl_el2, {}", "isb", in(reg) until, in(reg) 1_u64,
                options(nostack, preserves_flags));
        }
    }

    /// Ends that.
    pub fn stop(&self) {
        // SAFETY: as in `start`.
        unsafe {
            asm!(
                "msr cnthp_ctl_el2, xzr",
                "isb",
                options(nostack, preserves_flags)
            )
        };
    }
}
