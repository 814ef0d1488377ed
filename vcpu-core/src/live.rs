//! A virtual CPU whose state is on this physical one.

use core::ops::{Deref, DerefMut};

use vcpu_hal::{Cause, Cpu, FetchIrq, HcrSwitch, Inject, Platform};
use vcpu_regs::{Invalidate, SwitchedReg};

use crate::{El2, Exit, Registers, Vcpu, Vm, exit::Often, residency, vectors};

/// What a run of this host's guests ends with.
pub type ExitOf<P> = Exit<<<P as Platform>::FetchIrq as FetchIrq>::Token>;

/// A vCPU that is live on this CPU: only this runs. Dropping it takes the state back.
///
/// It dereferences to [`Registers`]. The host keeps this CPU while it lives: nothing else uses
/// the EL1 registers, and the code does not move to another CPU.
pub struct Live<'a, 'h, P: Platform, C: Cpu> {
    pub(crate) vcpu: &'a mut Vcpu<P>,
    pub(crate) el2: &'a mut El2<'h, P, C>,
    pub(crate) vm: &'a Vm,
    pub(crate) hcr: HcrSwitch,
}

impl<'a, 'h, P: Platform, C: Cpu> Live<'a, 'h, P, C> {
    /// Drops translations of the guest.
    pub(crate) fn invalidate(&self, what: Invalidate) {
        residency::invalidate(self.el2, self.hcr, what);
    }

    /// Runs the guest until it needs the host.
    ///
    /// Returns with the interrupt masks as they were. What else the host sees of itself is as
    /// before too: stack pointers, thread registers, vectors, routing of interrupts. Not so what
    /// [`Pstate::OF_HOST`](vcpu_regs::Pstate::OF_HOST) names (PAN, DIT and their like): a put
    /// brings that back.
    #[inline(always)]
    pub fn run(&mut self) -> ExitOf<P> {
        loop {
            let El2 {
                cpu, host, kept, ..
            } = &*self.el2;
            let frame = &mut self.vcpu.registers.frame;
            let daif = cpu.mask_interrupts();
            if P::Inject::CHANGES_BEFORE_ENTRY
                && host.inject().before_entry(cpu, &mut self.vcpu.pending)
                && P::Inject::LINES_KEEP
            {
                let lines = host.inject().lines(&self.vcpu.pending);
                self.hcr = self.hcr.with_lines(lines.hcr());
            }
            let mut hcr = self.hcr;
            if !P::Inject::LINES_KEEP {
                hcr = hcr.with_lines(host.inject().lines(&self.vcpu.pending).hcr());
            }
            let words = if cpu.host_uses_fp() {
                let (fp, sve) = (&mut self.vcpu.fp, &mut self.vcpu.sve);
                let fp = self.vcpu.prepared.fp_switch(self.vcpu.fp_is_live, fp, sve);
                // SAFETY: as below; `prepare` has FP not trap here, and what brought the SVE
                // registers opened them.
                unsafe { cpu.enter_beside_fp(frame, hcr, kept, fp) }
            } else {
                // SAFETY: `load` found EL2 on its own stack and put the guest's controls in force,
                // whose stage 2 its maker promised to the guest; interrupts are masked; `Registers`
                // lets no PSTATE in that leads elsewhere than EL0 or EL1, and exits from there bring
                // none; `Policy::controls` sets VM, AMO and RW, keeps E2H, and leaves TGE clear.
                unsafe { cpu.enter(frame, hcr, kept) }
            };
            match words.cause {
                Cause::Abort => {
                    cpu.restore_interrupts(daif);
                    return Exit::abort(&self.vcpu.registers, words);
                }
                Cause::Synchronous => {
                    cpu.restore_interrupts(daif);
                    let (registers, esr) = (&self.vcpu.registers, words.esr);
                    return match Often::of(esr) {
                        Often::Wait => Exit::wait(registers, esr),
                        Often::SysReg => Exit::sysreg(registers, esr),
                        Often::Hvc => Exit::hvc(registers, esr),
                        Often::Seldom if self.vcpu.awaits(esr.class()) => {
                            vectors::use_first(self.vcpu, self.el2);
                            continue;
                        }
                        Often::Seldom => Exit::seldom(registers, esr),
                    };
                }
                Cause::Irq => {
                    host.inject().interrupted(cpu, &mut self.vcpu.pending);
                    let token = host.fetch_irq().fetch(cpu);
                    cpu.restore_interrupts(daif);
                    return Exit::Irq(token);
                }
                Cause::Fiq => {
                    cpu.restore_interrupts(daif);
                    return Exit::Fiq;
                }
                Cause::SError => {
                    cpu.restore_interrupts(daif);
                    return Exit::serror(words.esr);
                }
            }
        }
    }

    /// Takes the guest's state back into its [`Vcpu`]; the same as dropping this.
    pub fn put(self) {}

    /// Returns this CPU.
    pub fn cpu(&self) -> &C {
        self.el2.cpu()
    }

    /// Returns the VM it runs for.
    pub fn vm(&self) -> &'a Vm {
        self.vm
    }

    /// Takes the lines over into what entries are made with, where they keep until the next call.
    pub(crate) fn note_lines(&mut self) {
        if P::Inject::LINES_KEEP {
            let lines = self.el2.host.inject().lines(&self.vcpu.pending);
            self.hcr = self.hcr.with_lines(lines.hcr());
        }
    }

    /// Returns a system register of the guest.
    pub fn sysreg(&self, reg: SwitchedReg) -> u64 {
        if !reg.exists(self.el2.granted) {
            return self.vcpu.switched.get(reg);
        }
        // SAFETY: at EL2, as `load` found; what is granted, the CPU has.
        unsafe { self.el2.cpu.read_switched(reg) }
    }

    /// Replaces a system register of the guest.
    pub fn set_sysreg(&mut self, reg: SwitchedReg, value: u64) {
        self.vcpu.switched.set(reg, value);
        if reg.exists(self.el2.granted) {
            // SAFETY: at EL2, as `load` found; what is granted, the CPU has, and while the guest
            // is loaded it is the guest's.
            unsafe { self.el2.cpu.write_switched(reg, value) };
        }
    }
}

impl<P: Platform, C: Cpu> Deref for Live<'_, '_, P, C> {
    type Target = Registers;

    fn deref(&self) -> &Registers {
        &self.vcpu.registers
    }
}

impl<P: Platform, C: Cpu> DerefMut for Live<'_, '_, P, C> {
    fn deref_mut(&mut self) -> &mut Registers {
        &mut self.vcpu.registers
    }
}
