//! The bits of EL2 that make a register trap.

use crate::{Cnthctl, Controls, Cptr, CptrE2h, Features, Hcr, Hcrx, IccSre, IchHcr, Mdcr};

/// A bit of the [`Controls`] that makes an access come to EL2. Arm ARM (DDI 0487), the pseudocode
/// of the register's accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Trap {
    /// `HCR_EL2`: traps where set.
    Hcr(Hcr),
    /// `HCR_EL2`: traps where clear.
    HcrClear(Hcr),
    /// `HCRX_EL2` (FEAT_HCX): traps where clear.
    HcrxClear(Hcrx),
    /// `MDCR_EL2`: traps where set.
    Mdcr(Mdcr),
    /// `MDCR_EL2`: traps where clear.
    MdcrClear(Mdcr),
    /// `CPTR_EL2` in its two layouts: traps where set.
    Cptr(Cptr, CptrE2h),
    /// `CPTR_EL2` in its two layouts: traps where the first is set, where the second is clear.
    CptrEnable(Cptr, CptrE2h),
    /// `CNTHCTL_EL2`: traps where clear.
    CnthctlClear(Cnthctl),
    /// `ICH_HCR_EL2` (GICv3): traps where set.
    IchHcr(IchHcr),
    /// `ICC_SRE_EL2` (GICv3): traps where clear. A CPU may have it stuck at 1; the register then
    /// holds the same for every guest.
    IccSreClear(IccSre),
    /// `MPAM2_EL2` (FEAT_MPAM): traps where set.
    Mpam2(u64),
    /// `MPAM2_EL2` (FEAT_MPAM): traps where clear.
    Mpam2Clear(u64),
    /// `HFGRTR_EL2` and `HFGWTR_EL2` (FEAT_FGT): traps where clear.
    Hfg(u64),
    /// `HDFGRTR_EL2` and `HDFGWTR_EL2` (FEAT_FGT): traps where clear.
    Hdfg(u64),
    /// `HFGITR_EL2` (FEAT_FGT): traps where clear.
    Hfgi(u64),
    /// `HFGRTR2_EL2` and `HFGWTR2_EL2` (FEAT_FGT2): traps where clear.
    Hfg2(u64),
    /// `HDFGRTR2_EL2` and `HDFGWTR2_EL2` (FEAT_FGT2): traps where clear.
    Hdfg2(u64),
}

impl Trap {
    /// Returns whether a CPU with `features`, which has the register, has the control.
    pub const fn exists(self, features: Features) -> bool {
        match self {
            Self::HcrxClear(_) => features.hcx(),
            Self::IchHcr(_) | Self::IccSreClear(_) => features.gicv3(),
            Self::Mpam2(_) | Self::Mpam2Clear(_) => features.mpam(),
            Self::Hfg(_) | Self::Hdfg(_) | Self::Hfgi(_) => features.fgt(),
            Self::Hfg2(_) | Self::Hdfg2(_) => features.fgt2(),
            _ => true,
        }
    }

    /// Returns whether accesses trap by it under `controls`.
    pub const fn is_in_force(self, controls: &Controls) -> bool {
        let e2h = controls.hcr.contains(Hcr::E2H);
        match self {
            Self::Hcr(bits) => controls.hcr.intersects(bits),
            Self::HcrClear(bits) => !controls.hcr.intersects(bits),
            Self::HcrxClear(bits) => controls.hcrx & bits.bits() == 0,
            Self::Mdcr(bits) => controls.mdcr.intersects(bits),
            Self::MdcrClear(bits) => !controls.mdcr.intersects(bits),
            Self::Cptr(_, bits) if e2h => controls.cptr.bits() & bits.bits() != 0,
            Self::CptrEnable(_, bits) if e2h => controls.cptr.bits() & bits.bits() == 0,
            Self::Cptr(bits, _) | Self::CptrEnable(bits, _) => controls.cptr.intersects(bits),
            Self::CnthctlClear(bits) => {
                let shift = if e2h { Cnthctl::E2H_SHIFT } else { 0 };
                controls.cnthctl.bits() & bits.bits() << shift == 0
            }
            Self::IchHcr(bits) => controls.ich_hcr.intersects(bits),
            Self::IccSreClear(bits) => !controls.icc_sre.intersects(bits),
            Self::Mpam2(bits) => controls.mpam2 & bits != 0,
            Self::Mpam2Clear(bits) => controls.mpam2 & bits == 0,
            Self::Hfg(bits) => (controls.hfgrtr | controls.hfgwtr) & bits == 0,
            Self::Hdfg(bits) => (controls.hdfgrtr | controls.hdfgwtr) & bits == 0,
            Self::Hfgi(bits) => controls.hfgitr & bits == 0,
            Self::Hfg2(bits) => (controls.hfgrtr2 | controls.hfgwtr2) & bits == 0,
            Self::Hdfg2(bits) => (controls.hdfgrtr2 | controls.hdfgwtr2) & bits == 0,
        }
    }
}
