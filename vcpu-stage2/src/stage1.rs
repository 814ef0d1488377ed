//! A guest's own translation, walked in software: VA to IPA, as its registers and tables say.
//!
//! For debuggers, and for the instruction behind an exit that its syndrome does not describe.
//! Total: whatever a guest wrote gives an answer. Arm ARM (DDI 0487), `TCR_EL1`, `TTBR0_EL1`,
//! `TTBR1_EL1`, `SCTLR_EL1`, VMSAv8-64 stage-1 descriptors.

use crate::Access;
use vcpu_regs::{Granule, Ipa, Va};

/// The registers of a guest that decide its stage 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stage1 {
    /// `SCTLR_EL1`.
    pub sctlr: u64,
    /// `TCR_EL1`.
    pub tcr: u64,
    /// `TCR2_EL1`, or 0 where there is none.
    pub tcr2: u64,
    /// `TTBR0_EL1`.
    pub ttbr0: u64,
    /// `TTBR1_EL1`.
    pub ttbr1: u64,
    /// `MAIR_EL1`.
    pub mair: u64,
}

/// What one exception level may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Permissions {
    /// Loads and stores.
    pub access: Access,
    /// Instruction fetches.
    pub execute: bool,
}

/// Where a VA goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stage1Leaf {
    /// The intermediate physical address.
    pub ipa: Ipa,
    /// What EL1 may do.
    pub el1: Permissions,
    /// What EL0 may do.
    pub el0: Permissions,
    /// The memory type: a byte of `MAIR_EL1`. 0, Device-nGnRnE, where stage 1 is off.
    pub memory: u8,
    /// The access flag; without it, a use faults unless hardware sets it (`TCR_EL1.HA`).
    pub accessed: bool,
    /// Level of the leaf, -1 to 3; `None` where stage 1 is off.
    pub level: Option<i8>,
}

/// Why a VA goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Stage1Fault {
    /// Nothing is mapped, or the VA is in neither half: a translation fault at this level.
    Translation {
        /// Level of the entry, or where the walk would have begun.
        level: i8,
    },
    /// An address exceeds the IPA bits the guest set (`TCR_EL1.IPS`).
    AddressSize {
        /// Level of the entry that holds it; the first for a root.
        level: i8,
    },
    /// A descriptor could not be read.
    Unreadable {
        /// Level of the entry.
        level: i8,
        /// Where it is.
        descriptor: Ipa,
    },
    /// The guest uses a format this walker does not know (`TCR2_EL1`: FEAT_S1PIE, FEAT_D128).
    UnknownFormat,
}

const M: u64 = 1 << 0;
const WXN: u64 = 1 << 19;
const EE: u64 = 1 << 25;
const DS: u64 = 1 << 59;
const HD: u64 = 1 << 40;
const PIE: u64 = 1 << 1;
const D128: u64 = 1 << 5;

const VALID: u64 = 1 << 0;
const TABLE_OR_PAGE: u64 = 1 << 1;
const AP_EL0: u64 = 1 << 6;
const AP_READ_ONLY: u64 = 1 << 7;
const ACCESS_FLAG: u64 = 1 << 10;
const DIRTY_MODIFIER: u64 = 1 << 51;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const PXN_TABLE: u64 = 1 << 59;
const UXN_TABLE: u64 = 1 << 60;
const AP_TABLE_NO_EL0: u64 = 1 << 61;
const AP_TABLE_READ_ONLY: u64 = 1 << 62;

/// One half of the VA space, as `TCR_EL1` has it.
struct Half {
    granule: Granule,
    va_bits: u32,
    ignores_top_byte: bool,
    ignores_hierarchy: bool,
    off: bool,
    root: u64,
}

impl Stage1 {
    /// Returns where `va` goes, reading descriptors with `read`: eight bytes at an IPA, in the
    /// order of a little-endian guest, or `None` where there is no memory.
    pub fn walk(
        &self,
        va: Va,
        mut read: impl FnMut(Ipa) -> Option<u64>,
    ) -> Result<Stage1Leaf, Stage1Fault> {
        let ipa_bits = [32, 36, 40, 42, 44, 48, 52, 52][(self.tcr >> 32 & 7) as usize];
        if self.sctlr & M == 0 {
            return self.flat(va);
        }
        if self.tcr2 & (PIE | D128) != 0 {
            return Err(Stage1Fault::UnknownFormat);
        }
        let wide = self.tcr & DS != 0;
        let half = self.half(va);
        let (granule, page) = (half.granule, half.granule.shift());
        let is_valid = (12..=52).contains(&half.va_bits)
            && half.va_bits > page
            && (half.va_bits <= 48 || wide || granule == Granule::Kib64);
        if !is_valid || half.off || !half.contains(va) {
            return Err(Stage1Fault::Translation { level: 0 });
        }
        let levels = (half.va_bits - page).div_ceil(granule.stride());
        let mut level = 4 - levels as i8;
        let address = Address {
            granule,
            wide,
            lpa: ipa_bits == 52,
        };
        let input = va.0 & ((1 << half.va_bits) - 1);
        let root_bits = (half.va_bits - granule.entry_shift(level)) + 3;
        let mut table = address.root(half.root, root_bits);
        let mut inherited = 0;
        if table >> ipa_bits != 0 {
            return Err(Stage1Fault::AddressSize { level });
        }
        loop {
            let shift = granule.entry_shift(level);
            let index = input >> shift;
            let is_root = level == 4 - levels as i8;
            let index = if is_root {
                index
            } else {
                index & ((1 << granule.stride()) - 1)
            };
            let at = Ipa(table + index * 8);
            let word = read(at).ok_or(Stage1Fault::Unreadable {
                level,
                descriptor: at,
            })?;
            let word = if self.sctlr & EE != 0 {
                word.swap_bytes()
            } else {
                word
            };
            if word & VALID == 0 {
                return Err(Stage1Fault::Translation { level });
            }
            let is_leaf = if level == 3 {
                word & TABLE_OR_PAGE != 0
            } else {
                word & TABLE_OR_PAGE == 0 && address.has_block_at(level)
            };
            if !is_leaf && (level == 3 || word & TABLE_OR_PAGE == 0) {
                return Err(Stage1Fault::Translation { level }); // a reserved encoding
            }
            let next = address.output(word, if is_leaf { shift } else { page });
            if next >> ipa_bits != 0 {
                return Err(Stage1Fault::AddressSize { level });
            }
            if is_leaf {
                let ipa = Ipa(next | input & ((1 << shift) - 1));
                return Ok(self.leaf(word, inherited, ipa, level));
            }
            if !half.ignores_hierarchy {
                inherited |= word & (PXN_TABLE | UXN_TABLE | AP_TABLE_NO_EL0 | AP_TABLE_READ_ONLY);
            }
            (table, level) = (next, level + 1);
        }
    }

    /// Stage 1 off: an address goes to itself, with everything permitted.
    fn flat(&self, va: Va) -> Result<Stage1Leaf, Stage1Fault> {
        let ignores_top = self.tcr >> (37 + (va.0 >> 55 & 1)) & 1 != 0;
        let address = if ignores_top {
            va.0 & ((1 << 56) - 1)
        } else {
            va.0
        };
        // More than 52 bits are more than any CPU has; fewer are for stage 2 to refuse.
        if address >> 52 != 0 {
            return Err(Stage1Fault::AddressSize { level: 0 });
        }
        let all = Permissions {
            access: Access::READ_WRITE,
            execute: true,
        };
        let ipa = Ipa(address);
        Ok(Stage1Leaf {
            ipa,
            el1: all,
            el0: all,
            memory: 0,
            accessed: true,
            level: None,
        })
    }

    fn half(&self, va: Va) -> Half {
        let tcr = self.tcr;
        let bit = |at: u32| tcr >> at & 1 != 0;
        if va.0 >> 55 & 1 == 0 {
            Half {
                granule: match tcr >> 14 & 3 {
                    1 => Granule::Kib64,
                    2 => Granule::Kib16,
                    _ => Granule::Kib4,
                },
                va_bits: 64 - (tcr & 63) as u32,
                ignores_top_byte: bit(37),
                ignores_hierarchy: bit(41),
                off: bit(7),
                root: self.ttbr0,
            }
        } else {
            Half {
                granule: match tcr >> 30 & 3 {
                    1 => Granule::Kib16,
                    3 => Granule::Kib64,
                    _ => Granule::Kib4,
                },
                va_bits: 64 - (tcr >> 16 & 63) as u32,
                ignores_top_byte: bit(38),
                ignores_hierarchy: bit(42),
                off: bit(23),
                root: self.ttbr1,
            }
        }
    }

    fn leaf(&self, word: u64, inherited: u64, ipa: Ipa, level: i8) -> Stage1Leaf {
        let dirty_by_hardware = self.tcr & HD != 0 && word & DIRTY_MODIFIER != 0;
        let read_only =
            word & AP_READ_ONLY != 0 && !dirty_by_hardware || inherited & AP_TABLE_READ_ONLY != 0;
        let el0_may = word & AP_EL0 != 0 && inherited & AP_TABLE_NO_EL0 == 0;
        let access = if read_only {
            Access::READ
        } else {
            Access::READ_WRITE
        };
        let el0_access = if el0_may { access } else { Access::empty() };
        let wxn = self.sctlr & WXN != 0;
        let el1_execute = word & PXN == 0
            && inherited & PXN_TABLE == 0
            && (read_only || !wxn)
            // What EL0 can write, EL1 does not execute.
            && !el0_access.contains(Access::WRITE);
        let el0_execute = word & UXN == 0
            && inherited & UXN_TABLE == 0
            && !(wxn && el0_access.contains(Access::WRITE));
        Stage1Leaf {
            ipa,
            el1: Permissions {
                access,
                execute: el1_execute,
            },
            el0: Permissions {
                access: el0_access,
                execute: el0_execute,
            },
            memory: (self.mair >> ((word >> 2 & 7) * 8)) as u8,
            accessed: word & ACCESS_FLAG != 0,
            level: Some(level),
        }
    }
}

impl Half {
    /// Whether the bits above the VA space are all alike, as bit 55 is.
    fn contains(&self, va: Va) -> bool {
        let above = va.0 >> self.va_bits;
        let width = if self.ignores_top_byte { 56 } else { 64 } - self.va_bits;
        let mask = (1u64 << width) - 1;
        above & mask == if va.0 >> 55 & 1 == 0 { 0 } else { mask }
    }
}

/// How descriptors hold addresses.
struct Address {
    granule: Granule,
    wide: bool,
    /// 52-bit addresses with 64 KiB pages.
    lpa: bool,
}

impl Address {
    fn output(&self, word: u64, shift: u32) -> u64 {
        let low = word & ((1 << 48) - 1) & !((1 << shift) - 1);
        match self.granule {
            Granule::Kib64 if self.lpa => low | (word >> 12 & 0xf) << 48,
            Granule::Kib64 => low,
            _ if self.wide => low | word & 3 << 48 | (word >> 8 & 3) << 50,
            _ => low,
        }
    }

    /// The root of `1 << bits` bytes that a TTBR holds.
    fn root(&self, ttbr: u64, bits: u32) -> u64 {
        let high = self.lpa && (self.wide || self.granule == Granule::Kib64);
        let bits = bits.max(if high { 6 } else { 4 });
        let low = ttbr & ((1 << 48) - 1) & !((1 << bits) - 1);
        if high {
            low | (ttbr >> 2 & 0xf) << 48
        } else {
            low
        }
    }

    fn has_block_at(&self, level: i8) -> bool {
        match (level, self.granule) {
            (2, _) | (1, Granule::Kib4) => true,
            (1, Granule::Kib64) => self.lpa,
            (1, Granule::Kib16) | (0, Granule::Kib4) => self.wide,
            _ => false,
        }
    }
}
