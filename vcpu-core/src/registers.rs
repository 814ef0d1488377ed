//! The registers a host reads and writes at any time, loaded or not.

use vcpu_regs::{Esr, Gpr, GuestFrame, Pstate};

/// X0 to X30, PC and PSTATE of a vCPU, and what a host completes in them.
///
/// [`Vcpu`](crate::Vcpu) and [`Live`](crate::Live) both dereference to it.
#[derive(Clone, Debug)]
pub struct Registers {
    pub(crate) frame: GuestFrame,
    /// Whether the CPU this is loaded on can run AArch32 at EL0; true while on none.
    a32_el0: bool,
}

impl Registers {
    /// Returns the registers of a CPU after reset, at address 0.
    pub(crate) fn new() -> Self {
        Self {
            frame: Self::after_reset(),
            a32_el0: true,
        }
    }

    fn after_reset() -> GuestFrame {
        GuestFrame {
            pstate: Pstate::RESET.bits(),
            ..GuestFrame::default()
        }
    }

    /// Puts the registers to what they are after reset; the CPU they are bound to stays.
    pub(crate) fn reset(&mut self) {
        self.frame = Self::after_reset();
    }

    /// Makes the frame fit for entry on a CPU: afterwards, and through every setter, PSTATE is one
    /// that an `eret` takes to EL0 or EL1 there.
    pub(crate) fn bind(&mut self, a32_el0: bool) {
        self.a32_el0 = a32_el0;
        self.set_pstate(self.pstate());
    }

    /// Returns a general-purpose register; [`Gpr::XZR`] is zero.
    pub fn reg(&self, reg: Gpr) -> u64 {
        self.frame
            .x
            .get(usize::from(reg.number()))
            .copied()
            .unwrap_or(0)
    }

    /// Replaces a general-purpose register; [`Gpr::XZR`] stays zero.
    pub fn set_reg(&mut self, reg: Gpr, value: u64) {
        if let Some(x) = self.frame.x.get_mut(usize::from(reg.number())) {
            *x = value;
        }
    }

    /// Returns where the guest goes on.
    pub fn pc(&self) -> u64 {
        self.frame.pc
    }

    /// Replaces where the guest goes on.
    pub fn set_pc(&mut self, pc: u64) {
        self.frame.pc = pc;
    }

    /// Returns the guest's PSTATE.
    pub fn pstate(&self) -> Pstate {
        Pstate::from_bits_retain(self.frame.pstate)
    }

    /// Replaces the guest's PSTATE; a mode the guest cannot have becomes EL1h.
    pub fn set_pstate(&mut self, pstate: Pstate) {
        self.frame.pstate = pstate.for_entry(self.a32_el0).bits();
    }

    /// Returns SP_EL0.
    pub fn sp_el0(&self) -> u64 {
        self.frame.sp_el0
    }

    /// Replaces SP_EL0.
    pub fn set_sp_el0(&mut self, value: u64) {
        self.frame.sp_el0 = value;
    }

    /// Returns the thread registers TPIDR_EL0 and TPIDR_EL1.
    pub fn thread_ids(&self) -> (u64, u64) {
        (self.frame.tpidr_el0, self.frame.tpidr_el1)
    }

    /// Replaces the thread registers TPIDR_EL0 and TPIDR_EL1.
    pub fn set_thread_ids(&mut self, el0: u64, el1: u64) {
        self.frame.tpidr_el0 = el0;
        self.frame.tpidr_el1 = el1;
    }

    /// Leaves the current instruction, of which `esr` tells, as executed: PC past it, and what
    /// hardware clears then.
    #[inline(always)]
    pub(crate) fn advance(&mut self, esr: Esr) {
        let unusual = Pstate::NRW | Pstate::BTYPE0 | Pstate::BTYPE1 | Pstate::SS;
        self.frame.pc = self.frame.pc.wrapping_add(4);
        if self.pstate().intersects(unusual) {
            self.finish_unusual(esr);
        }
    }

    #[cold]
    fn finish_unusual(&mut self, esr: Esr) {
        let mut pstate = self.pstate() - Pstate::SS; // a step of the guest's debugger is done
        if pstate.contains(Pstate::NRW) {
            pstate = pstate.with_it_advanced();
            if !esr.is_32bit_instruction() {
                self.frame.pc = self.frame.pc.wrapping_sub(2);
            }
        } else {
            pstate -= Pstate::BTYPE0 | Pstate::BTYPE1;
        }
        self.frame.pstate = pstate.bits();
    }
}
