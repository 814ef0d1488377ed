//! How the interrupt of a timer gets from the hardware to the guest, as values.
//!
//! The timer's output is a level: it stays up until the guest sets the timer anew, which it does
//! when it handles the interrupt. Between the two the physical interrupt must not come again.

use vcpu_hal::inject::{Trigger, VirtualInterrupt};
use vcpu_regs::Intid;

/// What keeps the physical interrupt down until the guest has ended the virtual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TimerDelivery {
    /// It stays active at the physical controller, and a list register with HW = 1 names it: the
    /// guest's end deactivates it.
    Mapped,
    /// It stays active at the physical controller, and the host deactivates it.
    Active,
    /// The host masks the timer: for a physical controller that knows no active interrupts.
    Masked,
}

/// What to do when the physical interrupt of a timer has been acknowledged. Its priority is
/// dropped in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fired {
    /// Make the virtual interrupt pending.
    pub inject: bool,
    /// [Mask](crate::Live::mask_timer) the timer.
    pub mask: bool,
    /// Deactivate the physical interrupt.
    pub deactivate: bool,
}

/// What to do when the guest has ended the virtual interrupt of a timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ended {
    /// [Unmask](crate::Live::unmask_timer) the timer.
    pub unmask: bool,
    /// Deactivate the physical interrupt.
    pub deactivate: bool,
}

impl TimerDelivery {
    /// Returns the virtual interrupt `intid` to inject, of the physical one `physical`.
    pub const fn interrupt(self, intid: Intid, physical: Intid) -> VirtualInterrupt {
        VirtualInterrupt {
            trigger: match self {
                Self::Mapped => Trigger::Hardware(physical),
                Self::Active | Self::Masked => Trigger::Level,
            },
            ..VirtualInterrupt::edge(intid)
        }
    }

    /// Returns what to do when the physical interrupt has come, while the guest ran or between two
    /// runs, and the loaded vCPU's timer [is asserted](super::TimerState::is_asserted) or is not
    /// any more.
    pub const fn fired(self, is_asserted: bool) -> Fired {
        let is_masked = matches!(self, Self::Masked);
        Fired {
            inject: is_asserted,
            mask: is_asserted && is_masked,
            deactivate: !is_asserted || is_masked,
        }
    }

    /// Returns what to do when the guest has ended the virtual interrupt. A timer that is still
    /// asserted fires anew then.
    pub const fn ended(self) -> Ended {
        Ended {
            unmask: matches!(self, Self::Masked),
            deactivate: matches!(self, Self::Active),
        }
    }

    /// Returns what the active state of this CPU's physical interrupt has to become when a vCPU is
    /// loaded whose virtual one is in service (pending or active), or is not; `None`: it does not
    /// matter.
    ///
    /// A private interrupt is active on one CPU, and there for whichever vCPU comes next: without
    /// this, one that moved would be interrupted twice, and its successor never.
    pub const fn active_on_load(self, is_in_service: bool) -> Option<bool> {
        match self {
            Self::Mapped | Self::Active => Some(is_in_service),
            Self::Masked => None,
        }
    }
}
