//! Scalable vectors (FEAT_SVE): the registers at rest, and the lengths that a CPU gives them.

use core::fmt;

/// The SVE registers of a guest, with room for the longest vectors of the architecture: 2048 bits.
///
/// Of shorter vectors, the first bytes of each register count. A host lends one to each vCPU of a
/// VM that is shown SVE.
#[repr(C, align(16))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SveState {
    /// Z0 to Z31. The first 128 bits of each are a Q register, which [`FpState`](crate::FpState)
    /// holds: what stands there at rest means nothing.
    pub z: [[u8; 256]; 32],
    /// P0 to P15 and FFR.
    pub predicates: Predicates,
}

/// The predicate registers: a bit for each byte of a vector.
#[repr(C)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Predicates {
    /// P0 to P15.
    pub p: [[u8; 32]; 16],
    /// FFR.
    pub ffr: [u8; 32],
}

impl SveState {
    /// Returns registers that are all zero.
    pub const fn new() -> Self {
        Self {
            z: [[0; 256]; 32],
            predicates: Predicates {
                p: [[0; 32]; 16],
                ffr: [0; 32],
            },
        }
    }

    /// Makes every register zero.
    pub fn clear(&mut self) {
        self.z.as_flattened_mut().fill(0);
        self.predicates.p.as_flattened_mut().fill(0);
        self.predicates.ffr.fill(0);
    }

    /// Replaces the first 128 bits of each Z register by a Q register.
    pub fn set_q(&mut self, q: &[u128; 32]) {
        for (z, q) in self.z.iter_mut().zip(q) {
            if let Some(low) = z.first_chunk_mut() {
                *low = q.to_le_bytes();
            }
        }
    }
}

impl Default for SveState {
    fn default() -> Self {
        Self::new()
    }
}

/// Vector lengths, in steps of 128 bits: those that a CPU has, or that a VM was promised.
///
/// Software sees them all: it asks for one by `ZCR_EL1.LEN` and gets the longest that is no longer.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct VectorLengths {
    /// Bit `n`: vectors of `(n + 1) * 128` bits.
    steps: u16,
}

impl VectorLengths {
    /// `ZCR_ELx.LEN` has room for this many steps, of which the architecture names the first 16.
    pub const MOST: u8 = 16;

    /// Returns the lengths found by asking for 1, 2, .. 16 steps: `ask` gives the bits of a vector.
    pub fn probe(mut ask: impl FnMut(u8) -> u64) -> Self {
        let mut steps = 0;
        for step in 1..=Self::MOST {
            if ask(step) == u64::from(step) * 128 {
                steps |= 1 << (step - 1);
            }
        }
        Self { steps }
    }

    /// Returns the bits of the longest; 0 where there is none.
    pub const fn longest_bits(self) -> u32 {
        (u16::BITS - self.steps.leading_zeros()) * 128
    }

    /// Returns those of at most so many bits.
    pub const fn up_to(self, bits: u32) -> Self {
        let kept = match bits / 128 {
            steps @ 0..16 => self.steps & ((1 << steps) - 1),
            _ => self.steps,
        };
        Self { steps: kept }
    }

    /// Returns the `ZCR_ELx` that allows them all and none longer. Arm ARM (DDI 0487), `ZCR_EL2`.
    pub const fn zcr(self) -> u64 {
        (self.longest_bits() / 128).saturating_sub(1) as u64
    }
}

impl fmt::Debug for VectorLengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = (0..16).filter(|step| self.steps >> step & 1 != 0);
        f.debug_set().entries(steps.map(|n| (n + 1) * 128)).finish()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use core::mem::{align_of, offset_of, size_of};

    /// A CPU with powers of two up to 512 bits rounds what it is asked for down.
    fn powers(most: u32) -> VectorLengths {
        VectorLengths::probe(|steps| (1 << steps.ilog2().min(most)) * 128)
    }

    #[test]
    fn lengths_are_those_that_the_cpu_gives_as_asked() {
        let lengths = powers(2);
        assert_eq!(std::format!("{lengths:?}"), "{128, 256, 512}");
        assert_eq!((lengths.longest_bits(), lengths.zcr()), (512, 3));
        assert_eq!(powers(4).longest_bits(), 2048);
        assert_eq!(VectorLengths::default().longest_bits(), 0);
        assert_eq!(VectorLengths::default().zcr(), 0);
    }

    #[test]
    fn limit_keeps_what_is_no_longer() {
        let lengths = powers(4);
        for (bits, longest) in [(0, 0), (127, 0), (128, 128), (511, 256), (512, 512)] {
            assert_eq!(lengths.up_to(bits).longest_bits(), longest);
        }
        assert_eq!(lengths.up_to(2047), powers(3));
        assert_eq!(lengths.up_to(2048), lengths);
        assert_eq!(lengths.up_to(u32::MAX), lengths);
    }

    /// What the assembly relies on, in bytes.
    #[test]
    fn state_has_its_layout() {
        assert_eq!(offset_of!(SveState, z), 0);
        assert_eq!(offset_of!(SveState, predicates), 32 * 256);
        assert_eq!(offset_of!(Predicates, ffr), 16 * 32);
        assert_eq!((size_of::<SveState>(), align_of::<SveState>()), (8736, 16));
    }

    #[test]
    fn q_registers_are_the_first_bits() {
        let mut state = SveState::new();
        state.z[3] = [0xff; 256];
        state.set_q(&core::array::from_fn(|n| n as u128));
        assert_eq!(state.z[3][..17], *b"\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff");
        state.clear();
        assert_eq!(state, SveState::new());
    }
}
