//! The last exits of each CPU, kept to be told when something goes wrong, a panic too.
//!
//! A record is four words that its CPU alone writes, without a lock. A reader on another CPU may
//! find one that is being written: it says something odd of one exit, and nothing worse.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use vcpu_core::Exit;
use vcpu_exits::{Syndrome, calls::FunctionId};
use vcpu_regs::{Esr, Ipa, SysReg};

use super::stats::Kind;
use crate::cpus::MAX_CPUS;

const RECORDS: usize = 16;

struct Ring {
    next: AtomicUsize,
    records: [[AtomicU64; 4]; RECORDS],
}

static RINGS: [Ring; MAX_CPUS] = [const {
    Ring {
        next: AtomicUsize::new(0),
        records: [const { [const { AtomicU64::new(0) }; 4] }; RECORDS],
    }
}; MAX_CPUS];

/// A load, not a store; a read, not a write.
const READ: u64 = 1 << 16;

/// Notes an exit: who, where, what. Returns its kind.
#[inline(always)]
pub fn note<T>(cpu: usize, vcpu: usize, pc: u64, x0: u64, exit: &Exit<T>) -> Kind {
    let (kind, more, a, b) = match exit {
        Exit::Mmio(access) => {
            let write = access.write();
            let read = if write.is_none() { READ } else { 0 };
            let more = read | u64::from(access.size_bytes());
            (Kind::Mmio, more, access.ipa().0, write.unwrap_or(0))
        }
        Exit::SysReg(access) => {
            let write = access.write();
            let read = if write.is_none() { READ } else { 0 };
            let reg = access.reg().bits();
            (Kind::SysReg, read, reg.into(), write.unwrap_or(0))
        }
        Exit::Psci(_) | Exit::Hypercall(_) | Exit::Smc(_) => (Kind::Call, 0, x0, 0),
        Exit::Wfi(_) => (Kind::Wfi, 0, 0, 0),
        Exit::Wfe(_) => (Kind::Wfe, 0, 0, 0),
        Exit::Irq(_) | Exit::Fiq => (Kind::Irq, 0, 0, 0),
        Exit::Fault(fault) => (Kind::Fault, 0, fault.esr().0, 0),
        Exit::Other(syndrome) => (Kind::Other, 0, syndrome.encode().0, 0),
        _ => (Kind::Other, 0, 0, 0),
    };
    if let Some(ring) = RINGS.get(cpu) {
        let next = ring.next.load(Relaxed);
        ring.next.store(next.wrapping_add(1), Relaxed);
        let [who, at, first, second] = &ring.records[next % RECORDS];
        who.store(
            more << 32 | (vcpu as u64) << 8 | kind as u64 | 1 << 63,
            Relaxed,
        );
        at.store(pc, Relaxed);
        first.store(a, Relaxed);
        second.store(b, Relaxed);
    }
    kind
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
