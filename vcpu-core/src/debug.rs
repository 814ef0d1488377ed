//! The guest's self-hosted debug: its registers always trap, and its breakpoints are on the
//! hardware only while MDSCR_EL1 enables them.
//!
//! So nothing of one guest's debugger reaches another, the rest of the debug registers (claim
//! tags, the communication channel) is not there to pass messages by, and a guest that debugs
//! nothing costs nothing.
//!
//! What is on the hardware stays there between two runs. A host with HCR_EL2.TGE takes debug
//! exceptions itself then, so its guests have no KDE: breakpoints and steps of theirs would fire in
//! the host, which they could stop by it. Their user programs can be debugged all the same.

use vcpu_hal::{Cpu, Platform};
use vcpu_regs::{Hcr, SwitchedReg, SysReg};

use crate::{Live, SysRegAccess};

/// MDSCR_EL1: debug exceptions may come from the exception level that takes them.
const MDSCR_KDE: u64 = 1 << 13;
/// Breakpoints and watchpoints are enabled, in user mode or also in the kernel (MDE, KDE).
const MDSCR_ENABLES: u64 = 1 << 15 | MDSCR_KDE;
/// What a guest may set while the OS lock is open: MDE, KDE, TDCC and SS.
const MDSCR_GUEST: u64 = MDSCR_ENABLES | 1 << 12 | 1 << 0;

const MDSCR_EL1: SysReg = SwitchedReg::MDSCR_EL1.sysreg();
const MDRAR_EL1: SysReg = SysReg::new(2, 0, 1, 0, 0);
const OSLSR_EL1: SysReg = SysReg::new(2, 0, 1, 1, 4);
/// The OS lock is implemented (OSLM = 0b10) and open.
const OS_LOCK_OPEN: u64 = 1 << 3;
/// Reads as zero and ignores writes: OSLAR, OSDLR, DBGPRCR; MDCCINT, MDCCSR, the communication
/// channel; OSECCR; the claim tags and authentication status.
const NOTHING: [SysReg; 13] = [
    SysReg::new(2, 0, 1, 0, 4),
    SysReg::new(2, 0, 1, 3, 4),
    SysReg::new(2, 0, 1, 4, 4),
    SysReg::new(2, 0, 0, 2, 0),
    SysReg::new(2, 3, 0, 1, 0),
    SysReg::new(2, 3, 0, 4, 0),
    SysReg::new(2, 3, 0, 5, 0),
    SysReg::new(2, 0, 0, 0, 2),
    SysReg::new(2, 0, 0, 3, 2),
    SysReg::new(2, 0, 0, 6, 2),
    SysReg::new(2, 0, 7, 8, 6),
    SysReg::new(2, 0, 7, 9, 6),
    SysReg::new(2, 0, 7, 14, 6),
];

impl<P: Platform, C: Cpu> Live<'_, '_, P, C> {
    /// Puts the guest's breakpoints on the hardware if MDSCR_EL1 enables any and they are not.
    ///
    /// The register traps, so its saved value stays true while the guest is loaded.
    #[inline]
    pub(crate) fn arm_debug(&mut self) {
        let mdscr = self.vcpu.switched.el1.mdscr_el1;
        if mdscr & MDSCR_ENABLES != 0 && self.el2.host_debug.is_none() {
            self.arm_debug_with(mdscr);
        }
    }

    #[cold]
    #[inline(never)]
    fn arm_debug_with(&mut self, mdscr: u64) {
        if mdscr & !self.allowed_mdscr() & MDSCR_KDE != 0 {
            self.set_sysreg(SwitchedReg::MDSCR_EL1, mdscr & !MDSCR_KDE);
        }
        self.el2.save_host_debug();
        self.load_debug();
    }

    /// Returns what a guest may set in MDSCR_EL1.
    fn allowed_mdscr(&self) -> u64 {
        match self.el2.host_controls.hcr.contains(Hcr::TGE) {
            true => MDSCR_GUEST & !MDSCR_KDE,
            false => MDSCR_GUEST,
        }
    }

    fn load_debug(&self) {
        let counts = self.el2.ids().debug_counts();
        // SAFETY: at EL2, as `load` found, with as many of each as the ID registers say. The
        // guest's MDCR_EL2.TDE is 0: debug exceptions are taken to EL1, so EL2 makes none.
        unsafe { self.el2.cpu.load_debug(&self.vcpu.debug, counts) };
    }

    /// Emulates a debug register; gives the access back when it is none that the guest has.
    pub(crate) fn reflect_debug(&mut self, access: SysRegAccess) -> Result<(), SysRegAccess> {
        let counts = self.vm.ids.debug_counts();
        let answer = match (access.reg(), access.write()) {
            (MDSCR_EL1, None) => self.sysreg(SwitchedReg::MDSCR_EL1),
            (MDSCR_EL1, Some(value)) => {
                self.set_sysreg(SwitchedReg::MDSCR_EL1, value & self.allowed_mdscr());
                self.arm_debug();
                0
            }
            (OSLSR_EL1, None) => OS_LOCK_OPEN,
            (MDRAR_EL1, None) => 0,
            (reg, _) if NOTHING.contains(&reg) => 0,
            (reg, write) => {
                let Some(register) = self.vcpu.debug.register(reg, counts) else {
                    return Err(access);
                };
                let before = *register;
                if let Some(value) = write {
                    *register = value;
                    if self.el2.host_debug.is_some() {
                        self.load_debug();
                    }
                }
                before
            }
        };
        self.complete(access, answer);
        Ok(())
    }
}
