//! Which interrupts get a list register.

use vcpu_regs::{IchHcr, IchVmcr, ListRegister};

/// A set of the queue's slots: bit n is slot n.
pub(super) type Slots = u64;

/// Returns where a slot is in an array of them. All are below 64; said here, so that the compiler
/// knows too and leaves no panic in a run loop.
pub(super) const fn at(slot: u32) -> usize {
    slot as usize % 64
}

/// All that the choice depends on.
#[derive(Clone, Copy)]
pub(super) struct Wishes<'q> {
    /// Each slot's interrupt; which of them are meant, `pending` and `active` say.
    pub templates: &'q [ListRegister; 64],
    pub pending: Slots,
    pub active: Slots,
    /// How many list registers there are, at least 1.
    pub count: u8,
    /// The guest's settings.
    pub vmcr: IchVmcr,
    /// `ICH_HCR_EL2.TDIR` is there.
    pub can_trap_dir: bool,
}

/// What the list registers are to hold, and when the hardware is to ask for other contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// These get a list register.
    pub resident: Slots,
    /// Those of them that are active, and pending for the queue only: they are not due yet.
    pub withheld: Slots,
    pub hcr: IchHcr,
}

impl Wishes<'_> {
    /// Chooses.
    ///
    /// In this order, as far as there are list registers: the first that the guest can take; what
    /// is active, for a list register is what notices its end; the others that can be taken, by
    /// priority; what waits for its group to be enabled. The first has one in any case, so that
    /// "none is pending any more" (NPIE) is when the next is due.
    pub fn choose(&self) -> Choice {
        let enabled = self.of_enabled_groups();
        let takable = self.pending & !self.active & enabled;
        let mut free = self.count;
        let mut resident = 0;
        if let Some(first) = self.first(takable) {
            resident = 1 << first;
            free -= 1;
        }
        let (hardware, other) = self.split_by_hardware(self.active);
        let waiting = self.pending & !self.active & !enabled;
        // Hardware first: without a list register, ending one does not end the physical one.
        for group in [hardware, other, takable & !resident, waiting] {
            let chosen = self.best(group, free);
            free -= chosen.count_ones() as u8;
            resident |= chosen;
        }
        let both = resident & self.pending & self.active;
        let withheld = both & !enabled | self.after(takable & !resident, both);
        Choice {
            resident,
            withheld,
            hcr: self.hcr(resident, withheld, takable),
        }
    }

    /// Returns the controls that go with it.
    fn hcr(&self, resident: Slots, withheld: Slots, takable: Slots) -> IchHcr {
        let mut hcr = IchHcr::EN;
        if self.active & !resident != 0 {
            hcr |= IchHcr::LRENPIE;
            if self.vmcr.splits_end() && self.can_trap_dir {
                // The count of ends does not say whose they are: these come in any order.
                hcr |= IchHcr::TDIR;
            }
        }
        let is_full = takable & !resident != 0;
        if is_full {
            hcr |= IchHcr::NPIE;
        }
        let outside = self.pending & (!resident | withheld);
        let inside = self.pending & !outside; // now, or once it is deactivated
        let groups = [
            (
                self.vmcr.enables_group0(),
                self.of_group(false),
                IchHcr::VGRP0EIE,
                IchHcr::VGRP0DIE,
            ),
            (
                self.vmcr.enables_group1(),
                self.of_group(true),
                IchHcr::VGRP1EIE,
                IchHcr::VGRP1DIE,
            ),
        ];
        for (is_enabled, group, once_enabled, once_disabled) in groups {
            if !is_enabled && outside & group != 0 {
                hcr |= once_enabled;
            }
            // It would be in the way of the others.
            if is_enabled && is_full && inside & group != 0 {
                hcr |= once_disabled;
            }
        }
        hcr
    }

    fn of_enabled_groups(&self) -> Slots {
        match (self.vmcr.enables_group0(), self.vmcr.enables_group1()) {
            (true, true) => !0,
            (false, true) => self.of_group(true),
            (true, false) => self.of_group(false),
            (false, false) => 0,
        }
    }

    fn of_group(&self, is_group1: bool) -> Slots {
        let is_of = |slot: &u32| self.templates[at(*slot)].is_group1() == is_group1;
        each(self.pending | self.active)
            .filter(is_of)
            .fold(0, |set, slot| set | 1 << slot)
    }

    fn split_by_hardware(&self, slots: Slots) -> (Slots, Slots) {
        let has = |slot: &u32| self.templates[at(*slot)].hardware().is_some();
        let hardware = each(slots).filter(has).fold(0, |set, slot| set | 1 << slot);
        (hardware, slots & !hardware)
    }

    /// Returns the slot of the highest priority; of equal ones, the lowest slot.
    fn first(&self, slots: Slots) -> Option<u32> {
        each(slots).min_by_key(|&slot| self.templates[at(slot)].priority())
    }

    /// Returns those of `slots` that would come before one of `others` that is due earlier: what is
    /// active and pending in a list register can be taken as soon as it is deactivated.
    fn after(&self, others: Slots, slots: Slots) -> Slots {
        let priority = |slot: u32| self.templates[at(slot)].priority();
        let Some(due) = self.first(others).map(priority) else {
            return 0;
        };
        each(slots)
            .filter(|&slot| priority(slot) > due)
            .fold(0, |set, slot| set | 1 << slot)
    }

    /// Returns the `most` slots of the highest priorities, all if there are no more.
    fn best(&self, slots: Slots, most: u8) -> Slots {
        if slots.count_ones() <= u32::from(most) {
            return slots;
        }
        let mut rest = slots;
        for _ in 0..most {
            if let Some(slot) = self.first(rest) {
                rest &= !(1 << slot);
            }
        }
        slots & !rest
    }
}

/// Returns the numbers of the bits that are set, lowest first.
pub(super) fn each(mut slots: Slots) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let slot = slots.trailing_zeros();
        slots &= slots.wrapping_sub(1);
        (slot < 64).then_some(slot)
    })
}
