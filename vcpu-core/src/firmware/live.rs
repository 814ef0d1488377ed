//! Carrying decisions out on a loaded vCPU.

use vcpu_exits::calls::FunctionId;
use vcpu_hal::{Cpu, Platform};
use vcpu_regs::{Gpr, SwitchedReg};

use super::{Caller, Decision, Firmware, PowerRequest};
use crate::{Call, Live, Psci, Vcpu, power::Start};

/// `SCTLR_EL1.EE`: data at EL1 is big-endian.
const SCTLR_EE: u64 = 1 << 25;

/// What is left to do after [`Live::serve`].
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the guest may have asked for something"]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing: the guest goes on.
    Handled,
    /// The guest is answered, and asks this of the host.
    Power(PowerRequest),
    /// The host answers the call, because the filter says so or because its immediate is none of
    /// SMCCC's.
    Host(Call),
}

impl<P: Platform, C: Cpu> Live<'_, '_, P, C> {
    /// Answers a PSCI call or any other, by the VM's `firmware`. The arguments are in the registers,
    /// as the guest left them.
    pub fn serve(&mut self, call: impl Into<Call>, firmware: &Firmware<'_>) -> Outcome {
        self.serve_call(call.into(), firmware)
    }

    fn serve_call(&mut self, call: Call, firmware: &Firmware<'_>) -> Outcome {
        if call.imm() != 0 {
            return Outcome::Host(call);
        }
        let [x0, x1, x2, x3, ..] = self.vcpu.registers.frame.x;
        let caller = Caller {
            mpidr: self.vcpu.mpidr,
            big_endian: self.sysreg(SwitchedReg::SCTLR_EL1) & SCTLR_EE != 0,
        };
        match firmware.decide([x0, x1, x2, x3], caller) {
            Decision::Answer(results, request) => {
                for (n, &value) in (0..).zip(results.as_slice()) {
                    self.set_reg(Gpr::new(n), value);
                }
                call.leave(self);
                request.map_or(Outcome::Handled, Outcome::Power)
            }
            Decision::ToHost => Outcome::Host(call),
            Decision::ToFirmware => {
                self.forward();
                call.leave(self);
                Outcome::Handled
            }
        }
    }

    /// Makes the guest's call to the machine's firmware, for a rule said so.
    fn forward(&mut self) {
        let registers = &mut self.vcpu.registers.frame.x;
        let sent = arguments(registers);
        let mut x = sent;
        // SAFETY: at EL2, as `load` found. Only `Rule::forward` gives this decision, and its maker
        // promises that EL3 is there and that the function harms nobody, whatever its arguments.
        unsafe { self.el2.cpu.firmware_call(&mut x) };
        for (n, (register, (sent, got))) in registers
            .iter_mut()
            .zip(sent.into_iter().zip(x))
            .enumerate()
        {
            // Results are in x0 to x3. What firmware leaves alone beyond them is the guest's own,
            // not what it was truncated to.
            if n < 4 || got != sent {
                *register = got;
            }
        }
    }
}

/// Returns x0 to x17 as firmware gets them: the arguments that the function's convention has, and
/// nothing else of the guest.
fn arguments(registers: &[u64; 31]) -> [u64; 18] {
    let function = FunctionId::from_x0(registers[0]).without_hint();
    let mut x = [0; 18];
    let count = if function.is_64bit() { 18 } else { 8 };
    for (argument, &register) in x.iter_mut().zip(registers).take(count) {
        *argument = function.argument(register);
    }
    x[0] = function.0.into();
    x
}

impl From<Psci> for Call {
    fn from(psci: Psci) -> Self {
        Self::of_service(psci.conduit)
    }
}

impl<P: Platform> Vcpu<P> {
    /// Resets the vCPU and has it begin at `start`: x0 holds the context, everything else is as
    /// after a reset, at EL1h with interrupts masked and the MMU off.
    ///
    /// Virtual interrupts that are pending stay so: they are the interrupt controller's.
    pub fn start(&mut self, start: &Start) {
        self.reset();
        self.set_pc(start.entry.0);
        self.set_reg(Gpr::X0, start.context);
        if start.big_endian {
            let sctlr = self.sysreg(SwitchedReg::SCTLR_EL1);
            self.set_sysreg(SwitchedReg::SCTLR_EL1, sctlr | SCTLR_EE);
        }
    }
}
