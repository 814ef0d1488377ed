//! Interrupts, taken by an exception or by looking.

use super::{
    MAX_VCPUS, clock,
    gic::{Gic, PHYSICAL_TIMER, SPIS, SPIS_END, VIRTUAL_TIMER, Version},
    memory, messages,
    registers::{execute, read},
    report::fail,
    shared::{Cpu, Shared, count},
    timers::{self, Kind},
};

/// From here on, interrupts are taken when they come.
pub fn unmask() {
    execute!("msr daifclr, #2");
    execute!("isb"); // what is pending is taken here
}

/// They wait.
pub fn mask() {
    execute!("msr daifset, #2");
}

/// Returns whether one is pending at the CPU (`ISR_EL1.I`).
pub fn is_pending() -> bool {
    read!(isr_el1) >> 7 & 1 != 0
}

/// An IRQ exception.
pub extern "C" fn take() {
    let shared = Shared::get();
    let me = shared.me();
    if !take_one(shared, me) {
        count(&me.counts.spurious);
    }
    clock::check(shared, me);
    memory::check(me);
}

/// Takes all that there are, while they are masked.
pub fn take_all(shared: &Shared, me: &Cpu) {
    while take_one(shared, me) {}
}

fn take_one(shared: &Shared, me: &Cpu) -> bool {
    let gic = Gic::of(shared);
    let acknowledged = gic.acknowledge();
    let intid = acknowledged & 0x3ff;
    let half = MAX_VCPUS as u32;
    let sender = acknowledged >> 10 & 7; // of an SGI, by a GICv2
    if shared.gic_version() == Version::V2 && intid < 2 * half && sender != intid % half {
        fail!("SGI {intid} came from vCPU {sender}, which does not send it");
    }
    match intid {
        1020.. => return false,
        VIRTUAL_TIMER => timers::fired(shared, me, Kind::Virtual),
        PHYSICAL_TIMER => timers::fired(shared, me, Kind::Physical),
        SPIS..SPIS_END => {
            count(&me.counts.spis_taken);
            messages::request_from(shared, me, ((intid - SPIS) / 2) as usize);
        }
        _ if intid < half => {
            count(&me.counts.sgis_taken);
            messages::request_from(shared, me, intid as usize);
        }
        _ if intid < 2 * half => messages::reply_from(shared, me, (intid - half) as usize),
        _ => fail!("interrupt {intid}, which nobody enabled"),
    }
    gic.end(me.index(), acknowledged);
    true
}
