//! Every interrupt of one vCPU that is pending or active, in a list register or not.

mod loaded;

use vcpu_regs::{IchHcr, IchVmcr, Intid, ListRegister};

use super::choice::{Slots, at, each};
use crate::inject::{Group, Status, Trigger, VirtualInterrupt};

/// Why a queue does not take an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum QueueError {
    /// It is neither an SGI nor a PPI, and [`Queue::SHARED`] others are waiting or active. To be
    /// tried again when some of them have ended.
    Full(Intid),
    /// The number means something else (1020 to 1023), or has more than 24 bits.
    NoSuchIntid(Intid),
    /// The physical INTID has more than 13 bits.
    NoSuchHardware(Intid),
}

impl core::fmt::Display for QueueError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Full(intid) => write!(f, "no room for interrupt {}: the queue is full", intid.0),
            Self::NoSuchIntid(intid) => write!(f, "there is no interrupt {}", intid.0),
            Self::NoSuchHardware(intid) => {
                write!(f, "there is no physical interrupt {}", intid.0)
            }
        }
    }
}

impl core::error::Error for QueueError {}

/// The interrupts of one vCPU.
///
/// SGIs and PPIs have a slot each, by number; others take one of the rest while they are pending
/// or active. At rest the sets tell all. While loaded, the list registers know better of those
/// that are resident: `sync` asks them.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Each slot's interrupt, neither pending nor active.
    templates: [ListRegister; 64],
    pending: Slots,
    active: Slots,
    /// Of the active ones, those that the guest acknowledged.
    taken: Slots,
    /// The part of its priority that each of them runs at.
    taken_at: [u8; 64],
    /// These are in a list register: `places` says which.
    resident: Slots,
    /// Pending here, and not in their list registers.
    withheld: Slots,
    /// Ended, and not told of yet.
    ended: Slots,
    /// GICv2: of each SGI, the senders whose turn comes after the one that its slot is about.
    behind: [u8; SGIS],
    /// The SGIs that have such.
    queued: u16,
    places: [u8; 64],
    /// Of the list registers: what each was given, or held when it was last read.
    lists: [ListRegister; 16],
    /// Whose it is: a slot.
    owners: [u8; 16],
    /// List registers that belong to a slot.
    owned: u16,
    /// List registers that belong to none, and are not empty.
    stale: u16,
    /// The controls as written; empty while not loaded.
    hcr: IchHcr,
    /// List registers of this CPU; 0 while not loaded.
    count: u8,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            templates: [ListRegister::EMPTY; 64],
            pending: 0,
            active: 0,
            taken: 0,
            taken_at: [0; 64],
            resident: 0,
            withheld: 0,
            ended: 0,
            behind: [0; SGIS],
            queued: 0,
            places: [0; 64],
            lists: [ListRegister::EMPTY; 16],
            owners: [0; 16],
            owned: 0,
            stale: 0,
            hcr: IchHcr::empty(),
            count: 0,
        }
    }
}

/// Slots of SGIs.
const SGIS: usize = 16;

/// Slots of SGIs and PPIs.
const PRIVATE: u32 = 32;

/// Returns where a list register is in an array of them: all are below 16; said here, so that
/// the compiler knows too and leaves no panic in a run loop.
const fn place(n: u8) -> usize {
    n as usize % 16
}

impl Queue {
    /// How many SPIs and LPIs fit, pending or active, at a time.
    pub const SHARED: usize = 64 - PRIVATE as usize;

    /// Returns whether nothing is pending or active.
    pub const fn is_empty(&self) -> bool {
        self.pending | self.active == 0
    }

    /// Returns whether the guest's interface would let a pending one through, were none running.
    pub(super) fn has_takable(&self, vmcr: IchVmcr) -> bool {
        each(self.pending & !self.active).any(|slot| {
            let interrupt = self.templates[slot as usize];
            let is_enabled = match interrupt.is_group1() {
                true => vmcr.enables_group1(),
                false => vmcr.enables_group0(),
            };
            is_enabled && interrupt.priority() < vmcr.priority_mask()
        })
    }

    /// Makes an interrupt pending.
    pub(super) fn inject(&mut self, interrupt: VirtualInterrupt) -> Result<(), QueueError> {
        if let Trigger::SentBy(sender) = interrupt.trigger
            && self.waits(interrupt.intid, sender)
        {
            return Ok(());
        }
        let slot = self.describe(interrupt)?;
        self.pending |= 1 << slot;
        Ok(())
    }

    /// Has a sender of an SGI wait for its turn, unless it is the one that the SGI is from already,
    /// or there is none. To the guest each is an interrupt of its own, acknowledged with its sender.
    fn waits(&mut self, intid: Intid, sender: u8) -> bool {
        let sgi = intid.0 as usize % SGIS;
        let bit: Slots = 1 << sgi;
        let is_same = self.templates[sgi].sender() == sender;
        if (self.pending | self.active) & bit == 0 || is_same && self.pending & bit != 0 {
            return false;
        }
        // Its own again, while active: not ahead of those that wait.
        if is_same && self.queued & 1 << sgi == 0 {
            return false;
        }
        self.behind[sgi] |= 1 << (sender & 7);
        self.queued |= 1 << sgi;
        true
    }

    /// Gives a slot whose interrupt is done with to the next sender.
    #[inline]
    fn advance(&mut self, slots: Slots) {
        let free = u64::from(self.queued) & slots & !(self.pending | self.active);
        for slot in each(free) {
            let last = self.templates[at(slot)];
            let senders = &mut self.behind[slot as usize % SGIS];
            // In turns, so that none that sends all the time is in the way of another.
            let first = u32::from(last.sender()) + 1;
            let sender = (senders.rotate_right(first).trailing_zeros() + first) as u8 & 7;
            *senders &= !(1 << sender);
            if *senders == 0 {
                self.queued &= !(1 << slot);
            }
            let next = ListRegister::new(last.intid(), last.priority(), last.is_group1());
            self.templates[at(slot)] = next.with_sender(sender);
            self.pending |= 1 << slot;
        }
    }

    /// Returns the senders of an SGI that waits: a bit for each CPU.
    pub(super) fn senders(&self, intid: Intid) -> u8 {
        let sgi = intid.0 as usize;
        let Some(behind) = self.behind.get(sgi) else {
            return 0;
        };
        match self.pending >> sgi & 1 {
            0 => *behind,
            _ => behind | 1 << (self.templates[sgi % SGIS].sender() & 7),
        }
    }

    /// Makes an interrupt active.
    pub(super) fn activate(&mut self, interrupt: VirtualInterrupt) -> Result<(), QueueError> {
        let slot = self.describe(interrupt)?;
        self.active |= 1 << slot;
        Ok(())
    }

    /// Takes back a pending one.
    pub(super) fn retract(&mut self, intid: Intid) -> bool {
        let found = self.find(intid);
        let was_pending = (self.pending | u64::from(self.queued)) & found != 0;
        self.pending &= !found;
        self.withheld &= !found;
        if let Some(behind) = self.behind.get_mut(intid.0 as usize) {
            *behind = 0;
            self.queued &= !found as u16;
        }
        was_pending
    }

    /// Takes back an active one.
    pub(super) fn deactivate(&mut self, intid: Intid) -> bool {
        let found = self.find(intid);
        let was_active = self.active & found;
        self.end(was_active);
        was_active != 0
    }

    /// Returns where an interrupt stands.
    pub(super) fn status(&self, intid: Intid) -> Status {
        let found = self.find(intid);
        Status {
            pending: (self.pending | u64::from(self.queued)) & found != 0,
            active: self.active & found != 0,
        }
    }

    /// Returns an interrupt that ended and whose level is to be looked at.
    pub(super) fn next_ended(&mut self) -> Option<Intid> {
        let slot = each(self.ended).next()?;
        self.ended &= !(1 << slot);
        Some(self.templates[at(slot)].intid())
    }

    /// Returns the slot of `intid` as a set, empty when it has none.
    fn find(&self, intid: Intid) -> Slots {
        if intid.0 < PRIVATE {
            return 1 << intid.0;
        }
        let is_it = |slot: &u32| self.templates[at(*slot)].intid() == intid;
        each(self.used_by_shared())
            .find(is_it)
            .map_or(0, |slot| 1 << slot)
    }

    const fn used_by_shared(&self) -> Slots {
        (self.pending | self.active | self.resident | self.ended) & !((1 << PRIVATE) - 1)
    }

    /// Returns the slot of `intid`, or one that is free.
    fn slot(&self, intid: Intid) -> Result<u32, QueueError> {
        let slot = match self.find(intid) {
            0 => (!self.used_by_shared() & !((1 << PRIVATE) - 1)).trailing_zeros(),
            found => found.trailing_zeros(),
        };
        if slot < u64::BITS {
            Ok(slot)
        } else {
            Err(QueueError::Full(intid))
        }
    }

    /// Returns the slot for an interrupt, with what is said of it now.
    fn describe(&mut self, interrupt: VirtualInterrupt) -> Result<u32, QueueError> {
        let new = template(interrupt)?;
        let slot = self.slot(interrupt.intid)?;
        let known = &mut self.templates[at(slot)];
        // What is active ends the way it began. The guest's end finds a list register by the priority
        // and the group that it runs at: one that had others meanwhile would stay active.
        *known = match self.active & 1 << slot != 0 {
            true if known.hardware().is_some() => *known,
            true => template(VirtualInterrupt {
                priority: known.priority(),
                group: match known.is_group1() {
                    true => Group::One,
                    false => Group::Zero,
                },
                ..interrupt
            })?,
            false => new,
        };
        Ok(slot)
    }

    /// Notes that these are active no more, by other means than their list registers.
    fn end(&mut self, slots: Slots) {
        self.active &= !slots;
        self.taken &= !slots;
        let to_tell = |slot: &u32| {
            let template = self.templates[at(*slot)];
            let comes_again = self.pending & 1 << slot != 0;
            !comes_again && (template.reports_end() || template.hardware().is_some())
        };
        self.ended |= each(slots)
            .filter(to_tell)
            .fold(0, |set, slot| set | 1 << slot);
        self.advance(slots);
    }
}

/// Returns an interrupt as a list register that is inactive.
fn template(interrupt: VirtualInterrupt) -> Result<ListRegister, QueueError> {
    let VirtualInterrupt {
        intid,
        priority,
        group,
        trigger,
    } = interrupt;
    if matches!(intid.0, 1020..=1023 | 0x100_0000..) {
        return Err(QueueError::NoSuchIntid(intid));
    }
    let plain = ListRegister::new(intid, priority, group == Group::One);
    match trigger {
        Trigger::Edge => Ok(plain),
        Trigger::SentBy(cpu) => Ok(plain.with_sender(cpu)),
        Trigger::Level => Ok(plain.with_end_reported()),
        Trigger::Hardware(physical) => plain
            .with_hardware(physical)
            .ok_or(QueueError::NoSuchHardware(physical)),
    }
}
