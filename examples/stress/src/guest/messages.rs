//! Requests from vCPU to vCPU, each of which is answered.
//!
//! Of the SGIs, each vCPU has one to ask with and one to reply with: two of one kind are never
//! pending at a vCPU at the same time, so none may be lost, and none may come twice.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use machine::Random;

use super::{
    MAX_VCPUS,
    gic::{Gic, SPIS, Target},
    registers::execute,
    report::fail,
    shared::{Cpu, Shared, count},
    timers::{Kind, watch_sometimes},
    wait::{self, Wait},
};

/// Of a request: an event is answer enough. The bits above count.
const BY_EVENT: u64 = 1;

/// Asks one vCPU, by SGI.
pub fn ask_one(shared: &Shared, me: &Cpu, random: &mut Random) {
    let Some(target) = another(shared, me, random) else {
        return;
    };
    let flag = if random.below(8) == 0 { BY_EVENT } else { 0 };
    post(me, target, flag);
    count(&me.counts.sgis_sent);
    let list = Target::List(1 << target.index());
    Gic::of(shared).send(list, me.index() as u32);
    await_answers(shared, me, 1 << target.index(), flag, random);
}

/// Asks all others that may be asked, by one write.
pub fn ask_all(shared: &Shared, me: &Cpu, random: &mut Random) {
    ask_those(shared, me, random, |target| !is_quiet(target));
}

/// Asks all others, also those that sleep.
pub fn tell_all(shared: &Shared, me: &Cpu, random: &mut Random) {
    ask_those(shared, me, random, |_| true);
}

fn ask_those(shared: &Shared, me: &Cpu, random: &mut Random, wanted: impl Fn(&Cpu) -> bool) {
    let (mut targets, mut left) = (0, 0);
    for target in others(shared, me) {
        if wanted(target) {
            post(me, target, 0);
            count(&me.counts.sgis_sent);
            targets |= 1 << target.index();
        } else {
            left += 1;
        }
    }
    let target = if left == 0 && random.below(2) == 0 {
        Target::Others
    } else {
        Target::List(targets)
    };
    if targets == 0 {
        return;
    }
    Gic::of(shared).send(target, me.index() as u32);
    await_answers(shared, me, targets.into(), 0, random);
}

/// Asks one vCPU by an SPI, which is routed to it.
pub fn ask_by_spi(shared: &Shared, me: &Cpu, random: &mut Random) {
    let Some(target) = another(shared, me, random) else {
        return;
    };
    post(me, target, 0);
    count(&me.counts.spis_sent);
    let intid = SPIS + 2 * me.index() as u32 + random.below(2) as u32;
    Gic::of(shared).pend(target.index(), intid, random);
    await_answers(shared, me, 1 << target.index(), 0, random);
}

/// Waits until another vCPU wakes it, with nothing else that could.
pub fn sleep(shared: &Shared, me: &Cpu, random: &mut Random) {
    // One is always awake; the first, for it watches.
    if me.index() == 0 {
        return;
    }
    count(&me.counts.sleeps);
    let is_awake = || me.asleep.load(Acquire) == 0 || shared.is_over();
    quietly(me, || {
        me.asleep.store(1, Release);
        wait::until(shared, me, Wait::Sleep, random, is_awake);
        me.asleep.store(0, Relaxed);
    });
}

/// Waits with nobody asking meanwhile: a wake-up that is lost is not made up for by the next.
pub fn quietly(me: &Cpu, wait: impl FnOnce()) {
    count(&me.counts.quiet_waits);
    me.quiet.store(1, Release);
    wait();
    me.quiet.store(0, Release);
}

fn is_quiet(cpu: &Cpu) -> bool {
    cpu.quiet.load(Acquire) != 0
}

/// Wakes one that sleeps.
pub fn wake_one(shared: &Shared, me: &Cpu, random: &mut Random) {
    let first = random.below(MAX_VCPUS as u64) as usize;
    let order = shared.cpus().iter().cycle().skip(first);
    let mut cpus = order.take(shared.cpus().len());
    // Of those that try for the same one, one does it.
    let sleeper = cpus.find(|cpu| cpu.asleep.swap(0, Release) != 0);
    let Some(sleeper) = sleeper.filter(|cpu| cpu.index() != me.index()) else {
        return;
    };
    post(me, sleeper, 0);
    count(&me.counts.sgis_sent);
    let list = Target::List(1 << sleeper.index());
    Gic::of(shared).send(list, me.index() as u32);
    await_answers(shared, me, 1 << sleeper.index(), 0, random);
}

/// A request has come.
pub fn request_from(shared: &Shared, me: &Cpu, sender: usize) {
    let request = me.asked[sender].load(Acquire);
    if me.answered[sender].load(Relaxed) == request {
        fail!("a request of vCPU {sender} came twice");
    }
    me.answered[sender].store(request, Release);
    if request & BY_EVENT != 0 {
        execute!("dsb ishst"); // the answer, before the event
        execute!("sev");
    } else {
        count(&me.counts.replies_sent);
        let intid = (MAX_VCPUS + me.index()) as u32;
        Gic::of(shared).send(Target::List(1 << sender), intid);
    }
}

/// A reply has come.
pub fn reply_from(shared: &Shared, me: &Cpu, replier: usize) {
    count(&me.counts.replies_taken);
    let other = &shared.cpus()[replier];
    let request = other.asked[me.index()].load(Relaxed);
    if other.answered[me.index()].load(Acquire) != request {
        fail!("a reply of vCPU {replier}, which has not answered yet");
    }
    if me.replied[replier].swap(request, Relaxed) == request {
        fail!("a reply of vCPU {replier} came twice");
    }
}

/// Writes a request for another vCPU.
fn post(me: &Cpu, target: &Cpu, flag: u64) {
    let mailbox = &target.asked[me.index()];
    let number = (mailbox.load(Relaxed) >> 1) + 1;
    let request = number << 1 | flag;
    mailbox.store(request, Release);
}

fn await_answers(shared: &Shared, me: &Cpu, targets: u64, flag: u64, random: &mut Random) {
    let index = me.index();
    let asked = || {
        let cpus = shared.cpus().iter();
        cpus.filter(|cpu| targets >> cpu.index() & 1 != 0)
            .map(|cpu| (cpu, cpu.asked[index].load(Relaxed)))
    };
    let watch = watch_sometimes(me, Kind::Physical, random);
    if flag & BY_EVENT != 0 {
        let done = || asked().all(|(cpu, request)| cpu.answered[index].load(Acquire) == request);
        wait::until(shared, me, Wait::Events, random, done);
        count(&me.counts.events);
        asked().for_each(|(cpu, request)| me.replied[cpu.index()].store(request, Relaxed));
    } else {
        let done =
            || asked().all(|(cpu, request)| me.replied[cpu.index()].load(Relaxed) == request);
        wait::until(shared, me, Wait::Replies, random, done);
    }
    watch.end(me);
}

fn others<'s>(shared: &'s Shared, me: &'s Cpu) -> impl Iterator<Item = &'s Cpu> {
    let cpus = shared.cpus().iter();
    cpus.filter(|cpu| cpu.index() != me.index())
}

fn another<'s>(shared: &'s Shared, me: &'s Cpu, random: &mut Random) -> Option<&'s Cpu> {
    let those = || others(shared, me).filter(|cpu| !is_quiet(cpu));
    let chosen = random.below((those().count() as u64).max(1)) as usize;
    those().nth(chosen)
}
