//! A vCPU's stay on a CPU, from load to put.

use core::sync::atomic::Ordering;

use vcpu_asm::El2Cpu;
use vcpu_core::{Call, El2, Exit, ExitOf, Live, Mmio, Outcome, PowerRequest, SysRegAccess};
use vcpu_exits::{Access, SgiGroup, SgiRequest};
use vcpu_regs::{Esr, Gpr};

use devices::run_queue::State;

use super::{
    Guest, Host, Hypervisor,
    guest::{Phase, Slot},
    interrupts::TIMERS,
    stats::{Counters, Kind},
    trace::{self, Trace},
};
use crate::{Error, timer};

/// Who is where.
pub(super) struct Stay<'s, P: Host> {
    pub hypervisor: &'s Hypervisor<P>,
    pub guest: &'s Guest<P>,
    pub guest_number: usize,
    /// Of the guest.
    pub vcpu: usize,
    /// Of all guests: the run queue's.
    pub number: usize,
    pub cpu: usize,
    pub stats: &'s Counters,
    slot: &'s Slot<P>,
    trace: Trace,
    /// When the guest was left, where time is counted.
    left: u64,
    /// Where the last fetch failed.
    faulted_at: Option<u64>,
    /// Its list had no place for an interrupt.
    pub refused: bool,
}

/// Why it ends.
enum End {
    /// Others are to run.
    Yield,
    /// It waits for an interrupt, or until this value of its virtual counter.
    Wait(Option<u64>),
    /// It is off, by CPU_OFF.
    Stopped,
    /// Its guest is off.
    GuestOff,
}

impl<'s, P: Host> Stay<'s, P> {
    pub fn new(hypervisor: &'s Hypervisor<P>, number: usize, cpu: usize) -> Self {
        let guest_number = number / devices::gic::MAX_VCPUS;
        let vcpu = number % devices::gic::MAX_VCPUS;
        let slot = &hypervisor.guests[guest_number].vcpus[vcpu];
        Self {
            hypervisor,
            guest: &hypervisor.guests[guest_number],
            guest_number,
            vcpu,
            slot,
            trace: Trace::new(cpu, number),
            number,
            cpu,
            stats: &slot.stats,
            left: timer::now(),
            faulted_at: None,
            refused: false,
        }
    }

    pub fn slot(&self) -> &'s Slot<P> {
        self.slot
    }

    /// Runs the vCPU, which has `waited` so many ticks in all to run, on `el2` until others are to
    /// run or it has nothing to do.
    pub fn run(&mut self, el2: &mut El2<'_, P, El2Cpu>, waited: u64) -> Result<(), Error> {
        let slot = self.slot();
        let mut vcpu = slot.vcpu.lock();
        if let Some(start) = self.guest.power[self.vcpu].take_start() {
            vcpu.start(&start);
            // Whatever its last life left unheard.
            slot.attention.store(true, Ordering::Release);
        }
        self.stats.switched();
        self.guest.stolen.publish(self.vcpu, waited);
        let mut live = vcpu.load(el2, &self.guest.vm)?;
        self.adopt_timers(&mut live);
        self.hypervisor.set_timer();
        let end = self.run_loaded(&mut live);
        live.put();

        while let Some(intid) = vcpu.next_ended_irq(&self.hypervisor.host) {
            self.guest.peripherals.lock().gic.ended(self.vcpu, intid);
            slot.attention.store(true, Ordering::Release);
        }
        let deadline = self.guest.deadline(&vcpu, self.known_timers(&vcpu));
        drop(vcpu);
        if self.hypervisor.counts {
            self.stats.host_took(timer::now() - self.left);
        }
        self.hypervisor.stop(self.number, || match end {
            End::Yield => State::Ready,
            End::Stopped => {
                self.guest.power[self.vcpu].turn_off();
                State::Off
            }
            End::GuestOff => State::Off,
            End::Wait(_) if self.has_attention() => State::Ready,
            End::Wait(until) => {
                let until = until.map(|until| until.saturating_add(self.guest.vm.counter_offset()));
                let until = match (until, deadline) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                State::Blocked { until }
            }
        });
        Ok(())
    }

    fn run_loaded(&mut self, live: &mut Live<'_, '_, P, El2Cpu>) -> End {
        loop {
            if self.takes_attention() {
                self.exchange(live);
            }
            if self.hypervisor.counts {
                let entered = timer::now();
                self.stats.host_took(entered - self.left);
                self.left = entered;
            }
            let exit = live.run();
            if self.hypervisor.counts {
                let exited = timer::now();
                self.stats.guest_took(exited - self.left);
                self.left = exited;
            }
            // Noted where its kind is known: by reference, the compiler keeps every exit in memory.
            let (trace, pc) = (self.trace, live.pc());
            let end = match exit {
                Exit::Mmio(access) => {
                    trace.access(pc, &access);
                    self.stats.count(Kind::Mmio);
                    self.access(live, access)
                }
                Exit::SysReg(access) => {
                    trace.system_register(pc, &access);
                    self.stats.count(Kind::SysReg);
                    self.system_register(live, access)
                }
                Exit::Irq(token) => {
                    trace.other(Kind::Irq, pc, 0);
                    self.stats.count(Kind::Irq);
                    self.interrupt(live, token)
                }
                Exit::Wfi(wait) => {
                    trace.other(Kind::Wfi, pc, 0);
                    self.stats.count(Kind::Wfi);
                    let until = wait.until();
                    live.complete(wait, ());
                    self.wait(live, until)
                }
                Exit::Wfe(wait) => {
                    trace.other(Kind::Wfe, pc, 0);
                    self.stats.count(Kind::Wfe);
                    live.complete(wait, ());
                    self.hypervisor
                        .has_to_yield(self.number)
                        .then_some(End::Yield)
                }
                Exit::Psci(psci) => self.call(live, psci.into()),
                Exit::Hypercall(call) | Exit::Smc(call) => self.call(live, call),
                exit => self.odd(live, exit),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    #[inline(always)]
    fn access(&mut self, live: &mut Live<'_, '_, P, El2Cpu>, access: Mmio) -> Option<End> {
        let (at, size_bytes) = (access.ipa().0, access.size_bytes());
        if let Some(value) = access.write() {
            self.write(live, access, at, size_bytes, value);
        } else if at & SHOWS_LISTS != 0 {
            self.read_surveyed(live, access);
        } else {
            self.read(live, access);
        }
        None
    }

    #[cold]
    #[inline(never)]
    fn read_surveyed(&mut self, live: &mut Live<'_, '_, P, El2Cpu>, access: Mmio) {
        self.survey(live, access.ipa().0);
        self.read(live, access);
    }

    #[inline(always)]
    fn read(&mut self, live: &mut Live<'_, '_, P, El2Cpu>, access: Mmio) {
        let mut peripherals = self.guest.peripherals.lock();
        let value = peripherals.read(self.vcpu, access.ipa().0, access.size_bytes());
        let has_changed = peripherals.gic.has_changed();
        drop(peripherals);
        if has_changed {
            self.tell_changes();
        }
        match value {
            Some(value) => live.complete(access, value),
            None => live.inject_external_abort(&access),
        }
    }

    #[inline(never)]
    fn write(
        &mut self,
        live: &mut Live<'_, '_, P, El2Cpu>,
        access: Mmio,
        at: u64,
        size_bytes: u8,
        value: u64,
    ) {
        if at & CHANGES_LISTS != 0 {
            self.survey(live, at);
        }
        let mut peripherals = self.guest.peripherals.lock();
        let effect = peripherals.write(self.vcpu, at, size_bytes, value);
        drop(peripherals);
        self.tell_changes();
        let Some(effect) = effect else {
            return live.inject_external_abort(&access);
        };
        if effect.is_unfinished {
            return; // the guest retries it, and others may run in between
        }
        live.complete(access, 0);
        if let Some(byte) = effect.sent {
            self.hypervisor.show(self.guest_number, byte);
        }
    }

    /// Has every vCPU look that the changes of the guest's devices concern.
    #[cold]
    fn tell_changes(&self) {
        let changed = self.guest.peripherals.lock().gic.take_changed();
        self.hypervisor.tell(self.guest_number, changed, self.cpu);
    }

    fn system_register(
        &mut self,
        live: &mut Live<'_, '_, P, El2Cpu>,
        access: SysRegAccess,
    ) -> Option<End> {
        match (SgiGroup::of(access.reg()), access.write()) {
            (Some(group), Some(value)) => {
                live.complete(access, 0);
                let mut peripherals = self.guest.peripherals.lock();
                peripherals
                    .gic
                    .sgi(self.vcpu, SgiRequest::decode(value), group);
                let changed = peripherals.gic.take_changed();
                drop(peripherals);
                self.hypervisor.tell(self.guest_number, changed, self.cpu);
            }
            _ => live.reflect(Exit::<()>::SysReg(access)),
        }
        None
    }

    fn interrupt(
        &mut self,
        live: &mut Live<'_, '_, P, El2Cpu>,
        token: super::platform::Token<P>,
    ) -> Option<End> {
        let host = &self.hypervisor.host;
        let intid = P::intid(token);
        host.end(live.cpu(), token);
        match intid {
            Some(intid) if TIMERS.contains(&intid) => {
                self.timer_fired(intid);
                self.note_ended(live); // a list register may have asked at the same time
                return None; // for this vCPU alone
            }
            Some(intid) => {
                self.hypervisor.interrupt(intid);
                host.deactivate(live.cpu(), token);
            }
            None => {}
        }
        self.note_ended(live);
        if self.guest.phase() != Phase::On || self.hypervisor.is_finished() {
            return Some(End::GuestOff);
        }
        if self.hypervisor.has_to_yield(self.number) {
            return Some(End::Yield);
        }
        self.hypervisor.set_timer();
        None
    }

    fn wait(&self, live: &mut Live<'_, '_, P, El2Cpu>, until: Option<u64>) -> Option<End> {
        // Something came with the exit, or was there: a CPU may trap the instruction all the same.
        if self.has_attention() || live.has_irq() {
            return None;
        }
        self.hypervisor.flush(self.guest_number);
        Some(End::Wait(until))
    }

    fn call(&mut self, live: &mut Live<'_, '_, P, El2Cpu>, call: Call) -> Option<End> {
        self.trace.other(Kind::Call, live.pc(), live.reg(Gpr::X0));
        self.stats.count(Kind::Call);
        let request = match live.serve(call, &self.guest.firmware()) {
            Outcome::Power(request) => request,
            Outcome::Host(call) => {
                live.reflect(Exit::<()>::Hypercall(call));
                return None;
            }
            _ => return None,
        };
        match request {
            PowerRequest::StartVcpu(vcpu) => {
                self.hypervisor.turn_on(self.guest_number, vcpu, self.cpu);
                None
            }
            PowerRequest::StopSelf => Some(End::Stopped),
            PowerRequest::Suspend(_) => self.wait(live, None),
            PowerRequest::SystemReset(_) => {
                self.hypervisor.guest_resets(self.guest_number);
                Some(End::GuestOff)
            }
            _ => {
                self.hypervisor
                    .guest_ends(self.guest_number, "switched itself off");
                Some(End::GuestOff)
            }
        }
    }

    /// What a guest in order does not do: told, and reflected.
    #[cold]
    #[inline(never)]
    fn odd(&mut self, live: &mut Live<'_, '_, P, El2Cpu>, exit: ExitOf<P>) -> Option<End> {
        let pc = live.pc();
        let (kind, esr) = match &exit {
            Exit::Fault(fault) => (Kind::Fault, fault.esr()),
            Exit::Other(syndrome) => (Kind::Other, syndrome.encode()),
            _ => (Kind::Other, Esr(0)),
        };
        self.trace.other(kind, pc, esr.0);
        self.stats.count(kind);
        if let Exit::Fault(fault) = &exit
            && fault.access() == Access::Fetch
        {
            if self.faulted_at == Some(pc) {
                trace::dump();
                defmt::error!(
                    "guest {=u8}: it cannot fetch its own fault handler at PC {=u64:#x}",
                    self.guest_number as u8 + 1,
                    pc
                );
                self.hypervisor
                    .guest_ends(self.guest_number, "cannot go on");
                return Some(End::GuestOff);
            }
            self.faulted_at = Some(pc);
        }
        // A guest that does them all the time does not keep the log busy.
        const TOLD: u32 = 20;
        let count = self.guest.oddities.fetch_add(1, Ordering::Relaxed);
        if count < TOLD {
            let (guest, exit) = (self.guest_number as u8 + 1, defmt::Display2Format(&exit));
            defmt::warn!("guest {=u8}, PC {=u64:#x}: {}", guest, pc, exit);
        } else if count == TOLD {
            let guest = self.guest_number as u8 + 1;
            defmt::warn!("guest {=u8}: more of these are not told", guest);
        }
        live.reflect(exit);
        None
    }
}

/// Bits of an address, of which registers of an interrupt controller have one that show what is in
/// list registers: pending, active, at 0x200 to 0x3ff; GICv2's pending SGIs, at 0xf10 to 0xf2f.
const SHOWS_LISTS: u64 = 0x200;
/// The same of those that change it, or depend on what a timer does meanwhile: enabled, from 0x100.
const CHANGES_LISTS: u64 = SHOWS_LISTS | 0x100;

const _: () = assert!(Kind::Other as usize == 7); // `Stats` has a count for each
