//! Interrupts from another CPU: the guest runs on, without an exit of its own, until it is kicked.

use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Release},
};

use machine::{Error, cpus, println};
use vcpu_core::{Delivery, Mailbox, Mailed, Message};
use vcpu_hal::Inject;
use vcpu_regs::{Gpr, Intid};

use crate::{
    guest::{NOTHING, SPIN},
    host::{Did, Rig, edge, sgi},
    physical::{self, Physical},
};

/// Of the guest's vCPU.
static MAILBOX: Mailbox = Mailbox::new();
/// How many the guest has taken.
static TAKEN: AtomicU32 = AtomicU32::new(0);
/// How often the other CPU was told to do something.
static KICKS: AtomicU32 = AtomicU32::new(0);

/// As many, one after another: a lost kick is the end of it.
const ROUNDS: u32 = 500;

fn intid(round: u32) -> u32 {
    match round % 40 {
        n if n < 8 => n + 8,  // SGIs
        n if n < 12 => n + 8, // PPIs
        n => n + 88,
    }
}

/// Has the second CPU send, and the guest take.
pub fn play<I: Inject, F: Physical>(
    rig: &mut Rig<'_, '_, Mailed<'static, I>, F>,
    has_gicv3: bool,
) -> Result<(), Error> {
    rig.vcpu.set_mailbox(&MAILBOX);
    cpus::start(1, move || send(has_gicv3))?;
    let mut wrong = None;
    rig.command([SPIN, 0, 0, 0, 0], |live, did| {
        if let Did::Took(taken) = did {
            let round = TAKEN.load(Acquire);
            if taken != intid(round) {
                wrong = Some((round, taken));
            }
            if round + 1 == ROUNDS || wrong.is_some() {
                live.set_reg(Gpr::new(26), 1);
            }
            TAKEN.store(round + 1, Release);
        }
        NOTHING
    })?;
    if let Some((round, taken)) = wrong {
        println!("WRONG: {taken} came, and not {}", intid(round));
        return Err(Error::Guest(
            "a guest took another interrupt than was posted",
        ));
    }
    let kicks = KICKS.load(Acquire);
    println!(
        "{ROUNDS} were posted by another CPU, and taken; it was to kick: {}",
        kicks > 0
    );
    Ok(())
}

/// On the second CPU: the next comes when the last was taken.
fn send(has_gicv3: bool) {
    for round in 0..ROUNDS {
        let interrupt = match intid(round) {
            intid if intid < 16 => sgi(Intid(intid)),
            intid => edge(intid, 0x80),
        };
        match MAILBOX.post(Message::Inject(interrupt)) {
            Ok(Delivery::Kick(_)) => {
                KICKS.fetch_add(1, Release);
                physical::kick(has_gicv3);
            }
            // Between a put and a load, it looks by itself.
            Ok(Delivery::Noted | Delivery::Wake) => {}
            Err(_) => return, // the first CPU waits in vain, and says so by that
        }
        while TAKEN.load(Acquire) == round {
            core::hint::spin_loop();
        }
    }
}
