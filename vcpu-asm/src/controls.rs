//! The EL2 controls, read and written as one value.

use aarch64_cpu::{
    asm::barrier,
    registers::{
        CNTHCTL_EL2, CNTVOFF_EL2, CPTR_EL2, HCR_EL2, ICC_SRE_EL2, ICH_HCR_EL2, MDCR_EL2, Readable,
        VMPIDR_EL2, VTCR_EL2, VTTBR_EL2, Writeable,
    },
};
use vcpu_regs::{Cnthctl, Controls, Cptr, Features, Hcr, IccSre, IchHcr, Mdcr};

use crate::sysreg::{mrs, msr};

/// Reads the controls in force.
///
/// # Safety
///
/// The CPU is at EL2 and has what `features` says.
#[inline(always)]
pub(crate) unsafe fn read(features: Features) -> Controls {
    let mut controls = Controls {
        hcr: Hcr::from_bits_retain(HCR_EL2.get()),
        cptr: Cptr::from_bits_retain(CPTR_EL2.get()),
        mdcr: Mdcr::from_bits_retain(MDCR_EL2.get()),
        cnthctl: Cnthctl::from_bits_retain(CNTHCTL_EL2.get()),
        // SAFETY: HSTR_EL2, at EL2; a read without a side effect.
        hstr: unsafe { mrs!((3, 4, 1, 1, 3)) },
        cntvoff: CNTVOFF_EL2.get(),
        // SAFETY: VPIDR_EL2, at EL2; a read without a side effect.
        vpidr: unsafe { mrs!((3, 4, 0, 0, 0)) },
        vmpidr: VMPIDR_EL2.get(),
        vtcr: VTCR_EL2.get(),
        vttbr: VTTBR_EL2.get(),
        ..Controls::default()
    };
    // SAFETY: the same contract.
    unsafe { read_optional(&mut controls, features) };
    if features.gicv3() {
        controls.icc_sre = IccSre::from_bits_retain(ICC_SRE_EL2.get());
        if controls.icc_sre.contains(IccSre::SRE) {
            controls.ich_hcr = IchHcr::from_bits_retain(ICH_HCR_EL2.get()); // undefined while SRE is 0
        }
    }
    controls
}

/// The words that not every CPU has: field, encoding, condition.
macro_rules! optional {
    ($($field:ident $encoding:tt if $($feature:ident)+;)*) => {
        /// Reads the words that not every CPU has.
        ///
        /// # Safety
        ///
        /// As for [`read`].
        #[inline(always)]
        unsafe fn read_optional(controls: &mut Controls, features: Features) {
            $(
                if $(features.$feature())&&+ {
                    // SAFETY: at EL2, and the feature is there; a read without a side effect.
                    controls.$field = unsafe { mrs!($encoding) };
                }
            )*
        }

        /// Writes the words that not every CPU has.
        ///
        /// # Safety
        ///
        /// As for [`write`].
        #[inline(always)]
        unsafe fn write_optional(controls: &Controls, features: Features) {
            $(
                if $(features.$feature())&&+ {
                    // SAFETY: at EL2, and the feature is there: traps of lower levels only.
                    unsafe { msr!($encoding, controls.$field) };
                }
            )*
        }
    };
}

optional! {
    hcrx (3, 4, 1, 2, 2) if hcx;
    hfgrtr (3, 4, 1, 1, 4) if fgt;
    hfgwtr (3, 4, 1, 1, 5) if fgt;
    hfgitr (3, 4, 1, 1, 6) if fgt;
    hdfgrtr (3, 4, 3, 1, 4) if fgt;
    hdfgwtr (3, 4, 3, 1, 5) if fgt;
    hafgrtr (3, 4, 3, 1, 6) if fgt amu;
    hfgrtr2 (3, 4, 3, 1, 2) if fgt2;
    hfgwtr2 (3, 4, 3, 1, 3) if fgt2;
    hdfgrtr2 (3, 4, 3, 1, 0) if fgt2;
    hdfgwtr2 (3, 4, 3, 1, 1) if fgt2;
    mpam2 (3, 4, 10, 5, 0) if mpam;
}

/// Puts the controls in force.
///
/// # Safety
///
/// The CPU is at EL2 and has what `features` says; the host can go on under `controls`.
#[inline(always)]
pub(crate) unsafe fn write(controls: &Controls, features: Features) {
    CPTR_EL2.set(controls.cptr.bits());
    MDCR_EL2.set(controls.mdcr.bits());
    CNTHCTL_EL2.set(controls.cnthctl.bits());
    // SAFETY: HSTR_EL2, at EL2: traps of lower levels only.
    unsafe { msr!((3, 4, 1, 1, 3), controls.hstr) };
    // SAFETY: the same contract.
    unsafe { write_optional(controls, features) };
    if features.gicv3() {
        write_gic(controls);
    }
    // SAFETY: the same contract.
    unsafe { write_guest(controls) };
    barrier::isb(barrier::SY); // all of the above, before what the caller does under it
}

/// Puts in force what tells one guest from the next; an `eret` or `isb` is to synchronise it.
///
/// # Safety
///
/// As for [`write`], for these words.
#[inline(always)]
pub(crate) unsafe fn write_guest(controls: &Controls) {
    VTCR_EL2.set(controls.vtcr);
    VTTBR_EL2.set(controls.vttbr);
    CNTVOFF_EL2.set(controls.cntvoff);
    // SAFETY: VPIDR_EL2, at EL2: what EL1 reads from MIDR_EL1.
    unsafe { msr!((3, 4, 0, 0, 0), controls.vpidr) };
    VMPIDR_EL2.set(controls.vmpidr);
    HCR_EL2.set(controls.hcr.bits());
}

/// ICH_HCR_EL2 exists only while SRE is 1.
fn write_gic(controls: &Controls) {
    let in_force = IccSre::from_bits_retain(ICC_SRE_EL2.get());
    if controls.icc_sre.contains(IccSre::SRE) {
        ICC_SRE_EL2.set(controls.icc_sre.bits());
        barrier::isb(barrier::SY); // SRE, before the access below
        ICH_HCR_EL2.set(controls.ich_hcr.bits());
    } else {
        if in_force.contains(IccSre::SRE) {
            ICH_HCR_EL2.set(0);
        }
        ICC_SRE_EL2.set(controls.icc_sre.bits());
    }
}
