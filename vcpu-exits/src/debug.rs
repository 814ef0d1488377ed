//! Debug exceptions: breakpoints, software step, watchpoints.

use vcpu_regs::Esr;
use vcpu_regs::iss::{BreakpointIss, StepIss, WatchpointIss};

/// EC 0x30, 0x31 and 0x3A: a hardware breakpoint or AArch32 vector catch. ELR is on the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Breakpoint {
    /// 0x22 says debug exception (IFSC).
    pub code: u8,
    /// Taken from the Exception level it arrived at (EC 0x31).
    pub from_same_el: bool,
}

impl Breakpoint {
    /// Reads `esr` as a breakpoint or vector catch.
    pub const fn decode(esr: Esr) -> Self {
        Self {
            code: BreakpointIss::new(esr).ifsc(),
            from_same_el: esr.class() == 0x31,
        }
    }

    /// Returns the syndrome word of a hardware breakpoint, IL set.
    pub const fn encode(self) -> Esr {
        let iss = BreakpointIss::new(Esr(0)).with_ifsc(self.code);
        Esr(Esr::of_class(0x30 | self.from_same_el as u8).0 | iss.bits())
    }
}

/// EC 0x32 and 0x33: one instruction was stepped. ELR is on the next one to execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SoftwareStep {
    /// 0x22 says debug exception (IFSC).
    pub code: u8,
    /// Whether a load-exclusive was stepped, where known (EX, ISV).
    pub stepped_exclusive: Option<bool>,
    /// Taken from the Exception level it arrived at (EC 0x33).
    pub from_same_el: bool,
}

impl SoftwareStep {
    /// Reads `esr` as a software step.
    pub const fn decode(esr: Esr) -> Self {
        let iss = StepIss::new(esr);
        Self {
            code: iss.ifsc(),
            stepped_exclusive: if iss.isv() { Some(iss.ex()) } else { None },
            from_same_el: esr.class() == 0x33,
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = StepIss::new(Esr(0)).with_ifsc(self.code);
        let iss = match self.stepped_exclusive {
            Some(ex) => iss.with_isv(true).with_ex(ex),
            None => iss,
        };
        Esr(Esr::of_class(0x32 | self.from_same_el as u8).0 | iss.bits())
    }
}

/// EC 0x34 and 0x35: a watchpoint. ELR is on the instruction; FAR tells where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Watchpoint {
    /// 0x22 says debug exception (DFSC).
    pub code: u8,
    /// A write.
    pub is_write: bool,
    /// By cache maintenance.
    pub is_cache_maintenance: bool,
    /// FAR holds nothing.
    pub far_not_valid: bool,
    /// FAR is anywhere in the right granule.
    pub far_not_precise: bool,
    /// Through VNCR_EL2.
    pub is_vncr: bool,
    /// It might have matched too much (WPF).
    pub may_be_false: bool,
    /// Number of the watchpoint, where known (WPT, WPTV).
    pub number: Option<u8>,
    /// Taken from the Exception level it arrived at (EC 0x35).
    pub from_same_el: bool,
}

impl Watchpoint {
    /// Reads `esr` as a watchpoint.
    pub const fn decode(esr: Esr) -> Self {
        let iss = WatchpointIss::new(esr);
        Self {
            code: iss.dfsc(),
            is_write: iss.wnr(),
            is_cache_maintenance: iss.cm(),
            far_not_valid: iss.fnv(),
            far_not_precise: iss.fnp(),
            is_vncr: iss.vncr(),
            may_be_false: iss.wpf(),
            number: if iss.wptv() { Some(iss.wpt()) } else { None },
            from_same_el: esr.class() == 0x35,
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = WatchpointIss::new(Esr(0))
            .with_dfsc(self.code)
            .with_wnr(self.is_write)
            .with_cm(self.is_cache_maintenance)
            .with_fnv(self.far_not_valid)
            .with_fnp(self.far_not_precise)
            .with_vncr(self.is_vncr)
            .with_wpf(self.may_be_false);
        let iss = match self.number {
            Some(number) => iss.with_wptv(true).with_wpt(number),
            None => iss,
        };
        Esr(Esr::of_class(0x34 | self.from_same_el as u8).0 | iss.bits())
    }
}
