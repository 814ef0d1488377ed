//! A vCPU's interrupts as its guest's distributor wants them: taken back, deactivated, surveyed,
//! and its timers sampled, whether it is loaded on this CPU or at rest.
//!
//! The distributor's registers show what is in the list registers, and change it. Those of another
//! vCPU, only the CPU that it is loaded on can reach: that one is asked, and waited for.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use devices::gic::{Gic as Distributor, Left};
use vcpu_asm::El2Cpu;
use vcpu_core::{Live, TimerKind, TimerPpis, Vcpu, Vm};
use vcpu_hal::{Inject, Platform, inject::Status};
use vcpu_regs::{Intid, SwitchedReg, TimerCtl};

use super::{Host, interrupts::TIMERS, stay::Stay};
use crate::{gic::Gic, timer};

/// What is asked of a vCPU, loaded or at rest.
pub(super) trait Lists {
    fn status(&mut self, intid: Intid) -> Status;
    fn senders(&mut self, intid: Intid) -> u8;
    fn retract(&mut self, intid: Intid) -> bool;
    fn deactivate(&mut self, intid: Intid);
    fn next_ended(&mut self) -> Option<Intid>;
    /// Returns whether a timer asserts its interrupt.
    fn is_due(&self, kind: TimerKind) -> bool;
}

impl<P: Platform> Lists for Live<'_, '_, P, El2Cpu> {
    fn status(&mut self, intid: Intid) -> Status {
        self.irq_status(intid)
    }

    fn senders(&mut self, intid: Intid) -> u8 {
        self.irq_senders(intid)
    }

    fn retract(&mut self, intid: Intid) -> bool {
        self.retract_irq(intid)
    }

    fn deactivate(&mut self, intid: Intid) {
        self.deactivate_irq(intid);
    }

    fn next_ended(&mut self) -> Option<Intid> {
        self.next_ended_irq()
    }

    fn is_due(&self, kind: TimerKind) -> bool {
        // As the hardware says, not as the counter does: in QEMU the counter is a little ahead, and a
        // guest may look at this bit when it takes the interrupt.
        let control = self.sysreg(match kind {
            TimerKind::Virtual => SwitchedReg::CNTV_CTL_EL0,
            TimerKind::Physical => SwitchedReg::CNTP_CTL_EL0,
        });
        let control = TimerCtl::from_bits_retain(control);
        let asserts = TimerCtl::ENABLE | TimerCtl::ISTATUS;
        control & (asserts | TimerCtl::IMASK) == asserts
    }
}

/// A vCPU that is not loaded.
struct AtRest<'a, P: Platform> {
    vcpu: &'a mut Vcpu<P>,
    host: &'a P,
    vm: &'a Vm,
}

impl<P: Platform<Inject: Inject>> Lists for AtRest<'_, P> {
    fn status(&mut self, intid: Intid) -> Status {
        self.vcpu.irq_status(self.host, intid)
    }

    fn senders(&mut self, intid: Intid) -> u8 {
        self.vcpu.irq_senders(self.host, intid)
    }

    fn retract(&mut self, intid: Intid) -> bool {
        self.vcpu.retract_irq(self.host, intid)
    }

    fn deactivate(&mut self, intid: Intid) {
        self.vcpu.deactivate_irq(self.host, intid);
    }

    fn next_ended(&mut self) -> Option<Intid> {
        self.vcpu.next_ended_irq(self.host)
    }

    fn is_due(&self, kind: TimerKind) -> bool {
        let state = self.vcpu.timer_state(kind, self.vm, timer::now());
        state.is_asserted
    }
}

/// The guest's side of a vCPU's interrupts, under the lock of its devices.
pub(super) struct Side<'a> {
    pub gic: &'a mut Distributor,
    pub vcpu: usize,
    /// Which physical timer interrupts are active on its behalf: bits by INTID.
    pub held: &'a AtomicU32,
    /// Where it is loaded: the machine's controller, and which CPU this is.
    pub here: Option<(Gic, usize)>,
}

impl Side<'_> {
    /// Notes what the guest has ended, and where its timers are: their lines rise and fall without
    /// an exit while the guest has their interrupts disabled.
    pub fn refresh(&mut self, lists: &mut impl Lists) {
        while let Some(intid) = lists.next_ended() {
            self.ended(intid);
        }
        for kind in TimerKind::ALL {
            self.sample(lists, kind);
        }
    }

    /// Notes that the guest ended an interrupt whose level is to be looked at.
    pub fn ended(&mut self, intid: Intid) {
        if TIMERS.contains(&intid) {
            self.release(intid); // the timer says again if it is due
        }
        self.gic.ended(self.vcpu, intid);
    }

    fn sample(&mut self, lists: &mut impl Lists, kind: TimerKind) {
        let intid = TimerPpis::default().of(kind);
        let (is_due, status) = (lists.is_due(kind), lists.status(intid));
        let is_listed = status.pending || status.active;
        let is_held = self.held.load(Relaxed) >> intid.0 & 1 != 0;
        if !is_listed && (is_due || is_held) {
            self.gic.ended(self.vcpu, intid); // by its list register alone
        }
        if is_due {
            // From now on it is known: it does not have to come as well.
            self.held.fetch_or(1 << intid.0, Relaxed);
            self.set_active(intid, true);
            self.gic.set_private_line(self.vcpu, intid, true);
        } else if status.active {
            // Its end deactivates the physical one.
            self.gic.set_private_line(self.vcpu, intid, false);
        } else if is_held {
            self.release(intid); // where it is pending in the list, that is now recalled
        }
    }

    /// Lets a timer's interrupt come again.
    fn release(&mut self, intid: Intid) {
        self.held.fetch_and(!(1 << intid.0), Relaxed);
        self.gic.set_private_line(self.vcpu, intid, false);
        self.set_active(intid, false);
    }

    fn set_active(&self, intid: Intid, active: bool) {
        if let Some((gic, cpu)) = self.here {
            gic.set_active(cpu, intid, active);
        }
    }

    /// Takes from the list what the distributor does not want there.
    pub fn take_back(&mut self, lists: &mut impl Lists) {
        while let Some(intid) = self.gic.recall(self.vcpu) {
            let sources = lists.senders(intid);
            let left = Left {
                pending: lists.retract(intid),
                active: lists.status(intid).active,
                sources,
            };
            self.gic.recalled(self.vcpu, intid, left);
        }
        while let Some(intid) = self.gic.deactivation(self.vcpu) {
            lists.deactivate(intid);
            let left = stand(lists, intid);
            self.gic.deactivated(self.vcpu, intid, left);
            while let Some(intid) = lists.next_ended() {
                self.ended(intid);
            }
        }
    }

    /// Tells the distributor where everything stands.
    pub fn survey(&mut self, lists: &mut impl Lists) {
        self.gic.survey(self.vcpu, |intid| stand(lists, intid));
    }
}

fn stand(lists: &mut impl Lists, intid: Intid) -> Left {
    let Status { pending, active } = lists.status(intid);
    let sources = lists.senders(intid);
    Left {
        pending,
        active,
        sources,
    }
}

impl<P: Host> Stay<'_, P> {
    /// Has the distributor know what an access to `at` depends on: the lists of these vCPUs.
    #[cold]
    #[inline(never)]
    pub(super) fn survey(&mut self, live: &mut Live<'_, '_, P, El2Cpu>, at: u64) {
        let mut left = self.guest.peripherals.lock().behind(self.vcpu, at);
        while left != 0 {
            let vcpu = left.trailing_zeros() as usize;
            left &= left - 1;
            self.guest.peripherals.lock().gic.ask(vcpu);
            if vcpu == self.vcpu {
                self.exchange(live);
            } else {
                self.survey_other(live, vcpu);
            }
        }
    }

    /// Asks whoever runs another vCPU of the guest, or looks by itself where nobody does.
    fn survey_other(&mut self, live: &mut Live<'_, '_, P, El2Cpu>, vcpu: usize) {
        let Some(slot) = self.guest.vcpus.get(vcpu) else {
            return;
        };
        let mut is_told = false;
        while self.guest.peripherals.lock().gic.is_asked(vcpu) {
            if let Some(mut other) = slot.vcpu.try_lock() {
                let held = slot.held.load(Relaxed);
                let mut peripherals = self.guest.peripherals.lock();
                let mut lists = AtRest {
                    vcpu: &mut other,
                    host: &self.hypervisor.host,
                    vm: &self.guest.vm,
                };
                let mut side = Side {
                    gic: &mut peripherals.gic,
                    vcpu,
                    held: &slot.held,
                    here: None,
                };
                side.refresh(&mut lists);
                side.take_back(&mut lists);
                side.survey(&mut lists);
                drop(peripherals);
                if slot.held.load(Relaxed) != held {
                    // It waits for other timers than it thought: those that it knew of are left out.
                    self.hypervisor.tell(self.guest_number, 1 << vcpu, self.cpu);
                }
            } else if !is_told {
                // It is loaded, on another CPU: that looks before the next entry.
                self.hypervisor.tell(self.guest_number, 1 << vcpu, self.cpu);
                is_told = true;
            }
            if self.takes_attention() {
                self.exchange(live); // two may ask each other
            }
            core::hint::spin_loop();
        }
    }
}
