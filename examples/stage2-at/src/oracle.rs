//! What the hardware says of an address: `AT S12E1R` and its kin, with stage 1 off.

use aarch64_cpu::{
    asm::barrier,
    registers::{
        HCR_EL2, MAIR_EL1, Readable, SCTLR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1, VTCR_EL2, VTTBR_EL2,
        Writeable,
    },
};
use vcpu_asm::El2Cpu;
use vcpu_hal::Cpu as _;
use vcpu_regs::{At, Hcr, Invalidate, MemoryModel, Translated, Va};
use vcpu_stage2::{Access, Stage1, Stage2};

/// Every access that `AT` can ask for through both stages.
pub const ACCESSES: [At; 4] = [At::S12e1r, At::S12e1w, At::S12e0r, At::S12e0w];

/// What an access needs to be permitted.
pub fn needs(access: At) -> Access {
    match access {
        At::S12e1w | At::S12e0w => Access::WRITE,
        _ => Access::READ,
    }
}

/// The CPU with a stage 2 in force that no guest runs under.
pub struct Oracle {
    cpu: El2Cpu,
    model: MemoryModel,
}

impl Oracle {
    /// Puts `stage2` in force with stage 1 off and everything cacheable (`HCR_EL2.DC`).
    pub fn new(cpu: El2Cpu, model: MemoryModel, stage2: &Stage2) -> Self {
        SCTLR_EL1.set(0);
        VTCR_EL2.set(stage2.vtcr().bits());
        VTTBR_EL2.set(stage2.vttbr().bits());
        let hcr = Hcr::from_bits_retain(HCR_EL2.get()) - Hcr::TGE;
        HCR_EL2.set((hcr | Hcr::VM | Hcr::RW).bits() | DC);
        barrier::isb(barrier::SY);
        Self { cpu, model }
    }

    /// Puts a guest's stage 1 in force too; stage 2 no longer makes everything cacheable.
    pub fn with_stage1(&self, stage1: &Stage1) {
        SCTLR_EL1.set(stage1.sctlr);
        TCR_EL1.set(stage1.tcr);
        TTBR0_EL1.set(stage1.ttbr0);
        TTBR1_EL1.set(stage1.ttbr1);
        MAIR_EL1.set(stage1.mair);
        HCR_EL2.set(HCR_EL2.get() & !DC);
        barrier::isb(barrier::SY);
    }

    /// Carries out an invalidation.
    pub fn invalidate(&self, what: Invalidate) {
        for step in what.steps(&self.model) {
            // SAFETY: at EL2, as an `El2Cpu` proves; the model is of this CPU's ID registers.
            unsafe { self.cpu.invalidate(step) };
        }
    }

    /// Asks for the translation of `va`.
    pub fn translate(&self, va: u64, access: At) -> Translated {
        // SAFETY: at EL2, as an `El2Cpu` proves; `new` cleared TGE; stage 2 is the caller's of
        // `new`, and stage 1 off or a guest's.
        unsafe { self.cpu.translate(Va(va), access) }.read()
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        SCTLR_EL1.set(0);
        HCR_EL2.set(HCR_EL2.get() & !(Hcr::VM.bits() | DC));
        barrier::isb(barrier::SY);
    }
}

/// `HCR_EL2.DC`: with stage 1 off, memory is write-back, so that stage 2's type shows.
const DC: u64 = 1 << 12;
