//! An interrupt that a guest sends to itself, by list registers: the write that traps, the host's
//! injection, the guest's acknowledging and ending it.

use machine::{Error, guest_code};
use vcpu_asm::El2Cpu;
use vcpu_core::{El2, Exit, Vcpu, VcpuConfig, Vm};
use vcpu_hal::{
    Platform,
    inject::{Group, ListRegisters, Trigger, VirtualInterrupt},
    irq::GicV3,
    percpu::MpidrTable,
};
use vcpu_regs::{Gpr, SwitchedReg};

use crate::{
    Guest,
    host::{Host, Reply, UNKNOWN_FUNCTION},
};

/// In the table that `cargo xtask bench` prints.
pub const NAME: &str = "self_ipi";
/// Instructions of a round that are the loop's.
pub const LOOP_COST: u64 = 2;
/// The guest's vectors, from its start.
const VECTORS: u64 = 0x800;

guest_code! {
    /// X19 holds the rounds, X22 the value that asks for the interrupt. The handler counts in X24.
    self_ipi:
    "mov x0, #0xff",
    "msr S3_0_C4_C6_0, x0", // ICC_PMR_EL1
    "mov x0, #1",
    "msr S3_0_C12_C12_7, x0", // ICC_IGRPEN1_EL1
    "mov x24, #0",
    "mov x25, x19",
    "isb",
    "msr daifclr, #2",
    "mrs x20, cntvct_el0",
    "1:",
    "msr S3_0_C12_C11_5, x22", // ICC_SGI1R_EL1
    "subs x19, x19, #1",
    "b.ne 1b",
    "isb",
    "mrs x21, cntvct_el0",
    "sub x1, x21, x20",
    "cmp x24, x25",
    "b.ne 3f",
    "mov w0, #1", // REPORT
    "movk w0, #0xc600, lsl #16",
    "hvc #0",
    "3:",
    "hvc #1", // one was lost
    ".org guest_self_ipi + 0x800 + 0x280", // an IRQ from EL1h
    "mrs x1, S3_0_C12_C12_0", // ICC_IAR1_EL1
    "add x24, x24, #1",
    "msr S3_0_C12_C12_1, x1", // ICC_EOIR1_EL1
    "eret",
}

/// Returns the code.
pub fn code() -> &'static [u8] {
    self_ipi()
}

/// A host that delivers by list registers.
pub struct Lists {
    inject: ListRegisters,
    gic: GicV3,
    affinity: MpidrTable<'static>,
}

impl Lists {
    /// Returns the host.
    ///
    /// # Safety
    ///
    /// The GICv3 CPU interface is set up, and guests run on QEMU's first CPU, affinity 0, alone.
    pub const unsafe fn new() -> Self {
        // SAFETY: as our caller says.
        unsafe {
            Self {
                inject: ListRegisters::new(),
                gic: GicV3::new(),
                affinity: MpidrTable::new(&[0]),
            }
        }
    }
}

impl Platform for Lists {
    type Inject = ListRegisters;
    type FetchIrq = GicV3;
    type PerCpu = MpidrTable<'static>;

    fn inject(&self) -> &ListRegisters {
        &self.inject
    }

    fn fetch_irq(&self) -> &GicV3 {
        &self.gic
    }

    fn per_cpu(&self) -> &MpidrTable<'static> {
        &self.affinity
    }
}

/// Runs the guest until it reports; returns the ticks it counted.
#[inline(never)]
pub fn run(
    el2: &mut El2<'_, Lists, El2Cpu>,
    vm: &Vm,
    guest: &Guest,
    host: &Host,
) -> Result<u64, Error> {
    /// SGI 3 to the CPU with affinity 0.
    const TO_ITSELF: u64 = 3 << 24 | 1;
    let mut vcpu = Vcpu::new(&VcpuConfig::default());
    vcpu.set_pc(guest.entry);
    vcpu.set_sysreg(SwitchedReg::VBAR_EL1, guest.entry + VECTORS);
    for (reg, value) in guest.registers() {
        vcpu.set_reg(Gpr::new(reg), value);
    }
    vcpu.set_reg(Gpr::new(22), TO_ITSELF);
    let own = vcpu.mpidr();
    let mut live = vcpu.load(el2, vm)?;
    loop {
        match live.run() {
            Exit::SysReg(access) => match access.sgi() {
                Some((_, request)) => {
                    if request.target.includes(own, own) {
                        let injected = live.inject_irq(VirtualInterrupt {
                            intid: request.intid,
                            priority: 0xa0,
                            group: Group::One,
                            trigger: Trigger::Edge,
                        });
                        injected.map_err(|_| Error::Guest("an SGI was refused"))?;
                    }
                    live.complete(access, 0);
                }
                None => live.reflect(Exit::<()>::SysReg(access)),
            },
            Exit::Hypercall(call) if call.imm() == 0 => {
                match host.call(call.function(&live).0, live.reg(Gpr::X1)) {
                    Reply::Value(value) => live.complete(call, value),
                    Reply::Done(ticks) => return Ok(ticks),
                    Reply::Unknown => live.complete(call, UNKNOWN_FUNCTION),
                }
            }
            Exit::Hypercall(_) => return Err(Error::Guest("an SGI was lost")),
            exit => live.reflect(exit),
        }
    }
}
