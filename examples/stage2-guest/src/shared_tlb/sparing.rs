//! A CPU that writes no register that has its value already, and counts invalidations.

use core::cell::Cell;

use vcpu_asm::El2Cpu;
use vcpu_hal::{Cpu, Daif, ExitWords, FpSwitch, Guard, HcrSwitch, HostMode};
use vcpu_regs::{
    At, Controls, Cptr, DebugState, Features, FpState, GuestFrame, IchReg, IdRegisters, Intid,
    InvalidateStep, Par, Pstate, SveState, SwitchedReg, SwitchedState, Va, VectorLengths,
};

/// The calling CPU.
pub struct SparingCpu {
    cpu: El2Cpu,
    asked: Cell<u32>,
    left_out: Cell<bool>,
}

impl SparingCpu {
    /// Returns `cpu`, sparing.
    pub fn new(cpu: El2Cpu) -> Self {
        Self {
            cpu,
            asked: Cell::new(0),
            left_out: Cell::new(false),
        }
    }

    /// Returns how often it was to forget what it has of the VMID in force.
    pub fn asked(&self) -> u32 {
        self.asked.get()
    }

    /// Has it keep what it is to forget from now on, or not.
    pub fn leave_out(&self, leaves_out: bool) {
        self.left_out.set(leaves_out);
    }
}

/// What is passed on as it is.
macro_rules! pass_on {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(fn $name(&self $(, $argument: $type)*) $(-> $result)? { self.cpu.$name($($argument),*) })*
    };
    (unsafe $(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(unsafe fn $name(&self $(, $argument: $type)*) $(-> $result)? {
            // SAFETY: the same contract.
            unsafe { self.cpu.$name($($argument),*) }
        })*
    };
}

// SAFETY: `El2Cpu` does what each method says. A register that is not written has the value
// already. An invalidation is left out only where the guests' memory is the same to the host.
unsafe impl Cpu for SparingCpu {
    type Kept = <El2Cpu as Cpu>::Kept;

    unsafe fn load_switched(&self, state: &SwitchedState, features: Features) {
        for &reg in SwitchedReg::ALL {
            // SAFETY: the same contract; the CPU has the register.
            unsafe {
                if reg.exists(features) && self.cpu.read_switched(reg) != state.get(reg) {
                    self.cpu.write_switched(reg, state.get(reg));
                }
            }
        }
    }

    unsafe fn invalidate(&self, step: InvalidateStep) {
        if step == InvalidateStep::Vmalle1 {
            self.asked.set(self.asked.get() + 1);
        }
        if !self.left_out.get() {
            // SAFETY: the same contract.
            unsafe { self.cpu.invalidate(step) }
        }
    }

    pass_on! {
        fn host_mode() -> HostMode;
        fn id_registers() -> IdRegisters;
        fn mpidr() -> u64;
        fn tpidr_el2() -> u64;
        fn counter() -> u64;
        fn counter_freq_hz() -> u64;
        fn keep(guard: Guard) -> Self::Kept;
        fn pstate() -> Pstate;
        fn mask_interrupts() -> Daif;
        fn restore_interrupts(daif: Daif);
        fn host_uses_fp() -> bool;
    }

    pass_on! { unsafe
        fn set_pstate(pstate: Pstate);
        fn enter(frame: &mut GuestFrame, hcr: HcrSwitch, kept: &Self::Kept) -> ExitWords;
        fn enter_beside_fp(
            frame: &mut GuestFrame, hcr: HcrSwitch, kept: &Self::Kept, fp: FpSwitch<'_>
        ) -> ExitWords;
        fn controls(features: Features) -> Controls;
        fn set_controls(controls: &Controls, features: Features);
        fn set_guest(controls: &Controls);
        fn virtual_serror() -> bool;
        fn set_virtual_serror(pending: bool);
        fn set_cptr(cptr: Cptr);
        fn save_switched(state: &mut SwitchedState, features: Features);
        fn save_fp(state: &mut FpState);
        fn load_fp(state: &FpState);
        fn vector_lengths() -> VectorLengths;
        fn replace_zcr(zcr: u64) -> u64;
        fn save_sve(state: &mut SveState);
        fn load_sve(state: &SveState);
        fn save_debug(state: &mut DebugState, counts: (u8, u8));
        fn load_debug(state: &DebugState, counts: (u8, u8));
        fn read_switched(reg: SwitchedReg) -> u64;
        fn write_switched(reg: SwitchedReg, value: u64);
        fn firmware_call(x: &mut [u64; 18]);
        fn translate(va: Va, at: At) -> Par;
        fn gic_acknowledge() -> Intid;
        fn gic_end(intid: Intid);
        fn gic_deactivate(intid: Intid);
        fn read_ich(reg: IchReg) -> u64;
        fn write_ich(reg: IchReg, value: u64);
    }
}
