//! The guest's timers: its clock, what they are programmed to, when they are due, and how their
//! interrupts get to it.
//!
//! While a vCPU is loaded, a timer that is the guest's own is on the hardware and raises its physical
//! PPI at EL2. The emulated physical one never does, and no timer of a vCPU that is not loaded:
//! for these the deadline is what the host sets a timer of its own to.

mod access;
mod clock;
mod delivery;

use vcpu_hal::{Cpu, Platform};
use vcpu_regs::{Intid, SwitchedReg, Timer, TimerCtl};

use crate::{Live, Vcpu, Vm};

pub(crate) use clock::Clock;
pub use delivery::{Ended, Fired, TimerDelivery};

/// One of the two timers that a guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TimerKind {
    /// `CNTV_*`.
    Virtual,
    /// `CNTP_*`.
    Physical,
}

impl TimerKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Virtual, Self::Physical];

    const fn ctl(self) -> SwitchedReg {
        match self {
            Self::Virtual => SwitchedReg::CNTV_CTL_EL0,
            Self::Physical => SwitchedReg::CNTP_CTL_EL0,
        }
    }

    const fn cval(self) -> SwitchedReg {
        match self {
            Self::Virtual => SwitchedReg::CNTV_CVAL_EL0,
            Self::Physical => SwitchedReg::CNTP_CVAL_EL0,
        }
    }
}

/// The private interrupts of the timers: by default those that Arm's base system architecture
/// (DEN0094) recommends, to which most machines keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TimerPpis {
    /// The virtual timer's: 27.
    pub virtual_timer: Intid,
    /// The physical timer's: 30.
    pub physical_timer: Intid,
}

impl Default for TimerPpis {
    fn default() -> Self {
        Self {
            virtual_timer: Intid(27),
            physical_timer: Intid(30),
        }
    }
}

impl TimerPpis {
    /// Returns the interrupt of a timer.
    pub const fn of(&self, kind: TimerKind) -> Intid {
        match kind {
            TimerKind::Virtual => self.virtual_timer,
            TimerKind::Physical => self.physical_timer,
        }
    }

    /// Returns whose interrupt this is.
    pub fn timer(&self, intid: Intid) -> Option<TimerKind> {
        TimerKind::ALL
            .into_iter()
            .find(|&kind| self.of(kind) == intid)
    }
}

/// A timer at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TimerState {
    /// What the guest has programmed.
    pub timer: Timer,
    /// The guest's counter.
    pub count: u64,
    /// Whether the timer asserts its interrupt.
    pub is_asserted: bool,
    /// When it will, or now where it does, in ticks of the host's counter. `None` for never, while
    /// nothing changes; and where the host has masked the timer until the guest is done with it.
    pub deadline: Option<u64>,
}

impl TimerState {
    fn at(timer: Timer, kind: TimerKind, vm: &Vm, now: u64, is_held: bool) -> Self {
        let count = vm.count(kind, now);
        let stands_still = kind == TimerKind::Virtual && vm.is_clock_stopped();
        let deadline = match timer.ticks_left(count) {
            _ if is_held => None,
            Some(0) => Some(now),
            Some(_) if stands_still => None,
            // A counter does not get past its end.
            Some(ticks) => now.checked_add(ticks),
            None => None,
        };
        Self {
            timer,
            count,
            is_asserted: timer.is_asserted(count),
            deadline,
        }
    }
}

/// Which timers the host has masked on its own account; and whether the guest has as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldTimers([Option<bool>; 2]);

impl HeldTimers {
    /// Returns two bits for each timer, the virtual one's first: held, and masked by the guest.
    pub(crate) fn bits(self) -> u64 {
        let [virtual_timer, physical_timer] = self.0.map(|held| match held {
            None => 0b00,
            Some(false) => 0b01,
            Some(true) => 0b11,
        });
        physical_timer << 2 | virtual_timer
    }

    /// Returns what [`bits`](Self::bits) says, or `None` for other bits.
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        let held = |bits| match bits {
            0b00 => Some(None),
            0b01 => Some(Some(false)),
            0b11 => Some(Some(true)),
            _ => None,
        };
        Some(Self([held(bits & 3)?, held(bits >> 2)?]))
    }

    const fn of(&mut self, kind: TimerKind) -> &mut Option<bool> {
        let [virtual_timer, physical_timer] = &mut self.0;
        match kind {
            TimerKind::Virtual => virtual_timer,
            TimerKind::Physical => physical_timer,
        }
    }

    /// Returns the control that the guest believes in, of the one in force.
    fn without(mut self, kind: TimerKind, ctl: TimerCtl) -> TimerCtl {
        match self.of(kind) {
            Some(true) => ctl | TimerCtl::IMASK,
            Some(false) => ctl - TimerCtl::IMASK,
            None => ctl,
        }
    }

    /// Returns the control to put in force for the one that the guest believes in.
    fn with(&mut self, kind: TimerKind, ctl: TimerCtl) -> TimerCtl {
        match self.of(kind) {
            Some(guests) => {
                *guests = ctl.contains(TimerCtl::IMASK);
                ctl | TimerCtl::IMASK
            }
            None => ctl,
        }
    }

    fn contains(mut self, kind: TimerKind) -> bool {
        self.of(kind).is_some()
    }
}

impl<P: Platform> Vcpu<P> {
    /// Returns what a timer is programmed to.
    pub fn timer(&self, kind: TimerKind) -> Timer {
        let ctl = TimerCtl::from_bits_retain(self.sysreg(kind.ctl()));
        Timer::new(
            self.held_timers.without(kind, ctl),
            self.sysreg(kind.cval()),
        )
    }

    /// Programs a timer, as the guest would.
    pub fn set_timer(&mut self, kind: TimerKind, timer: Timer) {
        let ctl = self.held_timers.with(kind, timer.ctl());
        self.switched.set(kind.ctl(), ctl.bits());
        self.switched.set(kind.cval(), timer.cval);
    }

    /// Returns a timer at `now`, a value of the host's counter.
    pub fn timer_state(&self, kind: TimerKind, vm: &Vm, now: u64) -> TimerState {
        let is_held = self.held_timers.contains(kind);
        TimerState::at(self.timer(kind), kind, vm, now, is_held)
    }

    /// Returns when the first timer will assert its interrupt, in ticks of the host's counter: at
    /// `now` at the earliest. `None` where none will.
    pub fn earliest_deadline(&self, vm: &Vm, now: u64) -> Option<u64> {
        let of = |kind| self.timer_state(kind, vm, now).deadline;
        TimerKind::ALL.into_iter().filter_map(of).min()
    }

    /// Returns when a timer will give the vCPU something to wake for: the earliest deadline, but of
    /// timers whose virtual interrupt waits or is in service. Until the guest has ended that, the
    /// timer has nothing new to say.
    pub fn wake_deadline(&self, host: &P, vm: &Vm, ppis: &TimerPpis, now: u64) -> Option<u64> {
        let is_told = |kind| {
            let status = self.irq_status(host, ppis.of(kind));
            status.pending || status.active
        };
        let of = |kind| self.timer_state(kind, vm, now).deadline;
        let kinds = TimerKind::ALL.into_iter();
        kinds.filter(|&kind| !is_told(kind)).filter_map(of).min()
    }

    /// Lets a timer assert its interrupt again that the host had masked: see
    /// [`Live::unmask_timer`].
    pub fn unmask_timer(&mut self, kind: TimerKind) {
        let timer = self.timer(kind);
        *self.held_timers.of(kind) = None;
        self.set_timer(kind, timer);
    }
}

impl<P: Platform, C: Cpu> Live<'_, '_, P, C> {
    /// Returns what a timer is programmed to.
    pub fn timer(&self, kind: TimerKind) -> Timer {
        let ctl = TimerCtl::from_bits_retain(self.sysreg(kind.ctl()));
        let cval = self.sysreg(kind.cval());
        Timer::new(self.vcpu.held_timers.without(kind, ctl), cval)
    }

    /// Programs a timer, as the guest would.
    pub fn set_timer(&mut self, kind: TimerKind, timer: Timer) {
        let ctl = self.vcpu.held_timers.with(kind, timer.ctl());
        // The compare value first: an old one under a new control might be met.
        self.set_sysreg(kind.cval(), timer.cval);
        self.set_sysreg(kind.ctl(), ctl.bits());
    }

    /// Returns when the first timer will assert its interrupt: see [`Vcpu::earliest_deadline`].
    pub fn earliest_deadline(&self) -> Option<u64> {
        let of = |kind| self.timer_state(kind).deadline;
        TimerKind::ALL.into_iter().filter_map(of).min()
    }

    /// Returns a timer now.
    pub fn timer_state(&self, kind: TimerKind) -> TimerState {
        let is_held = self.vcpu.held_timers.contains(kind);
        let now = self.el2.counter();
        TimerState::at(self.timer(kind), kind, self.vm, now, is_held)
    }

    /// Masks a timer on the host's account: its interrupt is on its way to the guest, and has to
    /// be kept from coming again meanwhile.
    ///
    /// It sets `IMASK`, which a guest sees if it reads the control of its virtual timer: a list
    /// register with a hardware interrupt needs none of this.
    pub fn mask_timer(&mut self, kind: TimerKind) {
        let timer = self.timer(kind);
        *self.vcpu.held_timers.of(kind) = Some(false);
        let ctl = self.vcpu.held_timers.with(kind, timer.ctl());
        self.set_sysreg(kind.ctl(), ctl.bits());
    }

    /// Takes the mask off, when the guest is done with the interrupt.
    pub fn unmask_timer(&mut self, kind: TimerKind) {
        let timer = self.timer(kind);
        *self.vcpu.held_timers.of(kind) = None;
        self.set_sysreg(kind.ctl(), timer.ctl().bits());
    }
}
