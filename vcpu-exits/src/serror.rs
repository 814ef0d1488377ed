//! SError, and the floating-point and granule-protection classes.

use vcpu_regs::Esr;
use vcpu_regs::iss::{FpExceptionIss, GpcIss, SErrorImpdefIss, SErrorIss};

use crate::FaultStatus;

/// EC 0x2F: an SError. Asynchronous: the instruction at ELR is not to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SError {
    /// IDS is set: 24 bits whose meaning is the implementation's.
    Implementation(u32),
    /// IDS is clear: Arm's layout.
    Architected(SErrorReport),
}

/// An [`SError`] in Arm's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SErrorReport {
    /// 0x11: the other fields mean something; 0: uncategorised (DFSC).
    pub code: u8,
    /// How bad (AET).
    pub severity: SErrorSeverity,
    /// IMPLEMENTATION DEFINED class (EA).
    pub external_class: bool,
    /// Taken at an implicit error synchronization (IESB).
    pub at_implicit_sync: bool,
    /// A write, where known (WnR, WnRV).
    pub is_write: Option<bool>,
    /// FAR holds an address (VFV).
    pub far_valid: bool,
    /// PFAR holds the physical address (PFV).
    pub pfar_valid: bool,
    /// 2 a store that left memory as it was, 3 one that changed it (WU).
    pub write_update: u8,
}

/// How much an SError destroyed (AET). Arm ARM (DDI 0487), `ESR_EL2`; FEAT_RAS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SErrorSeverity {
    /// UC: may have spread anywhere.
    Uncontainable,
    /// UEU: contained, but this software cannot go on.
    Unrecoverable,
    /// UEO: nothing was lost; go on.
    Restartable,
    /// UER: go on once what is damaged has been repaired.
    Recoverable,
    /// CE: corrected.
    Corrected,
    /// A reserved value, kept.
    Reserved(u8),
}

impl SErrorSeverity {
    /// Returns the meaning of three AET bits.
    pub const fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Uncontainable,
            1 => Self::Unrecoverable,
            2 => Self::Restartable,
            3 => Self::Recoverable,
            6 => Self::Corrected,
            other => Self::Reserved(other),
        }
    }

    /// Returns the AET bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Uncontainable => 0,
            Self::Unrecoverable => 1,
            Self::Restartable => 2,
            Self::Recoverable => 3,
            Self::Corrected => 6,
            Self::Reserved(bits) => bits & 7,
        }
    }
}

impl SError {
    /// Reads `esr` as an SError.
    pub const fn decode(esr: Esr) -> Self {
        let iss = SErrorIss::new(esr);
        if iss.ids() {
            return Self::Implementation(SErrorImpdefIss::new(esr).impdef());
        }
        Self::Architected(SErrorReport {
            code: iss.dfsc(),
            severity: SErrorSeverity::from_bits(iss.aet()),
            external_class: iss.ea(),
            at_implicit_sync: iss.iesb(),
            is_write: if iss.wnrv() { Some(iss.wnr()) } else { None },
            far_valid: iss.vfv(),
            pfar_valid: iss.pfv(),
            write_update: iss.wu(),
        })
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let bits = match self {
            Self::Implementation(bits) => SErrorImpdefIss::new(Esr(0))
                .with_ids(true)
                .with_impdef(bits)
                .bits(),
            Self::Architected(report) => {
                let iss = SErrorIss::new(Esr(0))
                    .with_dfsc(report.code)
                    .with_aet(report.severity.bits())
                    .with_ea(report.external_class)
                    .with_iesb(report.at_implicit_sync)
                    .with_vfv(report.far_valid)
                    .with_pfv(report.pfar_valid)
                    .with_wu(report.write_update);
                match report.is_write {
                    Some(write) => iss.with_wnrv(true).with_wnr(write).bits(),
                    None => iss.bits(),
                }
            }
        };
        Esr(Esr::of_class(0x2f).0 | bits)
    }
}

/// EC 0x28 and 0x2C: a trapped IEEE floating-point exception. ELR is on the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FpException {
    /// The flags below say which exceptions occurred (TFV).
    pub flags_valid: bool,
    /// IOF, DZF, OFF, UFF and IXF in bits 4:0, IDF in bit 7: as in FPSR.
    pub flags: u8,
    /// Vector iteration of AArch32; 7 from AArch64 (VECITR).
    pub vector_iteration: u8,
    /// From AArch32 (EC 0x28).
    pub is_aarch32: bool,
}

impl FpException {
    const FLAGS: u64 = 0x9f;

    /// Reads `esr` as a floating-point exception.
    pub const fn decode(esr: Esr) -> Self {
        let iss = FpExceptionIss::new(esr);
        Self {
            flags_valid: iss.tfv(),
            flags: (iss.bits() & Self::FLAGS) as u8,
            vector_iteration: iss.vecitr(),
            is_aarch32: esr.class() == 0x28,
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = FpExceptionIss::new(Esr(self.flags as u64 & Self::FLAGS))
            .with_tfv(self.flags_valid)
            .with_vecitr(self.vector_iteration);
        let class = if self.is_aarch32 { 0x28 } else { 0x2c };
        Esr(Esr::of_class(class).0 | iss.bits())
    }
}

/// EC 0x1E: granule protection refused an access (FEAT_RME). Only EL3 sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GranuleProtection {
    /// What the access would have reported (xFSC).
    pub status: FaultStatus,
    /// Why granule protection refused (GPCSC).
    pub check: u8,
    /// A write.
    pub is_write: bool,
    /// On a stage-1 table walk.
    pub on_s1_walk: bool,
    /// On a stage-2 table walk.
    pub on_s2_walk: bool,
    /// Cache maintenance.
    pub is_cache_maintenance: bool,
    /// Through VNCR_EL2.
    pub is_vncr: bool,
    /// An instruction fetch.
    pub is_fetch: bool,
}

impl GranuleProtection {
    /// Reads `esr` as a Granule Protection Check exception.
    pub const fn decode(esr: Esr) -> Self {
        let iss = GpcIss::new(esr);
        Self {
            status: FaultStatus::from_bits(iss.xfsc()),
            check: iss.gpcsc(),
            is_write: iss.wnr(),
            on_s1_walk: iss.s1ptw(),
            on_s2_walk: iss.s2ptw(),
            is_cache_maintenance: iss.cm(),
            is_vncr: iss.vncr(),
            is_fetch: iss.ind(),
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = GpcIss::new(Esr(0))
            .with_xfsc(self.status.bits())
            .with_gpcsc(self.check)
            .with_wnr(self.is_write)
            .with_s1ptw(self.on_s1_walk)
            .with_s2ptw(self.on_s2_walk)
            .with_cm(self.is_cache_maintenance)
            .with_vncr(self.is_vncr)
            .with_ind(self.is_fetch);
        Esr(Esr::of_class(0x1e).0 | iss.bits())
    }
}
