//! The guest's processor state: `SPSR_EL2`.

use bitflags::bitflags;

bitflags! {
    /// A saved processor state. Arm ARM (DDI 0487), `SPSR_EL2`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Pstate: u64 {
        /// The handler stack pointer is selected (M bit 0, with an exception level).
        const SP = 1 << 0;
        /// AArch32 (M bit 4).
        const NRW = 1 << 4;
        /// AArch32: T32 instruction set.
        const T32 = 1 << 5;
        /// FIQs masked.
        const F = 1 << 6;
        /// IRQs masked.
        const I = 1 << 7;
        /// SErrors masked.
        const A = 1 << 8;
        /// Debug exceptions masked.
        const D = 1 << 9;
        /// What the last branch was, low bit (FEAT_BTI).
        const BTYPE0 = 1 << 10;
        /// What the last branch was, high bit (FEAT_BTI).
        const BTYPE1 = 1 << 11;
        /// Speculative store bypass is safe (FEAT_SSBS).
        const SSBS = 1 << 12;
        /// All interrupts masked, superpriority ones too (FEAT_NMI).
        const ALLINT = 1 << 13;
        /// Illegal execution state.
        const IL = 1 << 20;
        /// A software step is due (active-not-pending).
        const SS = 1 << 21;
        /// Privileged access never (FEAT_PAN).
        const PAN = 1 << 22;
        /// User access override (FEAT_UAO).
        const UAO = 1 << 23;
        /// Data-independent timing (FEAT_DIT).
        const DIT = 1 << 24;
        /// Tag checks overridden (FEAT_MTE).
        const TCO = 1 << 25;
        /// Overflow.
        const V = 1 << 28;
        /// Carry.
        const C = 1 << 29;
        /// Zero.
        const Z = 1 << 30;
        /// Negative.
        const N = 1 << 31;
        const _ = !0; // bits we do not name survive a round trip
    }
}

impl Pstate {
    /// What code at EL2 may set for itself and an exception from a guest changes: it is as the
    /// guest had it, or as the architecture says.
    pub const OF_HOST: Self = Self::SSBS
        .union(Self::PAN)
        .union(Self::UAO)
        .union(Self::DIT)
        .union(Self::TCO);
}

/// Where a guest executes: the mode field of PSTATE, as far as a guest may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Mode {
    /// EL0, AArch64.
    El0,
    /// EL1 on SP_EL0.
    El1t,
    /// EL1 on SP_EL1.
    El1h,
    /// EL0, AArch32: User mode.
    El0A32,
}

impl Pstate {
    /// EL1 on its own stack, everything masked: what a CPU starts with.
    pub const RESET: Self = Self::from_bits_retain(0x3c5);

    const MODE: u64 = 0x1f;

    /// Returns the mode, or `None` when it is none a guest may have.
    pub const fn mode(self) -> Option<Mode> {
        match self.bits() & Self::MODE {
            0b0_0000 => Some(Mode::El0),
            0b0_0100 => Some(Mode::El1t),
            0b0_0101 => Some(Mode::El1h),
            0b1_0000 => Some(Mode::El0A32),
            _ => None,
        }
    }

    /// Returns the same state in another mode.
    pub const fn with_mode(self, mode: Mode) -> Self {
        let mode = match mode {
            Mode::El0 => 0b0_0000,
            Mode::El1t => 0b0_0100,
            Mode::El1h => 0b0_0101,
            Mode::El0A32 => 0b1_0000,
        };
        Self::from_bits_retain(self.bits() & !Self::MODE | mode)
    }

    /// Returns the state after one more instruction of a T32 `IT` block; unchanged outside one.
    ///
    /// AArch32 only: IT is bits 15:10 (IT\[7:2\]) and 26:25 (IT\[1:0\]).
    pub const fn with_it_advanced(self) -> Self {
        let bits = self.bits();
        let it = (bits >> 10 & 0x3f) << 2 | bits >> 25 & 3;
        let advanced = if it & 0b111 == 0 {
            0
        } else {
            it & 0xe0 | it << 1 & 0x1f
        };
        let cleared = bits & !(0x3f << 10 | 3 << 25);
        Self::from_bits_retain(cleared | (advanced >> 2) << 10 | (advanced & 3) << 25)
    }

    /// Returns a state that `ERET` from EL2 takes to EL0 or EL1, whatever this one is.
    ///
    /// A mode that is none of a guest's becomes EL1h. AArch32 where `a32_el0` says that EL0 has
    /// none would make the return illegal, and it would stay at EL2: it becomes EL0 in the illegal
    /// execution state, which the guest's own EL1 hears of before anything is executed.
    pub const fn for_entry(self, a32_el0: bool) -> Self {
        match self.mode() {
            Some(Mode::El0A32) if !a32_el0 => self.with_mode(Mode::El0).union(Self::IL),
            Some(_) => self,
            None => self.with_mode(Mode::El1h),
        }
    }
}

crate::controls::format_bits!(Pstate);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_block_moves_on() {
        // `ITTE EQ` (IT = 0b0000_0110): then 0b0000_1100, 0b0001_1000, and out of the block.
        let it = |it: u64| Pstate::from_bits_retain((it >> 2) << 10 | (it & 3) << 25);
        assert_eq!(it(0b0000_0110).with_it_advanced(), it(0b0000_1100));
        assert_eq!(it(0b0000_1100).with_it_advanced(), it(0b0001_1000));
        assert_eq!(it(0b0001_1000).with_it_advanced(), it(0));
        assert_eq!(it(0).with_it_advanced(), it(0));
    }
}
