//! The rows of `SYS` operations: op0 = 1.

use super::{
    Fate::{Harmless, Trapped, Undefined, Unknown},
    FateRow, Trap, fate_rows,
    rows::{BRBE, GCS},
};
use crate::Hcr;

const CACHES: &str =
    "caches hold memory, and stage 2 says whose; by set and way it also cleans (HCR_EL2.SWIO)";
const TLBS: &str = "acts on the guest's VMID, on all CPUs of its domain (HCR_EL2.FB)";
const RESULT: &str = "its result is PAR_EL1, which is switched";

#[rustfmt::skip]
pub(super) static ROWS: &[FateRow] = fate_rows! {
    "IC IALLUIS" (1, 0, 7, 1, 0) => Harmless(CACHES);
    "IC IALLU" (1, 0, 7, 5, 0) => Harmless(CACHES);
    "IC IVAU" (1, 3, 7, 5, 1) => Harmless(CACHES);
    "DC I<..>" (1, 0, 7, 6, 1..=6) => Harmless(CACHES);
    "DC C<..>SW" (1, 0, 7, 10, 2..=6) => Harmless(CACHES);
    "DC CI<..>SW" (1, 0, 7, 14, 2..=6) => Harmless(CACHES);
    "DC CI<..>VAPS" (1, 0, 7, 15, 1..=5) => Harmless(CACHES);
    "DC ZVA, DC GVA, .." (1, 3, 7, 4, 1..=7) => Harmless("writes memory, which is stage 2's to give");
    "DC C<..>" (1, 3, 7, 10..=13, 0..=7) => Harmless(CACHES);
    "DC CI<..>" (1, 3, 7, 14..=15, 0..=7) => Harmless(CACHES);
    "AT S1E1<..>, AT S1E0<..>" (1, 0, 7, 8..=9, 0..=3) => Harmless(RESULT);
    "TLBI <..>" (1, 0, 8..=9, 0..=15, 0..=7) => Harmless(TLBS);
    "<..> RCTX" (1, 3, 7, 3, 4..=7) => Harmless("predictions are made fewer, and EL1 cannot name another VMID");
    "TRCIT" (1, 3, 7, 2, 7) => Harmless("goes into a trace that is prohibited at EL1 and EL0");
    "BRB IALL" (1, 1, 7, 2, 4) of BRBE => Trapped(&[Trap::Hfgi(1 << 56)]);
    "BRB INJ" (1, 1, 7, 2, 5) of BRBE => Trapped(&[Trap::Hfgi(1 << 55)]);
    "GCSPUSHX, GCSPOPCX, GCSPOPX" (1, 0, 7, 7, 4..=6) of GCS => Trapped(&[Trap::Hfgi(1 << 59)]);
    "GCSPUSHM" (1, 3, 7, 7, 0) of GCS => Undefined("while HCRX_EL2.GCSEn is clear");
    "GCSPOPM" (1, 3, 7, 7, 1) of GCS => Undefined("while HCRX_EL2.GCSEn is clear");
    "GCSSS1, GCSSS2" (1, 3, 7, 7, 2..=3) of GCS => Undefined("while HCRX_EL2.GCSEn is clear");
    "PLBI <..>" (1, 0, 10, 0..=15, 0..=7) => Unknown("FEAT_S1POE2");
    "GIC <..>, GICR <..>" (1, 0, 12, 1..=3, 0..=7) => Unknown("FEAT_GCIE");
    "implementation defined" (1, 0..=3, 11, 0..=15, 0..=7) => Trapped(&[Trap::Hcr(Hcr::TIDCP)]);
    "implementation defined" (1, 0..=3, 15, 0..=15, 0..=7) => Trapped(&[Trap::Hcr(Hcr::TIDCP)]);
    "of EL2 and EL3" (1, 4..=7, 0..=15, 0..=15, 0..=7) => Undefined("below EL2");
};
