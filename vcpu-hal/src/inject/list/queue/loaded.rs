//! A queue whose vCPU is loaded: part of it is in list registers.

use vcpu_regs::{IchHcr, IchVmcr, ListRegister};

use super::{Queue, QueueError, place, template};
use crate::inject::{
    Trigger, VirtualInterrupt,
    list::{
        choice::{Slots, Wishes, at, each},
        interface::VirtualInterface,
    },
};

impl Queue {
    /// Puts what fits into the list registers of this CPU.
    pub(in crate::inject::list) fn load(
        &mut self,
        hardware: &impl VirtualInterface,
        vmcr: IchVmcr,
    ) {
        self.leave(); // of a stay that was forgotten
        let count = hardware.list_registers();
        self.count = count;
        self.stale = ((1u32 << count) - 1) as u16; // another vCPU's
        self.place(hardware, vmcr);
    }

    /// Takes all back.
    pub(in crate::inject::list) fn put(&mut self, hardware: &impl VirtualInterface) {
        self.sync(hardware);
        self.leave();
    }

    fn leave(&mut self) {
        self.resident = 0;
        self.withheld = 0;
        self.owned = 0;
        self.stale = 0;
        self.count = 0;
        self.hcr = IchHcr::empty();
    }

    /// Asks the list registers what the guest did.
    pub(in crate::inject::list) fn sync(&mut self, hardware: &impl VirtualInterface) {
        if self.hcr.contains(IchHcr::LRENPIE) {
            self.sync_count(hardware);
        }
        for n in each(u64::from(self.owned)) {
            let list = hardware.list(n as u8);
            self.note(hardware, n as u8, list);
        }
    }

    /// Ends what no list register held. Where ending is one with dropping the priority, the guest
    /// ends the highest first. Where it is not, it ends by what traps, and nothing is to be counted:
    /// QEMU counts the drops.
    fn sync_count(&mut self, hardware: &impl VirtualInterface) {
        let hcr = hardware.hcr();
        let counted = match self.hcr.contains(IchHcr::TDIR) {
            true => 0,
            false => hcr.eoi_count(),
        };
        for _ in 0..counted {
            let elsewhere = self.active & !self.resident;
            let highest = each(elsewhere & self.taken)
                .min_by_key(|&slot| self.taken_at[at(slot)])
                .or_else(|| each(elsewhere).next());
            if let Some(slot) = highest {
                self.end(1 << slot);
            }
        }
        self.hcr = hcr; // differs from what is wanted by the count, and so is written
    }

    /// Takes over what list register `n` holds.
    fn note(&mut self, hardware: &impl VirtualInterface, n: u8, list: ListRegister) {
        let slot = self.owners[place(n)];
        let bit = 1 << slot;
        let set = |set: Slots, is: bool| if is { set | bit } else { set & !bit };
        self.pending = set(self.pending, list.is_pending() || self.withheld & bit != 0);
        self.active = set(self.active, list.is_active());
        let before = self.lists[place(n)];
        // What was active and pending may have ended and be active once more.
        let took_again = before.is_pending() && !list.is_pending();
        if list.is_active() && (!before.is_active() || took_again) {
            self.taken |= bit;
            let (priority, is_group1) = (list.priority(), list.is_group1());
            self.taken_at[at(slot.into())] = hardware.vmcr().group_priority(priority, is_group1);
        }
        self.taken &= self.active;
        self.lists[place(n)] = list;
        if list.has_ended() && self.withheld & bit == 0 && self.tells_end(slot.into()) {
            self.ended |= bit;
        }
        if list.is_inactive() {
            self.disown(n, list.has_ended());
            self.advance(bit);
        }
    }

    /// Returns whether the host is to know of an interrupt's end: its end may be reported for us
    /// alone.
    fn tells_end(&self, slot: u32) -> bool {
        let template = self.templates[at(slot)];
        template.reports_end() || template.hardware().is_some()
    }

    fn disown(&mut self, n: u8, is_stale: bool) {
        let bit = 1 << self.owners[place(n)];
        self.resident &= !bit;
        self.withheld &= !bit;
        self.owned &= !(1 << n);
        self.stale |= u16::from(is_stale) << n;
    }

    /// Gives the list registers to those that should have them, after [`sync`](Self::sync).
    pub(in crate::inject::list) fn settle(&mut self, hardware: &impl VirtualInterface) {
        if self.count != 0 {
            let vmcr = hardware.vmcr();
            self.place(hardware, vmcr);
        }
    }

    fn place(&mut self, hardware: &impl VirtualInterface, vmcr: IchVmcr) {
        let choice = Wishes {
            templates: &self.templates,
            pending: self.pending,
            active: self.active,
            count: self.count,
            vmcr,
            can_trap_dir: hardware.can_trap_dir(),
        }
        .choose();
        for slot in each(self.resident & !choice.resident) {
            self.disown(self.places[at(slot)], true);
        }
        self.withheld = choice.withheld;
        for slot in each(choice.resident) {
            let bit = 1 << slot;
            let wanted = self.list(slot);
            if self.resident & bit == 0 {
                let n = (!self.owned).trailing_zeros() as u8; // there is one: so it was chosen
                self.own(n, slot);
                self.write(hardware, n, wanted);
            } else if self.lists[place(self.places[at(slot)])] != wanted {
                self.write(hardware, self.places[at(slot)], wanted);
            }
        }
        for n in each(u64::from(self.stale)) {
            hardware.set_list(n as u8, ListRegister::EMPTY);
        }
        self.stale = 0;
        if self.hcr != choice.hcr {
            self.hcr = choice.hcr;
            hardware.set_hcr(choice.hcr);
        }
    }

    /// Returns the interrupt as a list register is to hold it.
    fn list(&self, slot: u32) -> ListRegister {
        let is_in = |set: Slots| set & 1 << slot != 0;
        let template = self.templates[at(slot)];
        let list = match template.hardware() {
            // Reserved with HW = 1. There is one physical interrupt behind both: it is the host's
            // to deactivate if this is how the second ends.
            Some(_) if is_in(self.pending & self.active) => {
                ListRegister::new(template.intid(), template.priority(), template.is_group1())
                    .with_end_reported()
            }
            // The next sender's turn comes with the end.
            _ if is_in(u64::from(self.queued)) => template.with_end_reported(),
            _ => template,
        };
        list.with_pending(is_in(self.pending & !self.withheld))
            .with_active(is_in(self.active))
    }

    fn own(&mut self, n: u8, slot: u32) {
        self.owners[place(n)] = slot as u8;
        self.places[at(slot)] = n;
        self.owned |= 1 << n;
        self.resident |= 1 << slot;
    }

    fn write(&mut self, hardware: &impl VirtualInterface, n: u8, list: ListRegister) {
        self.stale &= !(1 << n);
        self.lists[place(n)] = list;
        hardware.set_list(n, list);
    }

    /// Makes an interrupt pending on the CPU that the vCPU is loaded on: where there is a list
    /// register to spare, by writing that one.
    #[inline]
    pub(in crate::inject::list) fn inject_loaded(
        &mut self,
        hardware: &impl VirtualInterface,
        interrupt: VirtualInterrupt,
    ) -> Result<(), QueueError> {
        if let (Ok(template), Ok(slot)) = (template(interrupt), self.slot(interrupt.intid))
            && (self.pending | self.active) & !self.resident == 0
            && !self.is_from_another(interrupt, slot)
            && let Some(n) = self.spare(hardware, slot)
        {
            self.templates[at(slot)] = template;
            self.pending |= 1 << slot;
            self.withheld &= !(1 << slot);
            self.write(hardware, n, template.with_pending(true));
            return Ok(());
        }
        self.inject_by_choice(hardware, interrupt)
    }

    /// Returns whether an SGI may have to wait for that of another sender to end, or another
    /// interrupt's end has a third follow.
    #[inline(always)]
    fn is_from_another(&self, interrupt: VirtualInterrupt, slot: u32) -> bool {
        let Trigger::SentBy(sender) = interrupt.trigger else {
            return self.queued != 0;
        };
        let is_another = self.templates[at(slot)].sender() != sender;
        self.queued != 0 || is_another && self.resident & 1 << slot != 0
    }

    #[inline(never)]
    fn inject_by_choice(
        &mut self,
        hardware: &impl VirtualInterface,
        interrupt: VirtualInterrupt,
    ) -> Result<(), QueueError> {
        self.sync(hardware);
        let done = self.inject(interrupt);
        self.settle(hardware);
        done
    }

    /// Returns a list register that the slot may take for a pending interrupt: its own, or one that
    /// nobody else needs. The list registers themselves are read, and not `ICH_ELRSR_EL2`: a read
    /// of that sees a write to them only after an ISB.
    fn spare(&mut self, hardware: &impl VirtualInterface, slot: u32) -> Option<u8> {
        if self.resident & 1 << slot != 0 {
            let n = self.places[at(slot)];
            let list = hardware.list(n);
            if list.has_ended() {
                self.ended |= 1 << slot;
            }
            return (!list.is_active()).then_some(n);
        }
        let n = (!self.owned).trailing_zeros() as u8;
        if n < self.count {
            self.own(n, slot);
            return Some(n);
        }
        for n in 0..self.count {
            let list = hardware.list(n);
            if list.is_free() {
                self.note(hardware, n, list);
                self.own(n, slot);
                return Some(n);
            }
        }
        None
    }

    /// Does what a maintenance interrupt asks for, if there is one.
    #[inline]
    pub(in crate::inject::list) fn maintain(&mut self, hardware: &impl VirtualInterface) {
        if !hardware.misr().is_empty() {
            self.sync(hardware);
            self.settle(hardware);
        }
    }
}
