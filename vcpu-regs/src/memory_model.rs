//! What a CPU's memory system can do: its ID registers as one value, with named questions.
//!
//! Reading the registers is `vcpu-asm`'s; deciding what follows is `vcpu-stage2`'s.

/// A translation granule: the size of a page and of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Granule {
    /// 4 KiB pages, 512 entries a table.
    Kib4,
    /// 16 KiB pages, 2048 entries a table.
    Kib16,
    /// 64 KiB pages, 8192 entries a table.
    Kib64,
}

impl Granule {
    /// All granules, smallest first.
    pub const ALL: [Self; 3] = [Self::Kib4, Self::Kib16, Self::Kib64];

    /// Returns log2 of the page size in bytes: 12, 14 or 16.
    pub const fn shift(self) -> u32 {
        match self {
            Self::Kib4 => 12,
            Self::Kib16 => 14,
            Self::Kib64 => 16,
        }
    }

    /// Returns the size in bytes of a page, and of a table.
    pub const fn bytes(self) -> u64 {
        1 << self.shift()
    }

    /// Returns how many address bits one level of tables resolves: 9, 11 or 13.
    pub const fn stride(self) -> u32 {
        self.shift() - 3
    }

    /// Returns log2 of the bytes behind one entry of `level` (-1 to 3).
    pub const fn entry_shift(self, level: i8) -> u32 {
        self.shift() + self.stride() * (3 - level) as u32
    }
}

/// Whether stage 2 can use a granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum GranuleSupport {
    /// Not at all.
    Absent,
    /// With addresses of up to 48 bits (52 with 64 KiB pages and FEAT_LPA).
    Present,
    /// With addresses of up to 52 bits through the `DS` descriptor format (FEAT_LPA2).
    Lpa2,
}

/// The ID registers of one CPU, or of several ([`Self::common`]), that decide stage 2.
///
/// Arm ARM (DDI 0487), `ID_AA64MMFR0_EL1` to `ID_AA64MMFR3_EL1`, `ID_AA64ISAR0_EL1`, `CTR_EL0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MemoryModel {
    /// `ID_AA64MMFR0_EL1`.
    pub mmfr0: u64,
    /// `ID_AA64MMFR1_EL1`.
    pub mmfr1: u64,
    /// `ID_AA64MMFR2_EL1`.
    pub mmfr2: u64,
    /// `ID_AA64MMFR3_EL1`.
    pub mmfr3: u64,
    /// `ID_AA64ISAR0_EL1`, for its TLB field.
    pub isar0: u64,
    /// `CTR_EL0`, for the instruction cache's policy.
    pub ctr: u64,
}

/// Position of a 4-bit ID field.
type Field = u32;

// ID_AA64MMFR0_EL1
const PA_RANGE: Field = 0;
const TGRAN16: Field = 20;
const TGRAN64: Field = 24;
const TGRAN4: Field = 28;
const TGRAN16_2: Field = 32;
const TGRAN64_2: Field = 36;
const TGRAN4_2: Field = 40;
// ID_AA64MMFR1_EL1
const HAFDBS: Field = 0;
const VMID_BITS: Field = 4;
const XNX: Field = 28;
// ID_AA64MMFR2_EL1
const CNP: Field = 0;
const ST: Field = 28;
const FWB: Field = 40;
const TTL: Field = 48;
const BBM: Field = 52;
// ID_AA64ISAR0_EL1
const TLB: Field = 56;

/// `CTR_EL0.L1Ip`, bits 15:14.
const L1IP: u64 = 3 << 14;

const MMFR1_FIELDS: &[Field] = &[HAFDBS, VMID_BITS, XNX];
const MMFR2_FIELDS: &[Field] = &[CNP, ST, FWB, TTL, BBM];

const fn field(word: u64, at: Field) -> u8 {
    (word >> at & 0xf) as u8
}

/// The lesser of each listed field, the others 0.
fn lesser(fields: &[Field], a: u64, b: u64) -> u64 {
    let pick = |&at: &Field| u64::from(field(a, at).min(field(b, at))) << at;
    fields.iter().map(pick).fold(0, |word, field| word | field)
}

impl MemoryModel {
    /// Returns the bits of a physical address: 32 to 56 (PARange).
    pub const fn pa_bits(&self) -> u8 {
        match field(self.mmfr0, PA_RANGE) {
            0 => 32,
            1 => 36,
            2 => 40,
            3 => 42,
            4 => 44,
            5 => 48,
            6 => 52,
            // Larger values of an unsigned ID field promise no less than the smaller ones.
            _ => 56,
        }
    }

    /// Returns whether stage 2 has this granule (TGran*_2, or TGran* where that says "as stage 1").
    pub const fn stage2_granule(&self, granule: Granule) -> GranuleSupport {
        use GranuleSupport::{Absent, Lpa2, Present};
        let (stage2, stage1) = match granule {
            Granule::Kib4 => (TGRAN4_2, TGRAN4),
            Granule::Kib16 => (TGRAN16_2, TGRAN16),
            Granule::Kib64 => (TGRAN64_2, TGRAN64),
        };
        match (
            field(self.mmfr0, stage2),
            field(self.mmfr0, stage1),
            granule,
        ) {
            (1, ..) => Absent,
            (2, ..) | (3.., _, Granule::Kib64) => Present,
            (3.., ..) => Lpa2,
            // "As stage 1." The 4K and 64K fields are signed: 0xf (and 8 and up) is "none".
            (0, 8.., Granule::Kib4 | Granule::Kib64) => Absent,
            (0, _, Granule::Kib64) | (0, 0, Granule::Kib4) | (0, 1, Granule::Kib16) => Present,
            (0, 0, Granule::Kib16) => Absent,
            (0, ..) => Lpa2,
        }
    }

    /// Returns the bits of a VMID: 8 or 16 (VMIDBits, FEAT_VMID16).
    pub const fn vmid_bits(&self) -> u8 {
        if field(self.mmfr1, VMID_BITS) >= 2 {
            16
        } else {
            8
        }
    }

    /// Returns whether hardware can set the access flag (HAFDBS, FEAT_HAFDBS).
    pub const fn has_access_flag_updates(&self) -> bool {
        field(self.mmfr1, HAFDBS) >= 1
    }

    /// Returns whether hardware can record dirty pages (HAFDBS, FEAT_HAFDBS).
    pub const fn has_dirty_updates(&self) -> bool {
        field(self.mmfr1, HAFDBS) >= 2
    }

    /// Returns whether execution at EL1 and at EL0 are permitted apart (FEAT_XNX).
    pub const fn has_xnx(&self) -> bool {
        field(self.mmfr1, XNX) >= 1
    }

    /// Returns whether CPUs may share translations of one VMID (CnP, FEAT_TTCNP).
    pub const fn has_common_not_private(&self) -> bool {
        field(self.mmfr2, CNP) >= 1
    }

    /// Returns whether tables may cover less than 25 bits of address (ST, FEAT_TTST).
    pub const fn has_small_tables(&self) -> bool {
        field(self.mmfr2, ST) >= 1
    }

    /// Returns whether stage 2 can force write-back (FWB, FEAT_S2FWB).
    pub const fn has_force_write_back(&self) -> bool {
        field(self.mmfr2, FWB) >= 1
    }

    /// Returns whether `TLBI` takes the level of the entry (TTL, FEAT_TTL).
    pub const fn has_tlbi_level(&self) -> bool {
        field(self.mmfr2, TTL) >= 1
    }

    /// Returns whether `TLBI` takes a range (TLB, FEAT_TLBIRANGE).
    pub const fn has_tlbi_range(&self) -> bool {
        field(self.isar0, TLB) >= 2
    }

    /// Returns how little break-before-make a change of block size needs: 0 to 2 (FEAT_BBM).
    pub const fn break_before_make_level(&self) -> u8 {
        let level = field(self.mmfr2, BBM);
        if level > 2 { 2 } else { level }
    }

    /// Returns whether instruction-cache lines are tagged with the VMID (`CTR_EL0.L1Ip` VPIPT).
    pub const fn has_vpipt_icache(&self) -> bool {
        // An all-zero value is a caller that does not know; the cost of the doubt is one `IC`.
        self.ctr & L1IP == 0
    }

    /// Returns what both have: a VM that may run on either must live with that.
    ///
    /// Only the fields asked for here are meaningful in the answer; the others read as 0.
    pub fn common(&self, other: &Self) -> Self {
        let mut mmfr0 = lesser(&[PA_RANGE], self.mmfr0, other.mmfr0);
        for (granule, at) in [
            (Granule::Kib4, TGRAN4_2),
            (Granule::Kib16, TGRAN16_2),
            (Granule::Kib64, TGRAN64_2),
        ] {
            let both = self
                .stage2_granule(granule)
                .min(other.stage2_granule(granule));
            mmfr0 |= (both as u64 + 1) << at; // 1, 2, 3: absent, present, LPA2
        }
        Self {
            mmfr0,
            mmfr1: lesser(MMFR1_FIELDS, self.mmfr1, other.mmfr1),
            mmfr2: lesser(MMFR2_FIELDS, self.mmfr2, other.mmfr2),
            mmfr3: 0,
            isar0: lesser(&[TLB], self.isar0, other.isar0),
            ctr: (self.ctr & L1IP).min(other.ctr & L1IP),
        }
    }
}

#[cfg(test)]
mod tests;
