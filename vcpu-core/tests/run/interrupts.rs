//! Physical interrupts fetched, virtual ones delivered.

use vcpu_core::Exit;
use vcpu_hal::{
    Cause,
    fake::Step,
    inject::{HcrLine, Recorder},
    irq::{GicV3, LeavePending},
};
use vcpu_regs::{Hcr, Intid};

use crate::rig::*;

const IRQ: Step<'_> = Step::interrupt(Cause::Irq);

fn gic() -> GicV3 {
    // SAFETY: there is no GIC in these tests to misuse.
    unsafe { GicV3::new() }
}

#[test]
fn acknowledged_while_still_masked() {
    let host = Host::new(HcrLine, gic());
    Guest::default().play_on(&host, &[IRQ], |live, watched| {
        watched.cpu.pending.set(Intid(27));
        watched.take();
        assert_eq!(live.run(), Exit::Irq(Some(Intid(27))));
        let log = watched.take();
        assert!(
            matches!(
                log[..],
                [
                    Event::Mask,
                    Event::Enter(_),
                    Event::Acknowledge,
                    Event::Unmask(_)
                ]
            ),
            "{log:?}"
        );
        assert_regs(live, &[]);
        assert_eq!(live.pc(), PC);
    });
}

/// Nothing of a host is global: a guest of one type runs between two runs of another's.
#[test]
fn two_types_of_host_run_guests_in_turn() {
    let (first, second) = (Host::new(HcrLine, gic()), Host::new(Recorder, LeavePending));
    Guest::default().play_on(&first, &[IRQ, IRQ], |live, watched| {
        watched.cpu.pending.set(Intid(27));
        assert_eq!(live.run(), Exit::Irq(Some(Intid(27))));
        Guest::default().play_on(&second, &[IRQ], |other, _| {
            assert_eq!(other.run(), Exit::Irq(()));
        });
        watched.cpu.pending.set(Intid(28));
        assert_eq!(live.run(), Exit::Irq(Some(Intid(28))));
    });
}

#[test]
fn special_intids_are_no_interrupt() {
    for intid in [0, 31, 1019, 1020, 1021, 1022, 1023, 1024, 8192, 0xff_ffff] {
        let host = Host::new(HcrLine, gic());
        Guest::default().play_on(&host, &[IRQ], |live, watched| {
            watched.cpu.pending.set(Intid(intid));
            let token = match intid {
                1020..=1023 => None,
                _ => Some(Intid(intid)),
            };
            assert_eq!(live.run(), Exit::Irq(token));
        });
    }
}

#[test]
fn ending_and_deactivating_are_apart() {
    let host = Host::new(HcrLine, gic());
    Guest::default().play_on(&host, &[], |live, watched| {
        watched.take();
        host.fetch.end(live.cpu(), Intid(27));
        assert_eq!(watched.take(), [Event::End(Intid(27))]);
        host.fetch.deactivate(live.cpu(), Intid(27));
        assert_eq!(watched.take(), [Event::Deactivate(Intid(27))]);
    });
}

#[test]
fn left_pending_means_untouched() {
    let host = Host::new(HcrLine, LeavePending);
    Guest::default().play_on(&host, &[IRQ], |live, watched| {
        watched.cpu.pending.set(Intid(27));
        watched.take();
        assert_eq!(live.run(), Exit::Irq(()));
        assert!(!watched.take().contains(&Event::Acknowledge));
        assert_eq!(watched.cpu.pending.get(), Intid(27));
    });
}

/// A FIQ and an SError are not fetched from the Group 1 interface.
#[test]
fn only_an_irq_is_fetched() {
    let script = [
        Step::interrupt(Cause::Fiq),
        Step::interrupt(Cause::SError),
        Step::synchronous(WFI),
    ];
    let host = Host::new(HcrLine, gic());
    Guest::default().play_on(&host, &script, |live, watched| {
        for _ in &script {
            let _ = live.run();
        }
        assert!(!watched.take().contains(&Event::Acknowledge));
    });
}

#[test]
fn line_is_high_in_the_guest_while_anything_is_pending() {
    let script = [Step::synchronous(WFI); 5];
    Guest::default().play(&script, |live, watched| {
        let line = |live: &mut Running<'_, '_, '_>| {
            let _ = live.run();
            assert!(!watched.cpu.controls.get().hcr.intersects(Hcr::VI | Hcr::VF));
            let hcr = watched.cpu.hcr_in_guest.get();
            assert!(!hcr.contains(Hcr::VF));
            hcr.contains(Hcr::VI)
        };
        assert!(!line(live));
        live.inject_irq(Intid(27)).unwrap();
        live.inject_irq(Intid(33)).unwrap();
        assert!(line(live));
        live.retract_irq(Intid(27));
        assert!(line(live));
        live.retract_irq(Intid(33));
        assert!(!line(live));
        live.retract_irq(Intid(33)); // twice is once
        assert!(!line(live));
        assert!(live.inject_irq(Intid(64)).is_err());
    });
}

#[test]
fn injected_at_rest_is_delivered_once_loaded() {
    use vcpu_core::Vm;
    let script = [Step::synchronous(WFI)];
    let guest = Guest::default();
    enabled!(guest.cpu(&script) => cpu, watched, host, el2);
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    vcpu.inject_irq(&host, Intid(0)).unwrap();
    let _ = vcpu.load(&mut el2, &vm).unwrap().run();
    assert!(cpu.hcr_in_guest.get().contains(Hcr::VI));
}

#[test]
fn recorder_delivers_nothing() {
    let host = Host::new(Recorder, LeavePending);
    Guest::default().play_on(&host, &[Step::synchronous(WFI)], |live, watched| {
        live.inject_irq(Intid(1000)).unwrap();
        let _ = live.run();
        assert!(!watched.cpu.hcr_in_guest.get().intersects(Hcr::VI | Hcr::VF));
    });
}
