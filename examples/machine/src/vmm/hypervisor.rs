//! All guests, and the CPUs that run them.

use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use aarch64_cpu::asm::wfi;
use devices::{
    Terminal,
    gic::{MAX_VCPUS, Mask},
    run_queue::{Pace, RunQueue, State},
};
use spin::mutex::{TicketMutex, TicketMutexGuard};
use vcpu_asm::El2Cpu;
use vcpu_core::El2;
use vcpu_hal::FetchIrq;
use vcpu_regs::Intid;

use super::{Guest, Host, guest::Phase, stay::Stay, trace};
use crate::{
    Error, console,
    cpus::{self, MAX_CPUS},
    gic::{CONSOLE, EL2_TIMER},
    println, timer,
};

/// The most guests.
const GUESTS: usize = Terminal::MOST;
const SLICE_US: u64 = 10_000;
const GAIN_US: u64 = 1_000;

type Queue = RunQueue<GUESTS, MAX_VCPUS>;

/// The machine's guests, and what of the machine they share.
pub struct Hypervisor<P: Host> {
    pub(super) host: P,
    pub(super) guests: Vec<Guest<P>>,
    /// Like the terminal, for whoever comes first: a guest that needs it all the time does not
    /// keep the others waiting.
    pub(super) queue: TicketMutex<Queue>,
    pub(super) terminal: TicketMutex<Terminal>,
    cpus: usize,
    /// Whether time is counted.
    pub(super) counts: bool,
    finished: AtomicBool,
    running_cpus: AtomicUsize,
    failed: AtomicBool,
    /// How long each CPU had nothing to run.
    pub(super) idle_ticks: [AtomicU64; MAX_CPUS],
}

impl<P: Host> Hypervisor<P> {
    /// Returns the hypervisor of these guests, whose first vCPUs are ready to run on `cpus` CPUs.
    ///
    /// It stays: other CPUs refer to it until the machine goes off.
    pub fn new(host: P, guests: Vec<Guest<P>>, cpus: usize, counts: bool) -> &'static Self {
        let pace = Pace {
            slice: timer::ticks(SLICE_US),
            gain: timer::ticks(GAIN_US),
        };
        let mut queue = Queue::new(pace, cpus);
        for guest in 0..guests.len() {
            queue.turn_on(guest * MAX_VCPUS, timer::now());
        }
        let terminal = Terminal::new(guests.len());
        Box::leak(Box::new(Self {
            host,
            guests,
            queue: TicketMutex::new(queue),
            terminal: TicketMutex::new(terminal),
            cpus,
            counts,
            finished: AtomicBool::new(false),
            running_cpus: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            idle_ticks: Default::default(),
        }))
    }

    /// Runs all guests until they are off.
    pub fn run(&'static self) -> Result<(), Error> {
        console::listen();
        for cpu in 1..self.cpus {
            cpus::start(cpu, move || self.run_cpu(cpu))?;
        }
        cpus::take_interrupts();
        self.run_cpu(0);
        while self.running_cpus.load(Ordering::Acquire) != 0 {
            core::hint::spin_loop();
        }
        if self.counts {
            self.tell_stats();
        }
        if self.failed.load(Ordering::Relaxed) {
            return Err(Error::Guest("a guest could not go on"));
        }
        Ok(())
    }

    /// Runs vCPUs on the calling CPU, of this index.
    fn run_cpu(&'static self, cpu: usize) {
        self.running_cpus.fetch_add(1, Ordering::AcqRel);
        // SAFETY: `virt` has this controller (`VirtHost::new`); interrupts are masked, and this CPU
        // does it once.
        unsafe { self.host.gic().enable_cpu(cpu) };
        if let Err(error) = self.run_vcpus(cpu) {
            defmt::error!("{}", error);
            println!("{error}");
            trace::dump();
            self.failed.store(true, Ordering::Relaxed);
            self.finish();
        }
        timer::set(None);
        self.running_cpus.fetch_sub(1, Ordering::AcqRel);
    }

    fn run_vcpus(&'static self, cpu: usize) -> Result<(), Error> {
        let mut el2 = El2::enable(&self.host)?;
        while !self.is_finished() {
            let picked = self.pick(cpu);
            let Some((number, waited)) = picked else {
                let since = timer::now();
                self.idle(&el2);
                self.idle_ticks[cpu].fetch_add(timer::now() - since, Ordering::Relaxed);
                continue;
            };
            match self.guests[number / MAX_VCPUS].phase() {
                Phase::On => Stay::new(self, number, cpu).run(&mut el2, waited)?,
                Phase::Reloading => self.reload(number, &el2)?,
                Phase::Stopping | Phase::Off => self.stop(number, || State::Off),
            }
        }
        Ok(())
    }

    /// Returns the vCPU that is to run on `cpu`, and how long it has waited to do so in all.
    fn pick(&self, cpu: usize) -> Option<(usize, u64)> {
        let mut queue = self.queue.lock();
        let number = queue.pick(cpu, timer::now())?;
        Some((number, queue.waited(number)))
    }

    /// Waits for an interrupt, and handles it.
    fn idle(&self, el2: &El2<'_, P, El2Cpu>) {
        timer::set(self.queue.lock().next_deadline());
        wfi(); // masked interrupts end it too, also one that came since the queue was empty
        self.take_interrupts(el2);
    }

    fn take_interrupts(&self, el2: &El2<'_, P, El2Cpu>) {
        loop {
            let token = self.host.fetch_irq().fetch(el2.cpu());
            let Some(intid) = P::intid(token) else { break };
            self.host.end(el2.cpu(), token);
            self.interrupt(intid);
            self.host.deactivate(el2.cpu(), token);
        }
    }

    /// Fills the RAM of a guest that starts anew, in the time of its first vCPU, which is this.
    fn reload(&self, number: usize, el2: &El2<'_, P, El2Cpu>) -> Result<(), Error> {
        let guest = &self.guests[number / MAX_VCPUS];
        let since = timer::now();
        while !self.is_finished() {
            if guest.reload_some()? {
                self.tell_of(number / MAX_VCPUS, "starts again");
                guest.begin();
                break;
            }
            self.set_timer();
            self.take_interrupts(el2);
            if self.has_to_yield(number) {
                break;
            }
        }
        if let (true, Some(first)) = (self.counts, guest.vcpus.first()) {
            first.stats.host_took(timer::now() - since);
        }
        self.stop(number, || State::Ready);
        Ok(())
    }

    /// Handles a physical interrupt that is the host's.
    pub(super) fn interrupt(&self, intid: Intid) {
        match intid {
            EL2_TIMER => {
                timer::set(None); // its level falls; whoever runs next sets it again
                self.expire();
            }
            CONSOLE => self.console(),
            _ => {} // a kick, or a list register: whoever was interrupted looks
        }
    }

    /// Wakes every vCPU whose time has come.
    fn expire(&self) {
        let now = timer::now();
        loop {
            let expired = self.queue.lock().expire(now);
            let Some((_, cpu)) = expired else { break };
            if let Some(cpu) = cpu {
                self.host.gic().kick(cpu);
            }
        }
    }

    /// Sets this CPU's timer for the end of a slice, or whatever comes before.
    pub(super) fn set_timer(&self) {
        timer::set(self.queue.lock().next_look(timer::now()));
    }

    /// Returns whether a vCPU that runs is to make room.
    pub(super) fn has_to_yield(&self, number: usize) -> bool {
        self.queue.lock().has_to_yield(number, timer::now())
    }

    /// Notes what a vCPU that ran does next.
    ///
    /// `next` decides under the lock of the queue: who tells a vCPU something sets its flag first
    /// and then comes here; who turns one on that is off by then comes here too.
    pub(super) fn stop(&self, number: usize, next: impl FnOnce() -> State) {
        let (guest, mut queue) = (number / MAX_VCPUS, self.queue.lock());
        let next = next();
        queue.stop(number, timer::now(), next);
        // The last one out of a guest that is to start anew has its first vCPU see to that. Nobody
        // turns one on or wakes one meanwhile: only its own vCPUs could, and they are off.
        if self.guests[guest].phase() != Phase::Stopping || !queue.turn_off(guest, timer::now()) {
            return;
        }
        if self.guests[guest].goes(Phase::Stopping, Phase::Reloading) {
            self.turn_on_in(queue, guest * MAX_VCPUS, usize::MAX);
        }
    }

    /// Has the vCPUs of `changed`, a bit for each, look at their interrupts.
    pub(super) fn tell(&self, guest: usize, changed: Mask, this_cpu: usize) {
        let mut left = changed;
        while left != 0 {
            let vcpu = left.trailing_zeros() as usize;
            left &= left - 1;
            let Some(slot) = self.guests[guest].vcpus.get(vcpu) else {
                continue;
            };
            slot.attention.store(true, Ordering::Release);
            self.wake(guest * MAX_VCPUS + vcpu, this_cpu);
        }
    }

    fn wake(&self, number: usize, this_cpu: usize) {
        let cpu = self.queue.lock().wake(number, timer::now());
        self.kick(cpu, this_cpu);
    }

    /// Has a vCPU run that its guest turned on.
    pub(super) fn turn_on(&self, guest: usize, vcpu: usize, this_cpu: usize) {
        self.turn_on_in(self.queue.lock(), guest * MAX_VCPUS + vcpu, this_cpu);
    }

    fn turn_on_in(&self, mut queue: TicketMutexGuard<'_, Queue>, number: usize, this_cpu: usize) {
        let had_slices = queue.has_slices();
        let cpu = queue.turn_on(number, timer::now());
        let has_slices = queue.has_slices();
        drop(queue);
        match has_slices && !had_slices {
            true => self.kick_all(), // whoever runs has no timer set for it
            false => self.kick(cpu, this_cpu),
        }
    }

    fn kick(&self, cpu: Option<usize>, this_cpu: usize) {
        if let Some(cpu) = cpu.filter(|&cpu| cpu != this_cpu) {
            self.host.gic().kick(cpu);
        }
    }

    /// Switches a guest off, and with the last one everything.
    pub(super) fn guest_ends(&self, guest: usize, why: &str) {
        if !self.guests[guest].goes(Phase::On, Phase::Off) {
            return;
        }
        self.tell_of(guest, why);
        if why == "cannot go on" {
            self.failed.store(true, Ordering::Relaxed);
        }
        if self.guests.iter().all(|guest| guest.phase() == Phase::Off) {
            return self.finish();
        }
        self.kick_all();
    }

    /// Has a guest start anew, by itself, once all of its vCPUs have stopped.
    pub(super) fn guest_resets(&self, guest: usize) {
        if self.guests[guest].goes(Phase::On, Phase::Stopping) {
            self.tell_of(guest, "asked for a reset");
            self.kick_all();
        }
    }

    /// Returns whether all is over.
    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        self.kick_all();
    }

    fn kick_all(&self) {
        for cpu in 0..self.cpus {
            self.host.gic().kick(cpu);
        }
    }
}
