//! The last exits of each CPU, kept to be told when something goes wrong, a panic too.
//!
//! A record is four words that its CPU alone writes, without a lock. A reader on another CPU may
//! find one that is being written: it says something odd of one exit, and nothing worse.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use vcpu_core::{Mmio, SysRegAccess};
use vcpu_exits::{Syndrome, calls::FunctionId};
use vcpu_regs::{Esr, Ipa, SysReg};

use super::stats::Kind;
use crate::cpus::MAX_CPUS;

const RECORDS: usize = 16;

/// The last exits of one CPU.
pub struct Ring {
    next: AtomicUsize,
    records: [[AtomicU64; 4]; RECORDS],
}

static RINGS: [Ring; MAX_CPUS] = [const {
    Ring {
        next: AtomicUsize::new(0),
        records: [const { [const { AtomicU64::new(0) }; 4] }; RECORDS],
    }
}; MAX_CPUS];

/// An access that reads.
const READ: u64 = 1 << 16;
const IS_USED: u64 = 1 << 63;

/// Where a vCPU notes its exits while it is on one CPU.
#[derive(Clone, Copy)]
pub struct Trace {
    ring: &'static Ring,
    who: u64,
}

impl Trace {
    /// Returns the trace of a vCPU, by its number among all, on a CPU.
    pub fn new(cpu: usize, vcpu: usize) -> Self {
        Self {
            ring: &RINGS[cpu % MAX_CPUS],
            who: IS_USED | (vcpu as u64) << 8,
        }
    }

    /// Notes an access.
    #[inline(always)]
    pub fn access(self, pc: u64, access: &Mmio) {
        let size_bytes = u64::from(access.size_bytes());
        match access.write() {
            Some(value) => self.record(Kind::Mmio, size_bytes, [pc, access.ipa().0, value]),
            None => self.record(Kind::Mmio, READ | size_bytes, [pc, access.ipa().0, 0]),
        }
    }

    /// Notes an exit for a system register.
    #[inline(always)]
    pub fn system_register(self, pc: u64, access: &SysRegAccess) {
        let reg = access.reg().bits().into();
        match access.write() {
            Some(value) => self.record(Kind::SysReg, 0, [pc, reg, value]),
            None => self.record(Kind::SysReg, READ, [pc, reg, 0]),
        }
    }

    /// Notes an exit of which no more is known than a word: of a call, x0; of a fault, ESR.
    #[inline(always)]
    pub fn other(self, kind: Kind, pc: u64, word: u64) {
        self.record(kind, 0, [pc, word, 0]);
    }

    #[inline(always)]
    fn record(self, kind: Kind, more: u64, words: [u64; 3]) {
        let next = self.ring.next.load(Relaxed);
        self.ring.next.store(next.wrapping_add(1), Relaxed);
        let [who, rest @ ..] = &self.ring.records[next % RECORDS];
        who.store(self.who | more << 32 | kind as u64, Relaxed);
        for (place, word) in rest.iter().zip(words) {
            place.store(word, Relaxed);
        }
    }
}

/// Says what the last exits of each CPU were, oldest first.
pub fn dump() {
    for (cpu, ring) in RINGS.iter().enumerate() {
        let next = ring.next.load(Relaxed);
        for i in 0..RECORDS {
            let [who, pc, a, b] = ring.records[(next + i) % RECORDS].each_ref();
            let (who, pc, a, b) = (
                who.load(Relaxed),
                pc.load(Relaxed),
                a.load(Relaxed),
                b.load(Relaxed),
            );
            if who != 0 {
                tell(cpu, who, pc, a, b);
            }
        }
    }
}

fn tell(cpu: usize, who: u64, pc: u64, a: u64, b: u64) {
    let (guest, vcpu) = (who >> 8 & 0xff, who >> 8 & 0xff);
    let most = devices::gic::MAX_VCPUS as u64;
    let (guest, vcpu) = (guest / most + 1, vcpu % most);
    let is_read = who >> 32 & READ != 0;
    let bytes = who >> 32 & 0xff;
    let say = |what: core::fmt::Arguments<'_>| {
        crate::println!("cpu {cpu}: guest {guest}, vcpu {vcpu}, PC {pc:#x}: {what}");
    };
    match who & 0xff {
        kind if kind == Kind::Mmio as u64 && is_read => {
            say(format_args!("read {bytes} bytes from IPA {}", Ipa(a)));
        }
        kind if kind == Kind::Mmio as u64 => {
            say(format_args!(
                "wrote {bytes} bytes to IPA {}: {b:#x}",
                Ipa(a)
            ));
        }
        kind if kind == Kind::SysReg as u64 => {
            let reg = SysReg::from_bits(a as u16);
            match is_read {
                true => say(format_args!("read {reg}")),
                false => say(format_args!("wrote {b:#x} to {reg}")),
            }
        }
        kind if kind == Kind::Call as u64 => say(format_args!("called {}", FunctionId::from_x0(a))),
        kind if kind == Kind::Wfi as u64 => say(format_args!("waits: wfi")),
        kind if kind == Kind::Wfe as u64 => say(format_args!("waits: wfe")),
        kind if kind == Kind::Irq as u64 => say(format_args!("a physical interrupt came")),
        _ => say(format_args!("{}", Syndrome::decode(Esr(a)))),
    }
}
