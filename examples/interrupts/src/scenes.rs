//! What is sent to the guest, and what it should make of it.

use machine::{Error, println};
use vcpu_hal::{
    Inject,
    inject::{Group, HcrLine, Trigger, VirtualInterrupt},
};
use vcpu_regs::Intid;

use crate::{
    guest::{DEACTIVATE, ENABLE, NOTHING, OPEN, SEND, SET_UP, TIMER, VIRTUAL_TIMER},
    host::{Did, Rig, edge, inject},
    physical::Physical,
    taken::Taken,
};

/// More than any CPU here has list registers.
const MANY: u32 = 20;
/// `ICC_CTLR_EL1.EOImode`.
const SPLIT_END: u64 = 1 << 1;

/// Gives the other guest interrupts of its own, which it never takes.
pub fn crowd(rig: &mut Rig<'_, '_, impl Inject, impl Physical>) -> Result<(), Error> {
    for intid in 500..500 + MANY {
        let sent = rig.other.inject_irq(rig.el2.host(), edge(intid, 0));
        sent.map_err(|_| Error::Guest("an interrupt was refused"))?;
    }
    Ok(())
}

/// All of them.
pub fn run(rig: &mut Rig<'_, '_, impl Inject, impl Physical>) -> Result<(), Error> {
    set_up(rig, 0)?;
    own_sgi(rig)?;
    by_priority(rig)?;
    nested(rig, "nested")?;
    both_groups(rig)?;
    masked_group(rig)?;
    level(rig)?;
    pending_while_active(rig)?;
    timer(rig)?;
    set_up(rig, SPLIT_END)?;
    nested(rig, "nested, deactivated apart")?;
    out_of_order(rig)?;
    println!("maintenance was asked for: {}", rig.maintenance > 0);
    Ok(())
}

/// Sets the guest's interface up, everything let in.
pub fn set_up(
    rig: &mut Rig<'_, '_, impl Inject, impl Physical>,
    control: u64,
) -> Result<(), Error> {
    rig.command([SET_UP, control, 0xff, 0, 0], |_, _| NOTHING)
}

/// Opens the gate, and notes what comes.
fn open(
    rig: &mut Rig<'_, '_, impl Inject, impl Physical>,
    command: [u64; 5],
    taken: &mut Taken,
) -> Result<(), Error> {
    rig.command(command, |_, did| {
        if let Did::Took(intid) = did {
            taken.push(intid);
        }
        NOTHING
    })
}

fn own_sgi(rig: &mut Rig<'_, '_, impl Inject, impl Physical>) -> Result<(), Error> {
    let mut taken = Taken::new();
    for sgi in [5, 0, 15] {
        open(rig, [SEND, sgi << 24 | 1, 0, 0, 0], &mut taken)?;
    }
    taken.expect("SGIs to itself", [5, 0, 15])
}

/// A PPI, and SPIs for many list registers, the last to be sent the first to be taken.
fn by_priority(rig: &mut Rig<'_, '_, impl Inject, impl Physical>) -> Result<(), Error> {
    let mut taken = Taken::new();
    let host = rig.el2.host();
    let refused = |_| Error::Guest("an interrupt was refused");
    for n in 0..MANY {
        let priority = 0xf0 - 8 * n as u8;
        rig.vcpu
            .inject_irq(host, edge(40 + n, priority))
            .map_err(refused)?;
    }
    rig.vcpu.inject_irq(host, edge(20, 0x08)).map_err(refused)?;
    open(rig, [OPEN, 0, 0, 0, 0], &mut taken)?;
    let spis = (40..40 + MANY).rev();
    taken.expect("highest first", [20].into_iter().chain(spis))
}

/// Each is preempted by the next, more deeply than there are list registers.
fn nested(rig: &mut Rig<'_, '_, impl Inject, impl Physical>, scene: &str) -> Result<(), Error> {
    const DEPTH: u32 = 12;
    let (mut taken, mut failed) = (Taken::new(), None);
    let priority = |n: u32| 0xf0 - 16 * n as u8;
    let first = rig.vcpu.inject_irq(rig.el2.host(), edge(40, priority(0)));
    first.map_err(|_| Error::Guest("an interrupt was refused"))?;
    let splits_end = scene.ends_with("apart");
    rig.command([OPEN, 0, 0, 0, 0], |live, did| match did {
        Did::Took(intid) => {
            taken.push(intid);
            let next = intid - 40 + 1;
            if next < DEPTH {
                failed = inject(live, edge(40 + next, priority(next))).err();
            }
            NOTHING
        }
        Did::Ended(intid) => {
            taken.push(intid);
            if splits_end { intid.into() } else { NOTHING }
        }
        Did::Look(_) => NOTHING,
    })?;
    failed.map_or(Ok(()), Err)?;
    taken.expect(scene, (40..40 + DEPTH).chain((40..40 + DEPTH).rev()))?;
    none_is_left(rig)
}

/// With the priority dropped and the deactivation put off: any order will do.
fn out_of_order(rig: &mut Rig<'_, '_, impl Inject, impl Physical>) -> Result<(), Error> {
    let mut taken = Taken::new();
    let host = rig.el2.host();
    for n in 0..MANY {
        let sent = rig.vcpu.inject_irq(host, edge(40 + n, 0x80));
        sent.map_err(|_| Error::Guest("an interrupt was refused"))?;
    }
    open(rig, [OPEN, 0, 0, 0, 0], &mut taken)?;
    taken.expect("all active at once", 40..40 + MANY)?;
    let mut left = Taken::new();
    for n in 0..MANY {
        // 7 and the count have no common divisor: each comes once.
        let intid = 40 + (3 + 7 * n) % MANY;
        rig.command([DEACTIVATE, intid.into(), 0, 0, 0], |_, _| NOTHING)?;
        if rig.vcpu.irq_status(rig.el2.host(), Intid(intid)).active {
            left.push(intid);
        }
    }
    left.expect("active after they were deactivated out of order", [])?;
    none_is_left(rig)
}

/// Nothing is active, and nothing comes.
fn none_is_left(rig: &mut Rig<'_, '_, impl Inject, impl Physical>) -> Result<(), Error> {
    let mut taken = Taken::new();
    open(rig, [OPEN, 0, 0, 0, 0], &mut taken)?;
    for intid in 0..200 {
        let status = rig.vcpu.irq_status(rig.el2.host(), Intid(intid));
        if status.active || status.pending {
            taken.push(intid);
        }
    }
    taken.expect("left over", [])
}

/// A FIQ preempts an IRQ.
fn both_groups(rig: &mut Rig<'_, '_, impl Inject, impl Physical>) -> Result<(), Error> {
    let (mut taken, mut failed) = (Taken::new(), None);
    let fiq = VirtualInterrupt {
        group: Group::Zero,
        ..edge(90, 0x10)
    };
    let first = rig.vcpu.inject_irq(rig.el2.host(), edge(91, 0x80));
    first.map_err(|_| Error::Guest("an interrupt was refused"))?;
    rig.command([OPEN, 0, 0, 0, 0], |live, did| {
        if let Did::Took(intid) = did {
            if intid == 91 {
                failed = inject(live, fiq).err();
            }
            taken.push(intid);
        }
        NOTHING
    })?;
    failed.map_or(Ok(()), Err)?;
    taken.expect("a FIQ within an IRQ", [91, 90])
}

/// A disabled group and a mask hold some back, and nothing else.
fn masked_group(rig: &mut Rig<'_, '_, impl Inject, impl Physical>) -> Result<(), Error> {
    let mut taken = Taken::new();
    rig.command([ENABLE, 0, 1, 0x80, 0], |_, _| NOTHING)?;
    let host = rig.el2.host();
    let refused = |_| Error::Guest("an interrupt was refused");
    for n in 0..6 {
        let fiq = VirtualInterrupt {
            group: Group::Zero,
            ..edge(60 + n, 0x08)
        };
        rig.vcpu.inject_irq(host, fiq).map_err(refused)?;
        rig.vcpu
            .inject_irq(host, edge(70 + n, 0x70))
            .map_err(refused)?;
        rig.vcpu
            .inject_irq(host, edge(80 + n, 0x80))
            .map_err(refused)?;
    }
    open(rig, [OPEN, 0, 0, 0, 0], &mut taken)?;
    taken.expect("Group 0 disabled, priorities from 0x80 masked", 70..76)?;
    rig.command([ENABLE, 1, 1, 0xff, 0], |_, _| NOTHING)?;
    let mut taken = Taken::new();
    open(rig, [OPEN, 0, 0, 0, 0], &mut taken)?;
    taken.expect("let in", (60..66).chain(80..86))
}

/// The level stays high for three times.
fn level(rig: &mut Rig<'_, '_, impl Inject, impl Physical>) -> Result<(), Error> {
    let (mut taken, mut failed) = (Taken::new(), None);
    let uart = VirtualInterrupt {
        trigger: Trigger::Level,
        ..edge(33, 0xa0)
    };
    let first = rig.vcpu.inject_irq(rig.el2.host(), uart);
    first.map_err(|_| Error::Guest("an interrupt was refused"))?;
    let mut times = 0;
    rig.command([OPEN, 0, 0, 0, 0], |live, did| {
        match did {
            Did::Took(intid) => taken.push(intid),
            Did::Look(intid) => {
                times += 1;
                if times < 3 && intid == 33 {
                    failed = inject(live, uart).err();
                }
            }
            Did::Ended(_) => {}
        }
        NOTHING
    })?;
    failed.map_or(Ok(()), Err)?;
    taken.expect("a level, looked at after each end", [33; 3])?;
    // A level that falls before it was taken is none.
    let host = rig.el2.host();
    let sent = rig.vcpu.inject_irq(host, uart);
    sent.map_err(|_| Error::Guest("an interrupt was refused"))?;
    let mut taken = Taken::new();
    if !rig.vcpu.retract_irq(host, uart.intid) {
        taken.push(33);
    }
    open(rig, [OPEN, 0, 0, 0, 0], &mut taken)?;
    taken.expect("a level that fell", [])
}

/// One that comes again while it is handled is handled again.
fn pending_while_active(rig: &mut Rig<'_, '_, impl Inject, impl Physical>) -> Result<(), Error> {
    let (mut taken, mut failed, mut again) = (Taken::new(), None, 2);
    let first = rig.vcpu.inject_irq(rig.el2.host(), edge(21, 0x80));
    first.map_err(|_| Error::Guest("an interrupt was refused"))?;
    rig.command([OPEN, 0, 0, 0, 0], |live, did| {
        if let Did::Took(intid) = did {
            taken.push(intid);
            if again > 0 {
                again -= 1;
                let sent = [inject(live, edge(21, 0x80)), inject(live, edge(21, 0x80))];
                failed = sent.into_iter().find_map(Result::err);
            }
        }
        NOTHING
    })?;
    failed.map_or(Ok(()), Err)?;
    taken.expect("again while active, twice each", [21; 3])
}

/// The guest's ending the timer's interrupt deactivates the physical one, so that it comes again.
fn timer(rig: &mut Rig<'_, '_, impl Inject, impl Physical>) -> Result<(), Error> {
    let mut taken = Taken::new();
    for _ in 0..3 {
        open(rig, [TIMER, 1000, 0, 0, 0], &mut taken)?;
    }
    taken.expect("the virtual timer", [VIRTUAL_TIMER; 3])
}

/// The host is the interrupt controller: it says which is due, and takes it back once it was told.
pub fn plain_line(rig: &mut Rig<'_, '_, HcrLine, impl Physical>) -> Result<(), Error> {
    let mut taken = Taken::new();
    for intid in [9, 3, 40] {
        let sent = rig.vcpu.inject_irq(rig.el2.host(), Intid(intid));
        sent.map_err(|_| Error::Guest("an interrupt was refused"))?;
    }
    rig.command([OPEN, 0, 0, 0, 0], |live, did| {
        let due = (0..64).find(|&intid| live.irq_status(Intid(intid)).pending);
        if let (Did::Took(_), Some(intid)) = (did, due) {
            taken.push(intid);
            live.retract_irq(Intid(intid));
        }
        NOTHING
    })?;
    taken.expect("a plain line, lowest first", [3, 9, 40])
}
