//! What a correct machine does with an exit that the host leaves alone.

use vcpu_exits::{AbortFlags, Access, Fault, FaultKind, SError};
use vcpu_hal::{Cpu, Inject, Platform, inject::CpuInterface};
use vcpu_regs::{Esr, IdRegisters, Invalidate, SwitchedReg, SysReg, Va};

use crate::{
    Call, Exit, Firmware, Interrupts, Live, Mmio, Outcome, SysRegAccess,
    exit::Conduit,
    inject::{self, Bank},
    vcpu::vsesr,
};

/// The guest's EL1 registers on the hardware.
struct Loaded<'a, C: Cpu>(&'a C);

impl<C: Cpu> Bank for Loaded<'_, C> {
    fn read(&self, reg: SwitchedReg) -> u64 {
        // SAFETY: made by `Live` alone: at EL2 with the guest loaded. Injection reads registers
        // that every CPU has.
        unsafe { self.0.read_switched(reg) }
    }

    fn write(&mut self, reg: SwitchedReg, value: u64) {
        // SAFETY: as in `read`; the registers are the guest's while it is loaded.
        unsafe { self.0.write_switched(reg, value) };
    }
}

impl<P: Platform, C: Cpu> Live<'_, '_, P, C> {
    /// Does with `exit` what a correct machine would: an abort for a hole in memory, an undefined
    /// instruction for what this guest has not got, the ID registers and timers of the VM, nothing for a
    /// hint or an interrupt, x0 = -1 for an unknown call.
    #[inline(always)]
    pub fn reflect<T>(&mut self, exit: Exit<T>) {
        self.reflect_moved(exit.moved());
    }

    fn reflect_moved<T>(&mut self, exit: Exit<T>) {
        match exit {
            Exit::Mmio(access) => self.inject_external_abort(&access),
            Exit::Fault(fault) => self.inject_fault(&fault),
            Exit::SysReg(access) => self.reflect_sysreg(access),
            Exit::Psci(psci) => self.reflect_call(psci.into()),
            Exit::Hypercall(call) | Exit::Smc(call) => self.reflect_call(call),
            Exit::Wfi(wait) | Exit::Wfe(wait) => self.complete(wait, ()),
            Exit::Irq(_) | Exit::Fiq => {}
            Exit::SError(serror) => self.inject_serror(serror),
            Exit::Other(_) => self.inject_undefined(),
        }
    }

    /// Makes the guest take an undefined-instruction exception at PC.
    pub fn inject_undefined(&mut self) {
        self.inject(inject::undefined(true), None);
    }

    /// Makes the guest take an external abort in place of the access.
    #[inline(always)]
    pub fn inject_external_abort(&mut self, access: &Mmio) {
        self.inject_data_abort(access.va(), access.transfer().is_write);
    }

    fn inject_data_abort(&mut self, va: Va, is_write: bool) {
        let status = inject::external(false, None);
        let flags = match is_write {
            true => AbortFlags::WRITE,
            false => AbortFlags::empty(),
        };
        let esr = inject::data_abort(self.pstate(), status, flags);
        self.inject(esr, Some(va.0));
    }

    /// Makes the guest take an external abort in place of an access that stage 2 refused.
    pub fn inject_fault(&mut self, fault: &Fault) {
        if fault.kind() == FaultKind::TlbConflict {
            // Hardware's state, not the guest's doing. Stage 2 by itself must go too.
            return self.invalidate(Invalidate::Vmid);
        }
        let status = inject::external(fault.is_on_s1_walk(), fault.level());
        let pstate = self.pstate();
        let esr = match fault.access() {
            Access::Fetch => inject::instruction_abort(pstate, status),
            _ => {
                let told = AbortFlags::WRITE | AbortFlags::CACHE_MAINTENANCE;
                inject::data_abort(pstate, status, fault.flags() & told)
            }
        };
        self.inject(esr, fault.va().map(|va| va.0));
    }

    /// Makes an SError pending, which the guest takes once it does not mask them.
    ///
    /// Its syndrome is what the guest is told on a CPU with FEAT_RAS; on another it is told none.
    pub fn inject_serror(&mut self, serror: SError) {
        self.set_sysreg(SwitchedReg::VSESR_EL2, vsesr(serror));
        self.vcpu.serror_pending = true;
        // SAFETY: at EL2, as `load` found, under the guest's controls.
        unsafe { self.el2.cpu().set_virtual_serror(true) };
    }

    /// Returns whether an SError is pending: injected, and not yet taken.
    pub fn serror_pending(&self) -> bool {
        // SAFETY: at EL2, as `load` found.
        unsafe { self.el2.cpu().virtual_serror() }
    }

    fn inject(&mut self, esr: Esr, far: Option<u64>) {
        let mut bank = Loaded(self.el2.cpu());
        let registers = &mut self.vcpu.registers;
        inject::exception(registers, &mut bank, self.vm.ids(), esr, far);
    }

    fn reflect_sysreg(&mut self, access: SysRegAccess) {
        let access = match self.reflect_debug(access) {
            Ok(()) => return,
            Err(access) => access,
        };
        let access = match self.emulate_timer(access) {
            Ok(()) => return,
            Err(access) => access,
        };
        let access = match self.reflect_interface(access) {
            Ok(()) => return,
            Err(access) => access,
        };
        let interrupts = self.vcpu.policy.interrupts;
        let has_interface = interrupts == Interrupts::PassThrough
            || P::Inject::CPU_INTERFACE == CpuInterface::SystemRegisters;
        match emulated(access.reg(), self.vm.ids(), has_interface) {
            Some(Emulated::Constant(value)) if access.write().is_none() => {
                self.complete(access, value);
            }
            Some(Emulated::Ignored) => self.complete(access, 0),
            _ => self.inject_undefined(),
        }
    }

    /// Answers as the firmware of a VM that offers nothing: what the host would have to do is not
    /// done, and the guest is told so.
    fn reflect_call(&mut self, call: Call) {
        match self.serve(call, &Firmware::new(&[], &[])) {
            Outcome::Host(call) => {
                // Another immediate than SMCCC's.
                if call.conduit() == Conduit::Hvc {
                    let pc = self.pc().wrapping_sub(4); // it stands past the instruction
                    self.set_pc(pc);
                }
                self.inject_undefined();
            }
            Outcome::Handled | Outcome::Power(_) => {}
        }
    }
}

/// What a trapped register is for a guest that has the defaults.
enum Emulated {
    /// Read-only.
    Constant(u64),
    /// Reads as zero, ignores writes.
    Ignored,
}

/// Returns what stands behind a register that traps, or `None` when the guest has not got it.
fn emulated(reg: SysReg, ids: &IdRegisters, has_interface: bool) -> Option<Emulated> {
    const ID_AA64PFR0_EL1: SysReg = SysReg::new(3, 0, 0, 4, 0);
    /// `ID_AA64PFR0_EL1`: the GIC CPU interface is system registers.
    const GIC: u64 = 0xf << 24;
    const AIDR_EL1: SysReg = SysReg::new(3, 1, 0, 0, 7);
    const ACTLR_EL1: SysReg = SysReg::new(3, 0, 1, 0, 1);
    const ERRIDR_EL1: SysReg = SysReg::new(3, 0, 5, 3, 0);

    match reg {
        AIDR_EL1 | ERRIDR_EL1 => Some(Emulated::Constant(0)),
        ACTLR_EL1 => Some(Emulated::Ignored),
        ID_AA64PFR0_EL1 if !has_interface => Some(Emulated::Constant(ids.pfr0() & !GIC)),
        reg => ids.get(reg).map(Emulated::Constant),
    }
}
