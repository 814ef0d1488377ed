//! The rows of registers: op0 = 2 and 3, in the order of their encodings.

use super::{
    Fate::{
        Emulated, Fp, Framed, Harmless, Interface, Switched, Trapped, Undefined, Unknown,
        Virtualised,
    },
    FateRow, Feature,
    Trap::{self, *},
    fate_rows,
};
use crate::{Cptr, CptrE2h, Hcr, Hcrx, IccSre, IchHcr, Mdcr, SwitchedReg};

const fn feature(name: &'static str, crm: u8, op2: u8, lo: u32, least: u8) -> Feature {
    Feature {
        name,
        id: (crm, op2),
        lo,
        least,
        implies_traps: false,
    }
}

/// Of Armv8.7 or later, or of Armv9: Arm ARM (DDI 0487), "Features added in earlier extensions".
const fn late(name: &'static str, crm: u8, op2: u8, lo: u32, least: u8) -> Feature {
    Feature {
        name,
        id: (crm, op2),
        lo,
        least,
        implies_traps: true,
    }
}

const GIC: Feature = feature("a system-register GIC interface", 4, 0, 24, 1);
const RAS: Feature = feature("FEAT_RAS", 4, 0, 28, 1);
const MPAM: Feature = feature("FEAT_MPAM", 4, 0, 40, 1);
const AMU: Feature = feature("FEAT_AMUv1", 4, 0, 44, 1);
const MTE: Feature = feature("FEAT_MTE2", 4, 1, 8, 2);
const SME: Feature = feature("FEAT_SME", 4, 1, 24, 1);
pub(super) const GCS: Feature = late("FEAT_GCS", 4, 1, 44, 1);
const THE: Feature = late("FEAT_THE", 4, 1, 48, 1);
const PFAR: Feature = late("FEAT_PFAR", 4, 1, 60, 1);
const FPMR: Feature = late("FEAT_FPMR", 4, 2, 32, 1);
const DEBUG_V8P9: Feature = late("FEAT_Debugv8p9", 5, 0, 0, 11);
const TRACE: Feature = feature("FEAT_ETMv4", 5, 0, 4, 1);
const PMU: Feature = feature("FEAT_PMUv3", 5, 0, 8, 1);
const SPE: Feature = feature("FEAT_SPE", 5, 0, 32, 1);
const TRF: Feature = feature("FEAT_TRF", 5, 0, 40, 1);
const TRBE: Feature = feature("FEAT_TRBE", 5, 0, 44, 1);
pub(super) const BRBE: Feature = late("FEAT_BRBE", 5, 0, 52, 1);
const SPMU: Feature = late("FEAT_SPMU", 5, 1, 32, 1);
const ITE: Feature = late("FEAT_ITE", 5, 1, 44, 1);
const STEP2: Feature = late("FEAT_STEP2", 5, 2, 0, 1);
const ACCDATA: Feature = late("FEAT_LS64_ACCDATA", 6, 1, 60, 3);
const LOR: Feature = feature("FEAT_LOR", 7, 1, 16, 1);
const SCTLR2: Feature = late("FEAT_SCTLR2", 7, 3, 4, 1);
const S2POE: Feature = late("FEAT_S2POE", 7, 3, 20, 1);
const AIE: Feature = late("FEAT_AIE", 7, 3, 24, 1);
const SRMASK: Feature = late("FEAT_SRMASK", 7, 4, 40, 1);

const TDA: &[Trap] = &[Mdcr(Mdcr::TDA)];
const TDOSA: &[Trap] = &[Mdcr(Mdcr::TDOSA)];
const TPM: &[Trap] = &[Mdcr(Mdcr::TPM)];
const TPMS: &[Trap] = &[Mdcr(Mdcr::TPMS)];
const SPE_BUFFER: &[Trap] = &[MdcrClear(Mdcr::E2PB)];
const TRBE_BUFFER: &[Trap] = &[MdcrClear(Mdcr::E2TB)];
const SYSTEM_PMU: &[Trap] = &[MdcrClear(Mdcr::EN_SPM)];
const TTA: &[Trap] = &[Cptr(Cptr::TTA, CptrE2h::TTA)];
const TAM: &[Trap] = &[Cptr(Cptr::TAM, CptrE2h::TAM)];
const TSM: &[Trap] = &[CptrEnable(Cptr::TSM, CptrE2h::SMEN)];
const TERR: &[Trap] = &[Hcr(Hcr::TERR)];
const TLOR: &[Trap] = &[Hcr(Hcr::TLOR)];
const TIDCP: &[Trap] = &[Hcr(Hcr::TIDCP)];
const TC: &[Trap] = &[IchHcr(IchHcr::TC)];
const TALL0: &[Trap] = &[IchHcr(IchHcr::TALL0)];
const TALL1: &[Trap] = &[IchHcr(IchHcr::TALL1)];
const SGI: &[Trap] = &[Hcr(Hcr::IMO.union(Hcr::FMO)), IchHcr(IchHcr::TC)];
const BRBDATA: &[Trap] = &[Hdfg(1 << 61)];
const BRBCTL: &[Trap] = &[Hdfg(1 << 60)];

const CONSTANT: &str = "a constant of the CPU";
const PMSA: &str = "of Armv8-R, whose CPUs do not run this code";
const IS_EL2: &str = "below EL2";
const S1POE2: &str = "FEAT_S1POE2";
const GICV5: &str = "FEAT_GCIE";
const MPAM_PE: &str = "FEAT_MPAM_PE_BW_CTRL";

#[rustfmt::skip]
pub(super) static ROWS: &[FateRow] = fate_rows! {
    "OSDTRRX_EL1" (2, 0, 0, 0, 2) => Emulated(TDA);
    "MDCCINT_EL1" (2, 0, 0, 2, 0) => Emulated(TDA);
    "OSDTRTX_EL1" (2, 0, 0, 3, 2) => Emulated(TDA);
    "MDSELR_EL1" (2, 0, 0, 4, 2) of DEBUG_V8P9 => Trapped(&[MdcrClear(Mdcr::EBWE), Hdfg2(1 << 5)]);
    "MDSTEPOP_EL1" (2, 0, 0, 5, 2) of STEP2 => Trapped(&[MdcrClear(Mdcr::EN_STEPOP), Hdfg2(1 << 23)]);
    "OSECCR_EL1" (2, 0, 0, 6, 2) => Emulated(TDA);
    "DBGBVR<n>_EL1, DBGBCR<n>_EL1, DBGWVR<n>_EL1, DBGWCR<n>_EL1" (2, 0, 0, 0..=15, 4..=7) => Emulated(TDA);
    "MDRAR_EL1" (2, 0, 1, 0, 0) => Emulated(&[Mdcr(Mdcr::TDRA)]);
    "OSLAR_EL1" (2, 0, 1, 0, 4) => Emulated(TDOSA);
    "OSLSR_EL1" (2, 0, 1, 1, 4) => Emulated(TDOSA);
    "OSDLR_EL1" (2, 0, 1, 3, 4) => Emulated(TDOSA);
    "DBGPRCR_EL1" (2, 0, 1, 4, 4) => Emulated(TDOSA);
    "DBGCLAIMSET_EL1" (2, 0, 7, 8, 6) => Emulated(TDA);
    "DBGCLAIMCLR_EL1" (2, 0, 7, 9, 6) => Emulated(TDA);
    "DBGAUTHSTATUS_EL1" (2, 0, 7, 14, 6) => Emulated(TDA);
    "CSR<..>_EL1" (2, 0, 8, 0, 0..=3) => Undefined("the call stack recorder never came to the architecture");
    "SPM<..>_EL1" (2, 0, 9, 13..=14, 0..=7) of SPMU => Trapped(SYSTEM_PMU);
    "PM<..>SVR<n>_EL1" (2, 0, 14, 8..=12, 0..=7) of PMU => Trapped(TPM);
    "TRC<..>" (2, 1, 0..=7, 0..=15, 0..=7) of TRACE => Trapped(TTA);
    "BRBINF<n>_EL1, BRBSRC<n>_EL1, BRBTGT<n>_EL1" (2, 1, 8, 0..=15, 0..=7) of BRBE => Trapped(BRBDATA);
    "BRBCR_EL1, BRBFCR_EL1, BRBTS_EL1" (2, 1, 9, 0, 0..=2) of BRBE => Trapped(BRBCTL);
    "BRB<..>INJ_EL1" (2, 1, 9, 1, 0..=2) of BRBE => Trapped(BRBDATA);
    "BRBIDR0_EL1" (2, 1, 9, 2, 0) of BRBE => Trapped(&[Hdfg(1 << 59)]);
    "TEE<..>32_EL1" (2, 2, 0..=1, 0, 0) => Undefined("of ThumbEE, which no AArch64 CPU has");
    "MDCCSR_EL0" (2, 3, 0, 1, 0) => Emulated(TDA);
    "DBGDTR_EL0" (2, 3, 0, 4, 0) => Emulated(TDA);
    "DBGDTRRX_EL0, DBGDTRTX_EL0" (2, 3, 0, 5, 0) => Emulated(TDA);
    "CSR<..>_EL0" (2, 3, 8, 0, 0..=3) => Undefined("the call stack recorder never came to the architecture");
    "SPM<..>_EL0" (2, 3, 9, 12..=14, 0..=7) of SPMU => Trapped(SYSTEM_PMU);
    "SPMEV<..><n>_EL0" (2, 3, 14, 0..=7, 0..=7) of SPMU => Trapped(SYSTEM_PMU);
    "of EL2 and EL3" (2, 4..=7, 0..=15, 0..=15, 0..=7) => Undefined(IS_EL2);

    "MIDR_EL1" (3, 0, 0, 0, 0) => Virtualised("VPIDR_EL2");
    "MPUIR_EL1" (3, 0, 0, 0, 4) => Undefined(PMSA);
    "MPIDR_EL1" (3, 0, 0, 0, 5) => Virtualised("VMPIDR_EL2");
    "REVIDR_EL1" (3, 0, 0, 0, 6) => Emulated(&[Hcr(Hcr::TID1)]);
    "ID_<..>_EL1, MVFR<n>_EL1" (3, 0, 0, 1..=7, 0..=7) => Emulated(&[Hcr(Hcr::TID3)]);
    "ACTLR_EL1" (3, 0, 1, 0, 1) => Emulated(&[Hcr(Hcr::TACR)]);
    "SCTLR2_EL1" (3, 0, 1, 0, 3) of SCTLR2 => Trapped(&[HcrxClear(Hcrx::SCTLR2_EN)]);
    "TRFCR_EL1" (3, 0, 1, 2, 1) of TRF => Trapped(&[Mdcr(Mdcr::TTRF)]);
    "TRCITECR_EL1" (3, 0, 1, 2, 3) of ITE => Trapped(&[Hdfg2(1 << 20)]);
    "SMCR_EL1" (3, 0, 1, 2, 6) of SME => Trapped(TSM);
    "SCTLRMASK_EL1, .., SCTLR2ALIAS_EL1" (3, 0, 1, 4, 0..=7) of SRMASK => Trapped(&[Hfg2(0b110_0111_0011_1000)]);
    "IRTBR<..>_EL1, DPOTBR<n>_EL1" (3, 0, 2, 0, 4..=7) => Unknown(S1POE2);
    "LDSTT_EL1" (3, 0, 2, 1, 7) => Unknown(S1POE2);
    "TPMIN<n>_EL1, TPMAX<n>_EL1" (3, 0, 2, 2, 4..=7) => Unknown(S1POE2);
    "GCS<..>_EL1" (3, 0, 2, 5, 0..=2) of GCS => Trapped(&[Hfg(1 << 53 | 1 << 52)]);
    "TCR<..>MASK_EL1" (3, 0, 2, 7, 2..=3) of SRMASK => Trapped(&[Hfg2(1 << 7 | 1 << 6)]);
    "TCR<..>ALIAS_EL1" (3, 0, 2, 7, 6..=7) of SRMASK => Trapped(&[Hfg2(1 << 12 | 1 << 11)]);
    "<A>FGDT<..><n>_EL1" (3, 0, 3, 2..=9, 0..=7) => Unknown(S1POE2);
    "STINDEX_EL1, TINDEX_EL1" (3, 0, 4, 0, 2..=3) => Unknown(S1POE2);
    "SP_EL0" (3, 0, 4, 1, 0) => Framed;
    "SPSel" (3, 0, 4, 2, 0) => Framed;
    "CurrentEL" (3, 0, 4, 2, 2) => Framed;
    "PAN" (3, 0, 4, 2, 3) => Framed;
    "UAO" (3, 0, 4, 2, 4) => Framed;
    "ALLINT" (3, 0, 4, 3, 0) => Framed;
    "ICC_PMR_EL1" (3, 0, 4, 6, 0) of GIC => Interface(TC);
    "ERRIDR_EL1" (3, 0, 5, 3, 0) of RAS => Emulated(TERR);
    "ERRSELR_EL1" (3, 0, 5, 3, 1) of RAS => Trapped(TERR);
    "ERXGSR_EL1" (3, 0, 5, 3, 2) of RAS => Trapped(TERR);
    "ERX<..>_EL1" (3, 0, 5, 4..=5, 0..=7) of RAS => Trapped(TERR);
    "PFAR_EL1" (3, 0, 6, 0, 5) of PFAR => Trapped(&[Hfg2(1 << 0)]);
    "PR<..>_EL1" (3, 0, 6, 1..=15, 0..=7) => Undefined(PMSA);
    "PMS<..>_EL1" (3, 0, 9, 9, 0..=7) of SPE => Trapped(TPMS);
    "PMBLIMITR_EL1, PMBPTR_EL1" (3, 0, 9, 10, 0..=1) of SPE => Trapped(SPE_BUFFER);
    "PMBSR_EL1" (3, 0, 9, 10, 3) of SPE => Trapped(SPE_BUFFER);
    "PMSDSFR_EL1" (3, 0, 9, 10, 4) of SPE => Trapped(TPMS);
    "PMBMAR_EL1" (3, 0, 9, 10, 5) of SPE => Trapped(SPE_BUFFER);
    "PMBIDR_EL1" (3, 0, 9, 10, 7) of SPE => Harmless(CONSTANT);
    "TRB<..>_EL1" (3, 0, 9, 11, 0..=6) of TRBE => Trapped(TRBE_BUFFER);
    "TRBIDR_EL1" (3, 0, 9, 11, 7) of TRBE => Harmless(CONSTANT);
    "PMSSCR_EL1" (3, 0, 9, 13, 3) of PMU => Trapped(TPM);
    "PM<..>_EL1" (3, 0, 9, 14, 1..=7) of PMU => Trapped(TPM);
    "MAIR2_EL1" (3, 0, 10, 2, 1) of AIE => Trapped(&[Hfg(1 << 62)]);
    "S2POR_EL1" (3, 0, 10, 2, 5) of S2POE => Trapped(&[Hfg(1 << 61)]);
    "TTTBR<..>_EL1" (3, 0, 10, 2, 6..=7) => Unknown(S1POE2);
    "AMAIR2_EL1" (3, 0, 10, 3, 1) of AIE => Trapped(&[Hfg(1 << 63)]);
    "LORSA_EL1, LOREA_EL1, LORN_EL1, LORC_EL1" (3, 0, 10, 4, 0..=3) of LOR => Trapped(TLOR);
    "MPAMIDR_EL1" (3, 0, 10, 4, 4) of MPAM => Harmless(CONSTANT);
    "MPAMBWIDR_EL1" (3, 0, 10, 4, 5) => Unknown(MPAM_PE);
    "TLBIDIDR_EL1" (3, 0, 10, 4, 6) => Unknown("FEAT_TLBID");
    "LORID_EL1" (3, 0, 10, 4, 7) of LOR => Trapped(TLOR);
    "MPAM1_EL1" (3, 0, 10, 5, 0) of MPAM => Trapped(&[Mpam2(1 << 48)]);
    "MPAM0_EL1" (3, 0, 10, 5, 1) of MPAM => Trapped(&[Mpam2(1 << 49)]);
    "MPAMCTL_EL1" (3, 0, 10, 5, 2) => Unknown("FEAT_MPAMv2");
    "MPAMSM_EL1" (3, 0, 10, 5, 3) of MPAM => Trapped(&[Mpam2Clear(1 << 50)]);
    "MPAMBW<..>_EL1" (3, 0, 10, 5, 4..=7) => Unknown(MPAM_PE);
    "RVBAR_EL1, RMR_EL1" (3, 0, 12, 0, 1..=2) => Undefined("of the highest exception level, which EL1 is not");
    "ISR_EL1" (3, 0, 12, 1, 0) => Virtualised("HCR_EL2.{VI,VF,VSE}");
    "DISR_EL1" (3, 0, 12, 1, 1) of RAS => Virtualised("VDISR_EL2");
    "ICC_<..>0_EL1, ICC_AP0R<n>_EL1" (3, 0, 12, 8, 0..=7) of GIC => Interface(TALL0);
    "ICC_AP1R<n>_EL1" (3, 0, 12, 9, 0..=3) of GIC => Interface(TALL1);
    "ICC_NMIAR1_EL1" (3, 0, 12, 9, 5) of GIC => Interface(TALL1);
    "ICC_PPI_HMR<n>_EL1, .." (3, 0, 12, 10, 0..=7) => Unknown(GICV5);
    "ICC_DIR_EL1" (3, 0, 12, 11, 1) of GIC => Interface(&[IchHcr(IchHcr::TDIR), IchHcr(IchHcr::TC)]);
    "ICC_RPR_EL1" (3, 0, 12, 11, 3) of GIC => Interface(TC);
    "ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1" (3, 0, 12, 11, 5..=7) of GIC => Interface(SGI);
    "ICC_<..>1_EL1" (3, 0, 12, 12, 0..=3) of GIC => Interface(TALL1);
    "ICC_CTLR_EL1" (3, 0, 12, 12, 4) of GIC => Interface(TC);
    "ICC_SRE_EL1" (3, 0, 12, 12, 5) of GIC => Interface(&[IccSreClear(IccSre::ENABLE)]);
    "ICC_IGRPEN0_EL1" (3, 0, 12, 12, 6) of GIC => Interface(TALL0);
    "ICC_IGRPEN1_EL1" (3, 0, 12, 12, 7) of GIC => Interface(TALL1);
    "ICC_PPI_<..>_EL1" (3, 0, 12, 13..=15, 0..=7) => Unknown(GICV5);
    "TPIDR3_EL1" (3, 0, 13, 0, 0) => Unknown(S1POE2);
    "RCWSMASK_EL1" (3, 0, 13, 0, 3) of THE => Trapped(&[Hfg2(1 << 2)]);
    "TPIDR_EL1" (3, 0, 13, 0, 4) => Framed;
    "ACCDATA_EL1" (3, 0, 13, 0, 5) of ACCDATA => Trapped(&[Hfg(1 << 50)]);
    "RCWMASK_EL1" (3, 0, 13, 0, 6) of THE => Trapped(&[Hfg(1 << 56)]);
    "CCSIDR_EL1, CLIDR_EL1, CCSIDR2_EL1" (3, 1, 0, 0, 0..=2) => Harmless(CONSTANT);
    "GMID_EL1" (3, 1, 0, 0, 4) of MTE => Trapped(&[Hcr(Hcr::TID5)]);
    "SMIDR_EL1" (3, 1, 0, 0, 6) of SME => Trapped(&[Hcr(Hcr::TID1)]);
    "AIDR_EL1" (3, 1, 0, 0, 7) => Emulated(&[Hcr(Hcr::TID1)]);
    "ICC_APR_EL1, .., ICC_HAPR_EL1" (3, 1, 12, 0, 0..=3) => Unknown(GICV5);
    "CTR_EL0" (3, 3, 0, 0, 1) => Harmless(CONSTANT);
    "DCZID_EL0" (3, 3, 0, 0, 7) => Harmless(CONSTANT);
    "TPMIN<n>_EL0, TPMAX<n>_EL0" (3, 3, 2, 2, 4..=7) => Unknown(S1POE2);
    "RNDR, RNDRRS" (3, 3, 2, 4, 0..=1) => Harmless("never twice the same");
    "GCSPR_EL0" (3, 3, 2, 5, 1) of GCS => Trapped(&[Hfg(1 << 52)]);
    "TINDEX_EL0" (3, 3, 4, 0, 3) => Unknown(S1POE2);
    "NZCV, DAIF" (3, 3, 4, 2, 0..=1) => Framed;
    "SVCR" (3, 3, 4, 2, 2) of SME => Trapped(TSM);
    "DIT, SSBS, TCO" (3, 3, 4, 2, 5..=7) => Framed;
    "FPCR, FPSR" (3, 3, 4, 4, 0..=1) => Fp;
    "FPMR" (3, 3, 4, 4, 2) of FPMR => Trapped(&[HcrxClear(Hcrx::EN_FPM)]);
    "DSPSR_EL0, DLR_EL0" (3, 3, 4, 5, 0..=1) => Undefined("outside Debug state");
    "DPOCR_EL0" (3, 3, 4, 5, 2) => Unknown(S1POE2);
    "PMICNTR_EL0" (3, 3, 9, 4, 0) of PMU => Trapped(TPM);
    "PMICFILTR_EL0" (3, 3, 9, 6, 0) of PMU => Trapped(TPM);
    "PMCR_EL0" (3, 3, 9, 12, 0) of PMU => Trapped(&[Mdcr(Mdcr::TPMCR), Mdcr(Mdcr::TPM)]);
    "PM<..>_EL0" (3, 3, 9, 12, 1..=7) of PMU => Trapped(TPM);
    "PM<..>_EL0" (3, 3, 9, 13..=14, 0..=7) of PMU => Trapped(TPM);
    "TPIDR3_EL0" (3, 3, 13, 0, 0) => Unknown(S1POE2);
    "TPIDR_EL0" (3, 3, 13, 0, 2) => Framed;
    "AM<..>_EL0" (3, 3, 13, 2..=15, 0..=7) of AMU => Trapped(TAM);
    "CNTFRQ_EL0" (3, 3, 14, 0, 0) => Harmless(CONSTANT);
    "CNTPCT_EL0" (3, 3, 14, 0, 1) => Harmless("time, which every guest may know");
    "CNTVCT_EL0" (3, 3, 14, 0, 2) => Virtualised("CNTVOFF_EL2");
    "CNTPCTSS_EL0" (3, 3, 14, 0, 5) => Harmless("time, which every guest may know");
    "CNTVCTSS_EL0" (3, 3, 14, 0, 6) => Virtualised("CNTVOFF_EL2");
    "CNTP_TVAL_EL0" (3, 3, 14, 2, 0) => Switched(SwitchedReg::CNTP_CVAL_EL0);
    "CNTV_TVAL_EL0" (3, 3, 14, 3, 0) => Switched(SwitchedReg::CNTV_CVAL_EL0);
    "PMEV<..><n>_EL0, PMCCFILTR_EL0" (3, 3, 14, 8..=15, 0..=7) of PMU => Trapped(TPM);
    "implementation defined" (3, 0..=3, 11, 0..=15, 0..=7) => Trapped(TIDCP);
    "implementation defined" (3, 0..=3, 15, 0..=15, 0..=7) => Trapped(TIDCP);
    "of EL2 and EL3, or of Secure EL1" (3, 4..=7, 0..=15, 0..=15, 0..=7) => Undefined(IS_EL2);
};
