//! The host's interrupt masks.

use vcpu_core::Exit;
use vcpu_hal::{Cause, fake::Step};

use crate::rig::*;

#[test]
fn every_mask_is_restored_after_every_cause() {
    let synchronous = [
        at_uart(transfer(1, 0, 0)),
        at_uart(esr(0x24, TRANSLATION_L3)),
        at_uart(esr(0x20, TRANSLATION_L3)),
        Step::synchronous(hvc(0)),
        Step::synchronous(hvc(42)),
        Step::synchronous(smc(0)),
        Step::synchronous(WFI),
        Step::synchronous(WFE),
        Step::synchronous(esr(0x18, 0x0030_0001)),
        Step::synchronous(esr(0x00, 0)),
        Step::synchronous(esr(0x3f, 0)),
    ];
    let mut steps = synchronous.to_vec();
    steps.extend([Cause::Irq, Cause::Fiq, Cause::SError].map(Step::interrupt));
    for step in steps {
        for masks in 0..16 {
            let daif = masks << 6;
            let guest = Guest {
                daif,
                ..Guest::default()
            };
            let script = [step];
            guest.play(&script, |live, watched| {
                assert_eq!(watched.cpu.daif.get(), daif, "load changed the masks");
                watched.take();
                let exit = live.run();
                assert_eq!(watched.cpu.daif.get(), daif, "after {exit:?}");
                let log = watched.take();
                assert!(matches!(
                    log[..],
                    [Event::Mask, Event::Enter(_), Event::Unmask(_)]
                ));
                live.reflect(exit);
                assert_eq!(watched.cpu.daif.get(), daif, "reflect changed the masks");
            });
        }
    }
}

#[test]
fn each_cause_has_its_exit() {
    let script = [Cause::Irq, Cause::Fiq, Cause::SError].map(Step::interrupt);
    Guest::default().play(&script, |live, _| {
        assert!(matches!(live.run(), Exit::Irq(())));
        assert!(matches!(live.run(), Exit::Fiq));
        assert!(matches!(live.run(), Exit::SError(_)));
        assert_eq!(live.pc(), PC);
        assert_regs(live, &[]);
    });
}
