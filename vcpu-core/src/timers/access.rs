//! The physical timer, trapped.

use vcpu_hal::{Cpu, Platform};
use vcpu_regs::{SwitchedReg, SysReg, TimerCtl};

use super::TimerKind;
use crate::{Live, SysRegAccess};

const CNTP_CTL_EL0: SysReg = SwitchedReg::CNTP_CTL_EL0.sysreg();
const CNTP_CVAL_EL0: SysReg = SwitchedReg::CNTP_CVAL_EL0.sysreg();
const CNTP_TVAL_EL0: SysReg = SysReg::new(3, 3, 14, 2, 0);
const CNTPCT_EL0: SysReg = SysReg::new(3, 3, 14, 0, 1);

impl<P: Platform, C: Cpu> Live<'_, '_, P, C> {
    /// Completes an access to the physical timer or its counter; gives any other back.
    pub fn emulate_timer(&mut self, access: SysRegAccess) -> Result<(), SysRegAccess> {
        const KIND: TimerKind = TimerKind::Physical;
        if !matches!(
            access.reg(),
            CNTP_CTL_EL0 | CNTP_CVAL_EL0 | CNTP_TVAL_EL0 | CNTPCT_EL0
        ) {
            return Err(access);
        }
        let mut timer = self.timer(KIND);
        let count = self.vm.count(KIND, self.el2.counter());
        let answer = match (access.reg(), access.write()) {
            (CNTP_CTL_EL0, None) => timer.read_ctl(count).bits(),
            (CNTP_CVAL_EL0, None) => timer.cval,
            (CNTP_TVAL_EL0, None) => timer.tval(count),
            (CNTPCT_EL0, None) => count,
            (reg, Some(value)) => {
                match reg {
                    CNTP_CTL_EL0 => timer.set_ctl(TimerCtl::from_bits_retain(value)),
                    CNTP_CVAL_EL0 => timer.cval = value,
                    CNTP_TVAL_EL0 => timer.set_tval(count, value),
                    _ => return Err(access),
                }
                self.set_timer(KIND, timer);
                0
            }
            _ => return Err(access),
        };
        self.complete(access, answer);
        Ok(())
    }
}
