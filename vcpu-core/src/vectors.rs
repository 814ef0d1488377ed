//! FP, SIMD and SVE registers: on the hardware from a guest's first use of them until the put.
//!
//! Q0 to Q31 are the first bits of Z0 to Z31, and all of them open and move together: a write of
//! one is a write of the other. At rest the Q registers are in [`FpState`](vcpu_regs::FpState), and
//! the rest of the Z registers in what the host lent.

use vcpu_hal::{Cpu, FpSwitch, Platform};
use vcpu_regs::{Controls, FpState, Hcr, Predicates, SveState, SwitchedReg};

use crate::{El2, Fp, Vcpu, residency::Prepared};

/// The class of a trapped use of FP or SIMD.
const FP: u8 = 0x07;
/// The class of a trapped use of SVE, or of `ZCR_EL1`.
const SVE: u8 = 0x19;

impl<P: Platform> Vcpu<P> {
    /// Returns whether an exit of this class is the first use of FP, SIMD or SVE since the load.
    #[cold]
    #[inline(never)] // its classes are not to be told apart on the way to the frequent ones
    pub(crate) fn awaits(&self, class: u8) -> bool {
        let is_its_own = match class {
            FP => self.prepared.has_fp,
            SVE => self.prepared.has_sve,
            _ => false,
        };
        is_its_own && !self.fp_is_live
    }

    /// Lends the vCPU memory for its SVE registers, which it needs in a VM that is shown SVE
    /// ([`Extensions::SVE`](crate::Extensions::SVE)); returns what was lent before.
    ///
    /// It holds what the registers are to hold, but for the first 128 bits of each Z register:
    /// those are [`fp`](Self::fp).
    pub fn lend_sve(&mut self, state: &'static mut SveState) -> Option<&'static mut SveState> {
        let before = self.take_sve();
        self.sve = Some(state);
        before
    }

    /// Returns what was lent, with all that the registers hold. The vCPU cannot be loaded without
    /// it in a VM that is shown SVE.
    pub fn take_sve(&mut self) -> Option<&'static mut SveState> {
        self.prepared = Default::default(); // found it there
        let state = self.sve.take()?;
        state.set_q(&self.fp.q);
        Some(state)
    }

    /// Returns Z`n`, of which the first bytes count up to the length of a vector; `None` where there
    /// is no such register.
    pub fn z(&self, n: usize) -> Option<[u8; 256]> {
        let mut z = *self.sve.as_ref()?.z.get(n)?;
        *z.first_chunk_mut()? = self.fp.q.get(n)?.to_le_bytes();
        Some(z)
    }

    /// Replaces Z`n`, and with it Q`n`; returns whether there is such a register.
    pub fn set_z(&mut self, n: usize, value: &[u8; 256]) -> bool {
        let z = self.sve.as_mut().and_then(|state| state.z.get_mut(n));
        let (Some(z), Some(q), Some(&low)) = (z, self.fp.q.get_mut(n), value.first_chunk()) else {
            return false;
        };
        *z = *value;
        *q = u128::from_le_bytes(low);
        true
    }

    /// Returns P0 to P15 and FFR, if the host lent memory for them.
    pub fn predicates(&self) -> Option<&Predicates> {
        self.sve.as_ref().map(|state| &state.predicates)
    }

    /// Returns P0 to P15 and FFR, to change them.
    pub fn predicates_mut(&mut self) -> Option<&mut Predicates> {
        self.sve.as_mut().map(|state| &mut state.predicates)
    }
}

/// Gives the loaded guest its registers, which it has begun to use.
#[cold]
#[inline(never)]
pub(crate) fn use_first<P: Platform, C: Cpu>(vcpu: &mut Vcpu<P>, el2: &mut El2<'_, P, C>) {
    set_trap(vcpu, el2, false);
    load(vcpu, el2);
}

/// Puts the registers on the hardware, where nothing of them traps.
pub(crate) fn load<P: Platform, C: Cpu>(vcpu: &mut Vcpu<P>, el2: &mut El2<'_, P, C>) {
    // Beside a host that has its own, they come and go with each run.
    let stays = !el2.cpu.host_uses_fp();
    if stays {
        // SAFETY: at EL2, as `Live::load` found; under the controls in force FP does not trap: they
        // are eager, or `use_first` wrote so. Nothing of the host lives there.
        unsafe { el2.cpu.load_fp(&vcpu.fp) };
    }
    vcpu.fp_is_live = true;
    if vcpu.prepared.has_sve
        && let Some(state) = &mut vcpu.sve
    {
        state.set_q(&vcpu.fp.q);
        el2.granted = el2.granted.with_sve(true);
        let zcr_el1 = vcpu.switched.get(SwitchedReg::ZCR_EL1);
        // SAFETY: as above, for SVE too: the CPU has it, or it would not have been granted.
        unsafe {
            el2.host_zcr = el2.cpu.replace_zcr(vcpu.prepared.zcr);
            el2.cpu.write_switched(SwitchedReg::ZCR_EL1, zcr_el1);
            if stays {
                el2.cpu.load_sve(state);
            }
        }
    }
}

/// Takes the registers back, which are the guest's and on the hardware.
#[inline(never)]
pub(crate) fn put<P: Platform, C: Cpu>(vcpu: &mut Vcpu<P>, el2: &mut El2<'_, P, C>) {
    if !el2.cpu.host_uses_fp() {
        // SAFETY: at EL2, as `Live::load` found; nothing of it traps, for it was loaded.
        unsafe {
            if el2.granted.sve()
                && let Some(state) = &mut vcpu.sve
            {
                el2.cpu.save_sve(state);
            }
            el2.cpu.save_fp(&mut vcpu.fp);
        }
    }
    vcpu.fp_is_live = false;
    el2.release_sve();
    if vcpu.policy.fp == Fp::Lazy {
        set_trap(vcpu, el2, true); // the next of its kind finds it so
    }
}

fn set_trap<P: Platform, C: Cpu>(vcpu: &Vcpu<P>, el2: &El2<'_, P, C>, traps: bool) {
    let e2h = el2.host_controls.hcr.contains(Hcr::E2H);
    let fp_traps = traps && !el2.cpu.host_uses_fp();
    let cptr = vcpu.prepared.controls.cptr.with_fp_trap(fp_traps, e2h);
    let cptr = cptr.with_sve_trap(traps || !vcpu.prepared.has_sve, e2h);
    // SAFETY: at EL2, as `Live::load` found; the rest of the word is what is in force already, and a
    // host to whom FP traps now does without while a guest is loaded.
    unsafe { el2.cpu.set_cptr(cptr) };
}

/// Makes FP not trap under `controls`; returns the bits of CPTR_EL2 by which it would.
pub(crate) fn keep_open(controls: &mut Controls) -> u64 {
    let in_guest = controls.cptr;
    let e2h = controls.hcr.contains(Hcr::E2H);
    controls.cptr = in_guest.with_fp_trap(false, e2h);
    in_guest.bits() ^ controls.cptr.bits()
}

impl Prepared {
    /// Returns what is exchanged around a run of a guest beside a host that uses FP.
    #[inline(always)]
    pub(crate) fn fp_switch<'a>(
        &self,
        is_live: bool,
        fp: &'a mut FpState,
        sve: &'a mut Option<&'static mut SveState>,
    ) -> FpSwitch<'a> {
        FpSwitch {
            fp: is_live.then_some(fp),
            sve: match is_live && self.has_sve {
                true => sve.as_deref_mut(),
                false => None,
            },
            cptr_difference: if is_live { 0 } else { self.fp_trap },
        }
    }
}

impl<P: Platform, C: Cpu> El2<'_, P, C> {
    /// Gives the host its vector length back, if the guest's is in force.
    pub(crate) fn release_sve(&mut self) {
        if self.granted.sve() {
            // SAFETY: `enable_on` found EL2; SVE does not trap since it was opened, by the load of
            // the guest that is still here.
            unsafe { self.cpu.replace_zcr(self.host_zcr) };
            self.granted = self.granted.with_sve(false);
        }
    }
}
