//! Interrupts on their way into a loaded vCPU: from the guest's distributor, and from the physical
//! timers that are the vCPU's while it is loaded.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use devices::gic::{Gic as Distributor, Offer};
use vcpu_asm::El2Cpu;
use vcpu_core::{Live, TimerKind, TimerPpis, Vcpu};
use vcpu_hal::inject::{Group, Trigger, VirtualInterrupt};
use vcpu_regs::Intid;

use super::{Guest, Host, lists::Side, stay::Stay};
use crate::{
    gic::{PHYSICAL_TIMER, VIRTUAL_TIMER},
    timer,
};

/// The timers' interrupts: a guest sees them by the same INTIDs.
pub(super) const TIMERS: [Intid; 2] = [VIRTUAL_TIMER, PHYSICAL_TIMER];

impl<P: Host> Stay<'_, P> {
    /// Takes from the distributor what it has for this vCPU, gives back what it wants back, and
    /// tells it where things stand if it asks.
    #[cold]
    #[inline(never)]
    pub(super) fn exchange(&mut self, live: &mut Live<'_, '_, P, El2Cpu>) {
        let mut peripherals = self.guest.peripherals.lock();
        let gic = &mut peripherals.gic;
        let is_asked = gic.is_asked(self.vcpu);
        if is_asked || gic.wants(self.vcpu) {
            self.give_back(live, gic, is_asked);
        }
        while let Some(offer) = gic.next(self.vcpu) {
            if live.inject_irq(virtual_interrupt(offer)).is_err() {
                gic.refuse(self.vcpu, offer);
                self.refused = true; // until the guest has ended some
                break;
            }
            self.stats.injected();
        }
        if is_asked {
            self.side(gic).survey(live);
        }
        gic.forget_changes(self.vcpu);
        let changed = gic.take_changed();
        drop(peripherals);
        if changed != 0 {
            self.hypervisor.tell(self.guest_number, changed, self.cpu);
        }
    }

    #[cold]
    #[inline(never)]
    fn give_back(
        &mut self,
        live: &mut Live<'_, '_, P, El2Cpu>,
        gic: &mut Distributor,
        is_asked: bool,
    ) {
        let mut side = self.side(gic);
        if is_asked {
            side.refresh(live);
        }
        side.take_back(live);
        while let Some(offer) = gic.next_active(self.vcpu) {
            if live.activate_irq(virtual_interrupt(offer)).is_err() {
                gic.refuse_active(self.vcpu, offer);
                self.refused = true;
                break;
            }
        }
    }

    fn side<'g>(&self, gic: &'g mut Distributor) -> Side<'g>
    where
        Self: 'g,
    {
        Side {
            gic,
            vcpu: self.vcpu,
            held: &self.slot().held,
            here: Some((self.hypervisor.host.gic(), self.cpu)),
        }
    }

    /// Notes which levels the guest has ended: to be asked after a physical interrupt.
    pub(super) fn note_ended(&mut self, live: &mut Live<'_, '_, P, El2Cpu>) {
        if core::mem::take(&mut self.refused) {
            self.slot().attention.store(true, Release);
        }
        while let Some(intid) = live.next_ended_irq() {
            let mut peripherals = self.guest.peripherals.lock();
            self.side(&mut peripherals.gic).ended(intid);
            self.slot().attention.store(true, Release);
        }
    }

    /// A physical timer of this vCPU fired, and stays active until the guest ends its own.
    pub(super) fn timer_fired(&mut self, intid: Intid) {
        let slot = self.slot();
        slot.held.fetch_or(1 << intid.0, Relaxed);
        let mut peripherals = self.guest.peripherals.lock();
        // That it fired again says that the guest ended the last one.
        peripherals.gic.ended(self.vcpu, intid);
        peripherals.gic.set_private_line(self.vcpu, intid, true);
        slot.attention.store(true, Release);
    }

    /// Makes the physical timer interrupts of this CPU active or not, as the vCPU that is now
    /// loaded left them on the CPU where it was: another's may be there.
    pub(super) fn adopt_timers(&mut self, live: &mut Live<'_, '_, P, El2Cpu>) {
        let gic = self.hypervisor.host.gic();
        for intid in TIMERS {
            let slot = self.slot();
            let bit = 1 << intid.0;
            let is_held = slot.held.load(Relaxed) & bit != 0;
            let in_list = is_held && {
                let status = live.irq_status(intid);
                status.pending || status.active
            };
            gic.set_active(self.cpu, intid, in_list);
            if is_held && !in_list {
                // The guest ended it, or never enabled it: the timer says again if it is due.
                slot.held.fetch_and(!bit, Relaxed);
                let mut peripherals = self.guest.peripherals.lock();
                peripherals.gic.ended(self.vcpu, intid);
                peripherals.gic.set_private_line(self.vcpu, intid, false);
            }
        }
    }

    /// Returns which timers' interrupts the guest knows of, at put: bits by INTID. The others tell
    /// of themselves when they are due.
    pub(super) fn known_timers(&self, vcpu: &Vcpu<P>) -> u32 {
        let held = self.slot().held.load(Relaxed);
        let knows = |intid: &Intid| {
            let status = vcpu.irq_status(&self.hypervisor.host, *intid);
            status.pending
                || status.active
                || self.guest.peripherals.lock().gic.keeps(self.vcpu, *intid)
        };
        let is_held = |intid: &Intid| held >> intid.0 & 1 != 0;
        let known = TIMERS.into_iter().filter(is_held).filter(knows);
        known.fold(0, |bits, intid| bits | 1 << intid.0)
    }

    /// Returns whether the distributor wants something of this vCPU, and forgets it.
    #[inline]
    pub(super) fn takes_attention(&self) -> bool {
        let attention = &self.slot().attention;
        attention.load(Relaxed) && attention.swap(false, AcqRel)
    }

    /// Returns whether there is something for a vCPU that waits.
    pub(super) fn has_attention(&self) -> bool {
        self.slot().attention.load(Acquire)
    }
}

impl<P: Host> Guest<P> {
    /// Returns when a vCPU that is not loaded is to run for its timers, but for those that it
    /// knows of: in ticks of the physical counter.
    pub(super) fn deadline(&self, vcpu: &Vcpu<P>, known: u32) -> Option<u64> {
        let now = timer::now();
        let ppis = TimerPpis::default();
        let unknown = |kind: &TimerKind| known >> ppis.of(*kind).0 & 1 == 0;
        let deadline = |kind| vcpu.timer_state(kind, &self.vm, now).deadline;
        let timers = TimerKind::ALL.into_iter().filter(unknown);
        timers.filter_map(deadline).min()
    }
}

fn virtual_interrupt(offer: Offer) -> VirtualInterrupt {
    let trigger = match offer {
        Offer { intid, .. } if TIMERS.contains(&intid) => Trigger::Hardware(intid),
        Offer { intid, source, .. } if intid.0 < 16 => Trigger::SentBy(source),
        Offer { is_edge: true, .. } => Trigger::Edge,
        _ => Trigger::Level,
    };
    VirtualInterrupt {
        intid: offer.intid,
        priority: offer.priority,
        group: if offer.is_group1 {
            Group::One
        } else {
            Group::Zero
        },
        trigger,
    }
}
