//! The host: it runs the guest from one of its questions to the next, and notes what the guest took.

use machine::{Error, layout, println};
use vcpu_asm::El2Cpu;
use vcpu_core::{El2, Exit, Live, Vcpu, VcpuConfig, Vm};
use vcpu_hal::{
    Inject, Platform,
    inject::{CpuInterface, Trigger, VirtualInterrupt},
    percpu::MpidrTable,
};
use vcpu_regs::{Gpr, Intid, SwitchedReg};

use crate::{
    guest::{self, VIRTUAL_TIMER},
    physical::{GICV, MAINTENANCE, Physical},
};

/// A host with the interrupts of one CPU, and a backend.
pub struct Host<I, F> {
    inject: I,
    gic: F,
    affinity: MpidrTable<'static>,
}

impl<I, F> Host<I, F> {
    /// Returns the host.
    ///
    /// # Safety
    ///
    /// Guests run on QEMU's first CPU, affinity 0, alone.
    pub const unsafe fn new(inject: I, gic: F) -> Self {
        // SAFETY: as our caller says.
        let affinity = unsafe { MpidrTable::new(&[0]) };
        Self {
            inject,
            gic,
            affinity,
        }
    }
}

impl<I: Inject, F: Physical> Platform for Host<I, F> {
    type Inject = I;
    type FetchIrq = F;
    type PerCpu = MpidrTable<'static>;

    fn inject(&self) -> &I {
        &self.inject
    }

    fn fetch_irq(&self) -> &F {
        &self.gic
    }

    fn per_cpu(&self) -> &MpidrTable<'static> {
        &self.affinity
    }
}

/// What the guest did with an interrupt, and what it wants to hear.
pub enum Did {
    /// It acknowledged it.
    Took(u32),
    /// It ended it; the answer is the INTID that it deactivates at once.
    Ended(u32),
    /// The hardware said that a level is to be looked at.
    Look(u32),
}

/// A guest with all that it runs by.
pub struct Rig<'e, 'h, I: Inject, F: Physical> {
    pub el2: &'e mut El2<'h, Host<I, F>, El2Cpu>,
    pub vm: &'e Vm,
    pub vcpu: Vcpu<Host<I, F>>,
    /// Another guest's, which comes in between where [`is_crowded`](Self::is_crowded).
    pub other: Vcpu<Host<I, F>>,
    /// Whether the other is loaded after each exit.
    pub is_crowded: bool,
    /// Maintenance interrupts that ended a run.
    pub maintenance: u32,
}

pub type Running<'a, 'h, I, F> = Live<'a, 'h, Host<I, F>, El2Cpu>;

impl<'e, 'h, I: Inject, F: Physical> Rig<'e, 'h, I, F> {
    /// Returns a guest whose code is at `start`, with its vectors `vectors` further on.
    pub fn new(
        el2: &'e mut El2<'h, Host<I, F>, El2Cpu>,
        vm: &'e Vm,
        start: u64,
        vectors: u64,
    ) -> Self {
        let mut vcpu = Vcpu::new(&VcpuConfig::default());
        vcpu.set_pc(start + guest::MAIN);
        vcpu.set_sysreg(SwitchedReg::VBAR_EL1, start + vectors);
        vcpu.set_sysreg(SwitchedReg::SP_EL1, start + guest::STACK);
        vcpu.set_reg(Gpr::new(27), layout::GIC_DISTRIBUTOR.start);
        vcpu.set_reg(Gpr::new(28), GICV.start);
        Self {
            el2,
            vm,
            vcpu,
            other: Vcpu::new(&VcpuConfig::default()),
            is_crowded: false,
            maintenance: 0,
        }
    }

    /// Gives the guest a command and runs it until it asks for the next. `hears` is told of each
    /// interrupt; after [`Did::Ended`], it gives the INTID to deactivate.
    pub fn command(
        &mut self,
        command: [u64; 5],
        mut hears: impl FnMut(&mut Running<'_, 'h, I, F>, Did) -> u64,
    ) -> Result<(), Error> {
        let host = self.el2.host();
        let mut command = Some(command);
        let mut live = self.vcpu.load(self.el2, self.vm)?;
        loop {
            match live.run() {
                Exit::Hypercall(call) => {
                    let read = live.reg(Gpr::X0) as u32;
                    let reads_sender = F::TELLS_SENDER && I::CPU_INTERFACE != CpuInterface::None;
                    let (intid, sender) = match reads_sender {
                        true => (read & 0x3ff, read >> 10),
                        false => (read, u32::from(SENDER)),
                    };
                    let answer = match call.imm() {
                        0 => match command.take() {
                            None => {
                                // It asks again when it is told the next.
                                let pc = live.pc();
                                live.set_pc(pc - 4);
                                return Ok(());
                            }
                            Some(command) => {
                                for (n, &value) in command.iter().enumerate().skip(1) {
                                    live.set_reg(Gpr::new(n as u8), value);
                                }
                                command[0]
                            }
                        },
                        1 if intid < 16 && sender != u32::from(SENDER) => {
                            return Err(Error::Guest("it was told another sender"));
                        }
                        1 => hears(&mut live, Did::Took(intid)),
                        2 => hears(&mut live, Did::Ended(intid)),
                        _ => return Err(Error::Guest("it lost its way")),
                    };
                    live.complete(call, answer);
                }
                Exit::Irq(fetched) => {
                    host.gic.end(live.cpu(), &fetched);
                    match F::intid(&fetched) {
                        // The guest's ending it deactivates it.
                        Some(timer @ Intid(VIRTUAL_TIMER)) => inject(
                            &mut live,
                            VirtualInterrupt {
                                trigger: Trigger::Hardware(timer),
                                ..timer.into()
                            },
                        )?,
                        other => {
                            host.gic.deactivate(live.cpu(), &fetched);
                            self.maintenance +=
                                u32::from(other.is_none_or(|other| other.0 == MAINTENANCE));
                        }
                    }
                }
                Exit::SysReg(access) => match access.sgi() {
                    Some((_, request)) => {
                        inject(&mut live, sgi(request.intid))?;
                        live.complete(access, 0);
                    }
                    None => live.reflect(Exit::<()>::SysReg(access)),
                },
                Exit::Mmio(access) => match (access.ipa().0, access.write()) {
                    (GICD_SGIR, Some(value)) => {
                        inject(&mut live, sgi(Intid(value as u32 & 0xf)))?;
                        live.complete(access, 0);
                    }
                    (GICC_DIR, Some(value)) => {
                        live.deactivate_irq(Intid(value as u32 & 0x3ff));
                        live.complete(access, 0);
                    }
                    _ => return Err(Error::Guest("no device is there")),
                },
                Exit::Wfi(wait) => live.complete(wait, ()),
                exit => {
                    println!("{exit}");
                    return Err(Error::Guest("an exit that the guest does not make"));
                }
            }
            if self.is_crowded {
                drop(live);
                drop(self.other.load(self.el2, self.vm)?);
                live = self.vcpu.load(self.el2, self.vm)?;
            }
            // After an interrupt, or a put, for which the end need not have raised one.
            while let Some(intid) = live.next_ended_irq() {
                hears(&mut live, Did::Look(intid.0));
            }
        }
    }
}

/// `GICD_SGIR` and `GICC_DIR` of a guest with a GICv2: what is not mapped for it.
const GICD_SGIR: u64 = layout::GIC_DISTRIBUTOR.start + 0xf00;
const GICC_DIR: u64 = GICV.start + 0x1000;
/// Whom a GICv2 guest is told that its SGIs come from.
const SENDER: u8 = 3;

/// Returns an SGI as the guest is to see it.
pub fn sgi(intid: Intid) -> VirtualInterrupt {
    VirtualInterrupt {
        trigger: Trigger::SentBy(SENDER),
        ..intid.into()
    }
}

/// Makes an interrupt pending.
pub fn inject<I: Inject, F: Physical>(
    live: &mut Running<'_, '_, I, F>,
    interrupt: VirtualInterrupt,
) -> Result<(), Error> {
    live.inject_irq(interrupt)
        .map_err(|_| Error::Guest("an interrupt was refused"))
}

/// Returns an edge of Group 1.
pub fn edge(intid: u32, priority: u8) -> VirtualInterrupt {
    VirtualInterrupt {
        priority,
        ..Intid(intid).into()
    }
}
