//! What of its CPU interface a guest reaches by a trap, where list registers do the rest.

use vcpu_exits::SgiGroup;
use vcpu_hal::{Cpu, Inject, Platform, inject::CpuInterface};
use vcpu_regs::{IccSre, Intid, SysReg};

use crate::{Interrupts, Live, SysRegAccess};

const ICC_SRE_EL1: SysReg = SysReg::new(3, 0, 12, 12, 5);
const ICC_DIR_EL1: SysReg = SysReg::new(3, 0, 12, 11, 1);

impl<P: Platform, C: Cpu> Live<'_, '_, P, C> {
    /// Emulates a register of the CPU interface; gives the access back when it is none that the guest
    /// has.
    pub(crate) fn reflect_interface(&mut self, access: SysRegAccess) -> Result<(), SysRegAccess> {
        let is_virtual = self.vcpu.policy.interrupts == Interrupts::Virtual;
        let has_interface = P::Inject::CPU_INTERFACE == CpuInterface::SystemRegisters;
        match (access.reg(), access.write()) {
            _ if !is_virtual || !has_interface => return Err(access),
            (ICC_SRE_EL1, _) => {
                let fixed = IccSre::SRE | IccSre::DFB | IccSre::DIB;
                self.complete(access, fixed.bits());
            }
            (ICC_DIR_EL1, Some(value)) => {
                self.deactivate_irq(Intid(value as u32 & 0xff_ffff));
                self.complete(access, 0);
            }
            // Whom it reaches, a distributor knows: a host that has none sends nothing.
            (reg, Some(_)) if SgiGroup::of(reg).is_some() => self.complete(access, 0),
            _ => return Err(access),
        }
        Ok(())
    }
}
