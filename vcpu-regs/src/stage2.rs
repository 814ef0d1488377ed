//! The two registers that switch a stage-2 translation on a CPU.

use crate::{Granule, Pa, Vmid};
use core::fmt;
use tock_registers::{LocalRegisterCopy, fields::FieldValue};

use layout::{VTCR, VTTBR};

mod layout {
    tock_registers::register_bitfields![u64,
        /// Arm ARM (DDI 0487), `VTCR_EL2`.
        pub VTCR [
            /// With SL0 = 0: the walk starts at level -1.
            SL2 OFFSET(33) NUMBITS(1) [],
            /// Descriptors hold 52-bit addresses (FEAT_LPA2); shareability comes from SH0.
            DS OFFSET(32) NUMBITS(1) [],
            RES1 OFFSET(31) NUMBITS(1) [],
            /// Hardware records dirty pages.
            HD OFFSET(22) NUMBITS(1) [],
            /// Hardware sets the access flag.
            HA OFFSET(21) NUMBITS(1) [],
            /// VMIDs have 16 bits.
            VS OFFSET(19) NUMBITS(1) [],
            /// Size of the output address, encoded as PARange.
            PS OFFSET(16) NUMBITS(3) [],
            TG0 OFFSET(14) NUMBITS(2) [
                Kib4 = 0,
                Kib64 = 1,
                Kib16 = 2,
            ],
            /// Shareability of table walks.
            SH0 OFFSET(12) NUMBITS(2) [
                Inner = 3,
            ],
            /// Outer cacheability of table walks.
            ORGN0 OFFSET(10) NUMBITS(2) [
                WriteBack = 1,
            ],
            /// Inner cacheability of table walks.
            IRGN0 OFFSET(8) NUMBITS(2) [
                WriteBack = 1,
            ],
            /// Level at which the walk starts; what a value means depends on TG0.
            SL0 OFFSET(6) NUMBITS(2) [],
            /// 64 minus the bits of an input address.
            T0SZ OFFSET(0) NUMBITS(6) [],
        ],
        /// Arm ARM (DDI 0487), `VTTBR_EL2`.
        pub VTTBR [
            VMID OFFSET(48) NUMBITS(16) [],
            /// Address bits 47:6 of the root.
            BADDR OFFSET(6) NUMBITS(42) [],
            /// Address bits 51:48 of the root.
            BADDR_HIGH OFFSET(2) NUMBITS(4) [],
            /// Other CPUs use the same table with this VMID.
            CNP OFFSET(0) NUMBITS(1) [],
        ]
    ];
}

/// How stage 2 translates: `VTCR_EL2`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Vtcr(u64);

/// What [`Vtcr::new`] encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct VtcrFields {
    /// Page and table size (TG0).
    pub granule: Granule,
    /// Bits of an input address, 16 to 52 (T0SZ).
    pub ipa_bits: u8,
    /// Level of the root, -1 to 3 (SL0, SL2).
    pub start_level: i8,
    /// Bits of an output address: 32, 36, 40, 42, 44, 48 or 52 (PS).
    pub pa_bits: u8,
    /// Whether VMIDs have 16 bits (VS).
    pub wide_vmid: bool,
    /// Whether descriptors have the 52-bit format of FEAT_LPA2 (DS).
    pub wide_descriptors: bool,
    /// Whether hardware sets the access flag (HA).
    pub access_flag_updates: bool,
    /// Whether hardware records dirty pages (HD).
    pub dirty_updates: bool,
}

/// SL0 of a start level counts down from here: level 2 is 0 with 4 KiB pages, level 3 otherwise.
const fn sl0_base(granule: Granule) -> i8 {
    match granule {
        Granule::Kib4 => 2,
        Granule::Kib16 | Granule::Kib64 => 3,
    }
}

impl Vtcr {
    /// Returns the value that says this, with walks inner shareable and write-back.
    ///
    /// It encodes; whether a CPU accepts the combination is for `vcpu-stage2` to know. A level or
    /// size that has no encoding is cut to its field.
    pub fn new(fields: &VtcrFields) -> Self {
        let granule = match fields.granule {
            Granule::Kib4 => VTCR::TG0::Kib4,
            Granule::Kib16 => VTCR::TG0::Kib16,
            Granule::Kib64 => VTCR::TG0::Kib64,
        };
        let ps = match fields.pa_bits {
            0..36 => 0,
            36..40 => 1,
            40..42 => 2,
            42..44 => 3,
            44..48 => 4,
            48..52 => 5,
            52.. => 6,
        };
        let (sl2, sl0) = match (fields.granule, fields.start_level) {
            (Granule::Kib4, -1) => (1, 0),
            // Counting down from level 2 would end in -1: level 3 takes the value left (FEAT_TTST).
            (Granule::Kib4, 3) => (0, 3),
            (granule, level) => (0, (sl0_base(granule) - level) as u64),
        };
        let flag = |field: fn(u64) -> FieldValue<u64, VTCR::Register>, on| field(u64::from(on));
        let mut word = LocalRegisterCopy::<u64, VTCR::Register>::new(0);
        word.modify(
            VTCR::RES1::SET
                + granule
                + VTCR::PS.val(ps)
                + VTCR::SH0::Inner
                + VTCR::ORGN0::WriteBack
                + VTCR::IRGN0::WriteBack
                + VTCR::SL0.val(sl0)
                + VTCR::SL2.val(sl2)
                + VTCR::T0SZ.val(u64::from(64 - fields.ipa_bits.min(64)))
                + flag(|on| VTCR::VS.val(on), fields.wide_vmid)
                + flag(|on| VTCR::DS.val(on), fields.wide_descriptors)
                + flag(|on| VTCR::HA.val(on), fields.access_flag_updates)
                + flag(|on| VTCR::HD.val(on), fields.dirty_updates),
        );
        Self(word.get())
    }

    /// Returns the register with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the bits to write.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Returns what the bits say, or `None` where a field holds a reserved value.
    pub fn fields(self) -> Option<VtcrFields> {
        let word = LocalRegisterCopy::<u64, VTCR::Register>::new(self.0);
        let granule = match word.read_as_enum(VTCR::TG0)? {
            VTCR::TG0::Value::Kib4 => Granule::Kib4,
            VTCR::TG0::Value::Kib16 => Granule::Kib16,
            VTCR::TG0::Value::Kib64 => Granule::Kib64,
        };
        let start_level = match (granule, word.read(VTCR::SL2), word.read(VTCR::SL0) as i8) {
            (Granule::Kib4, 1, 0) => -1,
            (Granule::Kib4, 0, 3) => 3,
            (Granule::Kib64, 0, 3) => return None,
            (granule, 0, sl0) => sl0_base(granule) - sl0,
            _ => return None,
        };
        Some(VtcrFields {
            granule,
            ipa_bits: 64 - word.read(VTCR::T0SZ) as u8,
            start_level,
            pa_bits: *[32, 36, 40, 42, 44, 48, 52].get(word.read(VTCR::PS) as usize)?,
            wide_vmid: word.is_set(VTCR::VS),
            wide_descriptors: word.is_set(VTCR::DS),
            access_flag_updates: word.is_set(VTCR::HA),
            dirty_updates: word.is_set(VTCR::HD),
        })
    }
}

impl fmt::Debug for Vtcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vtcr({:#x})", self.0)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Vtcr {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Vtcr({=u64:#x})", self.0);
    }
}

/// Whose translations, and where their root is: `VTTBR_EL2`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Vttbr(u64);

impl Vttbr {
    /// Returns the register for a root of at most 52 bits, aligned to 64 bytes at least; `None`
    /// leaves the VMID 0, for [`with_vmid`](Self::with_vmid) to fill.
    ///
    /// Address bits that have no place in the register are dropped.
    pub fn new(root: Pa, vmid: Option<Vmid>, common_not_private: bool) -> Self {
        let mut word = LocalRegisterCopy::<u64, VTTBR::Register>::new(0);
        word.modify(
            VTTBR::VMID.val(vmid.map_or(0, |vmid| vmid.get().into()))
                + VTTBR::BADDR.val(root.0 >> 6)
                + VTTBR::BADDR_HIGH.val(root.0 >> 48)
                + VTTBR::CNP.val(common_not_private.into()),
        );
        Self(word.get())
    }

    /// Returns the register with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the bits to write.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Returns the VMID, or `None` where the register holds 0.
    pub fn vmid(self) -> Option<Vmid> {
        Vmid::new(self.word().read(VTTBR::VMID) as u16)
    }

    /// Returns the register with another VMID.
    pub fn with_vmid(self, vmid: Vmid) -> Self {
        let mut word = self.word();
        word.modify(VTTBR::VMID.val(vmid.get().into()));
        Self(word.get())
    }

    /// Returns the address of the root.
    pub fn root(self) -> Pa {
        let word = self.word();
        Pa(word.read(VTTBR::BADDR) << 6 | word.read(VTTBR::BADDR_HIGH) << 48)
    }

    fn word(self) -> LocalRegisterCopy<u64, VTTBR::Register> {
        LocalRegisterCopy::new(self.0)
    }
}

impl fmt::Debug for Vttbr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vttbr({:#x})", self.0)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Vttbr {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Vttbr({=u64:#x})", self.0);
    }
}

#[cfg(test)]
mod tests;
