//! What the vCPUs of one guest share.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use vcpu_hal::{Cpu, Platform};
use vcpu_regs::{IdExcess, IdRegisters, VectorLengths, Vmid};
use vcpu_stage2::{Stage2, VmTag};

use crate::{El2, Extensions, ids::guest_ids, number, timers::Clock};

/// CPUs of which is known which vCPU ran last: on one beyond, each load drops the translations of
/// a VM that has a VMID of its own, and other VMs are refused.
///
/// Fewer than there are 8-bit VMIDs, so that a machine with these has some to give.
pub const MAX_CPUS: usize = 128;

/// The VMIDs of a machine, for all VMs whose stage 2 has none of its own.
pub type Vmids = vcpu_stage2::Vmids<MAX_CPUS>;

/// One guest: its memory, its clock and what it believes its CPUs to be.
///
/// One `Vm` at a time for each [`Stage2`] with a VMID of its own: it remembers where its vCPUs ran, for they share a VMID.
#[derive(Debug)]
pub struct Vm {
    pub(crate) stage2: Stage2,
    pub(crate) ids: IdRegisters,
    extensions: Extensions,
    /// Lengths of vectors that the guest may find, where it is shown SVE.
    pub(crate) vectors: VectorLengths,
    /// CPUs, a bit each, that were found to have all that `ids` says.
    capable: [AtomicU64; MAX_CPUS / 64],
    pub(crate) clock: Clock,
    /// Tells VMs apart, and the settings of a VM's clock: no two ever have the same.
    number: AtomicU64,
    pub(crate) tag: VmTag<MAX_CPUS>,
}

impl Vm {
    /// Returns a guest whose virtual counter starts near 0 now, and whose ID registers are this
    /// CPU's without what is hidden.
    pub fn new<P: Platform, C: Cpu>(el2: &El2<'_, P, C>, stage2: Stage2) -> Self {
        Self::with(el2, stage2, Extensions::empty())
    }

    /// Returns the same with more shown, where this CPU has it.
    pub fn with<P: Platform, C: Cpu>(
        el2: &El2<'_, P, C>,
        stage2: Stage2,
        extensions: Extensions,
    ) -> Self {
        let ipa_bits = stage2.vtcr().fields().map_or(0, |vtcr| vtcr.ipa_bits);
        let vectors = match extensions.contains(Extensions::SVE) {
            true => el2.vector_lengths(),
            false => VectorLengths::default(),
        };
        Self {
            vectors,
            ids: guest_ids(el2.ids(), ipa_bits, extensions),
            extensions,
            capable: Default::default(),
            clock: Clock::new(el2.counter()),
            stage2,
            number: AtomicU64::new(number::fresh()),
            tag: VmTag::new(),
        }
    }

    /// Replaces what the guest is told of its CPU by something narrower: a template, or what the
    /// CPUs that it will run on have [in common](IdRegisters::common). Who the CPU is (MIDR_EL1,
    /// REVIDR_EL1) is free.
    ///
    /// What is hidden by it traps where the hardware can make it trap: pointer authentication, FP
    /// and SIMD.
    ///
    /// # Errors
    ///
    /// The first field that has more than the VM has now; nothing changes then.
    pub fn narrow(&mut self, ids: &IdRegisters) -> Result<(), IdExcess> {
        if let Some(excess) = ids.excess(&self.ids) {
            return Err(excess);
        }
        self.ids = ids.clone();
        self.capable = Default::default();
        self.renumber(); // what was prepared for it is no longer right
        Ok(())
    }

    /// Keeps vectors of more than `bits` from the guest, who has SVE (`ZCR_EL2.LEN`): what CPUs of
    /// a machine have in common, say. Their lengths up to there are to be the same.
    ///
    /// # Errors
    ///
    /// The lengths that the VM has, if none is so short; nothing changes then.
    pub fn limit_vectors(&mut self, bits: u32) -> Result<(), VectorLengths> {
        let left = self.vectors.up_to(bits);
        if left == VectorLengths::default() {
            return Err(self.vectors);
        }
        self.vectors = left;
        self.renumber(); // what was prepared for it is no longer right
        Ok(())
    }

    /// Returns the lengths of vectors that the guest may find: none without SVE.
    pub fn vector_lengths(&self) -> VectorLengths {
        self.vectors
    }

    /// Returns what the VM has that the CPU of `el2` has not.
    pub(crate) fn excess<P: Platform, C: Cpu>(&self, el2: &El2<'_, P, C>) -> Option<IdExcess> {
        let (word, bit) = (el2.index() / 64, 1 << (el2.index() % 64));
        let capable = self.capable.get(word);
        if capable.is_some_and(|capable| capable.load(Relaxed) & bit != 0) {
            return None;
        }
        let limit = guest_ids(el2.ids(), self.ipa_bits(), self.extensions);
        let excess = self.ids.excess(&limit);
        if let (None, Some(capable)) = (excess, capable) {
            capable.fetch_or(bit, Relaxed);
        }
        excess
    }

    fn ipa_bits(&self) -> u8 {
        let vtcr = self.stage2.vtcr().fields();
        vtcr.map_or(0, |vtcr| vtcr.ipa_bits)
    }

    /// Returns the VMID under which CPUs may have used the VM's table: the one to invalidate
    /// after a change of it. `None` if the VM has not run.
    ///
    /// Call it after the change: a CPU that takes another VMID later sees the change.
    pub fn vmid(&self) -> Option<Vmid> {
        self.stage2.vmid().or_else(|| self.tag.vmid())
    }

    /// Returns what tells this VM, under its present clock, from any other.
    #[inline(always)]
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Acquire)
    }

    /// Has every vCPU make its controls anew at its next load: what they were made of has changed.
    pub(crate) fn renumber(&self) {
        self.number.store(number::fresh(), Release);
    }

    /// Returns the ID registers as the guest reads them.
    pub fn ids(&self) -> &IdRegisters {
        &self.ids
    }
}
