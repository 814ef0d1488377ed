//! The run loop of a host built on `vcpu-core`.

use machine::Error;
use vcpu_asm::El2Cpu;
use vcpu_core::{El2, Exit, Policy, Registers, Vcpu, VcpuConfig, Vm};
use vcpu_hal::{Platform, inject::HcrLine, irq::GicV3, percpu::MpidrTable};
use vcpu_regs::{Gpr, SysReg};

use crate::{
    Guest,
    host::{Host, OS_LOCK_OPEN, Reply, UNKNOWN_FUNCTION},
};

const OSLSR_EL1: SysReg = SysReg::new(2, 0, 1, 1, 4);

/// A host that takes its interrupts itself.
pub struct Ours {
    affinity: MpidrTable<'static>,
    gic: GicV3,
}

impl Ours {
    /// Returns the host.
    ///
    /// # Safety
    ///
    /// The GICv3 CPU interface is set up, and guests run on QEMU's first CPU, affinity 0, alone.
    pub const unsafe fn new() -> Self {
        // SAFETY: as our caller says.
        let (affinity, gic) = unsafe { (MpidrTable::new(&[0]), GicV3::new()) };
        Self { affinity, gic }
    }
}

impl Platform for Ours {
    type Inject = HcrLine;
    type FetchIrq = GicV3;
    type PerCpu = MpidrTable<'static>;

    fn inject(&self) -> &HcrLine {
        &HcrLine
    }

    fn fetch_irq(&self) -> &GicV3 {
        &self.gic
    }

    fn per_cpu(&self) -> &MpidrTable<'static> {
        &self.affinity
    }
}

/// Runs a guest until it reports; returns the ticks it counted.
#[inline(never)]
pub fn run(
    el2: &mut El2<'_, Ours, El2Cpu>,
    vm: &Vm,
    guest: &Guest,
    host: &Host,
    policy: Policy,
) -> Result<u64, Error> {
    let platform = el2.host();
    let mut vcpu = new_vcpu(guest, policy);
    let mut live = vcpu.load(el2, vm)?;
    loop {
        match live.run() {
            Exit::Hypercall(call) => match host.call(call.function(&live).0, live.reg(Gpr::X1)) {
                Reply::Value(value) => live.complete(call, value),
                Reply::Done(ticks) => return Ok(ticks),
                Reply::Unknown => live.complete(call, UNKNOWN_FUNCTION),
            },
            Exit::Mmio(access) => {
                let (at, size_bytes) = (access.ipa().0, access.size_bytes());
                let answer = match access.write() {
                    Some(value) => host.write(at, size_bytes, value).then_some(0),
                    None => host.read(at, size_bytes),
                };
                match answer {
                    Some(value) => live.complete(access, value),
                    None => live.inject_external_abort(&access),
                }
            }
            Exit::SysReg(access) if access.write().is_none() && access.reg() == OSLSR_EL1 => {
                live.complete(access, OS_LOCK_OPEN);
            }
            Exit::Wfi(wait) => live.complete(wait, ()),
            Exit::Irq(token) => {
                if let Some(intid) = token {
                    platform.gic.end(live.cpu(), intid);
                    host.interrupt();
                }
            }
            exit => live.reflect(exit),
        }
    }
}

/// Runs two guests of two VMs in turns, one call each, until the first reports.
#[inline(never)]
pub fn switch(
    el2: &mut El2<'_, Ours, El2Cpu>,
    vms: [&Vm; 2],
    guest: &Guest,
    host: &Host,
) -> Result<u64, Error> {
    let mut vcpus = [0, 1].map(|_| new_vcpu(guest, Policy::VIRTUAL));
    let mut turns = el2.take_turns();
    loop {
        for (vcpu, vm) in vcpus.iter_mut().zip(vms) {
            let mut live = vcpu.load(&mut turns, vm)?;
            match live.run() {
                Exit::Hypercall(call) => {
                    match host.call(call.function(&live).0, live.reg(Gpr::X1)) {
                        Reply::Value(value) => live.complete(call, value),
                        Reply::Done(ticks) => return Ok(ticks),
                        Reply::Unknown => live.complete(call, UNKNOWN_FUNCTION),
                    }
                }
                exit => live.reflect(exit),
            }
        }
    }
}

fn new_vcpu(guest: &Guest, policy: Policy) -> Vcpu<Ours> {
    let mut vcpu = Vcpu::new(&VcpuConfig {
        policy,
        ..VcpuConfig::default()
    });
    vcpu.set_pc(guest.entry);
    set_operands(&mut vcpu, guest);
    vcpu
}

fn set_operands(registers: &mut Registers, guest: &Guest) {
    for (reg, value) in guest.registers() {
        registers.set_reg(Gpr::new(reg), value);
    }
}
