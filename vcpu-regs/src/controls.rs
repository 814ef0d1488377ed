//! The EL2 registers that decide what a guest may do.

use bitflags::bitflags;

use crate::{IccSre, IchHcr};

bitflags! {
    /// `HCR_EL2`. Arm ARM (DDI 0487), `HCR_EL2`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Hcr: u64 {
        /// Stage 2 on.
        const VM = 1 << 0;
        /// Set/way invalidation also cleans.
        const SWIO = 1 << 1;
        /// A stage-1 walk of device memory faults.
        const PTW = 1 << 2;
        /// Physical FIQs come to EL2.
        const FMO = 1 << 3;
        /// Physical IRQs come to EL2.
        const IMO = 1 << 4;
        /// Physical SErrors come to EL2.
        const AMO = 1 << 5;
        /// A virtual FIQ is pending.
        const VF = 1 << 6;
        /// A virtual IRQ is pending.
        const VI = 1 << 7;
        /// A virtual SError is pending.
        const VSE = 1 << 8;
        /// TLB and cache maintenance reaches at least the inner-shareable domain.
        const FB = 1 << 9;
        /// Barriers reach at least the inner-shareable domain (BSU = 0b01).
        const BSU_INNER = 1 << 10;
        /// The guest's `WFI` comes to EL2.
        const TWI = 1 << 13;
        /// The guest's `WFE` comes to EL2.
        const TWE = 1 << 14;
        /// Reads of ID group 1 trap (`REVIDR_EL1`, `AIDR_EL1`, `SMIDR_EL1`).
        const TID1 = 1 << 16;
        /// Accesses to ID group 2 trap (`CTR_EL0`, `CCSIDR_EL1`, `CSSELR_EL1`, ...).
        const TID2 = 1 << 17;
        /// Reads of ID group 3 trap (`ID_*`).
        const TID3 = 1 << 18;
        /// `SMC` comes to EL2.
        const TSC = 1 << 19;
        /// Implementation-defined registers trap.
        const TIDCP = 1 << 20;
        /// `ACTLR_EL1` traps.
        const TACR = 1 << 21;
        /// Cache maintenance by set and way traps.
        const TSW = 1 << 22;
        /// EL2 is the EL0 above which the host runs.
        const TGE = 1 << 27;
        /// EL1 is AArch64.
        const RW = 1 << 31;
        /// EL2 hosts an operating system (FEAT_VHE).
        const E2H = 1 << 34;
        /// Limited-ordering-region registers trap (FEAT_LOR).
        const TLOR = 1 << 35;
        /// Error-record registers trap (FEAT_RAS).
        const TERR = 1 << 36;
        /// Synchronous external aborts come to EL2 (FEAT_RAS).
        const TEA = 1 << 37;
        /// The pointer-authentication keys do not trap (FEAT_PAuth).
        const APK = 1 << 40;
        /// Pointer-authentication instructions do not trap (FEAT_PAuth).
        const API = 1 << 41;
        /// Stage 2 decides cacheability alone (FEAT_S2FWB).
        const FWB = 1 << 46;
        /// `SCXTNUM_EL0` and `SCXTNUM_EL1` do not trap (FEAT_CSV2_2).
        const EN_SCXT = 1 << 53;
        /// The guest may use allocation tags (FEAT_MTE2).
        const ATA = 1 << 56;
        /// `GMID_EL1` traps (FEAT_MTE2).
        const TID5 = 1 << 58;
        const _ = !0; // bits we do not name survive a round trip
    }
}

impl Hcr {
    /// What the host itself sees at EL2: where physical interrupts go.
    pub const ROUTING: Self = Self::TGE.union(Self::FMO).union(Self::IMO).union(Self::AMO);
}

bitflags! {
    /// `HCRX_EL2`. Arm ARM (DDI 0487), `HCRX_EL2`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Hcrx: u64 {
        /// `TCR2_EL1` does not trap (FEAT_TCR2).
        const TCR2_EN = 1 << 14;
        /// `SCTLR2_EL1` does not trap (FEAT_SCTLR2).
        const SCTLR2_EN = 1 << 15;
        /// `FPMR` does not trap (FEAT_FPMR).
        const EN_FPM = 1 << 23;
        const _ = !0;
    }
}

bitflags! {
    /// `CPTR_EL2` in its layout for `HCR_EL2.E2H` = 1. Arm ARM (DDI 0487), `CPTR_EL2`.
    ///
    /// SVE and SME trap unless their two-bit fields (ZEN, SMEN) say otherwise.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CptrE2h: u64 {
        /// FP and SIMD do not trap (FPEN).
        const FPEN = 3 << 20;
        /// SVE does not trap (ZEN).
        const ZEN = 3 << 16;
        /// SME does not trap (SMEN).
        const SMEN = 3 << 24;
        /// Trace registers trap.
        const TTA = 1 << 28;
        /// Activity-monitor registers trap (FEAT_AMUv1).
        const TAM = 1 << 30;
        const _ = !0;
    }
}

bitflags! {
    /// `CPTR_EL2` in its layout for `HCR_EL2.E2H` = 0. Arm ARM (DDI 0487), `CPTR_EL2`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Cptr: u64 {
        /// Bits that are one whatever is implemented.
        const RES1 = 0x22ff;
        /// SVE traps; RES1 without SVE.
        const TZ = 1 << 8;
        /// FP and SIMD trap.
        const TFP = 1 << 10;
        /// SME traps; RES1 without SME.
        const TSM = 1 << 12;
        /// Trace registers trap.
        const TTA = 1 << 20;
        /// Activity-monitor registers trap (FEAT_AMUv1).
        const TAM = 1 << 30;
        /// `CPACR_EL1` traps.
        const TCPAC = 1 << 31;
        const _ = !0;
    }
}

bitflags! {
    /// `MDCR_EL2`. Arm ARM (DDI 0487), `MDCR_EL2`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Mdcr: u64 {
        /// How many event counters belong to EL1 and EL0.
        const HPMN = 0x1f;
        /// `PMCR_EL0` traps.
        const TPMCR = 1 << 5;
        /// Performance-monitor registers trap.
        const TPM = 1 << 6;
        /// Debug exceptions come to EL2.
        const TDE = 1 << 8;
        /// Debug registers trap.
        const TDA = 1 << 9;
        /// OS-lock and power-down registers trap.
        const TDOSA = 1 << 10;
        /// The debug ROM address traps.
        const TDRA = 1 << 11;
        /// Whose the profiling buffer is, 0 being EL2's (FEAT_SPE).
        const E2PB = 3 << 12;
        /// Statistical-profiling registers trap (FEAT_SPE).
        const TPMS = 1 << 14;
        /// System-PMU registers do not trap (FEAT_SPMU).
        const EN_SPM = 1 << 15;
        /// Trace-filter registers trap (FEAT_TRF).
        const TTRF = 1 << 19;
        /// Whose the trace buffer is, 0 being EL2's (FEAT_TRBE).
        const E2TB = 3 << 24;
        /// `MDSELR_EL1` does not trap (FEAT_Debugv8p9).
        const EBWE = 1 << 43;
        /// `MDSTEPOP_EL1` does not trap (FEAT_STEP2).
        const EN_STEPOP = 1 << 50;
        const _ = !0;
    }
}

bitflags! {
    /// `CNTHCTL_EL2` in its layout for `HCR_EL2.E2H` = 0. Arm ARM (DDI 0487), `CNTHCTL_EL2`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Cnthctl: u64 {
        /// The guest may read the physical counter.
        const EL1PCTEN = 1 << 0;
        /// The guest may use the physical timer.
        const EL1PCEN = 1 << 1;
        const _ = !0;
    }
}

impl Cnthctl {
    /// The layout's shift for `HCR_EL2.E2H` = 1: EL1PCTEN and EL1PCEN (called EL1PTEN there) are
    /// bits 10 and 11.
    pub const E2H_SHIFT: u32 = 10;
}

impl Cptr {
    /// Returns the value, in the layout that `e2h` says, under which FP and SIMD trap or not.
    pub const fn with_fp_trap(self, traps: bool, e2h: bool) -> Self {
        let (bits, set) = if e2h {
            (CptrE2h::FPEN.bits(), !traps)
        } else {
            (Self::TFP.bits(), traps)
        };
        let rest = self.bits() & !bits;
        Self::from_bits_retain(if set { rest | bits } else { rest })
    }

    /// Returns the value, in the layout that `e2h` says, under which SVE traps or not. It traps too
    /// where FP and SIMD do.
    pub const fn with_sve_trap(self, traps: bool, e2h: bool) -> Self {
        let (bits, set) = if e2h {
            (CptrE2h::ZEN.bits(), !traps)
        } else {
            (Self::TZ.bits(), traps)
        };
        let rest = self.bits() & !bits;
        Self::from_bits_retain(if set { rest | bits } else { rest })
    }

    /// Returns the register's value in the other layout.
    pub const fn from_e2h(value: CptrE2h) -> Self {
        Self::from_bits_retain(value.bits())
    }
}

macro_rules! format_bits {
    ($($name:ident)*) => {$(
        #[cfg(feature = "defmt")]
        impl defmt::Format for $name {
            fn format(&self, f: defmt::Formatter<'_>) {
                defmt::write!(f, "{=str}({=u64:#x})", stringify!($name), self.bits());
            }
        }
    )*};
}
pub(crate) use format_bits;

format_bits!(Hcr Hcrx Cptr CptrE2h Mdcr Cnthctl);

/// The EL2 words that hold while a guest is loaded; a host's own come back on `put`.
///
/// A word whose feature is missing is neither read nor written: see [`Features`](crate::Features).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Controls {
    /// `HCR_EL2`.
    pub hcr: Hcr,
    /// `CPTR_EL2`.
    pub cptr: Cptr,
    /// `MDCR_EL2`.
    pub mdcr: Mdcr,
    /// `CNTHCTL_EL2`.
    pub cnthctl: Cnthctl,
    /// `HSTR_EL2`: AArch32 system-register traps.
    pub hstr: u64,
    /// `CNTVOFF_EL2`: what the guest's virtual counter lags behind the physical one.
    pub cntvoff: u64,
    /// `VPIDR_EL2`: what the guest reads from `MIDR_EL1`.
    pub vpidr: u64,
    /// `VMPIDR_EL2`: what the guest reads from `MPIDR_EL1`.
    pub vmpidr: u64,
    /// `VTCR_EL2`.
    pub vtcr: u64,
    /// `VTTBR_EL2`.
    pub vttbr: u64,
    /// `HCRX_EL2`, with FEAT_HCX.
    pub hcrx: u64,
    /// `HFGRTR_EL2`, with FEAT_FGT.
    pub hfgrtr: u64,
    /// `HFGWTR_EL2`, with FEAT_FGT.
    pub hfgwtr: u64,
    /// `HFGITR_EL2`, with FEAT_FGT.
    pub hfgitr: u64,
    /// `HDFGRTR_EL2`, with FEAT_FGT.
    pub hdfgrtr: u64,
    /// `HDFGWTR_EL2`, with FEAT_FGT.
    pub hdfgwtr: u64,
    /// `HAFGRTR_EL2`, with FEAT_FGT and FEAT_AMUv1.
    pub hafgrtr: u64,
    /// `HFGRTR2_EL2`, with FEAT_FGT2.
    pub hfgrtr2: u64,
    /// `HFGWTR2_EL2`, with FEAT_FGT2.
    pub hfgwtr2: u64,
    /// `HDFGRTR2_EL2`, with FEAT_FGT2.
    pub hdfgrtr2: u64,
    /// `HDFGWTR2_EL2`, with FEAT_FGT2.
    pub hdfgwtr2: u64,
    /// `MPAM2_EL2`, with FEAT_MPAM.
    pub mpam2: u64,
    /// `ICC_SRE_EL2`, with a GICv3 interface.
    pub icc_sre: IccSre,
    /// `ICH_HCR_EL2`, with a GICv3 interface.
    pub ich_hcr: IchHcr,
}

impl Controls {
    /// Returns the words that guests under one policy share: all but `HCR_EL2`, `VTCR_EL2`,
    /// `VTTBR_EL2`, `CNTVOFF_EL2`, `VPIDR_EL2` and `VMPIDR_EL2`, which are 0.
    pub fn shared(self) -> Self {
        Self {
            hcr: Hcr::empty(),
            cntvoff: 0,
            vpidr: 0,
            vmpidr: 0,
            vtcr: 0,
            vttbr: 0,
            ..self
        }
    }
}
