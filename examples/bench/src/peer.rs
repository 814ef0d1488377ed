//! The run loop of a host built on `arm_vcpu`, as its documentation and its own VMM use it.

use aarch64_cpu::registers::{CNTFRQ_EL0, CNTPCT_EL0, Readable};
use arm_gic::{IntId, InterruptGroup, gicv3::GicCpuInterface};
use arm_vcpu::{
    ArmGuestPhysAddr, ArmHostIrqConfig, ArmHostIrqGuard, ArmHostOps, ArmNestedPagingConfig,
    ArmPerCpu, ArmSysRegAddr, ArmTimerVmConfig, ArmVcpu, ArmVcpuCreateConfig, ArmVcpuError,
    ArmVcpuResult, ArmVcpuSetupConfig, ArmVmExit,
};
use machine::Error;
use vcpu_stage2::Stage2;

use crate::{
    Guest,
    host::{Host, OS_LOCK_OPEN, Reply, UNKNOWN_FUNCTION},
};

/// OSLSR_EL1 as the ISS of a trapped access names it.
const OSLSR_EL1: ArmSysRegAddr = ArmSysRegAddr::new(2 << 20 | 4 << 17 | 1 << 10 | 1 << 1);

/// What `arm_vcpu` needs of its host.
struct Ops;

impl ArmHostOps for Ops {
    fn inject_virtual_interrupt(_: u32) -> ArmVcpuResult {
        Err(ArmVcpuError::Unsupported)
    }

    /// `raw_ack` is what ICC_IAR1_EL1 said.
    fn finish_pending_host_irq(raw_ack: u32) -> Option<usize> {
        if (1020..=1023).contains(&raw_ack) {
            return None;
        }
        GicCpuInterface::end_interrupt(IntId::sgi(raw_ack), InterruptGroup::Group1);
        Some(raw_ack as usize)
    }

    fn handle_current_host_irq() {}
}

/// This CPU, with `arm_vcpu`'s vectors installed while it exists.
pub struct Peer(ArmPerCpu);

impl Peer {
    /// Enables `arm_vcpu` on this CPU.
    pub fn enable() -> Result<Self, Error> {
        let mut cpu = ArmPerCpu::new(0).map_err(error)?;
        cpu.hardware_enable::<Ops>().map_err(error)?;
        Ok(Self(cpu))
    }

    /// Runs a guest until it reports; returns the ticks it counted.
    #[inline(never)]
    pub fn run(&mut self, stage2: &Stage2, guest: &Guest, host: &Host) -> Result<u64, Error> {
        let mut vcpu = new_vcpu(stage2, guest).map_err(error)?;
        loop {
            if let Some(ticks) = step(&mut vcpu, host)? {
                return Ok(ticks);
            }
        }
    }

    /// Runs two guests of two VMs in turns, one exit each, until the first reports.
    #[inline(never)]
    pub fn switch(
        &mut self,
        stage2s: [&Stage2; 2],
        guest: &Guest,
        host: &Host,
    ) -> Result<u64, Error> {
        let [first, second] = stage2s;
        let mut vcpus = [
            new_vcpu(first, guest).map_err(error)?,
            new_vcpu(second, guest).map_err(error)?,
        ];
        loop {
            for vcpu in &mut vcpus {
                vcpu.bind().map_err(error)?;
                if let Some(ticks) = step(vcpu, host)? {
                    return Ok(ticks);
                }
                vcpu.unbind().map_err(error)?;
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It never fails.
        let _ = self.0.hardware_disable();
    }
}

/// Runs until an exit and handles it; returns the ticks when the guest is done.
#[inline(always)]
fn step(vcpu: &mut ArmVcpu<Ops>, host: &Host) -> Result<Option<u64>, Error> {
    let exit = {
        let guard = ArmHostIrqGuard::mask();
        vcpu.run(&guard)
    };
    // Matched in place: a `?` on the whole would move the exit, byte by byte.
    match exit {
        Ok(ArmVmExit::Hypercall { nr, args }) => match host.call(nr as u32, args[0]) {
            Reply::Value(value) => vcpu.set_return_value(value as usize),
            Reply::Done(ticks) => return Ok(Some(ticks)),
            Reply::Unknown => vcpu.set_return_value(UNKNOWN_FUNCTION as usize),
        },
        Ok(ArmVmExit::MmioRead {
            addr, width, reg, ..
        }) => {
            let value = host.read(addr.as_usize() as u64, width.size() as u8);
            let value = value.ok_or(Error::Guest("no device is there"))?;
            vcpu.set_gpr(reg, value as usize);
        }
        Ok(ArmVmExit::MmioWrite { addr, width, data }) => {
            if !host.write(addr.as_usize() as u64, width.size() as u8, data) {
                return Err(Error::Guest("no device is there"));
            }
        }
        Ok(ArmVmExit::SysRegRead { addr, reg }) if addr == OSLSR_EL1 => {
            vcpu.set_gpr(reg, OS_LOCK_OPEN as usize);
        }
        Ok(ArmVmExit::ExternalInterrupt { token: Some(_) }) => host.interrupt(),
        Ok(ArmVmExit::WaitForInterrupt | ArmVmExit::Nothing) => {}
        Err(refused) => return Err(error(refused)),
        Ok(_) => return Err(Error::Guest("an exit that no workload makes")),
    }
    Ok(None)
}

fn new_vcpu(stage2: &Stage2, guest: &Guest) -> ArmVcpuResult<ArmVcpu<Ops>> {
    let now = CNTPCT_EL0.get();
    let timer = ArmTimerVmConfig::new(CNTFRQ_EL0.get(), now, now)?;
    let mut vcpu = ArmVcpu::new(0, 0, ArmVcpuCreateConfig::default())?;
    vcpu.set_nested_page_table(paging(stage2)?)?;
    vcpu.setup(ArmVcpuSetupConfig::new(
        timer,
        ArmHostIrqConfig::gicv3_sysreg(),
    ))?;
    vcpu.set_entry(ArmGuestPhysAddr::from_usize(guest.entry as usize))?;
    for (reg, value) in guest.registers() {
        vcpu.set_gpr(usize::from(reg), value as usize);
    }
    Ok(vcpu)
}

/// Returns the same tables, as `arm_vcpu` is told of them: it gives every guest VMID 0.
fn paging(stage2: &Stage2) -> ArmVcpuResult<ArmNestedPagingConfig> {
    let vtcr = stage2.vtcr().fields().ok_or(ArmVcpuError::Unsupported)?;
    let levels = usize::from(4_i8.saturating_sub(vtcr.start_level).unsigned_abs());
    let root = stage2.vttbr().root().0 as usize;
    Ok(ArmNestedPagingConfig::new(
        root,
        levels,
        vtcr.ipa_bits.into(),
        vtcr.pa_bits.into(),
    ))
}

fn error(error: ArmVcpuError) -> Error {
    Error::Guest(match error {
        ArmVcpuError::InvalidInput => "arm_vcpu: invalid input",
        ArmVcpuError::Unsupported => "arm_vcpu: unsupported",
        ArmVcpuError::BadState => "arm_vcpu: bad state",
    })
}
