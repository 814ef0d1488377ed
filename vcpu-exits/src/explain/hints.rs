//! What experience adds to the manual.

use core::fmt;

use vcpu_regs::Esr;

use crate::{Fault, Syndrome};

/// A syndrome and whatever else was captured with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Context {
    /// The syndrome.
    pub esr: Esr,
    /// `FAR_ELx`.
    pub far: Option<u64>,
    /// `HPFAR_EL2`.
    pub hpfar: Option<u64>,
    /// `ELR_ELx`.
    pub elr: Option<u64>,
    /// The instruction at ELR.
    pub insn: Option<u32>,
}

/// A likely cause or a common misreading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Hint {
    /// FAR is in the first page or just below zero.
    NearNull,
    /// FAR is what a failed authentication leaves without FEAT_FPAC.
    PoisonedPointer,
    /// The ID space may be read by any guest; what is reserved reads as zero.
    LegalIdRead,
    /// ELR is only where the SError was noticed.
    PcNotToBlame,
    /// Who puts this immediate into a `BRK`.
    KnownBrk(&'static str),
    /// HPFAR does not hold the IPA of a permission fault.
    NoHpfar,
    /// The address belongs to the guest's table, not to what it accessed.
    TableNotAccess,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NearNull => "the address is near null: a null pointer, perhaps with an offset",
            Self::PoisonedPointer => {
                "the address looks like a pointer that failed to authenticate (PAC)"
            }
            Self::LegalIdRead => {
                "a legal read of the ID space: a guest expects a value, zero where it is reserved"
            }
            Self::PcNotToBlame => "asynchronous: the instruction at ELR is not to blame",
            Self::KnownBrk(who) => return write!(f, "this immediate is {who}"),
            Self::NoHpfar => "HPFAR does not hold the IPA here: walk stage 1 for FAR",
            Self::TableNotAccess => {
                "HPFAR is the page of the guest's own table; the offset in FAR does not belong to it"
            }
        })
    }
}

impl Context {
    /// Returns the context of a syndrome alone.
    pub const fn new(esr: Esr) -> Self {
        Self {
            esr,
            far: None,
            hpfar: None,
            elr: None,
            insn: None,
        }
    }

    /// Returns the hints that apply.
    pub fn hints(&self) -> impl Iterator<Item = Hint> + use<> {
        let address = self.address_hint();
        let class = match Syndrome::decode(self.esr) {
            Syndrome::SError(_) => Some(Hint::PcNotToBlame),
            Syndrome::Brk(brk) if !brk.is_aarch32 => known_brk(brk.imm).map(Hint::KnownBrk),
            Syndrome::SysReg(access) if access.is_read && access.reg.is_id_space() => {
                Some(Hint::LegalIdRead)
            }
            _ => None,
        };
        let walk = self.hpfar.and_then(|hpfar| {
            let fault = Fault::new(self.esr, self.far.unwrap_or(0), hpfar)?;
            match fault.ipa() {
                crate::FaultIpa::TablePage(_) => Some(Hint::TableNotAccess),
                crate::FaultIpa::Rewalk(_) => Some(Hint::NoHpfar),
                _ => None,
            }
        });
        [address, class, walk].into_iter().flatten()
    }

    fn address_hint(&self) -> Option<Hint> {
        let far = self.far?;
        let fault = Fault::new(self.esr, far, self.hpfar.unwrap_or(0))?;
        // A guest that runs without stage 1 may well mean a low address: only stage 1 calls it null.
        let address = fault.va()?.0;
        if self.hpfar.is_none() && !(0x1000..=0xffff_ffff_ffff_f000).contains(&address) {
            return Some(Hint::NearNull);
        }
        is_poisoned(address).then_some(Hint::PoisonedPointer)
    }
}

/// Whether an address has the error code that AUT* leaves: one of the two bits below the sign copy (bits
/// 62:61, or 54:53 under top-byte-ignore) differs from the rest of the extension.
const fn is_poisoned(address: u64) -> bool {
    // 48-bit addresses and the sign of bit 55; a kernel of 52 bits keeps bits 51:48 in use.
    let extension = address >> 52;
    let sign = if address >> 55 & 1 != 0 { 0xfff } else { 0 };
    let wrong = extension ^ sign;
    matches!(wrong, 0x200 | 0x400 | 0x002 | 0x004)
}

/// Who uses a `BRK` immediate.
const fn known_brk(imm: u16) -> Option<&'static str> {
    Some(match imm {
        0x0000 => "the debugger's, EDK2's CpuBreakpoint, or Go's abort",
        0x0001 => "a compiler's trap (__builtin_trap of clang, abort of rustc)",
        0x0004 => "Linux kprobes",
        0x0005 => "Linux uprobes",
        0x0006 => "a Linux kprobe's single step",
        0x0007 => "a Linux kretprobe",
        0x0100 => "Linux's deliberate fault",
        0x03e8 => "GCC's __builtin_trap",
        0x0400 | 0x0401 => "Linux KGDB",
        0x0800 => "Linux BUG() or WARN()",
        0x0900..=0x09ff => "Linux KASAN",
        0x5500..=0x55ff => "UBSan's trap, its kind in the low byte",
        0x8000..=0x83ff => "Linux KCFI: an indirect call to the wrong type",
        0xc470..=0xc473 => "a compiler's pointer authentication check",
        0xf000 => "a breakpoint (Windows, LLVM's debugtrap)",
        0xf001 => "a Windows assertion",
        0xf002 => "the Windows debug service",
        0xf003 => "Windows __fastfail",
        0xf004 => "a Windows division by zero",
        _ => return None,
    })
}
