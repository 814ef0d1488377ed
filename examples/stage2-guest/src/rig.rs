//! One instruction of a guest at a time, under any table.

use aarch64_cpu::{
    asm::barrier,
    registers::{HCR_EL2, Readable, SCTLR_EL1, VTCR_EL2, VTTBR_EL2, Writeable},
};
use vcpu_asm::El2Cpu;
use vcpu_hal::{Cpu as _, Guard, HcrSwitch};
use vcpu_regs::{GuestFrame, Hcr, Invalidate, MemoryModel, Pstate};
use vcpu_stage2::Stage2;

/// What the guest is to do at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Load a word.
    Load,
    /// Store this word.
    Store(u32),
    /// Execute from there: the memory holds a `wfi`.
    Fetch,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done; the word loaded, or 0.
    Done(u32),
    /// Stage 2 refused with this fault status.
    Refused(u8),
}

/// Where the load is in the code, and its exit after it.
const LOAD: u64 = 0;
/// Where the store is, and its exit after it.
const STORE: u64 = 8;

machine::guest_code! {
    stub:
    "ldr w0, [x1]",
    "wfi",
    "str w2, [x1]",
    "wfi",
}

/// The guest's code, which runs anywhere.
pub fn code() -> &'static [u8] {
    stub()
}

/// `wfi`, which exits.
pub const WFI: [u8; 4] = 0xd503_207f_u32.to_le_bytes();

/// Stage 1 off; `wfi` at EL0 is EL2's.
const SCTLR: u64 = 0x30c5_0830;

/// A CPU for guests of one instruction.
pub struct Rig {
    cpu: El2Cpu,
    model: MemoryModel,
    hcr: HcrSwitch,
    code: u64,
}

impl Rig {
    /// Returns a rig whose guests find the code at `code`.
    pub fn new(cpu: El2Cpu, code: u64) -> Self {
        let host = Hcr::from_bits_retain(HCR_EL2.get()) - Hcr::TGE;
        let guest = host | Hcr::VM | Hcr::RW | Hcr::AMO | Hcr::IMO | Hcr::FMO | Hcr::TWI;
        let hcr = HcrSwitch::new(guest, guest);
        HCR_EL2.set(guest.bits());
        SCTLR_EL1.set(SCTLR);
        barrier::isb(barrier::SY);
        let model = cpu.id_registers().memory_model();
        Self {
            cpu,
            model,
            hcr,
            code,
        }
    }

    /// What the CPU can do.
    pub fn model(&self) -> &MemoryModel {
        &self.model
    }

    /// Puts a table in force. No TLB forgets anything for that.
    ///
    /// # Safety
    ///
    /// Guests touch nothing but memory that the example gave them.
    pub unsafe fn load(&self, stage2: &Stage2) {
        VTCR_EL2.set(stage2.vtcr().bits());
        VTTBR_EL2.set(stage2.vttbr().bits());
        barrier::isb(barrier::SY);
    }

    /// Carries out an invalidation for the table in force.
    pub fn invalidate(&self, what: Invalidate) {
        for step in what.steps(&self.model) {
            // SAFETY: at EL2, as an `El2Cpu` proves; the model is of this CPU's ID registers.
            unsafe { self.cpu.invalidate(step) };
        }
    }

    /// Has a guest do one thing at EL1, or at EL0, under the table in force.
    pub fn run(&self, access: Access, at: u64, el0: bool) -> Outcome {
        let (pc, value) = match access {
            Access::Load => (self.code + LOAD, 0),
            Access::Store(value) => (self.code + STORE, value),
            Access::Fetch => (at, 0),
        };
        let mut frame = GuestFrame {
            x: [0; 31],
            sp_el0: 0,
            pc,
            // DAIF masked; EL0t or EL1h.
            pstate: Pstate::from_bits_retain(if el0 { 0x3c0 } else { 0x3c5 }).bits(),
            tpidr_el0: 0,
            tpidr_el1: 0,
        };
        (frame.x[1], frame.x[2]) = (at, value.into());
        // SAFETY: at EL2, interrupts masked since `main`; `load` put a stage 2 in force whose
        // memory is the guest's; EL0t and EL1h can be entered; `new` made `hcr` as it must be; the
        // vectors are the host's.
        let words = unsafe {
            self.cpu
                .enter(&mut frame, self.hcr, &self.cpu.keep(Guard::default()))
        };
        match words.esr.class() {
            0x01 => Outcome::Done(frame.x[0] as u32),
            0x20 | 0x24 => Outcome::Refused((words.esr.iss() & 0x3f) as u8),
            class => panic!("exception class {class:#x} at {:#x}", frame.pc),
        }
    }
}
