//! A program at EL1 that tries the machine it is in. It needs a GICv3 or GICv2, both timers, PSCI by
//! HVC, a PL011 at 0x9000000, and RAM from 1 GiB on.
//!
//! Each vCPU does one thing after another at random, until the time is over:
//!
//! - it sets a timer, or both, to a deadline that may be past, and waits for the interrupt: there is
//!   exactly one, and not before the deadline (`timers`);
//! - it asks another vCPU, or all, for an answer, by an SGI or an SPI, and waits for it: by an SGI,
//!   or by an event; each is taken exactly once (`messages`);
//! - it sleeps until another wakes it.
//!
//! It waits by WFI, WFE or not at all, with interrupts masked or not (`wait`). After each wait, and
//! in each interrupt, it looks at the clocks that all vCPUs share (`clock`), and at pages that each
//! has mapped elsewhere, under the same addresses and ASID (`memory`).
//!
//! What does not come in time, comes twice, or is not as it must be ends the run: `FAILED`, and how
//! things stood.

mod clock;
mod entry;
mod gic;
mod interrupts;
mod memory;
mod messages;
mod power;
mod registers;
mod report;
mod shared;
mod timers;
mod tree;
mod wait;

use gic::Gic;
use machine::Random;
use report::{fail, print};
use shared::{Cpu, Shared};
use wait::Wait;

/// The most vCPUs: each has two of the sixteen SGIs.
const MAX_VCPUS: usize = 8;

/// Where a vCPU starts, on its own stack and with its MMU on. `tree` is 0 on all but the first.
extern "C" fn start(index: usize, tree: usize) -> ! {
    if index == 0 {
        first(tree)
    } else {
        let shared = Shared::get();
        work(shared, index);
        power::off()
    }
}

/// The first vCPU: sets up what all share, starts the others, and has the last word.
fn first(tree: usize) -> ! {
    // SAFETY: the first vCPU, before there is another, and before anything uses it.
    let shared = unsafe { Shared::clear() };
    // SAFETY: the machine gave this address in x0, as all do that start a program so.
    let Some(settings) = (unsafe { tree::Settings::read(tree) }) else {
        fail!("the device tree does not say what is needed");
    };
    shared.set_up(&settings);
    print!(
        "stress: {} vCPUs, {} s, seed {}, {:?}\r\n",
        settings.vcpus, settings.seconds, settings.seed, settings.gic
    );
    Gic::of(shared).enable();
    for vcpu in 1..settings.vcpus {
        power::on(vcpu);
    }
    work(shared, 0);
    power::wait_until_off(shared);
    report::verdict(shared);
    power::system_off()
}

/// All of a vCPU's work.
fn work(shared: &'static Shared, index: usize) {
    let me = shared.become_cpu(index);
    let mut random = Random::new(shared.seed() ^ (index as u64) << 32);
    Gic::of(shared).enable_cpu(index, &mut random);
    memory::map_own(index);
    interrupts::unmask();
    shared.meet();

    let mut told = 0;
    while !shared.is_over() {
        once(shared, me, &mut random);
        memory::check(me);
        if random.below(8) == 0 {
            memory::change(me, &mut random);
        }
        clock::check(shared, me);
        if index == 0 {
            report::progress(shared, &mut told);
        }
    }
    leave(shared, me, &mut random);
}

/// Does one thing.
fn once(shared: &Shared, me: &Cpu, random: &mut Random) {
    match random.below(16) {
        0..=2 => timers::one(shared, me, timers::Kind::Virtual, random),
        3..=5 => timers::one(shared, me, timers::Kind::Physical, random),
        6 => timers::both(shared, me, random),
        7..=9 => messages::ask_one(shared, me, random),
        10 => messages::ask_all(shared, me, random),
        11..=12 => messages::ask_by_spi(shared, me, random),
        13 => messages::wake_one(shared, me, random),
        14 => messages::sleep(shared, me, random),
        _ => wait::compute(random),
    }
}

/// The end: whoever sleeps is told, and nobody goes before all have come here.
fn leave(shared: &Shared, me: &Cpu, random: &mut Random) {
    messages::tell_all(shared, me, random);
    if me.index() == 0 {
        // It looks now and then, and tells the others.
        while !shared.have_others_left() {
            timers::one(shared, me, timers::Kind::Virtual, random);
        }
        shared.finish();
        messages::tell_all(shared, me, random);
    } else {
        shared.leave();
        wait::until(shared, me, Wait::End, random, || shared.is_finished());
    }
    interrupts::mask();
}
