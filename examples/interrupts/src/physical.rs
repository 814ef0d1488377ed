//! The interrupts of the host: the virtual timer's, and what the virtual CPU interface asks for.

use core::{arch::asm, ptr::NonNull};

use aarch64_cpu::asm::barrier::{SY, dsb, isb};
use arm_gic::{
    IntId, UniqueMmioPointer,
    gicv2::GicV2 as SetupV2,
    gicv3::{GicCpuInterface, GicV3 as SetupV3},
};
use machine::{Error, layout};
use vcpu_hal::{
    Cpu, FetchIrq,
    irq::{AcknowledgedV2, GicV2, GicV3},
};
use vcpu_regs::Intid;

use crate::guest::VIRTUAL_TIMER;

/// INTID of the maintenance interrupt on `virt`.
pub const MAINTENANCE: u32 = 25;

/// The SGI with which another CPU makes the first look into its mailbox.
pub const KICK: u32 = 1;

/// A GICv2's physical CPU interface on `virt`.
pub const GICC: usize = 0x0801_0000;
/// Its virtual interface control.
pub const GICH: usize = 0x0803_0000;
/// Its virtual CPU interface: the page of all registers but `GICV_DIR`.
pub const GICV: core::ops::Range<u64> = 0x0804_0000..0x0804_1000;

/// A fetched interrupt, and its two ends.
pub trait Physical: FetchIrq<Token: core::fmt::Debug> {
    /// Whether a guest reads with an SGI who sent it.
    const TELLS_SENDER: bool;

    /// Returns which interrupt it is.
    fn intid(token: &Self::Token) -> Option<Intid>;

    /// Drops its priority.
    fn end<C: Cpu>(&self, cpu: &C, token: &Self::Token);

    /// Lets it come again.
    fn deactivate<C: Cpu>(&self, cpu: &C, token: &Self::Token);
}

impl Physical for GicV3 {
    const TELLS_SENDER: bool = false;

    fn intid(token: &Option<Intid>) -> Option<Intid> {
        *token
    }

    fn end<C: Cpu>(&self, cpu: &C, token: &Option<Intid>) {
        if let Some(intid) = *token {
            self.end(cpu, intid);
        }
    }

    fn deactivate<C: Cpu>(&self, cpu: &C, token: &Option<Intid>) {
        if let Some(intid) = *token {
            self.deactivate(cpu, intid);
        }
    }
}

impl Physical for GicV2 {
    const TELLS_SENDER: bool = true;

    fn intid(token: &Option<AcknowledgedV2>) -> Option<Intid> {
        token.map(AcknowledgedV2::intid)
    }

    fn end<C: Cpu>(&self, _: &C, token: &Option<AcknowledgedV2>) {
        if let Some(acknowledged) = *token {
            self.end(acknowledged);
        }
    }

    fn deactivate<C: Cpu>(&self, _: &C, token: &Option<AcknowledgedV2>) {
        if let Some(acknowledged) = *token {
            self.deactivate(acknowledged);
        }
    }
}

/// The same for a GICv2.
///
/// # Safety
///
/// Called once; nothing else uses the interrupt controller.
pub unsafe fn enable_v2() -> Result<(), Error> {
    let distributor = layout::GIC_DISTRIBUTOR.start as *mut _;
    // SAFETY: a GICv2 stands at these addresses of `virt`, mapped as Device; it is ours.
    let mut gic = unsafe { SetupV2::new(distributor, GICC as *mut _) };
    gic.setup();
    gic.set_priority_mask(0xff);
    let ppis = [VIRTUAL_TIMER, MAINTENANCE].map(|intid| IntId::ppi(intid - 16));
    for intid in ppis.into_iter().chain([IntId::sgi(KICK)]) {
        gic.set_interrupt_priority(intid, 0x80);
        let enabled = gic.enable_interrupt(intid, true);
        enabled.map_err(|_| Error::Guest("the interrupt controller cannot be used"))?;
    }
    /// `GICC_CTLR`: enabled, and EOImode.
    const SPLIT_END: u32 = 1 << 9 | 1;
    // SAFETY: GICC_CTLR of the interface that was just set up; `Rig` ends each interrupt so.
    unsafe { (GICC as *mut u32).write_volatile(SPLIT_END) };
    Ok(())
}

/// Sets up the interrupt controller for the two; ending one and deactivating it are two things.
///
/// # Safety
///
/// Called once; nothing else uses the interrupt controller.
pub unsafe fn enable_v3() -> Result<(), Error> {
    const NOT_THERE: Error = Error::Guest("the interrupt controller cannot be used");
    let distributor = NonNull::new(layout::GIC_DISTRIBUTOR.start as *mut _).ok_or(NOT_THERE)?;
    let redistributor = NonNull::new(layout::GIC_CPU_0.start as *mut _).ok_or(NOT_THERE)?;
    // SAFETY: a GICv3 stands at these addresses of `virt`, mapped as Device; it is ours.
    let gic = unsafe { SetupV3::new(UniqueMmioPointer::new(distributor), redistributor, 1) };
    let mut gic = gic.map_err(|_| NOT_THERE)?;
    gic.setup(0);
    GicCpuInterface::set_priority_mask(0xff);
    let ppis = [VIRTUAL_TIMER, MAINTENANCE].map(|intid| IntId::ppi(intid - 16));
    for intid in ppis.into_iter().chain([IntId::sgi(KICK)]) {
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

/// Interrupts the first CPU, for it to find what was written before.
pub fn kick(has_gicv3: bool) {
    dsb(SY); // the post, before the interrupt that tells of it
    if has_gicv3 {
        let first = u64::from(KICK) << 24 | 1;
        // SAFETY: ICC_SGI1R_EL1, of an interrupt that the first CPU expects.
        unsafe { asm!("msr S3_0_C12_C11_5, {}", in(reg) first, options(nostack)) };
        isb(SY);
    } else {
        let sgir = (layout::GIC_DISTRIBUTOR.start + 0xf00) as *mut u32;
        // SAFETY: GICD_SGIR of a GICv2 of `virt`, mapped as Device; as above.
        unsafe { sgir.write_volatile(1 << 16 | KICK) };
    }
}
