//! The host: its timer, what it answers, and what it must find as it left it.

use core::{arch::asm, ptr::NonNull};

use aarch64_cpu::{asm::barrier, registers::*};
use arm_gic::{
    IntId, UniqueMmioPointer,
    gicv3::{GicCpuInterface, GicV3},
};
use machine::{Error, layout};

/// The PPI of the EL2 physical timer: INTID 26.
const TIMER: IntId = IntId::ppi(10);

/// Lets the EL2 timer interrupt guests; at EL2 itself it stays masked.
///
/// # Safety
///
/// Called once; nothing else uses the interrupt controller.
pub unsafe fn enable_timer() -> Result<(), Error> {
    const NOT_THERE: Error = Error::Guest("the interrupt controller cannot be used");
    let distributor = NonNull::new(layout::GIC_DISTRIBUTOR.start as *mut _).ok_or(NOT_THERE)?;
    let redistributor = NonNull::new(layout::GIC_CPU_0.start as *mut _).ok_or(NOT_THERE)?;
    // SAFETY: a GICv3 stands at these addresses of `virt`, mapped as Device; it is ours.
    let gic = unsafe { GicV3::new(UniqueMmioPointer::new(distributor), redistributor, 1) };
    let mut gic = gic.map_err(|_| NOT_THERE)?;
    gic.setup(0);
    GicCpuInterface::set_priority_mask(0xff);
    let configured = gic
        .set_interrupt_priority(TIMER, Some(0), 0x80)
        .and_then(|()| gic.enable_interrupt(TIMER, Some(0), true));
    configured.map_err(|_| NOT_THERE)?;
    HCR_EL2.modify(HCR_EL2::IMO::EnableVirtualIRQ + HCR_EL2::FMO::EnableVirtualFIQ);
    barrier::isb(barrier::SY); // the routing, before a guest runs
    Ok(())
}

/// Has the timer interrupt in so many ticks.
pub fn preempt_after(ticks: u64) {
    let at = CNTPCT_EL0.get().wrapping_add(ticks);
    // SAFETY: CNTHP_CVAL_EL2 and CNTHP_CTL_EL2, at EL2; the timer is ours.
    unsafe {
        asm!(
            "msr cnthp_cval_el2, {}",
            "msr cnthp_ctl_el2, {}",
            in(reg) at,
            in(reg) 1_u64,
            options(nomem, nostack, preserves_flags),
        );
    }
}

macro_rules! words {
    ($($name:ident $($text:literal)?),* $(,)?) => {
        [$((stringify!($name), words!(@ $name $($text)?))),*]
    };
    (@ $name:ident $text:literal) => {{
        let value: u64;
        // SAFETY: a register that every EL2 has; a read without a side effect.
        unsafe {
            asm!(concat!("mrs {}, ", $text), out(reg) value, options(nomem, nostack, preserves_flags));
        }
        value
    }};
    (@ $name:ident) => { $name.get() };
}

/// What every run must leave as it was.
pub type Quick = [(&'static str, u64); 7];

/// Reads it.
pub fn quick() -> Quick {
    words![
        SP_EL0, TPIDR_EL0, TPIDR_EL1, TPIDR_EL2, VBAR_EL2, DAIF, SPSel
    ]
}

/// What every `put` must bring back, where each of the CPUs has it.
pub type Controls = [(&'static str, u64); 15];

/// Reads it.
pub fn controls() -> Controls {
    words![
        HCR_EL2,
        CPTR_EL2,
        MDCR_EL2,
        CNTHCTL_EL2,
        CNTVOFF_EL2,
        VMPIDR_EL2,
        VTCR_EL2,
        VTTBR_EL2,
        SCTLR_EL2,
        TCR_EL2,
        TTBR0_EL2,
        MAIR_EL2,
        VPIDR_EL2 "vpidr_el2",
        HSTR_EL2 "hstr_el2",
        MDSCR_EL1,
    ]
}

/// Returns the sum of the host's code and constants, which stage 1 maps read-only.
pub fn image_sum() -> u64 {
    // From image.ld of aarch64-rt.
    unsafe extern "C" {
        static text_begin: u64;
        static data_begin: u64;
    }
    let (start, end) = (&raw const text_begin, &raw const data_begin);
    // SAFETY: mapped, read-only, whole pages, from one label to the other.
    let words = unsafe { core::slice::from_raw_parts(start, end.offset_from_unsigned(start)) };
    let sum = |sum: u64, word: &u64| (sum ^ word).wrapping_mul(0x100_0000_01b3);
    words.iter().fold(0xcbf2_9ce4_8422_2325, sum)
}
