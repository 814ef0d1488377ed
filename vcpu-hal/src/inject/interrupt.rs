//! One virtual interrupt as a value.

use vcpu_regs::Intid;

/// An interrupt for a guest, with all that its CPU interface must know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct VirtualInterrupt {
    /// What the guest reads when it acknowledges.
    pub intid: Intid,
    /// 0 is the highest. A CPU interface may leave out low bits.
    pub priority: u8,
    /// Which of the guest's lines it raises.
    pub group: Group,
    /// What becomes of it after it was acknowledged.
    pub trigger: Trigger,
}

impl VirtualInterrupt {
    /// In the middle of the range: what a guest's controller gives an interrupt that nobody
    /// configured.
    pub const DEFAULT_PRIORITY: u8 = 0xa0;

    /// Returns an edge of Group 1, of [`DEFAULT_PRIORITY`](Self::DEFAULT_PRIORITY).
    pub const fn edge(intid: Intid) -> Self {
        Self {
            intid,
            priority: Self::DEFAULT_PRIORITY,
            group: Group::One,
            trigger: Trigger::Edge,
        }
    }

    /// Returns whether each vCPU has this INTID for itself: an SGI or a PPI.
    pub const fn is_private(&self) -> bool {
        self.intid.0 < 32
    }
}

/// The plainest interrupt of that number: see [`VirtualInterrupt::edge`].
impl From<Intid> for VirtualInterrupt {
    fn from(intid: Intid) -> Self {
        Self::edge(intid)
    }
}

/// The group of an interrupt, as the guest configured it. GIC architecture (IHI 0069), interrupt
/// grouping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Group {
    /// A virtual FIQ.
    Zero,
    /// A virtual IRQ.
    #[default]
    One,
}

/// What stands behind an interrupt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Trigger {
    /// It came once: acknowledging it takes it away.
    #[default]
    Edge,
    /// An edge: an SGI, and the CPU (0 to 7) that sent it, which a GICv2 guest reads with it. Of two
    /// senders of one SGI, each is an interrupt of its own: the second comes when the first is
    /// deactivated. Elsewhere this is an [`Edge`](Self::Edge).
    SentBy(u8),
    /// A level that the host knows: when the guest has ended it, the host is asked again
    /// ([`Inject::next_ended`](crate::Inject::next_ended)) and injects it once more if it is still
    /// high.
    Level,
    /// A physical interrupt that the host acknowledged and did not deactivate: the guest's ending
    /// it deactivates the physical one of this INTID, without an exit.
    Hardware(Intid),
}

/// Where an interrupt stands on one vCPU, for reads of a distributor's registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Status {
    /// It waits to be acknowledged.
    pub pending: bool,
    /// The guest acknowledged it and has not deactivated it.
    pub active: bool,
}
