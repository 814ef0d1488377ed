//! The hardware of a virtual CPU interface, whichever way it is reached.

use vcpu_regs::{IccSre, IchHcr, IchMisr, IchReg, IchVmcr, IchVtr, ListRegister};

use crate::Cpu;

/// A virtual CPU interface, for the CPU it belongs to.
///
/// List registers are in GICv3's layout whatever the hardware's is. A number is below
/// [`list_registers`](Self::list_registers).
pub(super) trait VirtualInterface {
    /// Returns the count of list registers that are used, 1 to 16.
    fn list_registers(&self) -> u8;

    /// Returns whether `ICH_HCR_EL2.TDIR` is there.
    fn can_trap_dir(&self) -> bool;

    /// Reads a list register.
    fn list(&self, n: u8) -> ListRegister;

    /// Writes a list register.
    fn set_list(&self, n: u8, content: ListRegister);

    /// Reads the controls, for their count of ends.
    fn hcr(&self) -> IchHcr;

    /// Writes the controls.
    fn set_hcr(&self, hcr: IchHcr);

    /// Reads why there is a maintenance interrupt.
    fn misr(&self) -> IchMisr;

    /// Reads the guest's settings.
    fn vmcr(&self) -> IchVmcr;
}

/// Active priorities, of Group 0 and Group 1.
pub(super) type ActivePriorities = [[u64; 2]; 4];

/// `ICH_*_EL2`.
pub(super) struct SystemRegisters<'c, C> {
    cpu: &'c C,
}

impl<'c, C: Cpu> SystemRegisters<'c, C> {
    /// Returns the interface of this CPU.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, has a GICv3 interface, and `ICC_SRE_EL2.SRE` is 1.
    pub const unsafe fn new(cpu: &'c C) -> Self {
        Self { cpu }
    }

    fn vtr(&self) -> IchVtr {
        IchVtr(self.read(IchReg::Vtr))
    }

    /// Gives the interface the guest's settings and active priorities.
    pub fn load(&self, vmcr: IchVmcr, priorities: &ActivePriorities) {
        // The interface that the guest finds is system registers. Nothing at EL2 depends on what
        // `ICC_SRE_EL1` says.
        let sre = IccSre::SRE | IccSre::DFB | IccSre::DIB;
        self.write(IchReg::SreEl1, sre.bits());
        self.write(IchReg::Vmcr, vmcr.0);
        let count = self.vtr().active_priority_registers();
        for (n, &[group0, group1]) in (0..count).zip(priorities) {
            self.write(IchReg::Ap0r(n), group0);
            self.write(IchReg::Ap1r(n), group1);
        }
    }

    /// Takes the active priorities.
    pub fn save(&self, priorities: &mut ActivePriorities) {
        let count = self.vtr().active_priority_registers();
        for (n, [group0, group1]) in (0..count).zip(priorities) {
            *group0 = self.read(IchReg::Ap0r(n));
            *group1 = self.read(IchReg::Ap1r(n));
        }
    }

    /// `reg` exists by [`vtr`](Self::vtr).
    #[inline(always)]
    fn read(&self, reg: IchReg) -> u64 {
        // SAFETY: `new`'s caller found EL2 and the interface; this crate asks for no register
        // beyond the counts of ICH_VTR_EL2.
        unsafe { self.cpu.read_ich(reg) }
    }

    /// `reg` exists by [`vtr`](Self::vtr) and may be written.
    #[inline(always)]
    fn write(&self, reg: IchReg, value: u64) {
        // SAFETY: as in `read`; what these registers do is raise virtual interrupts in a guest.
        unsafe { self.cpu.write_ich(reg, value) };
    }
}

impl<C: Cpu> VirtualInterface for SystemRegisters<'_, C> {
    fn list_registers(&self) -> u8 {
        self.vtr().list_registers()
    }

    fn can_trap_dir(&self) -> bool {
        self.vtr().can_trap_dir()
    }

    #[inline(always)]
    fn list(&self, n: u8) -> ListRegister {
        ListRegister::from_bits(self.read(IchReg::Lr(n)))
    }

    #[inline(always)]
    fn set_list(&self, n: u8, content: ListRegister) {
        self.write(IchReg::Lr(n), content.bits());
    }

    fn hcr(&self) -> IchHcr {
        IchHcr::from_bits_retain(self.read(IchReg::Hcr))
    }

    fn set_hcr(&self, hcr: IchHcr) {
        self.write(IchReg::Hcr, hcr.bits());
    }

    #[inline(always)]
    fn misr(&self) -> IchMisr {
        IchMisr::from_bits_retain(self.read(IchReg::Misr))
    }

    fn vmcr(&self) -> IchVmcr {
        IchVmcr(self.read(IchReg::Vmcr))
    }
}
