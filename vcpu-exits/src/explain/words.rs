//! One line for people.

use core::fmt::{self, Display, Formatter};

use vcpu_regs::SysReg;

use crate::{
    AbortFlags, Access, Coprocessor, DataAbort, Fault, FaultIpa, FaultKind, FaultStatus,
    InstructionAbort, OtherInstruction, SError, SErrorSeverity, SmeReason, Syndrome, Transfer,
    WfxKind,
};

impl FaultKind {
    const fn words(self) -> &'static str {
        match self {
            Self::AddressSize => "address size fault",
            Self::Translation => "translation fault",
            Self::AccessFlag => "access flag fault",
            Self::Permission => "permission fault",
            Self::External => "synchronous external abort",
            Self::ExternalOnWalk => "synchronous external abort on table walk",
            Self::TagCheck => "tag check fault",
            Self::Parity => "parity or ECC error",
            Self::ParityOnWalk => "parity or ECC error on table walk",
            Self::Alignment => "alignment fault",
            Self::GranuleProtection => "granule protection fault",
            Self::GranuleProtectionOnWalk => "granule protection fault on table walk",
            Self::TlbConflict => "TLB conflict",
            Self::UnsupportedAtomicUpdate => "unsupported atomic hardware update",
            Self::Lockdown => "lockdown fault",
            Self::UnsupportedExclusive => "unsupported exclusive or atomic access",
            Self::Domain => "domain fault",
            Self::Unknown => "unknown fault",
        }
    }
}

impl Display for FaultKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl Display for FaultStatus {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.kind(), self.level()) {
            (FaultKind::Unknown, _) => write!(f, "unknown fault {:#04x}", self.bits()),
            (kind, Some(level)) => write!(f, "{kind} level {level}"),
            (kind, None) => Display::fmt(&kind, f),
        }
    }
}

/// A general-purpose register as an instruction's text has it.
pub(crate) struct Reg(pub u8, pub bool);

impl Display for Reg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let width = if self.1 { 'x' } else { 'w' };
        match self.0 {
            31 => write!(f, "{width}zr"),
            number => write!(f, "{width}{number}"),
        }
    }
}

/// A system register by the name that a read or a write has for it, or an operation.
struct RegName(SysReg, bool);

impl Display for RegName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.0.name_for(self.1), self.0.op0()) {
            (Some(name), _) => f.write_str(name),
            (None, 0 | 1) => write!(f, "sys {:#}", self.0),
            (None, _) => write!(f, "{:#}", self.0),
        }
    }
}

impl Display for Transfer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let reg = Reg(self.reg, self.is_64bit);
        let plural = if self.size_bytes == 1 { "" } else { "s" };
        if self.is_write {
            write!(f, "wrote {} byte{plural} of {reg}", self.size_bytes)
        } else {
            let sign = if self.sign_extend {
                "sign-extended "
            } else {
                ""
            };
            write!(f, "read {} byte{plural} {sign}into {reg}", self.size_bytes)
        }
    }
}

/// What an abort tried, with the preposition that an address follows.
fn tried(f: &mut Formatter<'_>, access: Access, transfer: Option<Transfer>) -> fmt::Result {
    match (access, transfer) {
        (Access::Fetch, _) => f.write_str("fetched an instruction from"),
        (Access::CacheMaintenance, _) => f.write_str("did cache maintenance on"),
        (_, Some(transfer)) => {
            write!(
                f,
                "{transfer} {}",
                if transfer.is_write { "to" } else { "from" }
            )
        }
        (Access::Write, None) => f.write_str("wrote to"),
        (Access::Read, None) => f.write_str("read from"),
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_from_same_el() {
            "hypervisor "
        } else {
            "guest "
        })?;
        tried(f, self.access(), self.transfer())?;
        match (self.ipa(), self.va()) {
            (FaultIpa::Exact(ipa), _) => write!(f, " IPA {ipa}")?,
            (FaultIpa::Page(ipa), _) => write!(f, " the page of IPA {ipa}")?,
            (FaultIpa::TablePage(ipa), Some(va)) => {
                write!(
                    f,
                    " VA {va}, whose translation table is in the page of IPA {ipa}"
                )?;
            }
            (FaultIpa::TablePage(ipa), None) => {
                write!(
                    f,
                    " an address whose translation table is in the page of IPA {ipa}"
                )?;
            }
            (FaultIpa::Rewalk(va), _) | (FaultIpa::Unknown, Some(va)) => write!(f, " VA {va}")?,
            (FaultIpa::Unknown, None) => f.write_str(" an unknown address")?,
        }
        write!(f, ", {}", self.status())?;
        if self.access() != Access::Fetch && self.transfer().is_none() {
            f.write_str(", the syndrome does not tell the registers")?;
        }
        Ok(())
    }
}

impl Display for DataAbort {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let access = if self.flags.contains(AbortFlags::CACHE_MAINTENANCE) {
            Access::CacheMaintenance
        } else if self.is_write() {
            Access::Write
        } else {
            Access::Read
        };
        tried(f, access, self.transfer)?;
        write!(f, " memory, {}", self.status)?;
        if self.flags.contains(AbortFlags::S1_WALK) {
            f.write_str(" on a stage-1 table walk")?;
        }
        Ok(())
    }
}

impl Display for InstructionAbort {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "fetched an instruction, {}", self.status)?;
        if self.flags.contains(AbortFlags::S1_WALK) {
            f.write_str(" on a stage-1 table walk")?;
        }
        Ok(())
    }
}

impl Display for SErrorSeverity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uncontainable => "uncontainable",
            Self::Unrecoverable => "unrecoverable",
            Self::Restartable => "restartable",
            Self::Recoverable => "recoverable",
            Self::Corrected => "corrected",
            Self::Reserved(_) => "of reserved severity",
        })
    }
}

impl Display for SError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Implementation(bits) => {
                write!(f, "SError, implementation defined syndrome {bits:#x}")
            }
            Self::Architected(report) if report.code == 0x11 => {
                write!(f, "SError, {}", report.severity)
            }
            Self::Architected(_) => f.write_str("SError, uncategorized"),
        }
    }
}

impl Display for OtherInstruction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::St64bv => "st64bv",
            Self::St64bv0 => "st64bv0",
            Self::Ld64bSt64b => "ld64b or st64b",
            Self::TsbCsync => "tsb csync",
            Self::PsbCsync => "psb csync",
            Self::Unnamed(iss) => return write!(f, "an instruction with ISS {iss:#x}"),
        })
    }
}

impl Display for SmeReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccessDisabled => "access is disabled",
            Self::InStreamingMode => "not legal in Streaming SVE mode",
            Self::NotInStreamingMode => "needs Streaming SVE mode",
            Self::ZaInactive => "ZA is off",
            Self::Zt0Disabled => "access to ZT0 is disabled",
            Self::Reserved(bits) => return write!(f, "reason {bits}"),
        })
    }
}

impl Display for WfxKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wfi => "wfi",
            Self::Wfe => "wfe",
            Self::Wfit => "wfit",
            Self::Wfet => "wfet",
        })
    }
}

impl Display for Syndrome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("undefined instruction, or an unknown reason"),
            Self::Wfx(wfx) => match wfx.timeout_reg {
                Some(reg) => write!(f, "{} until {}", wfx.kind, Reg(reg, true)),
                None => write!(f, "{}", wfx.kind),
            },
            Self::Cp(access) => {
                let (mnemonic, cp) = match (access.coprocessor, access.is_read) {
                    (Coprocessor::Cp15, true) => ("mrc", 15),
                    (Coprocessor::Cp15, false) => ("mcr", 15),
                    (Coprocessor::Cp14, true) => ("mrc", 14),
                    (Coprocessor::Cp14, false) => ("mcr", 14),
                    (Coprocessor::Cp10, true) => ("vmrs", 10),
                    (Coprocessor::Cp10, false) => ("vmsr", 10),
                };
                let (rt, crn) = (Reg(access.rt, false), access.crn);
                write!(f, "AArch32 {mnemonic} p{cp}, {}, {rt}, c{crn}", access.opc1)?;
                write!(f, ", c{}, {}", access.crm, access.opc2)
            }
            Self::CpPair(access) => {
                let mnemonic = if access.is_read { "mrrc" } else { "mcrr" };
                let cp = if access.is_cp14 { 14 } else { 15 };
                let (rt, rt2) = (Reg(access.rt, false), Reg(access.rt2, false));
                write!(f, "AArch32 {mnemonic} p{cp}, {}, {rt}, {rt2}", access.opc1)?;
                write!(f, ", c{}", access.crm)
            }
            Self::CpMemory(access) => {
                let mnemonic = if access.is_load { "ldc" } else { "stc" };
                let sign = if access.adds_offset { '+' } else { '-' };
                let base = Reg(access.base, false);
                write!(f, "AArch32 {mnemonic} p14, base {base}, offset {sign}")?;
                write!(f, "{}", u32::from(access.offset_words) * 4)
            }
            Self::FpAccess(_) => f.write_str("trapped SIMD, floating-point or SVE access"),
            Self::PointerAuth => f.write_str("trapped pointer authentication"),
            Self::OtherInstruction(instruction) => write!(f, "trapped {instruction}"),
            Self::BranchTarget(btype) => {
                write!(f, "branch to a place that is no target, BTYPE {btype}")
            }
            Self::IllegalState => f.write_str("illegal execution state"),
            Self::Svc(svc) => write!(f, "{}svc #{}", isa(svc.is_aarch32), svc.imm),
            Self::Hvc(hvc) => write!(f, "{}hvc #{}", isa(hvc.is_aarch32), hvc.imm),
            Self::Smc(smc) => write!(f, "smc #{}", smc.imm),
            Self::Smc32(_) => f.write_str("AArch32 smc"),
            Self::SysReg(access) => {
                let (reg, rt) = (RegName(access.reg, access.is_read), Reg(access.rt, true));
                match (access.is_read, access.reg.op0()) {
                    (true, 0 | 1) => write!(f, "{reg} into {rt}"),
                    (false, 0 | 1) => write!(f, "{reg}, {rt}"),
                    (true, _) => write!(f, "mrs {rt}, {reg}"),
                    (false, _) => write!(f, "msr {reg}, {rt}"),
                }
            }
            Self::SysRegPair(access) => {
                let reg = RegName(access.reg, access.is_read);
                let (rt, rt2) = (Reg(access.rt, true), Reg(access.rt | 1, true));
                match (access.is_read, access.reg.op0()) {
                    (_, 0 | 1) => write!(f, "{reg} of 128 bits, {rt}, {rt2}"),
                    (true, _) => write!(f, "mrrs {rt}, {rt2}, {reg}"),
                    (false, _) => write!(f, "msrr {reg}, {rt}, {rt2}"),
                }
            }
            Self::SveAccess => f.write_str("trapped SVE access"),
            Self::Eret(eret) => f.write_str(match (eret.is_authenticated, eret.uses_key_b) {
                (false, _) => "trapped eret",
                (true, false) => "trapped eretaa",
                (true, true) => "trapped eretab",
            }),
            Self::Tstart(rd) => write!(f, "trapped tstart {}", Reg(*rd, true)),
            Self::PointerAuthFailure(failure) => {
                let what = if failure.is_data_key {
                    "data"
                } else {
                    "instruction"
                };
                let key = if failure.is_key_b { 'B' } else { 'A' };
                write!(f, "pointer authentication failed, {what} key {key}")
            }
            Self::SmeAccess(reason) => write!(f, "trapped SME access: {reason}"),
            Self::GranuleProtection(fault) => {
                write!(f, "granule protection check failed, {}", fault.status)
            }
            Self::Implementation(iss) => write!(f, "implementation defined, ISS {iss:#x}"),
            Self::InstructionAbort(abort) => write!(f, "{abort}"),
            Self::PcAlignment => f.write_str("misaligned PC"),
            Self::DataAbort(abort) => write!(f, "{abort}"),
            Self::SpAlignment => f.write_str("misaligned SP"),
            Self::Mops(mops) => {
                let what = match (mops.is_set, mops.is_set_tag) {
                    (false, _) => "memory copy",
                    (true, false) => "memory set",
                    (true, true) => "memory set with tags",
                };
                write!(f, "{what} must restart")
            }
            Self::FpException(_) => f.write_str("trapped floating-point exception"),
            Self::Gcs(gcs) => f.write_str(match gcs.reason {
                0 => "Guarded Control Stack data check failed",
                1 => "Guarded Control Stack is locked",
                2 => "trapped gcsstr or gcssttr",
                _ => "Guarded Control Stack exception of a reserved type",
            }),
            Self::SError(serror) => write!(f, "{serror}"),
            Self::Breakpoint(_) => f.write_str("hardware breakpoint"),
            Self::SoftwareStep(_) => f.write_str("software step"),
            Self::Watchpoint(watchpoint) => {
                let access = if watchpoint.is_write { "write" } else { "read" };
                match watchpoint.number {
                    Some(number) => write!(f, "watchpoint {number} on a {access}"),
                    None => write!(f, "watchpoint on a {access}"),
                }
            }
            Self::Brk(brk) if brk.is_aarch32 => write!(f, "bkpt #{:#x}", brk.imm),
            Self::Brk(brk) => write!(f, "brk #{:#x}", brk.imm),
            Self::VectorCatch(_) => f.write_str("AArch32 vector catch"),
            Self::Profiling(_) => f.write_str("profiling exception"),
            Self::Other(esr) => write!(f, "unallocated class {:#04x}, {esr:?}", esr.class()),
        }
    }
}

const fn isa(is_aarch32: bool) -> &'static str {
    if is_aarch32 { "AArch32 " } else { "" }
}
