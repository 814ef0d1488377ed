//! The interrupts of the host: the virtual timer's, and what the virtual CPU interface asks for.

use core::{arch::asm, ptr::NonNull};

use arm_gic::{
    IntId, UniqueMmioPointer,
    gicv3::{GicCpuInterface, GicV3},
};
use machine::{Error, layout};

use crate::guest::VIRTUAL_TIMER;

/// INTID of the maintenance interrupt on `virt`.
pub const MAINTENANCE: u32 = 25;

/// Sets up the interrupt controller for the two; ending one and deactivating it are two things.
///
/// # Safety
///
/// Called once; nothing else uses the interrupt controller.
pub unsafe fn enable() -> Result<(), Error> {
    const NOT_THERE: Error = Error::Guest("the interrupt controller cannot be used");
    let distributor = NonNull::new(layout::GIC_DISTRIBUTOR.start as *mut _).ok_or(NOT_THERE)?;
    let redistributor = NonNull::new(layout::GIC_CPU_0.start as *mut _).ok_or(NOT_THERE)?;
    // SAFETY: a GICv3 stands at these addresses of `virt`, mapped as Device; it is ours.
    let gic = unsafe { GicV3::new(UniqueMmioPointer::new(distributor), redistributor, 1) };
    let mut gic = gic.map_err(|_| NOT_THERE)?;
    gic.setup(0);
    GicCpuInterface::set_priority_mask(0xff);
    for ppi in [VIRTUAL_TIMER, MAINTENANCE] {
        let intid = IntId::ppi(ppi - 16);
        let configured = gic
            .set_interrupt_priority(intid, Some(0), 0x80)
            .and_then(|()| gic.enable_interrupt(intid, Some(0), true));
        configured.map_err(|_| NOT_THERE)?;
    }
    /// `ICC_CTLR_EL1.EOImode`: ICC_EOIR1_EL1 drops the priority only.
    const SPLIT_END: u64 = 1 << 1;
    // SAFETY: ICC_CTLR_EL1 of the interface that was just set up; `main` ends each interrupt so.
    unsafe {
        asm!(
            "mrs {ctlr}, S3_0_C12_C12_4",
            "orr {ctlr}, {ctlr}, {split_end}",
            "msr S3_0_C12_C12_4, {ctlr}",
            "isb",
            ctlr = out(reg) _,
            split_end = in(reg) SPLIT_END,
            options(nomem, nostack, preserves_flags),
        );
    }
    Ok(())
}
