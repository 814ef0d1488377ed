//! FP and SVE registers of a scripted CPU: which of them are whose, and how long.

use vcpu_regs::{Controls, Cptr, CptrE2h, FpState, Hcr, SveState};

use super::ScriptedCpu;
use crate::{ExitWords, FpSwitch};

impl ScriptedCpu<'_> {
    /// Returns whether FP traps at EL2 and below.
    pub(super) fn fp_traps(&self) -> bool {
        let controls = self.controls.get();
        match controls.hcr.contains(Hcr::E2H) {
            true => controls.cptr.bits() & CptrE2h::FPEN.bits() != CptrE2h::FPEN.bits(),
            false => controls.cptr.contains(Cptr::TFP),
        }
    }

    /// Returns the bytes of a vector of EL2.
    fn vector_bytes(&self) -> usize {
        let allowed = (self.zcr_el2.get() as u32 & 0xf) * 128 + 128;
        let bits = self.vector_lengths.up_to(allowed).longest_bits();
        assert_ne!(bits, 0, "a CPU that has no vectors");
        bits as usize / 8
    }

    /// Enters by `enter` a guest with registers of its own, in place of the host's.
    pub(super) fn beside_host(
        &self,
        fp: FpSwitch<'_>,
        enter: impl FnOnce() -> ExitWords,
    ) -> ExitWords {
        assert!(!self.fp_traps(), "FP traps between runs");
        let host = self.fp.borrow().clone();
        if let Some(fp) = &fp.fp {
            self.fp_from(fp);
        }
        if let Some(sve) = &fp.sve {
            self.vectors_from(sve);
        }
        self.toggle_cptr(fp.cptr_difference);
        let words = enter();
        self.toggle_cptr(fp.cptr_difference);
        if let Some(sve) = fp.sve {
            self.vectors_to(sve);
        }
        if let Some(fp) = fp.fp {
            *fp = self.fp.replace(host);
        }
        words
    }

    fn toggle_cptr(&self, bits: u64) {
        let controls = self.controls.get();
        self.controls.set(Controls {
            cptr: Cptr::from_bits_retain(controls.cptr.bits() ^ bits),
            ..controls
        });
    }

    /// Replaces the FP registers. A write of a Q register makes the rest of the Z register zero.
    pub(super) fn fp_from(&self, state: &FpState) {
        self.fp.borrow_mut().clone_from(state);
        self.sve.borrow_mut().z = [[0; 256]; 32];
    }

    /// Reads the SVE registers, which are as long as those of EL2.
    pub(super) fn vectors_to(&self, state: &mut SveState) {
        let mut sve = self.sve.borrow_mut();
        sve.set_q(&self.fp.borrow().q);
        copy(&sve, state, self.vector_bytes());
    }

    /// Replaces the SVE registers, and Q registers with them.
    pub(super) fn vectors_from(&self, state: &SveState) {
        let mut sve = self.sve.borrow_mut();
        copy(state, &mut sve, self.vector_bytes());
        for (q, z) in self.fp.borrow_mut().q.iter_mut().zip(&sve.z) {
            *q = z.first_chunk().copied().map_or(0, u128::from_le_bytes);
        }
    }
}

/// Copies as much of the registers as vectors of `bytes` have.
fn copy(from: &SveState, to: &mut SveState, bytes: usize) {
    for (to, from) in to.z.iter_mut().zip(&from.z) {
        to[..bytes].copy_from_slice(&from[..bytes]);
    }
    let (to, from) = (&mut to.predicates, &from.predicates);
    for (to, from) in to.p.iter_mut().zip(&from.p) {
        to[..bytes / 8].copy_from_slice(&from[..bytes / 8]);
    }
    to.ffr[..bytes / 8].copy_from_slice(&from.ffr[..bytes / 8]);
}
