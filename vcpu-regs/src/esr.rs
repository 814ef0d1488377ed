//! The exception syndrome word.

use core::fmt;

/// A syndrome as hardware captured it: `ESR_ELx`, 64 bits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
}

impl fmt::Debug for Esr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Esr({:#010x})", self.0)
    }
}
