//! Accesses that stage 2 refused and the host leaves alone: the aborts that a guest sees.

use vcpu_core::Exit;
use vcpu_hal::fake::Step;
use vcpu_regs::{InvalidateStep, SwitchedReg};

use crate::rig::*;

const VBAR: u64 = 0xffff_8000_0800_0000;
const FAR: u64 = 0xffff_1234_5678_9abc;

/// PSTATE the guest comes from, the offset of its vector group, and whether EC says "same level".
const ORIGINS: [(u64, u64, u64); 4] = [
    (EL1T, 0x000, 1),
    (EL1H, 0x200, 1),
    (EL0, 0x400, 0),
    (A32, 0x600, 0),
];

/// Returns what the guest's handler reads, after `reflect` of an abort.
#[track_caller]
fn reflected(pstate: u64, word: u64) -> (u64, u64, u64) {
    let mut seen = (0, 0, 0);
    let script = [Step::fault(word, FAR, hpfar(0x1_2345_6000))];
    let pstate = pstate | 0x6 << 28; // with flags, and nothing masked
    Guest::at(pstate).play(&script, |live, watched| {
        live.set_sysreg(SwitchedReg::VBAR_EL1, VBAR | 0x7ff); // low bits are RES0
        let exit = live.run();
        assert!(matches!(exit, Exit::Fault(_)), "{exit:?}");
        live.reflect(exit);
        let el1 = &watched.cpu.switched.borrow().el1;
        assert_eq!(el1.elr_el1, PC);
        assert_eq!(el1.spsr_el1, pstate);
        assert_eq!(live.pstate().bits(), EL1H | 0x3c0 | 0x6 << 28);
        assert_regs(live, &[]);
        seen = (el1.esr_el1, el1.far_el1, live.pc() - VBAR);
    });
    seen
}

#[test]
fn refused_access_is_an_external_abort_at_the_right_vector() {
    // A described load that is not emulated, `ldp`, `stp`; status of stage 2 whichever.
    for (iss, wnr) in [
        (PERMISSION_L2 | 1 << 24, 0),
        (TRANSLATION_L3, 0),
        (TRANSLATION_L3 | WNR, WNR),
        (TRANSLATION_L3 | CM | WNR, CM | WNR), // dc
        (0b00_0000, 0),                        // address size, level 0
        (0b00_1001, 0),                        // access flag
        (0b01_0000, 0),                        // external
        (0b10_0001 | WNR, WNR),
        (0b11_0101, 0), // unsupported exclusive
        (0b11_1111, 0), // no meaning at all
    ] {
        for (pstate, group, same) in ORIGINS {
            let expected = (esr(0x24 + same, 0x10 | wnr), FAR, group);
            assert_eq!(reflected(pstate, esr(0x24, iss)), expected, "{iss:#x}");
        }
    }
}

#[test]
fn refused_fetch_is_an_external_abort_of_a_fetch() {
    for status in [TRANSLATION_L3, PERMISSION_L2, 0b00_0100] {
        for (pstate, group, same) in ORIGINS {
            let expected = (esr(0x20 + same, 0x10), FAR, group);
            assert_eq!(reflected(pstate, esr(0x20, status)), expected);
        }
    }
}

#[test]
fn refused_table_walk_is_an_external_abort_on_a_walk() {
    // Level by status, of stage 2, and the code of an external abort on a walk at that level.
    let levels = [
        (0b00_0100, 0b01_0100),
        (0b00_0101, 0b01_0101),
        (0b00_0110, 0b01_0110),
        (0b00_0111, 0b01_0111),
        (0b10_1011, 0b01_0011), // level -1
        (0b00_1111, 0b01_0111), // permission
    ];
    for (status, external) in levels {
        for (pstate, group, same) in ORIGINS {
            for wnr in [0, WNR] {
                let word = esr(0x24, S1PTW | wnr | status);
                let expected = (esr(0x24 + same, external | wnr), FAR, group);
                assert_eq!(reflected(pstate, word), expected);
            }
            let word = esr(0x20, S1PTW | status);
            let expected = (esr(0x20 + same, external), FAR, group);
            assert_eq!(reflected(pstate, word), expected);
        }
    }
}

/// A conflict is the state of a TLB: the guest takes nothing, and tries again.
#[test]
fn tlb_conflict_is_forgotten_and_retried() {
    for class in [0x20, 0x24] {
        Guest::default().play(
            &[Step::fault(esr(class, 0b11_0000), FAR, 0)],
            |live, watched| {
                let exit = live.run();
                watched.take();
                live.reflect(exit);
                let log = watched.take();
                // Of both stages: `tlbi vmalle1` leaves entries of stage 2 alone.
                let both = Event::Invalidate(InvalidateStep::Vmalls12e1is);
                assert!(log.contains(&both), "{log:?}");
                let touched = |event: &Event| {
                    !matches!(event, Event::Invalidate(_) | Event::Mask | Event::Unmask(0))
                };
                assert!(!log.iter().any(touched), "{log:?}");
                assert_eq!(live.pc(), PC);
                assert_eq!(live.pstate().bits(), EL1H);
            },
        );
    }
}
