//! The exception syndrome word: its outer fields here, the layouts of its ISS in `iss`.
//!
//! What a syndrome means is said in `vcpu-exits`; this file and its neighbour only know where bits are.

use core::fmt;

pub mod iss;
mod layout;

/// A syndrome as hardware captured it: `ESR_ELx`, 64 bits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Esr(pub u64);

impl Esr {
    /// Returns the exception class (EC, bits 31:26).
    pub const fn class(self) -> u8 {
        (self.0 >> 26 & 0x3f) as u8
    }

    /// Returns whether the trapped instruction was 32 bits long (IL, bit 25).
    pub const fn is_32bit_instruction(self) -> bool {
        self.0 & 1 << 25 != 0
    }

    /// Returns the instruction-specific syndrome (ISS, bits 24:0).
    pub const fn iss(self) -> u32 {
        (self.0 & 0x01ff_ffff) as u32
    }

    /// Returns the second syndrome field (ISS2, bits 55:32).
    pub const fn iss2(self) -> u32 {
        (self.0 >> 32 & 0x00ff_ffff) as u32
    }

    /// Returns a word of this class with IL set and everything else 0.
    pub const fn of_class(class: u8) -> Self {
        Self((class as u64 & 0x3f) << 26 | 1 << 25)
    }

    /// Returns the word with IL set (a 32-bit instruction) or clear (a 16-bit one).
    pub const fn with_32bit_instruction(self, is_32bit: bool) -> Self {
        Self(self.0 & !(1 << 25) | (is_32bit as u64) << 25)
    }
}

impl fmt::Debug for Esr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Esr({:#010x})", self.0)
    }
}

/// Where a named field lies in the 64-bit word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct EsrField {
    /// Arm's name of the field.
    pub name: &'static str,
    /// Lowest bit.
    pub lo: u8,
    /// Width in bits, at least 1.
    pub bits: u8,
}

impl EsrField {
    /// Returns the highest bit.
    pub const fn hi(&self) -> u8 {
        self.lo + self.bits - 1
    }

    /// Returns the field's value in `word`.
    pub const fn read(&self, word: u64) -> u64 {
        word >> self.lo & (u64::MAX >> (64 - self.bits as u32))
    }

    /// Returns the bits of the word that the field occupies.
    pub const fn mask(&self) -> u64 {
        (u64::MAX >> (64 - self.bits as u32)) << self.lo
    }
}
