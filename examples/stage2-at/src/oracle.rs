//! What the hardware says of an address: `AT S12E1R` and its kin, with stage 1 off.

use core::arch::asm;

use aarch64_cpu::{
    asm::barrier,
    registers::{
        HCR_EL2, MAIR_EL1, PAR_EL1, Readable, SCTLR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1, VTCR_EL2,
        VTTBR_EL2, Writeable,
    },
};
use vcpu_asm::El2Cpu;
use vcpu_hal::Cpu as _;
use vcpu_regs::{Hcr, Invalidate, MemoryModel, Pa};
use vcpu_stage2::{Stage1, Stage2};

/// Which access a translation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A load at EL1.
    El1Read,
    /// A store at EL1.
    El1Write,
    /// A load at EL0.
    El0Read,
    /// A store at EL0.
    El0Write,
}

impl For {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::El1Read, Self::El1Write, Self::El0Read, Self::El0Write];
}

/// `PAR_EL1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The page's address, and the memory type as an attribute of `MAIR_EL1`.
    Page(Pa, u8),
    /// Stage 2 refuses with this fault status.
    Refused(u8),
    /// Stage 1 refuses with this fault status.
    RefusedByGuest(u8),
    /// Stage 2 refuses a table of stage 1, with this fault status.
    RefusedOnWalk(u8),
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

    /// Asks for the translation of `va`, which stage 1 leaves alone.
    pub fn translate(&self, va: u64, access: For) -> Answer {
        // SAFETY: a translation touches no memory but the tables, and writes only PAR_EL1.
        unsafe {
            match access {
                For::El1Read => asm!("at s12e1r, {}", in(reg) va, options(nostack)),
                For::El1Write => asm!("at s12e1w, {}", in(reg) va, options(nostack)),
                For::El0Read => asm!("at s12e0r, {}", in(reg) va, options(nostack)),
                For::El0Write => asm!("at s12e0w, {}", in(reg) va, options(nostack)),
            }
        }
        barrier::isb(barrier::SY); // the write of PAR_EL1, before its read
        let par = PAR_EL1.get();
        let status = (par >> 1 & 0x3f) as u8;
        match (par & 1, par >> 8 & 3) {
            (0, _) => Answer::Page(Pa(par & 0xf_ffff_ffff_f000), (par >> 56) as u8),
            (_, 0b10) => Answer::Refused(status),
            (_, 0b11) => Answer::RefusedOnWalk(status),
            _ => Answer::RefusedByGuest(status),
        }
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
