//! The registers by which EL2 drives a guest's interrupt interface: `ICH_*` here, a GICv2's
//! `GICH_*` in [`v2`].

use bitflags::bitflags;
use tock_registers::fields::Field;

use crate::{Intid, controls::format_bits};
use layout::{LR, VMCR, VTR};

pub mod v2;

mod layout {
    tock_registers::register_bitfields![u64,
        /// GIC architecture (IHI 0069), `ICH_LR<n>_EL2`.
        pub LR [
            PENDING OFFSET(62) NUMBITS(1) [],
            ACTIVE OFFSET(63) NUMBITS(1) [],
            /// Deactivating it deactivates the physical interrupt of pINTID.
            HW OFFSET(61) NUMBITS(1) [],
            /// It is of Group 1.
            GROUP OFFSET(60) NUMBITS(1) [],
            PRIORITY OFFSET(48) NUMBITS(8) [],
            /// With HW = 1.
            PINTID OFFSET(32) NUMBITS(13) [],
            /// With HW = 0: a GICv2's CPUID, in the place it has there. RES0 in this register.
            SENDER OFFSET(32) NUMBITS(3) [],
            /// With HW = 0: a maintenance interrupt when it is deactivated.
            EOI OFFSET(41) NUMBITS(1) [],
            VINTID OFFSET(0) NUMBITS(32) [],
        ],
        /// GIC architecture (IHI 0069), `ICH_VTR_EL2`.
        pub VTR [
            /// Bits of a priority, minus one.
            PRIBITS OFFSET(29) NUMBITS(3) [],
            /// Bits of a priority that can preempt, minus one.
            PREBITS OFFSET(26) NUMBITS(3) [],
            IDBITS OFFSET(23) NUMBITS(3) [
                Bits16 = 0,
                Bits24 = 1,
            ],
            /// ICH_HCR_EL2.TDIR is there.
            TDS OFFSET(19) NUMBITS(1) [],
            /// List registers, minus one.
            LIST_REGS OFFSET(0) NUMBITS(5) [],
        ],
        /// GIC architecture (IHI 0069), `ICH_VMCR_EL2`.
        pub VMCR [
            /// The guest's ICC_PMR_EL1.
            VPMR OFFSET(24) NUMBITS(8) [],
            VBPR0 OFFSET(21) NUMBITS(3) [],
            VBPR1 OFFSET(18) NUMBITS(3) [],
            /// EOImode: ending drops the priority only.
            VEOIM OFFSET(9) NUMBITS(1) [],
            /// Group 1 preempts by the binary point of Group 0.
            VCBPR OFFSET(4) NUMBITS(1) [],
            VENG1 OFFSET(1) NUMBITS(1) [],
            VENG0 OFFSET(0) NUMBITS(1) [],
        ]
    ];
}

bitflags! {
    /// `ICC_SRE_EL2`, and `ICC_SRE_EL1` as far as it goes. GIC architecture (IHI 0069),
    /// `ICC_SRE_EL2`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct IccSre: u64 {
        /// The CPU interface is system registers.
        const SRE = 1 << 0;
        /// FIQs do not bypass it.
        const DFB = 1 << 1;
        /// IRQs do not bypass it.
        const DIB = 1 << 2;
        /// EL1 may use `ICC_SRE_EL1`; not in that register itself.
        const ENABLE = 1 << 3;
        const _ = !0;
    }
}

bitflags! {
    /// `ICH_HCR_EL2`; a GICv2's `GICH_HCR` has the same bits up to bit 7 and `EOIcount`. GIC
    /// architecture (IHI 0069), `ICH_HCR_EL2`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct IchHcr: u64 {
        /// The virtual CPU interface is on.
        const EN = 1 << 0;
        /// Maintenance when at most one list register is in use.
        const UIE = 1 << 1;
        /// Maintenance when the guest has ended an interrupt that no list register holds.
        const LRENPIE = 1 << 2;
        /// Maintenance when no list register is pending.
        const NPIE = 1 << 3;
        /// Maintenance while Group 0 is enabled.
        const VGRP0EIE = 1 << 4;
        /// Maintenance while Group 0 is disabled.
        const VGRP0DIE = 1 << 5;
        /// Maintenance while Group 1 is enabled.
        const VGRP1EIE = 1 << 6;
        /// Maintenance while Group 1 is disabled.
        const VGRP1DIE = 1 << 7;
        /// Registers common to both groups trap (`ICC_CTLR_EL1`, `ICC_PMR_EL1`, ...).
        const TC = 1 << 10;
        /// Group 0 registers trap.
        const TALL0 = 1 << 11;
        /// Group 1 registers trap.
        const TALL1 = 1 << 12;
        /// `ICC_DIR_EL1` traps, where the CPU can ([`IchVtr::can_trap_dir`]).
        const TDIR = 1 << 14;
        /// Interrupts that the guest has ended and no list register held: `EOIcount`.
        const EOI_COUNT = 0x1f << 27;
        const _ = !0;
    }
}

impl IchHcr {
    /// Returns how many interrupts the guest has ended that no list register held.
    pub const fn eoi_count(self) -> u8 {
        ((self.bits() & Self::EOI_COUNT.bits()) >> 27) as u8
    }
}

bitflags! {
    /// `ICH_MISR_EL2`: why there is a maintenance interrupt; a GICv2's `GICH_MISR` is the same. GIC
    /// architecture (IHI 0069), `ICH_MISR_EL2`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct IchMisr: u64 {
        /// A list register's interrupt was ended: `ICH_EISR_EL2` says which.
        const EOI = 1 << 0;
        /// At most one list register is in use.
        const U = 1 << 1;
        /// An interrupt was ended that no list register held.
        const LRENP = 1 << 2;
        /// No list register is pending.
        const NP = 1 << 3;
        /// Group 0 is enabled.
        const VGRP0E = 1 << 4;
        /// Group 0 is disabled.
        const VGRP0D = 1 << 5;
        /// Group 1 is enabled.
        const VGRP1E = 1 << 6;
        /// Group 1 is disabled.
        const VGRP1D = 1 << 7;
        const _ = !0;
    }
}

format_bits!(IccSre IchHcr IchMisr);

/// A register of the virtual CPU interface, as EL2 reads and writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum IchReg {
    /// `ICH_HCR_EL2`.
    Hcr,
    /// `ICH_VTR_EL2`: not to be written.
    Vtr,
    /// `ICH_VMCR_EL2`.
    Vmcr,
    /// `ICH_MISR_EL2`: not to be written.
    Misr,
    /// `ICH_LR<n>_EL2`, 0 to 15.
    Lr(u8),
    /// `ICH_AP0R<n>_EL2`, 0 to 3: priorities of Group 0 that are active.
    Ap0r(u8),
    /// `ICH_AP1R<n>_EL2`, 0 to 3: priorities of Group 1 that are active.
    Ap1r(u8),
    /// `ICC_SRE_EL1`: whether the guest's interface is system registers.
    SreEl1,
}

impl IchReg {
    /// Returns whether a CPU with this `ICH_VTR_EL2` has the register.
    pub const fn exists(self, vtr: IchVtr) -> bool {
        match self {
            Self::Lr(n) => n < vtr.list_registers(),
            Self::Ap0r(n) | Self::Ap1r(n) => n < vtr.active_priority_registers(),
            Self::Hcr | Self::Vtr | Self::Vmcr | Self::Misr | Self::SreEl1 => true,
        }
    }
}

/// What the virtual CPU interface of this CPU has: `ICH_VTR_EL2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IchVtr(pub u64);

impl IchVtr {
    /// Returns the count of list registers, 1 to 16 (ListRegs).
    pub const fn list_registers(self) -> u8 {
        let count = field(self.0, VTR::LIST_REGS) as u8 + 1;
        if count > 16 { 16 } else { count }
    }

    /// Returns how many bits of a priority there are (PRIbits).
    pub const fn priority_bits(self) -> u8 {
        field(self.0, VTR::PRIBITS) as u8 + 1
    }

    /// Returns how many bits of a priority decide on preemption (PREbits).
    pub const fn preemption_bits(self) -> u8 {
        field(self.0, VTR::PREBITS) as u8 + 1
    }

    /// Returns the count of `ICH_AP0R<n>_EL2`, and of `ICH_AP1R<n>_EL2`: 1, 2 or 4.
    pub const fn active_priority_registers(self) -> u8 {
        match self.preemption_bits() {
            0..=5 => 1,
            6 => 2,
            _ => 4,
        }
    }

    /// Returns how many bits an INTID has, 16 or 24 (IDbits).
    pub const fn intid_bits(self) -> u8 {
        match field(self.0, VTR::IDBITS) {
            0 => 16,
            _ => 24,
        }
    }

    /// Returns whether `ICC_DIR_EL1` can trap by itself (TDS).
    pub const fn can_trap_dir(self) -> bool {
        field(self.0, VTR::TDS) != 0
    }
}

/// The guest's own settings of its CPU interface: `ICH_VMCR_EL2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IchVmcr(pub u64);

impl IchVmcr {
    /// Returns whether Group 0 is enabled (VENG0).
    pub const fn enables_group0(self) -> bool {
        field(self.0, VMCR::VENG0) != 0
    }

    /// Returns whether Group 1 is enabled (VENG1).
    pub const fn enables_group1(self) -> bool {
        field(self.0, VMCR::VENG1) != 0
    }

    /// Returns whether ending an interrupt only drops its priority, and deactivating it is a write
    /// of its own (VEOIM).
    pub const fn splits_end(self) -> bool {
        field(self.0, VMCR::VEOIM) != 0
    }

    /// Returns whether Group 1 preempts by the binary point of Group 0 (VCBPR).
    pub const fn shares_binary_point(self) -> bool {
        field(self.0, VMCR::VCBPR) != 0
    }

    /// Returns the binary points of Group 0 and of Group 1 (VBPR0, VBPR1).
    pub const fn binary_points(self) -> (u8, u8) {
        (
            field(self.0, VMCR::VBPR0) as u8,
            field(self.0, VMCR::VBPR1) as u8,
        )
    }

    /// Returns the part of a priority that decides on preemption: the binary point of the group
    /// cuts off the rest.
    pub const fn group_priority(self, priority: u8, is_group1: bool) -> u8 {
        let (point0, point1) = self.binary_points();
        let low_bits = if is_group1 && !self.shares_binary_point() {
            point1 as u32
        } else {
            point0 as u32 + 1
        };
        (priority as u32 >> low_bits << low_bits) as u8
    }

    /// Returns the priority that an interrupt must be above: `ICC_PMR_EL1` (VPMR).
    pub const fn priority_mask(self) -> u8 {
        field(self.0, VMCR::VPMR) as u8
    }
}

/// One interrupt as the virtual CPU interface holds it: `ICH_LR<n>_EL2`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ListRegister(u64);

impl ListRegister {
    /// Holds nothing.
    pub const EMPTY: Self = Self(0);

    /// Returns the register with this content.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the content.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Returns an interrupt that is neither pending nor active yet.
    pub const fn new(intid: Intid, priority: u8, is_group1: bool) -> Self {
        let word = put(0, LR::VINTID, intid.0 as u64);
        let word = put(word, LR::PRIORITY, priority as u64);
        Self(put(word, LR::GROUP, is_group1 as u64))
    }

    /// Returns the same with the physical interrupt that goes with it (HW, pINTID), or `None` if
    /// that is beyond the field: 13 bits.
    pub const fn with_hardware(self, physical: Intid) -> Option<Self> {
        if physical.0 as u64 > LR::PINTID.mask {
            return None;
        }
        let word = put(self.0, LR::PINTID, physical.0 as u64);
        Some(Self(put(word, LR::HW, 1)))
    }

    /// Returns the same, to raise a maintenance interrupt when it was deactivated (EOI). Not for
    /// one with [hardware](Self::with_hardware).
    pub const fn with_end_reported(self) -> Self {
        Self(put(self.0, LR::EOI, 1))
    }

    /// Returns the same, an SGI that this CPU (0 to 7) sent: for a GICv2's list register, and RES0 in
    /// `ICH_LR<n>_EL2`. Not for one with [hardware](Self::with_hardware).
    pub const fn with_sender(self, cpu: u8) -> Self {
        Self(put(self.0, LR::SENDER, cpu as u64))
    }

    /// Returns the same, pending or not.
    pub const fn with_pending(self, pending: bool) -> Self {
        Self(put(self.0, LR::PENDING, pending as u64))
    }

    /// Returns the same, active or not.
    pub const fn with_active(self, active: bool) -> Self {
        Self(put(self.0, LR::ACTIVE, active as u64))
    }

    /// Returns the number that the guest reads (vINTID).
    pub const fn intid(self) -> Intid {
        Intid(field(self.0, LR::VINTID) as u32)
    }

    /// Returns its priority; 0 is the highest.
    pub const fn priority(self) -> u8 {
        field(self.0, LR::PRIORITY) as u8
    }

    /// Returns whether it is of Group 1, and not of Group 0.
    pub const fn is_group1(self) -> bool {
        field(self.0, LR::GROUP) != 0
    }

    /// Returns the physical interrupt that goes with it.
    pub const fn hardware(self) -> Option<Intid> {
        match field(self.0, LR::HW) {
            0 => None,
            _ => Some(Intid(field(self.0, LR::PINTID) as u32)),
        }
    }

    /// Returns who sent an SGI; 0 for what has [hardware](Self::hardware).
    pub const fn sender(self) -> u8 {
        match field(self.0, LR::HW) {
            0 => field(self.0, LR::SENDER) as u8,
            _ => 0,
        }
    }

    /// Returns whether deactivating it raises a maintenance interrupt.
    pub const fn reports_end(self) -> bool {
        field(self.0, LR::HW) == 0 && field(self.0, LR::EOI) != 0
    }

    /// Returns whether the guest is to take it.
    pub const fn is_pending(self) -> bool {
        field(self.0, LR::PENDING) != 0
    }

    /// Returns whether the guest has taken it and not deactivated it.
    pub const fn is_active(self) -> bool {
        field(self.0, LR::ACTIVE) != 0
    }

    /// Returns whether it is neither pending nor active.
    pub const fn is_inactive(self) -> bool {
        !self.is_pending() && !self.is_active()
    }

    /// Returns whether its end is waiting to be noticed: its bit in `ICH_EISR_EL2`.
    pub const fn has_ended(self) -> bool {
        self.is_inactive() && self.reports_end()
    }

    /// Returns whether it may be overwritten: its bit in `ICH_ELRSR_EL2`.
    pub const fn is_free(self) -> bool {
        self.is_inactive() && !self.reports_end()
    }
}

impl core::fmt::Debug for ListRegister {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let state = match (self.is_pending(), self.is_active()) {
            (false, false) => "inactive",
            (true, false) => "pending",
            (false, true) => "active",
            (true, true) => "active and pending",
        };
        let group = u8::from(self.is_group1());
        let (intid, priority) = (self.intid().0, self.priority());
        write!(f, "{intid} {state}, priority {priority:#x}, group {group}")?;
        if let Some(physical) = self.hardware() {
            write!(f, ", hardware {}", physical.0)?;
        }
        if self.reports_end() {
            f.write_str(", end reported")?;
        }
        Ok(())
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for ListRegister {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "ListRegister({=u64:#x})", self.0);
    }
}

/// Returns a field.
const fn field<R: tock_registers::RegisterLongName>(word: u64, field: Field<u64, R>) -> u64 {
    word >> field.shift & field.mask
}

/// Returns the word with a field replaced; what does not fit is cut.
const fn put<R: tock_registers::RegisterLongName>(
    word: u64,
    field: Field<u64, R>,
    value: u64,
) -> u64 {
    word & !(field.mask << field.shift) | (value & field.mask) << field.shift
}

#[cfg(test)]
mod tests;
