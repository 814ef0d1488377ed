//! Which CPU this is.

use crate::Cpu;

/// Tells physical CPUs apart.
///
/// # Safety
///
/// No two CPUs see the same index, and one CPU never sees it change.
pub unsafe trait PerCpu {
    /// Returns the index of the calling CPU.
    fn index<C: Cpu>(&self, cpu: &C) -> usize;
}

/// The host keeps a pointer to this CPU's block in TPIDR_EL2: the blocks' places give the index.
///
/// With `base` 0 and `stride` 1, TPIDR_EL2 holds the index itself.
#[derive(Clone, Copy, Debug)]
pub struct Tpidr {
    base: u64,
    stride: u64,
}

impl Tpidr {
    /// Returns the backend for blocks of `stride` bytes from `base` on.
    ///
    /// # Panics
    ///
    /// If `stride` is 0.
    ///
    /// # Safety
    ///
    /// On every CPU that runs guests, TPIDR_EL2 points to the block of that CPU and of no other,
    /// and keeps doing so.
    pub const unsafe fn new(base: u64, stride: u64) -> Self {
        assert!(stride != 0, "blocks without a size cannot be told apart");
        Self { base, stride }
    }
}

// SAFETY: `new`'s caller promised one block for each CPU, for good; blocks `stride` apart differ
// in the quotient.
unsafe impl PerCpu for Tpidr {
    fn index<C: Cpu>(&self, cpu: &C) -> usize {
        (cpu.tpidr_el2().wrapping_sub(self.base) / self.stride) as usize
    }
}

/// The host has a list of its CPUs' affinities (`MPIDR_EL1`): the place in it is the index.
#[derive(Clone, Copy, Debug)]
pub struct MpidrTable<'a> {
    affinities: &'a [u64],
}

impl<'a> MpidrTable<'a> {
    /// Aff3 to Aff0 of `MPIDR_EL1`.
    const AFFINITY: u64 = 0xff_00ff_ffff;

    /// Returns the backend for CPUs with these affinities.
    ///
    /// # Safety
    ///
    /// Every CPU that runs guests is in the list, once.
    pub const unsafe fn new(affinities: &'a [u64]) -> Self {
        Self { affinities }
    }
}

// SAFETY: `new`'s caller listed each CPU once; the list does not change and affinities never do.
unsafe impl PerCpu for MpidrTable<'_> {
    fn index<C: Cpu>(&self, cpu: &C) -> usize {
        let own = cpu.mpidr() & Self::AFFINITY;
        let found = self
            .affinities
            .iter()
            .position(|&a| a & Self::AFFINITY == own);
        found.unwrap_or(self.affinities.len())
    }
}
