//! What each field's value says. Arm ARM (DDI 0487), `ESR_EL2`.

use core::fmt;

use vcpu_regs::Esr;
use vcpu_regs::iss::{DataAbortIss, SystemIss};

use super::class_name;
use super::fields::RES0;
use super::words::Reg;
use crate::{Condition, FaultStatus, OtherInstruction, SErrorSeverity, SmeReason};

/// What a field's value says, as text on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Meaning {
    /// A fixed text.
    Text(&'static str),
    /// A general-purpose register.
    Register {
        /// Its number; 31 is the zero register.
        number: u8,
        /// An X, not a W.
        is_64bit: bool,
    },
    /// A fault status code.
    Status(FaultStatus),
    /// A number that speaks for itself.
    Number(u64),
    /// A size in bytes.
    Bytes(u8),
    /// Severity of an SError.
    Severity(SErrorSeverity),
    /// Why an SME access trapped.
    Sme(SmeReason),
    /// An instruction of no other class.
    Instruction(OtherInstruction),
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Text(text) => f.write_str(text),
            Self::Register { number, is_64bit } => write!(f, "{}", Reg(number, is_64bit)),
            Self::Status(status) => write!(f, "{status}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Bytes(1) => f.write_str("1 byte"),
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::Severity(severity) => write!(f, "{severity}"),
            Self::Sme(reason) => write!(f, "{reason}"),
            Self::Instruction(instruction) => write!(f, "{instruction}"),
        }
    }
}

const fn either(value: u64, set: &'static str, clear: &'static str) -> Meaning {
    Meaning::Text(if value != 0 { set } else { clear })
}

fn pick(value: u64, texts: &[&'static str]) -> Meaning {
    Meaning::Text(texts.get(value as usize).copied().unwrap_or("reserved"))
}

pub(super) fn meaning(esr: Esr, name: &'static str, value: u64) -> Meaning {
    match name {
        RES0 => either(value, "reserved, but not zero", "reserved"),
        "EC" => Meaning::Text(class_name(value as u8)),
        "IL" => either(value, "32-bit instruction", "16-bit instruction"),
        "CV" => either(value, "COND is valid", "COND is not valid"),
        "COND" => Meaning::Text(
            Condition {
                known: true,
                code: value as u8,
            }
            .name(),
        ),
        "FnV" => either(value, "FAR is not valid", "FAR is valid"),
        "FnP" => either(
            value,
            "FAR is anywhere in the right granule",
            "FAR is precise",
        ),
        "PFV" => either(value, "PFAR is valid", "PFAR is not valid"),
        "VFV" => either(value, "FAR is valid", "FAR is not valid"),
        "S1PTW" => either(
            value,
            "on a stage-1 table walk",
            "not on a stage-1 table walk",
        ),
        "S2PTW" => either(
            value,
            "on a stage-2 table walk",
            "not on a stage-2 table walk",
        ),
        "CM" => either(
            value,
            "cache maintenance or address translation",
            "not cache maintenance",
        ),
        "WnR" => either(value, "a write", "a read"),
        "WnRV" => either(value, "WnR is valid", "WnR is not valid"),
        "EA" => either(value, "external abort, class 1", "external abort, class 0"),
        "VNCR" => either(value, "through VNCR_EL2", "not through VNCR_EL2"),
        "WU" => pick(
            value,
            &[
                "may have been updated, or no store",
                "reserved",
                "not updated",
                "updated",
            ],
        ),
        "AET" => Meaning::Severity(SErrorSeverity::from_bits(value as u8)),
        "SET" => set(esr, value),
        "DFSC" | "IFSC" | "xFSC" => status(esr, value),
        "SMTC" => Meaning::Sme(SmeReason::from_bits(value as u8)),
        _ => match esr.class() {
            0x24 | 0x25 | 0x20 | 0x21 | 0x2f | 0x34 | 0x35 => abort(esr, name, value),
            _ => trap(esr, name, value),
        },
    }
}

fn set(esr: Esr, value: u64) -> Meaning {
    if esr.0 & 0x3f != 0b01_0000 {
        return either(value, "means nothing for this status", "none");
    }
    pick(
        value,
        &[
            "recoverable",
            "reserved",
            "uncontainable",
            "restartable or corrected",
        ],
    )
}

fn status(esr: Esr, value: u64) -> Meaning {
    match (esr.class(), value) {
        (0x2f, 0x00) => Meaning::Text("uncategorized"),
        (0x2f, 0x11) => Meaning::Text("asynchronous SError"),
        (0x2f, _) => Meaning::Text("reserved"),
        (0x30..=0x3f, 0x22) => Meaning::Text("debug exception"),
        (0x30..=0x3f, _) => Meaning::Text("reserved"),
        _ => Meaning::Status(FaultStatus::from_bits(value as u8)),
    }
}

fn abort(esr: Esr, name: &'static str, value: u64) -> Meaning {
    match name {
        "ISV" => either(
            value,
            "the syndrome describes the access",
            "the access must be decoded",
        ),
        "SAS" => Meaning::Bytes(1 << (value & 3)),
        "SSE" => either(value, "sign-extended", "not sign-extended"),
        "SRT" => {
            let is_64bit = DataAbortIss::new(esr).sf();
            Meaning::Register {
                number: value as u8,
                is_64bit,
            }
        }
        "SF" => either(value, "64-bit register", "32-bit register"),
        "AR" => either(value, "acquire or release", "no acquire or release"),
        "LST" => pick(
            value,
            &["not specified", "ST64BV", "LD64B or ST64B", "ST64BV0"],
        ),
        "Xs" => Meaning::Register {
            number: value as u8,
            is_64bit: true,
        },
        "DirtyBit" => either(
            value,
            "for want of dirty state",
            "not for want of dirty state",
        ),
        "Overlay" => either(
            value,
            "overlay permissions refuse",
            "not overlay permissions",
        ),
        "AssuredOnly" => either(value, "AssuredOnly fault", "not AssuredOnly"),
        "TopLevel" => either(value, "TopLevel fault", "not TopLevel"),
        "GCS" => either(
            value,
            "Guarded Control Stack access",
            "no Guarded Control Stack access",
        ),
        "TagAccess" => either(value, "NoTagAccess fault", "not NoTagAccess"),
        "TnD" => either(
            value,
            "tag written to canonically tagged memory",
            "not for a tag write",
        ),
        "HDBSSF" => either(
            value,
            "dirty state structure full or faulted",
            "not for HDBSS",
        ),
        "IDS" => either(value, "IMPLEMENTATION DEFINED", "Arm's layout"),
        "IESB" => either(
            value,
            "at an implicit error synchronization",
            "not so, or not known",
        ),
        "WPT" => Meaning::Number(value),
        "WPTV" => either(value, "WPT is valid", "WPT is not valid"),
        "WPF" => either(value, "may not have matched what was accessed", "matched"),
        _ => Meaning::Number(value),
    }
}

fn trap(esr: Esr, name: &'static str, value: u64) -> Meaning {
    match name {
        "TI" => pick(value, &["WFI", "WFE", "WFIT", "WFET"]),
        "RV" => either(value, "RN is valid", "RN is not valid"),
        "Direction" if matches!(esr.class(), 0x06) => either(value, "LDC", "STC"),
        "Direction" => either(value, "read", "write"),
        // AArch32 instructions and those that take W registers are told by their class.
        "RN" | "Rd" | "srcreg" | "destreg" | "sizereg" | "Raddr" | "Rvalue" => Meaning::Register {
            number: value as u8,
            is_64bit: true,
        },
        "Rn" => Meaning::Register {
            number: value as u8,
            is_64bit: esr.class() == 0x2d,
        },
        "Rt" if esr.class() == 0x14 => Meaning::Register {
            number: value as u8 * 2,
            is_64bit: true,
        },
        "Rt" | "Rt2" => Meaning::Register {
            number: value as u8,
            is_64bit: esr.class() == 0x18,
        },
        "Op0" if SystemIss::new(esr).op0() == 1 => Meaning::Text("an operation"),
        "AM" => pick(
            value,
            &[
                "post-indexed",
                "offset",
                "pre-indexed",
                "unindexed",
                "literal, post-indexed",
                "literal",
            ],
        ),
        "Offset" => either(value, "added", "subtracted"),
        "BTYPE" => pick(
            value,
            &[
                "no branch",
                "BR by x16 or x17, or from unguarded",
                "BLR",
                "BR by another register",
            ],
        ),
        "CCKNOWNPASS" => either(value, "may have been conditional", "unconditional"),
        "ERET" => either(value, "ERETAA or ERETAB", "ERET"),
        "ERETA" => either(value, "ERETAB", "ERETAA, or ERET"),
        "BnA" => either(value, "key B", "key A"),
        "DnI" => either(value, "data key", "instruction key"),
        "InD" => either(value, "instruction fetch", "data access"),
        "MemInst" => either(value, "SET*", "CPY*"),
        "isSETG" => either(value, "SETG*", "not SETG*"),
        "FromEpilogue" => either(value, "in the epilogue", "in the main instruction"),
        "WrongOption" => either(
            value,
            "registers of the other option",
            "not the option's fault",
        ),
        "OptionA" => either(value, "option A", "option B"),
        "TFV" => either(value, "the flags are valid", "the flags say nothing"),
        "IOF" => either(value, "Invalid Operation", "no Invalid Operation"),
        "DZF" => either(value, "Divide by Zero", "no Divide by Zero"),
        "OFF" => either(value, "Overflow", "no Overflow"),
        "UFF" => either(value, "Underflow", "no Underflow"),
        "IXF" => either(value, "Inexact", "not Inexact"),
        "IDF" => either(value, "Input Denormal", "no Input Denormal"),
        "ExType" => pick(value, &["data check", "EXLOCK", "GCSSTR or GCSSTTR"]),
        "IT" => pick(
            value,
            &[
                "RET",
                "GCSPOPM",
                "RETAA or RETAASPPC",
                "RETAB or RETABSPPC",
                "GCSSS1",
                "GCSSS2",
                "reserved",
                "reserved",
                "GCSPOPCX",
                "GCSPOPX",
            ],
        ),
        "EX" => either(
            value,
            "a load-exclusive was stepped",
            "no load-exclusive was stepped",
        ),
        "ISV" => either(value, "EX is valid", "EX is not valid"),
        "SYNC" => either(value, "synchronous", "asynchronous"),
        "ISS" if esr.class() == 0x0a => {
            Meaning::Instruction(OtherInstruction::from_bits(value as u32))
        }
        "ISS" | "ISS2" | "IMPLEMENTATION DEFINED" => Meaning::Text("unknown"),
        _ => Meaning::Number(value),
    }
}
