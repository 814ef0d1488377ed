//! Numbers that are random enough, the same in every run.

/// A xorshift generator.
pub struct Random(u64);

impl Random {
    /// Returns a generator of its own sequence for each seed, however near two seeds are.
    pub fn new(seed: u64) -> Self {
        // The finaliser of SplitMix64: each bit of the seed reaches every bit of the state.
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((state ^ state >> 31) | 1)
    }

    /// Returns a number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.word() % end
    }

    /// Returns any number but 0.
    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
