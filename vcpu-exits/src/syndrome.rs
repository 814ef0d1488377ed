//! The sum of all classes: one `match` from a word to what happened, and one back.

use vcpu_regs::Esr;
use vcpu_regs::iss::{BtiIss, FpAccessIss, OtherInstructionIss, ProfilingIss, SmeIss, TstartIss};

use crate::{
    Breakpoint, Brk, Condition, CpAccess, CpMemoryAccess, CpPairAccess, DataAbort, Eret,
    FpException, Gcs, GranuleProtection, Hvc, InstructionAbort, LeavesPc, Mops, Pc,
    PointerAuthFailure, SError, Smc, Smc32, SoftwareStep, Svc, SvcRoute, SysRegAccess,
    SysRegPairAccess, Watchpoint, Wfx,
};

/// What happened, as `ESR_ELx` tells it.
///
/// Each variant says in its payload's documentation, and by [`LeavesPc`] in its type, where ELR is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Syndrome {
    /// EC 0x00: UNDEFINED, or a reason that has no class. ELR is on the instruction.
    Unknown,
    /// EC 0x01: a trapped `WFI`, `WFE`, `WFIT` or `WFET`.
    Wfx(Wfx),
    /// EC 0x03, 0x05, 0x08: an AArch32 `MCR`, `MRC` or `VMRS`.
    Cp(CpAccess),
    /// EC 0x04, 0x0C: an AArch32 `MCRR` or `MRRC`.
    CpPair(CpPairAccess),
    /// EC 0x06: an AArch32 `LDC` or `STC`.
    CpMemory(CpMemoryAccess),
    /// EC 0x07: SIMD, floating point, or SVE where CPTR traps it so. ELR is on the instruction.
    FpAccess(Condition),
    /// EC 0x09: a pointer authentication instruction without API. ELR is on it.
    PointerAuth,
    /// EC 0x0A: a trapped instruction no other class covers. ELR is on it.
    OtherInstruction(OtherInstruction),
    /// EC 0x0D: a branch landed where BTI forbids, with this PSTATE.BTYPE. ELR is on the target.
    BranchTarget(u8),
    /// EC 0x0E: PSTATE.IL was set. ELR is on the instruction that could not run.
    IllegalState,
    /// EC 0x11, 0x15: `SVC`.
    Svc(Svc),
    /// EC 0x12, 0x16: `HVC`.
    Hvc(Hvc),
    /// EC 0x17: a trapped `SMC`.
    Smc(Smc),
    /// EC 0x13: a trapped AArch32 `SMC`.
    Smc32(Smc32),
    /// EC 0x14: a trapped 128-bit system-register access.
    SysRegPair(SysRegPairAccess),
    /// EC 0x18: a trapped `MRS`, `MSR` or `SYS`.
    SysReg(SysRegAccess),
    /// EC 0x19: an SVE access. ELR is on the instruction.
    SveAccess,
    /// EC 0x1A: a trapped exception return.
    Eret(Eret),
    /// EC 0x1B: `TSTART` into this register (FEAT_TME). ELR is on it.
    Tstart(u8),
    /// EC 0x1C: a pointer failed to authenticate.
    PointerAuthFailure(PointerAuthFailure),
    /// EC 0x1D: an SME access. ELR is on the instruction.
    SmeAccess(SmeReason),
    /// EC 0x1E: granule protection refused an access.
    GranuleProtection(GranuleProtection),
    /// EC 0x1F: the implementation's own, to EL3.
    Implementation(u32),
    /// EC 0x20, 0x21: an instruction could not be fetched.
    InstructionAbort(InstructionAbort),
    /// EC 0x22: PC is misaligned; ELR is that PC.
    PcAlignment,
    /// EC 0x24, 0x25: an access was refused.
    DataAbort(DataAbort),
    /// EC 0x26: SP is misaligned. ELR is on the instruction.
    SpAlignment,
    /// EC 0x27: a memory copy or set must be restarted.
    Mops(Mops),
    /// EC 0x28, 0x2C: a trapped floating-point exception.
    FpException(FpException),
    /// EC 0x2D: Guarded Control Stack.
    Gcs(Gcs),
    /// EC 0x2F: an SError.
    SError(SError),
    /// EC 0x30, 0x31: a hardware breakpoint.
    Breakpoint(Breakpoint),
    /// EC 0x32, 0x33: a software step.
    SoftwareStep(SoftwareStep),
    /// EC 0x34, 0x35: a watchpoint.
    Watchpoint(Watchpoint),
    /// EC 0x38, 0x3C: `BKPT` or `BRK`.
    Brk(Brk),
    /// EC 0x3A: AArch32 vector catch, with its IFSC. ELR is on the instruction.
    VectorCatch(u8),
    /// EC 0x3D: a profiling exception; whether it is synchronous (FEAT_EBEP, FEAT_SEBEP).
    Profiling(bool),
    /// A class without a name, kept whole.
    Other(Esr),
}

/// The instruction behind EC 0x0A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OtherInstruction {
    /// `ST64BV` (FEAT_LS64_V).
    St64bv,
    /// `ST64BV0` (FEAT_LS64_ACCDATA).
    St64bv0,
    /// `LD64B` or `ST64B` (FEAT_LS64).
    Ld64bSt64b,
    /// `TSB CSYNC` (FEAT_TRF).
    TsbCsync,
    /// `PSB CSYNC` (FEAT_SPE).
    PsbCsync,
    /// A number without a name here.
    Unnamed(u32),
}

impl OtherInstruction {
    /// Returns the instruction with this ISS.
    pub const fn from_bits(bits: u32) -> Self {
        match bits & 0x01ff_ffff {
            0 => Self::St64bv,
            1 => Self::St64bv0,
            2 => Self::Ld64bSt64b,
            3 => Self::TsbCsync,
            4 => Self::PsbCsync,
            other => Self::Unnamed(other),
        }
    }

    /// Returns the ISS.
    pub const fn bits(self) -> u32 {
        match self {
            Self::St64bv => 0,
            Self::St64bv0 => 1,
            Self::Ld64bSt64b => 2,
            Self::TsbCsync => 3,
            Self::PsbCsync => 4,
            Self::Unnamed(bits) => bits & 0x01ff_ffff,
        }
    }
}

/// Why an SME access trapped (SMTC). Arm ARM (DDI 0487), `ESR_EL2`; FEAT_SME.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SmeReason {
    /// CPACR, CPTR or SMEN forbids SME.
    AccessDisabled,
    /// Not legal in Streaming SVE mode.
    InStreamingMode,
    /// Needs Streaming SVE mode.
    NotInStreamingMode,
    /// Needs ZA.
    ZaInactive,
    /// Needs ZT0 (FEAT_SME2).
    Zt0Disabled,
    /// A reserved value, kept.
    Reserved(u8),
}

impl SmeReason {
    /// Returns the meaning of three SMTC bits.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 7 {
            0 => Self::AccessDisabled,
            1 => Self::InStreamingMode,
            2 => Self::NotInStreamingMode,
            3 => Self::ZaInactive,
            4 => Self::Zt0Disabled,
            other => Self::Reserved(other),
        }
    }

    /// Returns the SMTC bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::AccessDisabled => 0,
            Self::InStreamingMode => 1,
            Self::NotInStreamingMode => 2,
            Self::ZaInactive => 3,
            Self::Zt0Disabled => 4,
            Self::Reserved(bits) => bits & 7,
        }
    }
}

impl Syndrome {
    /// Decodes `esr`. Total: every word gives a value.
    ///
    /// Reserved bits and IL are not part of the meaning; [`crate::Decoded`] keeps them too.
    #[inline]
    pub const fn decode(esr: Esr) -> Self {
        match esr.class() {
            0x00 => Self::Unknown,
            0x01 => Self::Wfx(Wfx::decode(esr)),
            0x03 | 0x05 | 0x08 => Self::Cp(CpAccess::decode(esr)),
            0x04 | 0x0c => Self::CpPair(CpPairAccess::decode(esr)),
            0x06 => Self::CpMemory(CpMemoryAccess::decode(esr)),
            0x07 => {
                let iss = FpAccessIss::new(esr);
                Self::FpAccess(Condition {
                    known: iss.cv(),
                    code: iss.cond(),
                })
            }
            0x09 => Self::PointerAuth,
            0x0a => Self::OtherInstruction(OtherInstruction::from_bits(esr.iss())),
            0x0d => Self::BranchTarget(BtiIss::new(esr).btype()),
            0x0e => Self::IllegalState,
            0x11 | 0x15 => Self::Svc(Svc::decode(esr)),
            0x12 | 0x16 => Self::Hvc(Hvc::decode(esr)),
            0x13 => Self::Smc32(Smc32::decode(esr)),
            0x14 => Self::SysRegPair(SysRegPairAccess::decode(esr)),
            0x17 => Self::Smc(Smc::decode(esr)),
            0x18 => Self::SysReg(SysRegAccess::decode(esr)),
            0x19 => Self::SveAccess,
            0x1a => Self::Eret(Eret::decode(esr)),
            0x1b => Self::Tstart(TstartIss::new(esr).rd()),
            0x1c => Self::PointerAuthFailure(PointerAuthFailure::decode(esr)),
            0x1d => Self::SmeAccess(SmeReason::from_bits(SmeIss::new(esr).smtc())),
            0x1e => Self::GranuleProtection(GranuleProtection::decode(esr)),
            0x1f => Self::Implementation(esr.iss()),
            0x20 | 0x21 => Self::InstructionAbort(InstructionAbort::decode(esr)),
            0x22 => Self::PcAlignment,
            0x24 | 0x25 => Self::DataAbort(DataAbort::decode(esr)),
            0x26 => Self::SpAlignment,
            0x27 => Self::Mops(Mops::decode(esr)),
            0x28 | 0x2c => Self::FpException(FpException::decode(esr)),
            0x2d => Self::Gcs(Gcs::decode(esr)),
            0x2f => Self::SError(SError::decode(esr)),
            0x30 | 0x31 => Self::Breakpoint(Breakpoint::decode(esr)),
            0x32 | 0x33 => Self::SoftwareStep(SoftwareStep::decode(esr)),
            0x34 | 0x35 => Self::Watchpoint(Watchpoint::decode(esr)),
            0x38 | 0x3c => Self::Brk(Brk::decode(esr)),
            0x3a => Self::VectorCatch(Breakpoint::decode(esr).code),
            0x3d => Self::Profiling(ProfilingIss::new(esr).sync()),
            _ => Self::Other(esr),
        }
    }

    /// Returns the word that says this, IL set and reserved bits 0 ([`Self::Other`]: as it was).
    pub const fn encode(self) -> Esr {
        match self {
            Self::Unknown => Esr::of_class(0x00),
            Self::Wfx(wfx) => wfx.encode(),
            Self::Cp(access) => access.encode(),
            Self::CpPair(access) => access.encode(),
            Self::CpMemory(access) => access.encode(),
            Self::FpAccess(condition) => {
                let iss = FpAccessIss::new(Esr(0))
                    .with_cv(condition.known)
                    .with_cond(condition.code);
                word(0x07, iss.bits())
            }
            Self::PointerAuth => Esr::of_class(0x09),
            Self::OtherInstruction(instruction) => word(
                0x0a,
                OtherInstructionIss::new(Esr(0))
                    .with_instruction(instruction.bits())
                    .bits(),
            ),
            Self::BranchTarget(btype) => word(0x0d, BtiIss::new(Esr(0)).with_btype(btype).bits()),
            Self::IllegalState => Esr::of_class(0x0e),
            Self::Svc(svc) => svc.encode(),
            Self::Hvc(hvc) => hvc.encode(),
            Self::Smc(smc) => smc.encode(),
            Self::Smc32(smc) => smc.encode(),
            Self::SysRegPair(access) => access.encode(),
            Self::SysReg(access) => access.encode(),
            Self::SveAccess => Esr::of_class(0x19),
            Self::Eret(eret) => eret.encode(),
            Self::Tstart(rd) => word(0x1b, TstartIss::new(Esr(0)).with_rd(rd).bits()),
            Self::PointerAuthFailure(failure) => failure.encode(),
            Self::SmeAccess(reason) => {
                word(0x1d, SmeIss::new(Esr(0)).with_smtc(reason.bits()).bits())
            }
            Self::GranuleProtection(fault) => fault.encode(),
            Self::Implementation(iss) => word(0x1f, iss as u64 & 0x01ff_ffff),
            Self::InstructionAbort(abort) => abort.encode(),
            Self::PcAlignment => Esr::of_class(0x22),
            Self::DataAbort(abort) => abort.encode(),
            Self::SpAlignment => Esr::of_class(0x26),
            Self::Mops(mops) => mops.encode(),
            Self::FpException(exception) => exception.encode(),
            Self::Gcs(gcs) => gcs.encode(),
            Self::SError(serror) => serror.encode(),
            Self::Breakpoint(breakpoint) => breakpoint.encode(),
            Self::SoftwareStep(step) => step.encode(),
            Self::Watchpoint(watchpoint) => watchpoint.encode(),
            Self::Brk(brk) => brk.encode(),
            Self::VectorCatch(code) => word(
                0x3a,
                Breakpoint {
                    code,
                    from_same_el: false,
                }
                .encode()
                .iss() as u64,
            ),
            Self::Profiling(sync) => word(0x3d, ProfilingIss::new(Esr(0)).with_sync(sync).bits()),
            Self::Other(esr) => esr,
        }
    }

    /// Returns where ELR stands; `svc` says what brings an `SVC` here, if any does.
    pub const fn pc(self, svc: SvcRoute) -> Pc {
        match self {
            Self::Svc(_) => match svc {
                SvcRoute::Tge => Pc::PastInstruction,
                SvcRoute::Hfgitr => Pc::OnInstruction,
            },
            Self::Hvc(_) => Hvc::PC,
            Self::SError(_) => SError::PC,
            Self::SoftwareStep(_) => SoftwareStep::PC,
            // A synchronous one is taken before the next instruction, as an asynchronous one is.
            Self::Profiling(_) => Pc::Unrelated,
            _ => Pc::OnInstruction,
        }
    }
}

const fn word(class: u8, iss: u64) -> Esr {
    Esr(Esr::of_class(class).0 | iss)
}

/// A [`Syndrome`] and what its meaning leaves out, so that no bit of the word is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Decoded {
    /// What happened.
    pub syndrome: Syndrome,
    /// The instruction was 32 bits long, or there was none (IL).
    pub is_32bit_instruction: bool,
    /// Bits that are set though reserved, or whose valid bit says they mean nothing.
    pub reserved: u64,
}

impl Decoded {
    /// Decodes `esr` so that [`Self::encode`] gives the same word.
    pub const fn new(esr: Esr) -> Self {
        let syndrome = Syndrome::decode(esr);
        let is_32bit_instruction = esr.is_32bit_instruction();
        let meant = syndrome
            .encode()
            .with_32bit_instruction(is_32bit_instruction);
        Self {
            syndrome,
            is_32bit_instruction,
            reserved: esr.0 & !meant.0,
        }
    }

    /// Returns the word.
    pub const fn encode(self) -> Esr {
        let meant = self
            .syndrome
            .encode()
            .with_32bit_instruction(self.is_32bit_instruction);
        Esr(meant.0 | self.reserved)
    }
}
