//! A generic timer of EL1, as its registers tell: `CNTV_*` or `CNTP_*`.
//!
//! Arithmetic is the architecture's: the counter and the compare value are unsigned and 64 bits
//! wide, the timer value is signed and 32 bits wide. Arm ARM (DDI 0487), `CNTV_CVAL_EL0`,
//! `CNTV_TVAL_EL0`.

use bitflags::bitflags;

bitflags! {
    /// `CNTV_CTL_EL0`, `CNTP_CTL_EL0`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TimerCtl: u64 {
        /// The timer is on.
        const ENABLE = 1 << 0;
        /// Its interrupt is masked.
        const IMASK = 1 << 1;
        /// Its condition is met: read-only.
        const ISTATUS = 1 << 2;
        const _ = !0;
    }
}

crate::controls::format_bits!(TimerCtl);

/// What a timer is programmed to. `count` is its own counter, the offset taken off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Timer {
    ctl: TimerCtl,
    /// The compare value: `CNTV_CVAL_EL0`, `CNTP_CVAL_EL0`.
    pub cval: u64,
}

impl Timer {
    const WRITABLE: TimerCtl = TimerCtl::ENABLE.union(TimerCtl::IMASK);

    /// Returns the timer of these registers.
    pub const fn new(ctl: TimerCtl, cval: u64) -> Self {
        Self {
            ctl: ctl.intersection(Self::WRITABLE),
            cval,
        }
    }

    /// Returns ENABLE and IMASK.
    pub const fn ctl(&self) -> TimerCtl {
        self.ctl
    }

    /// Replaces ENABLE and IMASK; nothing else of the control is writable.
    pub const fn set_ctl(&mut self, ctl: TimerCtl) {
        self.ctl = ctl.intersection(Self::WRITABLE);
    }

    /// Returns the control as a read gives it, with ISTATUS. While the timer is off ISTATUS is
    /// UNKNOWN: here, 0.
    pub const fn read_ctl(&self, count: u64) -> TimerCtl {
        match self.is_met(count) {
            true => self.ctl.union(TimerCtl::ISTATUS),
            false => self.ctl,
        }
    }

    /// Returns the timer value: how far the compare value is ahead, in 32 bits.
    pub const fn tval(&self, count: u64) -> u64 {
        self.cval.wrapping_sub(count) & 0xffff_ffff
    }

    /// Sets the compare value so far ahead: the low 32 bits of `tval`, signed.
    pub const fn set_tval(&mut self, count: u64, tval: u64) {
        self.cval = count.wrapping_add(tval as u32 as i32 as i64 as u64);
    }

    /// Returns whether the timer is on and its condition met (ISTATUS).
    pub const fn is_met(&self, count: u64) -> bool {
        self.ctl.contains(TimerCtl::ENABLE) && count >= self.cval
    }

    /// Returns whether the interrupt is asserted: a level, up until the timer is set anew.
    pub const fn is_asserted(&self, count: u64) -> bool {
        self.is_met(count) && !self.ctl.contains(TimerCtl::IMASK)
    }

    /// Returns in how many ticks the interrupt will be asserted, 0 where it is; `None` where it is
    /// off or masked.
    pub const fn ticks_left(&self, count: u64) -> Option<u64> {
        if !self.ctl.contains(TimerCtl::ENABLE) || self.ctl.contains(TimerCtl::IMASK) {
            return None;
        }
        Some(self.cval.saturating_sub(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(cval: u64) -> Timer {
        Timer::new(TimerCtl::ENABLE, cval)
    }

    #[test]
    fn tval_is_signed() {
        let mut timer = on(0);
        timer.set_tval(1000, 0xffff_ffff); // -1
        assert_eq!(timer.cval, 999);
        timer.set_tval(1000, 0x8000_0000);
        assert_eq!(timer.cval, 1000u64.wrapping_sub(1 << 31));
        timer.set_tval(1000, 0x7fff_ffff);
        assert_eq!(timer.cval, 1000 + 0x7fff_ffff);
        timer.set_tval(1000, 0xdead_beef_0000_0001); // 32 bits of it count
        assert_eq!(timer.cval, 1001);
    }

    #[test]
    fn tval_counts_down_through_zero() {
        let mut timer = on(0);
        timer.set_tval(u64::MAX - 1, 4); // over the counter's end
        assert_eq!(timer.cval, 2);
        assert_eq!(timer.tval(u64::MAX - 1), 4);
        assert_eq!(timer.tval(2), 0);
        assert_eq!(timer.tval(3), 0xffff_ffff);
    }

    #[test]
    fn istatus_is_computed_and_not_writable() {
        let mut timer = on(10);
        timer.set_ctl(TimerCtl::all());
        assert_eq!(timer.ctl(), TimerCtl::ENABLE | TimerCtl::IMASK);
        assert_eq!(timer.read_ctl(9).bits(), 0b011);
        assert_eq!(timer.read_ctl(10).bits(), 0b111);
        assert!(timer.is_met(10) && !timer.is_asserted(10), "masked");
        timer.set_ctl(TimerCtl::empty());
        assert_eq!(timer.read_ctl(10).bits(), 0);
    }

    #[test]
    fn compare_values_are_unsigned() {
        assert!(!on(u64::MAX).is_met(1 << 63));
        assert!(on(0).is_met(0));
        assert_eq!(on(u64::MAX).ticks_left(0), Some(u64::MAX));
        assert_eq!(on(5).ticks_left(9), Some(0));
    }
}
