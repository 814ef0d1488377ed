//! The interrupts of the host: one SGI, taken at EL2.

use core::ptr::NonNull;

use aarch64_cpu::{
    asm::barrier,
    registers::{DAIF, HCR_EL2, ReadWriteable, Writeable},
};
use arm_gic::{
    IntId, UniqueMmioPointer,
    gicv3::{GicCpuInterface, GicV3},
};
use machine::{Error, layout};

/// Sets up the interrupt controller for one SGI, and takes interrupts at EL2 from now on.
///
/// # Safety
///
/// Called once; nothing else uses the interrupt controller.
pub unsafe fn enable(sgi: u32) -> Result<(), Error> {
    const NOT_THERE: Error = Error::Guest("the interrupt controller cannot be used");
    let distributor = NonNull::new(layout::GIC_DISTRIBUTOR.start as *mut _).ok_or(NOT_THERE)?;
    let redistributor = NonNull::new(layout::GIC_CPU_0.start as *mut _).ok_or(NOT_THERE)?;
    // SAFETY: a GICv3 stands at these addresses of `virt`, mapped as Device; it is ours.
    let gic = unsafe { GicV3::new(UniqueMmioPointer::new(distributor), redistributor, 1) };
    let mut gic = gic.map_err(|_| NOT_THERE)?;
    gic.setup(0);
    GicCpuInterface::set_priority_mask(0xff);
    let configured = gic
        .set_interrupt_priority(IntId::sgi(sgi), Some(0), 0x80)
        .and_then(|()| gic.enable_interrupt(IntId::sgi(sgi), Some(0), true));
    configured.map_err(|_| NOT_THERE)?;
    HCR_EL2.modify(HCR_EL2::IMO::EnableVirtualIRQ + HCR_EL2::FMO::EnableVirtualFIQ);
    barrier::isb(barrier::SY); // the routing, before interrupts are unmasked
    DAIF.write(DAIF::D::Masked);
    Ok(())
}
