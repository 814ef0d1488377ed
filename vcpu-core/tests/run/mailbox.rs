//! Interrupts posted to a vCPU by others.

use vcpu_core::{Delivery, El2, Mailbox, Mailed, Message, PostError, Vm};
use vcpu_hal::{
    fake::Step,
    inject::{HcrLine, ListRegisters},
    irq::LeavePending,
};
use vcpu_regs::{Hcr, IchReg, Intid, ListRegister};

use crate::rig::*;

type Lists<'m> = Host<Mailed<'m, ListRegisters>, LeavePending>;

fn host<'m>() -> Lists<'m> {
    // SAFETY: scripted CPUs have no GIC to misuse.
    Host::new(Mailed::new(unsafe { ListRegisters::new() }), LeavePending)
}

fn inject(intid: u32) -> Message {
    Message::Inject(Intid(intid).into())
}

#[test]
fn post_is_taken_between_the_mask_and_the_entry() {
    let script = [Step::synchronous(WFI); 3];
    let guest = Guest::default();
    let (cpu, log, host, mailbox) = (
        guest.cpu(&script),
        Default::default(),
        host(),
        Mailbox::new(),
    );
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let mut el2 = El2::enable_on(watched, &host).unwrap();
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    vcpu.set_mailbox(&mailbox);
    assert_eq!(mailbox.post(inject(3)), Ok(Delivery::Wake));
    assert_eq!(
        mailbox.post(inject(3)),
        Ok(Delivery::Noted),
        "before it was taken"
    );
    assert!(vcpu.has_irq(&host));

    let mut live = vcpu.load(&mut el2, &vm).unwrap();
    watched.take();
    let _ = live.run();
    let pending = |intid| {
        ListRegister::new(Intid(intid), 0xa0, true)
            .with_pending(true)
            .bits()
    };
    let events = watched.take();
    let written = Event::WriteIch(IchReg::Lr(0), pending(3));
    assert!(
        matches!(events[..], [Event::Mask, e, Event::Enter(_), Event::Unmask(_)] if e == written),
        "{events:?}"
    );
    assert_eq!(mailbox.post(inject(40)), Ok(Delivery::Kick(0)));
    let _ = live.run();
    assert!(
        watched
            .take()
            .contains(&Event::WriteIch(IchReg::Lr(1), pending(40)))
    );
    assert_eq!(
        mailbox.post(Message::Retract(Intid(40))),
        Ok(Delivery::Kick(0))
    );
    let _ = live.run();
    assert!(watched.take().contains(&Event::WriteIch(IchReg::Lr(1), 0)));
    drop(live);
    assert_eq!(mailbox.post(inject(5)), Ok(Delivery::Wake));
}

#[test]
fn line_rises_by_what_was_posted() {
    let script = [Step::synchronous(WFI); 3];
    let guest = Guest::default();
    let (cpu, log, mailbox) = (guest.cpu(&script), Default::default(), Mailbox::new());
    let host = Host::new(Mailed::new(HcrLine), LeavePending);
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let mut el2 = El2::enable_on(watched, &host).unwrap();
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    vcpu.set_mailbox(&mailbox);
    let mut live = vcpu.load(&mut el2, &vm).unwrap();
    for (posted, is_high) in [
        (None, false),
        (Some(inject(9)), true),
        (Some(Message::Retract(Intid(9))), false),
    ] {
        if let Some(message) = posted {
            assert_eq!(mailbox.post(message), Ok(Delivery::Kick(0)));
        }
        let _ = live.run();
        assert_eq!(cpu.hcr_in_guest.get().contains(Hcr::VI), is_high);
    }
}

/// The queue holds 32 SPIs: the thirty-third waits in the mailbox, and is tried again.
#[test]
fn what_is_refused_waits() {
    let script = [Step::synchronous(WFI); 3];
    let guest = Guest::default();
    let (cpu, log, host, mailbox) = (
        guest.cpu(&script),
        Default::default(),
        host(),
        Mailbox::new(),
    );
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let mut el2 = El2::enable_on(watched, &host).unwrap();
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    vcpu.set_mailbox(&mailbox);
    for intid in 100..132 {
        vcpu.inject_irq(&host, Intid(intid)).unwrap();
    }
    assert_eq!(mailbox.post(inject(132)), Ok(Delivery::Wake));
    let mut live = vcpu.load(&mut el2, &vm).unwrap();
    let _ = live.run();
    assert!(mailbox.has_news());
    assert!(!live.irq_status(Intid(132)).pending);
    assert_eq!(
        mailbox.post(inject(133)),
        Ok(Delivery::Kick(0)),
        "others are kicked for"
    );
    assert!(live.retract_irq(Intid(100)));
    assert!(live.retract_irq(Intid(101)));
    let _ = live.run();
    assert!(!mailbox.has_news());
    assert!(live.irq_status(Intid(132)).pending && live.irq_status(Intid(133)).pending);
    let _ = live.run();
}

#[test]
fn full_mailbox_and_numbers_of_nothing_are_refused() {
    let mailbox = Mailbox::new();
    for intid in (0..32).chain(1000..1020).chain(1024..1036) {
        assert_eq!(mailbox.post(inject(intid)), Ok(Delivery::Wake));
    }
    assert_eq!(mailbox.post(inject(40)), Err(PostError::Full(Intid(40))));
    assert_eq!(mailbox.post(inject(1000)), Ok(Delivery::Noted));
    for intid in [1020, 1023, 1 << 24] {
        assert_eq!(
            mailbox.post(inject(intid)),
            Err(PostError::NoSuchIntid(Intid(intid)))
        );
    }
}
