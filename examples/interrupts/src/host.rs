//! The host: it runs the guest from one of its questions to the next, and notes what the guest took.

use machine::Error;
use vcpu_asm::El2Cpu;
use vcpu_core::{El2, Exit, Live, Vcpu, VcpuConfig, Vm};
use vcpu_hal::{
    Inject, Platform,
    inject::{Trigger, VirtualInterrupt},
    irq::GicV3,
    percpu::MpidrTable,
};
use vcpu_regs::{Gpr, Intid, SwitchedReg};

use crate::{
    guest::{self, VIRTUAL_TIMER},
    physical::MAINTENANCE,
};

/// A host with the interrupts of one CPU, and a backend.
pub struct Host<I> {
    inject: I,
    gic: GicV3,
    affinity: MpidrTable<'static>,
}

impl<I> Host<I> {
    /// Returns the host.
    ///
    /// # Safety
    ///
    /// The GICv3 CPU interface is set up, and guests run on QEMU's first CPU, affinity 0, alone.
    pub const unsafe fn new(inject: I) -> Self {
        // SAFETY: as our caller says.
        let (gic, affinity) = unsafe { (GicV3::new(), MpidrTable::new(&[0])) };
        Self {
            inject,
            gic,
            affinity,
        }
    }
}

impl<I: Inject> Platform for Host<I> {
    type Inject = I;
    type FetchIrq = GicV3;
    type PerCpu = MpidrTable<'static>;

    fn inject(&self) -> &I {
        &self.inject
    }

    fn fetch_irq(&self) -> &GicV3 {
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
pub struct Rig<'e, 'h, I: Inject> {
    pub el2: &'e mut El2<'h, Host<I>, El2Cpu>,
    pub vm: &'e Vm,
    pub vcpu: Vcpu<Host<I>>,
    /// Another guest's, which comes in between where [`is_crowded`](Self::is_crowded).
    pub other: Vcpu<Host<I>>,
    /// Whether the other is loaded after each exit.
    pub is_crowded: bool,
    /// Maintenance interrupts that ended a run.
    pub maintenance: u32,
}

pub type Running<'a, 'h, I> = Live<'a, 'h, Host<I>, El2Cpu>;

impl<'e, 'h, I: Inject> Rig<'e, 'h, I> {
    /// Returns a guest whose code is at `start`, with its vectors `vectors` further on.
    pub fn new(
        el2: &'e mut El2<'h, Host<I>, El2Cpu>,
        vm: &'e Vm,
        start: u64,
        vectors: u64,
    ) -> Self {
        let mut vcpu = Vcpu::new(&VcpuConfig::default());
        vcpu.set_pc(start + guest::MAIN);
        vcpu.set_sysreg(SwitchedReg::VBAR_EL1, start + vectors);
        vcpu.set_sysreg(SwitchedReg::SP_EL1, start + guest::STACK);
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
        mut hears: impl FnMut(&mut Running<'_, 'h, I>, Did) -> u64,
    ) -> Result<(), Error> {
        let host = self.el2.host();
        let mut command = Some(command);
        let mut live = self.vcpu.load(self.el2, self.vm)?;
        loop {
            match live.run() {
                Exit::Hypercall(call) => {
                    let intid = live.reg(Gpr::X0) as u32;
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
                        1 => hears(&mut live, Did::Took(intid)),
                        2 => hears(&mut live, Did::Ended(intid)),
                        _ => return Err(Error::Guest("it lost its way")),
                    };
                    live.complete(call, answer);
                }
                Exit::Irq(fetched) => {
                    if let Some(intid) = fetched {
                        host.gic.end(live.cpu(), intid);
                        match intid.0 {
                            // The guest's ending it deactivates it.
                            VIRTUAL_TIMER => inject(
                                &mut live,
                                VirtualInterrupt {
                                    trigger: Trigger::Hardware(intid),
                                    ..intid.into()
                                },
                            )?,
                            _ => host.gic.deactivate(live.cpu(), intid),
                        }
                    }
                    self.maintenance += u32::from(fetched.is_none_or(|it| it.0 == MAINTENANCE));
                    while let Some(intid) = live.next_ended_irq() {
                        hears(&mut live, Did::Look(intid.0));
                    }
                }
                Exit::SysReg(access) => match access.sgi() {
                    Some((_, request)) => {
                        inject(&mut live, request.intid.into())?;
                        live.complete(access, 0);
                    }
                    None => live.reflect(Exit::<()>::SysReg(access)),
                },
                Exit::Wfi(wait) => live.complete(wait, ()),
                exit => {
                    defmt::error!("{}", exit);
                    return Err(Error::Guest("an exit that the guest does not make"));
                }
            }
            if self.is_crowded {
                drop(live);
                drop(self.other.load(self.el2, self.vm)?);
                live = self.vcpu.load(self.el2, self.vm)?;
            }
        }
    }
}

/// Makes an interrupt pending.
pub fn inject<I: Inject>(
    live: &mut Running<'_, '_, I>,
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
