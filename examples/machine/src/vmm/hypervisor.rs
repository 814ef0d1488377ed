//! All guests, and the CPUs that run them.

use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aarch64_cpu::asm::wfi;
use devices::{
    gic::{MAX_VCPUS, Mask},
    run_queue::{Pace, RunQueue, State},
};
use spin::Mutex;
use vcpu_asm::El2Cpu;
use vcpu_core::El2;
use vcpu_hal::FetchIrq;
use vcpu_regs::Intid;

use super::{Guest, Host, Stats, stay::Stay, terminal::Terminal, trace};
use crate::{
    Error, console, cpus,
    gic::{CONSOLE, EL2_TIMER},
    println, timer,
};

/// The most guests.
const GUESTS: usize = Terminal::MOST;
const SLICE_US: u64 = 10_000;
const GAIN_US: u64 = 1_000;

/// The machine's guests, and what of the machine they share.
pub struct Hypervisor<P: Host> {
    pub(super) host: P,
    pub(super) guests: Vec<Guest<P>>,
    queue: Mutex<RunQueue<{ GUESTS * MAX_VCPUS }>>,
    terminal: Mutex<Terminal>,
    cpus: usize,
    /// Whether time is counted.
    pub(super) counts: bool,
    finished: AtomicBool,
    running_cpus: AtomicUsize,
    /// A guest asked for a reset.
    reset: AtomicBool,
    failed: AtomicBool,
    stats: Mutex<Stats>,
}

impl<P: Host> Hypervisor<P> {
    /// Returns the hypervisor of these guests, whose first vCPUs are ready to run on `cpus` CPUs.
    ///
    /// It stays: other CPUs refer to it until the machine goes off.
    pub fn new(host: P, guests: Vec<Guest<P>>, cpus: usize, counts: bool) -> &'static Self {
        let mut queue = RunQueue::new(Pace {
            slice: timer::ticks(SLICE_US),
            gain: timer::ticks(GAIN_US),
        });
        for guest in 0..guests.len() {
            queue.turn_on(guest * MAX_VCPUS, timer::now());
        }
        let terminal = Terminal::new(guests.len());
        Box::leak(Box::new(Self {
            host,
            guests,
            queue: Mutex::new(queue),
            terminal: Mutex::new(terminal),
            cpus,
            counts,
            finished: AtomicBool::new(false),
            running_cpus: AtomicUsize::new(0),
            reset: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            stats: Mutex::new(Stats::default()),
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
            println!("{}", self.stats.lock());
        }
        if self.failed.load(Ordering::Relaxed) {
            return Err(Error::Guest("a guest could not go on"));
        }
        if self.reset.load(Ordering::Relaxed) {
            println!("vcpu: restarting the machine");
            crate::restart();
        }
        Ok(())
    }

    /// Runs vCPUs on the calling CPU, of this index.
    fn run_cpu(&'static self, cpu: usize) {
        self.running_cpus.fetch_add(1, Ordering::AcqRel);
        // SAFETY: `virt` has this controller (`VirtHost::new`); interrupts are masked, and this CPU
        // does it once.
        unsafe { self.host.gic().enable_cpu(cpu) };
        let mut stats = Stats::default();
        if let Err(error) = self.run_vcpus(cpu, &mut stats) {
            defmt::error!("{}", error);
            println!("{error}");
            trace::dump();
            self.failed.store(true, Ordering::Relaxed);
            self.finish();
        }
        timer::set(None);
        *self.stats.lock() += stats;
        self.running_cpus.fetch_sub(1, Ordering::AcqRel);
    }

    fn run_vcpus(&'static self, cpu: usize, stats: &mut Stats) -> Result<(), Error> {
        let mut el2 = El2::enable(&self.host)?;
        while !self.is_finished() {
            let picked = self.queue.lock().pick(cpu, timer::now());
            match picked {
                Some(number) if self.guests[number / MAX_VCPUS].is_off() => {
                    self.stop(number, State::Off, || false);
                }
                Some(number) => Stay::new(self, number, cpu, stats).run(&mut el2)?,
                None => {
                    let since = timer::now();
                    self.idle(&el2);
                    stats.idle_ticks += timer::now() - since;
                }
            }
        }
        Ok(())
    }

    /// Waits for an interrupt, and handles it.
    fn idle(&self, el2: &El2<'_, P, El2Cpu>) {
        timer::set(self.queue.lock().next_deadline());
        wfi(); // masked interrupts end it too, also one that came since the queue was empty
        loop {
            let token = self.host.fetch_irq().fetch(el2.cpu());
            let Some(intid) = P::intid(token) else { break };
            self.host.end(el2.cpu(), token);
            self.interrupt(intid);
            self.host.deactivate(el2.cpu(), token);
        }
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
        let look = self.queue.lock().next_look(timer::now());
        timer::set(Some(look));
    }

    /// Returns whether a vCPU that runs is to make room.
    pub(super) fn has_to_yield(&self, number: usize) -> bool {
        self.queue.lock().has_to_yield(number, timer::now())
    }

    /// Notes what a vCPU that ran does next, unless something came for it.
    pub(super) fn stop(&self, number: usize, next: State, has_news: impl FnOnce() -> bool) {
        let mut queue = self.queue.lock();
        // Under the lock: who tells it something sets its flag first and then comes here.
        let next = match next {
            State::Blocked { .. } if has_news() => State::Ready,
            next => next,
        };
        queue.stop(number, timer::now(), next);
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
        let number = guest * MAX_VCPUS + vcpu;
        let cpu = self.queue.lock().turn_on(number, timer::now());
        self.kick(cpu, this_cpu);
    }

    fn kick(&self, cpu: Option<usize>, this_cpu: usize) {
        if let Some(cpu) = cpu.filter(|&cpu| cpu != this_cpu) {
            self.host.gic().kick(cpu);
        }
    }

    /// Shows a byte that a guest sent.
    pub(super) fn show(&self, guest: usize, byte: u8) {
        self.terminal.lock().show(guest, byte);
    }

    /// Shows what a guest has written of a line.
    pub(super) fn flush(&self, guest: usize) {
        self.terminal.lock().flush(guest);
    }

    /// Gives what was typed to whom it is for.
    fn console(&self) {
        while let Some(byte) = console::read_byte() {
            let guest = self.terminal.lock().typed(byte);
            let Some(number) = guest else { continue };
            let Some(guest) = self.guests.get(number) else {
                continue;
            };
            let mut peripherals = guest.peripherals.lock();
            peripherals.type_byte(byte);
            let changed = peripherals.gic.take_changed();
            drop(peripherals);
            self.tell(number, changed, usize::MAX);
        }
    }

    /// Switches a guest off, and with the last one everything.
    pub(super) fn guest_ends(&self, guest: usize, why: &str) {
        if !self.guests[guest].switch_off() {
            return;
        }
        self.flush(guest);
        println!("vcpu: guest {} {why}", guest + 1);
        match why {
            "asked for a reset" => self.reset.store(true, Ordering::Relaxed),
            "cannot go on" => self.failed.store(true, Ordering::Relaxed),
            _ => {}
        }
        if self.guests.iter().all(Guest::is_off) {
            return self.finish();
        }
        for cpu in 0..self.cpus {
            self.host.gic().kick(cpu);
        }
    }

    /// Returns whether all is over.
    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        for cpu in 0..self.cpus {
            self.host.gic().kick(cpu);
        }
    }
}
