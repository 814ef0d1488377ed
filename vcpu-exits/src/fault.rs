//! An abort with its addresses: ESR, FAR and HPFAR as one value that cannot be misread.

use vcpu_regs::{Esr, Ipa, Va};

use crate::{
    AbortFlags, BlockAccess, DataAbort, FaultKind, FaultStatus, InstructionAbort, Transfer,
};

/// An Instruction or Data Abort and what FAR and HPFAR say of it.
///
/// The three words are kept as captured and answered for one question at a time, so it stays three
/// words. Stage 2 is meant where an IPA is: of a stage-1 fault that HCR_EL2.TGE brings here, only the
/// address and the status hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Fault {
    esr: Esr,
    far: u64,
    hpfar: u64,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Access {
    /// A load.
    Read,
    /// A store, or an atomic that would have been allowed to read.
    Write,
    /// An instruction fetch.
    Fetch,
    /// Cache maintenance or address translation by instruction.
    CacheMaintenance,
}

/// How well a [`Fault`]'s intermediate physical address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FaultIpa {
    /// The very byte.
    Exact(Ipa),
    /// The 4 KiB page; the offset in it is not known.
    Page(Ipa),
    /// The 4 KiB page of the guest's own translation table, which a stage-1 walk wanted to read or
    /// update. What the guest accessed is [`Fault::va`]; its offset has nothing to do with this page.
    TablePage(Ipa),
    /// HPFAR does not hold it: walk the guest's stage 1 for this address (`AT S1E1R`, or `S1E0R` when it
    /// was EL0), and retry the guest when the walk fails, for then the guest has changed its tables.
    Rewalk(Va),
    /// Neither FAR nor HPFAR helps.
    Unknown,
}

impl FaultIpa {
    /// Returns the 4 KiB page, exact or not, of the access or of the table.
    pub const fn page(self) -> Option<Ipa> {
        match self {
            Self::Exact(ipa) | Self::Page(ipa) | Self::TablePage(ipa) => Some(Ipa(ipa.0 & !0xfff)),
            Self::Rewalk(_) | Self::Unknown => None,
        }
    }

    /// Returns the byte, where it is known.
    pub const fn exact(self) -> Option<Ipa> {
        match self {
            Self::Exact(ipa) => Some(ipa),
            _ => None,
        }
    }
}

impl Fault {
    /// Returns the fault of these captured registers, or `None` when `esr` is not an abort (EC 0x20,
    /// 0x21, 0x24, 0x25).
    pub const fn new(esr: Esr, far: u64, hpfar: u64) -> Option<Self> {
        match esr.class() {
            0x20 | 0x21 | 0x24 | 0x25 => Some(Self { esr, far, hpfar }),
            _ => None,
        }
    }

    /// Returns the fault of a Data Abort and these captured registers.
    pub const fn of_data_abort(abort: DataAbort, far: u64, hpfar: u64) -> Self {
        Self {
            esr: abort.encode(),
            far,
            hpfar,
        }
    }

    /// Returns the fault of an Instruction Abort and these captured registers.
    pub const fn of_instruction_abort(abort: InstructionAbort, far: u64, hpfar: u64) -> Self {
        Self {
            esr: abort.encode(),
            far,
            hpfar,
        }
    }

    /// Returns the syndrome.
    pub const fn esr(self) -> Esr {
        self.esr
    }

    const fn is_fetch(self) -> bool {
        self.esr.class() & !1 == 0x20
    }

    /// Returns the one-bit facts.
    pub const fn flags(self) -> AbortFlags {
        if self.is_fetch() {
            InstructionAbort::decode(self.esr).flags
        } else {
            DataAbort::decode(self.esr).flags
        }
    }

    /// Returns why.
    pub const fn status(self) -> FaultStatus {
        FaultStatus::from_bits((self.esr.0 & 0x3f) as u8)
    }

    /// Returns what went wrong.
    pub const fn kind(self) -> FaultKind {
        self.status().kind()
    }

    /// Returns the level of translation that faulted, -2 to 3.
    pub const fn level(self) -> Option<i8> {
        self.status().level()
    }

    /// Returns what was tried.
    pub const fn access(self) -> Access {
        if self.is_fetch() {
            Access::Fetch
        } else if self.flags().contains(AbortFlags::CACHE_MAINTENANCE) {
            Access::CacheMaintenance
        } else if self.flags().contains(AbortFlags::WRITE) {
            Access::Write
        } else {
            Access::Read
        }
    }

    /// Returns whether stage 2 refused the guest's own table walk, not the access itself.
    pub const fn is_on_s1_walk(self) -> bool {
        self.flags().contains(AbortFlags::S1_WALK)
    }

    /// Returns whether it was taken from the Exception level it arrived at: a fault of the hypervisor.
    pub const fn is_from_same_el(self) -> bool {
        self.esr.class() & 1 != 0
    }

    /// Returns what to emulate; `None` when the instruction must be decoded first.
    pub const fn transfer(self) -> Option<Transfer> {
        if self.is_fetch() || self.block_access().is_some() {
            None
        } else {
            DataAbort::decode(self.esr).transfer
        }
    }

    /// Returns the 64-byte access that aborted, if it was one (FEAT_LS64).
    pub const fn block_access(self) -> Option<BlockAccess> {
        if self.is_fetch() {
            None
        } else {
            DataAbort::decode(self.esr).block_access()
        }
    }

    /// Returns the guest's virtual address, where FAR holds one (FnV).
    ///
    /// It is the address as used: a tag in its top byte is still there.
    pub const fn va(self) -> Option<Va> {
        if self.flags().contains(AbortFlags::FAR_NOT_VALID) {
            None
        } else {
            Some(Va(self.far))
        }
    }

    /// Returns whether [`Self::va`] is the byte itself; where not, only its granule is right (FnP).
    pub const fn is_va_precise(self) -> bool {
        self.va().is_some() && !self.flags().contains(AbortFlags::FAR_NOT_PRECISE)
    }

    /// Returns whether HPFAR holds the IPA.
    ///
    /// Arm ARM (DDI 0487), `HPFAR_EL2`: it does for stage-2 translation, access flag and address size
    /// faults, and for a permission fault only where a stage-1 walk met it.
    const fn has_hpfar(self) -> bool {
        match self.kind() {
            FaultKind::Translation | FaultKind::AccessFlag | FaultKind::AddressSize => {
                !self.is_from_same_el()
            }
            FaultKind::Permission => self.is_on_s1_walk() && !self.is_from_same_el(),
            _ => false,
        }
    }

    /// Returns where the guest meant to go, as precisely as the captured registers know.
    pub const fn ipa(self) -> FaultIpa {
        if self.has_hpfar() {
            // FIPA, bits 47:4, is the IPA from bit 12 up.
            let page = (self.hpfar & 0x0000_ffff_ffff_fff0) << 8;
            if self.is_on_s1_walk() {
                FaultIpa::TablePage(Ipa(page))
            } else if self.is_va_precise() {
                FaultIpa::Exact(Ipa(page | self.far & 0xfff))
            } else {
                FaultIpa::Page(Ipa(page))
            }
        } else {
            match self.va() {
                Some(va) if !self.is_from_same_el() => FaultIpa::Rewalk(va),
                _ => FaultIpa::Unknown,
            }
        }
    }

    /// Returns whether the IPA is in the Non-secure space of a Secure guest (HPFAR_EL2.NS), where HPFAR
    /// holds an IPA at all.
    pub const fn is_nonsecure_ipa(self) -> Option<bool> {
        if self.has_hpfar() {
            Some(self.hpfar >> 63 != 0)
        } else {
            None
        }
    }
}

impl core::fmt::Debug for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Fault")
            .field("access", &self.access())
            .field("kind", &self.kind())
            .field("level", &self.level())
            .field("va", &self.va())
            .field("ipa", &self.ipa())
            .field("transfer", &self.transfer())
            .field("flags", &self.flags())
            .field("esr", &self.esr)
            .finish()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Fault {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "Fault {{ {} {} level {} va {} ipa {} {} }}",
            self.access(),
            self.kind(),
            self.level(),
            self.va(),
            self.ipa(),
            self.esr
        );
    }
}
