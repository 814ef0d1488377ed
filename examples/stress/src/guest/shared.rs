//! What the vCPUs share: RAM at a fixed place behind the program, all atomics, zero at first.

use core::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use super::{
    MAX_VCPUS,
    clock::{self, Clocks},
    gic::Version,
    registers::{read, write},
    timers::Timer,
    tree::Settings,
    wait::Wait,
};

/// Stacks, of 32 KiB each.
pub const STACKS: usize = 0x4100_0000;
const SHARED: usize = STACKS + MAX_VCPUS * 0x8000;
/// Each vCPU's own pages: see `memory`.
pub const PAGES: usize = 0x4110_0000;

/// All of it.
#[derive(Default)]
pub struct Shared {
    vcpus: AtomicUsize,
    is_v2: AtomicUsize,
    seed: AtomicU64,
    start: AtomicU64,
    /// When the work ends, by the virtual counter.
    end: AtomicU64,
    arrived: AtomicUsize,
    left: AtomicUsize,
    finished: AtomicUsize,
    /// Somebody has told of a failure.
    pub failed: AtomicUsize,
    /// What all clocks agree on.
    pub clocks: Clocks,
    cpus: [Cpu; MAX_VCPUS],
}

/// What is of one vCPU. Others read it, and write what is for it.
#[derive(Default)]
pub struct Cpu {
    index: AtomicUsize,
    /// What it waits for: a [`Wait`], and since when; 0: it does not wait.
    pub waits_for: AtomicU64,
    pub waits_since: AtomicU64,
    /// Virtual and physical.
    pub timers: [Timer; 2],
    /// By sender: the last request to this vCPU, which its sender writes: a number, and whether an
    /// event is to be the answer.
    pub asked: [AtomicU64; MAX_VCPUS],
    /// By sender: the last request that this vCPU has answered.
    pub answered: [AtomicU64; MAX_VCPUS],
    /// By who was asked: the last reply that has come here.
    pub replied: [AtomicU64; MAX_VCPUS],
    /// Nobody is to ask it: what it waits for is all that could wake it.
    pub quiet: AtomicU64,
    /// It sleeps until this is 0.
    pub asleep: AtomicU64,
    /// The most ticks that one of its timers' interrupts came after the deadline.
    pub latest: AtomicU64,
    /// How often the others looked at the clocks meanwhile: few looks, and all stood still.
    pub latest_looks: AtomicU64,
    /// How often each of its two pages was mapped anew.
    pub maps: [AtomicU64; 2],
    pub counts: Counts,
}

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// How often what happened.
        #[derive(Default)]
        pub struct Counts {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        impl Counts {
            /// Adds another vCPU's.
            pub fn add(&self, other: &Self) {
                $(self.$name.fetch_add(other.$name.load(Relaxed), Relaxed);)*
            }
        }
    };
}

counts! {
    /// Deadlines of the virtual timer, and interrupts.
    virtual_set
    virtual_taken
    /// The same of the physical timer.
    physical_set
    physical_taken
    /// Requests by SGI, one for each target.
    sgis_sent
    sgis_taken
    /// Replies by SGI.
    replies_sent
    replies_taken
    /// Requests by SPI.
    spis_sent
    spis_taken
    /// Answers waited for by WFE.
    events
    /// `WFI`s that ended.
    wakes
    /// Sleeps with nothing to end them but another vCPU.
    sleeps
    /// Acknowledged, and nothing was there.
    spurious
    clock_checks
    page_checks
    page_changes
    /// Waits with one thing only to end them.
    quiet_waits
}

/// Counts one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Shared {
    /// Clears it, before there is a reference to it.
    ///
    /// # Safety
    ///
    /// The first vCPU calls it, once, while no other runs.
    pub unsafe fn clear() -> &'static Self {
        let shared = core::ptr::with_exposed_provenance_mut::<Self>(SHARED);
        // SAFETY: RAM that nothing else uses, aligned; atomics and numbers may be zero.
        unsafe { shared.write_bytes(0, 1) };
        Self::get()
    }

    /// Returns it.
    pub fn get() -> &'static Self {
        const { assert!(SHARED + size_of::<Self>() <= PAGES) };
        // SAFETY: RAM that nothing else uses; `clear` came first, on the first vCPU, and all that
        // is in it may be shared.
        unsafe { &*core::ptr::with_exposed_provenance::<Self>(SHARED) }
    }

    /// Notes what is wanted, and starts the clock.
    pub fn set_up(&self, settings: &Settings) {
        self.vcpus.store(settings.vcpus, Relaxed);
        let is_v2 = settings.gic == Version::V2;
        self.is_v2.store(is_v2.into(), Relaxed);
        self.seed.store(settings.seed, Relaxed);
        let (now, ticks) = (clock::virtual_now(), settings.seconds * clock::frequency());
        self.start.store(now, Relaxed);
        self.end.store(now + ticks, Relaxed);
        for (index, cpu) in self.cpus.iter().enumerate() {
            cpu.index.store(index, Relaxed);
        }
        self.clocks.set_up();
    }

    /// Makes the caller the vCPU of this index.
    pub fn become_cpu(&self, index: usize) -> &Cpu {
        write!(tpidr_el1, index as u64);
        &self.cpus[index]
    }

    /// Returns what is of the calling vCPU.
    pub fn me(&self) -> &Cpu {
        &self.cpus[read!(tpidr_el1) as usize]
    }

    /// All vCPUs.
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus[..self.vcpus.load(Relaxed)]
    }

    /// Which interrupt controller there is.
    pub fn gic_version(&self) -> Version {
        match self.is_v2.load(Relaxed) {
            0 => Version::V3,
            _ => Version::V2,
        }
    }

    /// What random numbers follow from.
    pub fn seed(&self) -> u64 {
        self.seed.load(Relaxed)
    }

    /// Ticks since the start.
    pub fn elapsed(&self) -> u64 {
        clock::virtual_now().saturating_sub(self.start.load(Relaxed))
    }

    /// Returns whether the time is over.
    pub fn is_over(&self) -> bool {
        clock::virtual_now() >= self.end.load(Relaxed)
    }

    /// Waits until all are there.
    pub fn meet(&self) {
        self.arrived.fetch_add(1, Release);
        while self.arrived.load(Acquire) < self.cpus().len() {
            core::hint::spin_loop();
        }
    }

    /// Notes that the caller has no more requests.
    pub fn leave(&self) {
        self.left.fetch_add(1, Release);
    }

    /// Returns whether all but the caller, the first, have left.
    pub fn have_others_left(&self) -> bool {
        self.left.load(Acquire) + 1 >= self.cpus().len()
    }

    /// Lets the others go.
    pub fn finish(&self) {
        self.finished.store(1, Release);
    }

    /// Returns whether they may go.
    pub fn is_finished(&self) -> bool {
        self.finished.load(Acquire) != 0
    }
}

impl Cpu {
    /// Which vCPU it is.
    pub fn index(&self) -> usize {
        self.index.load(Relaxed)
    }

    /// Says what it waits for from now on.
    pub fn waits(&self, what: Wait) {
        self.waits_for.store(what as u64, Relaxed);
        self.waits_since.store(clock::virtual_now(), Release);
    }

    /// Says that it goes on.
    pub fn goes_on(&self) {
        self.waits_since.store(0, Release);
    }
}
