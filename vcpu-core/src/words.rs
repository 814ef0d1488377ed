//! One line for people about each exit.

use core::fmt::{Debug, Display, Formatter, Result};

use vcpu_exits::Syndrome;

use crate::{Call, Conduit, Exit, Mmio, Psci, SysRegAccess, Wait};

impl Display for Mmio {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let to = if self.write().is_some() { "to" } else { "from" };
        write!(f, "guest {} {to} IPA {}", self.transfer(), self.ipa())?;
        match self.write() {
            Some(value) => write!(f, ": {value:#x}"),
            None => Ok(()),
        }
    }
}

impl Display for SysRegAccess {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.write() {
            Some(value) => write!(f, "guest wrote {value:#x} to {}", self.reg()),
            None => write!(f, "guest read {} into {}", self.reg(), self.rt()),
        }
    }
}

impl Display for Conduit {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Hvc => "hvc",
            Self::Smc => "smc",
        })
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "guest called {} #{}", self.conduit(), self.imm())
    }
}

impl Display for Psci {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(
            f,
            "guest called PSCI {} by {}",
            self.call.function().name(),
            self.conduit
        )
    }
}

impl Display for Wait {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "guest waits: {}", Syndrome::Wfx(self.wfx()))?;
        match self.until() {
            Some(until) => write!(f, " until {until:#x}"),
            None => Ok(()),
        }
    }
}

impl<T: Debug> Display for Exit<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Mmio(access) => Display::fmt(access, f),
            Self::Fault(fault) => Display::fmt(fault, f),
            Self::SysReg(access) => Display::fmt(access, f),
            Self::Psci(psci) => Display::fmt(psci, f),
            Self::Hypercall(call) | Self::Smc(call) => Display::fmt(call, f),
            Self::Wfi(wait) | Self::Wfe(wait) => Display::fmt(wait, f),
            Self::Irq(token) => write!(f, "a physical IRQ arrived: {token:?}"),
            Self::Fiq => f.write_str("a physical FIQ is pending"),
            Self::SError(serror) => Display::fmt(&Syndrome::SError(*serror), f),
            Self::Other(syndrome) => Display::fmt(syndrome, f),
        }
    }
}
