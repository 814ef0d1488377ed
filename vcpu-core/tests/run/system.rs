//! Trapped system registers and waits.

use vcpu_core::Exit;
use vcpu_exits::WfxKind;
use vcpu_hal::fake::Step;
use vcpu_regs::{Gpr, SysReg};

use crate::rig::*;

const PMCR_EL0: SysReg = SysReg::new(3, 3, 9, 12, 0);
const ACTLR_EL1: SysReg = SysReg::new(3, 0, 1, 0, 1);
const AIDR_EL1: SysReg = SysReg::new(3, 1, 0, 0, 7);
const OSLSR_EL1: SysReg = SysReg::new(2, 0, 1, 1, 4);
const OSLAR_EL1: SysReg = SysReg::new(2, 0, 1, 0, 4);
const OSDLR_EL1: SysReg = SysReg::new(2, 0, 1, 3, 4);
const DBGPRCR_EL1: SysReg = SysReg::new(2, 0, 1, 4, 4);
const MDRAR_EL1: SysReg = SysReg::new(2, 0, 1, 0, 0);
const CNTPCT_EL0: SysReg = SysReg::new(3, 3, 14, 0, 1);
const CNTPCTSS_EL0: SysReg = SysReg::new(3, 3, 14, 0, 5);
const MIDR_EL1: SysReg = SysReg::new(3, 0, 0, 0, 0);

#[test]
fn read_fills_its_register() {
    for (rt, changed) in [(9, &[(9, 0xabcd_ef01_2345_6789)][..]), (31, &[])] {
        let script = [Step::synchronous(sysreg(PMCR_EL0, rt, true))];
        Guest::default().play(&script, |live, _| {
            let Exit::SysReg(access) = live.run() else {
                panic!("no register")
            };
            assert_eq!((access.reg(), access.write()), (PMCR_EL0, None));
            assert_eq!(live.pc(), PC);
            live.complete(access, 0xabcd_ef01_2345_6789);
            assert_eq!(live.pc(), PC + 4);
            assert_regs(live, changed);
        });
    }
}

#[test]
fn write_gives_its_register() {
    for rt in [0, 12, 30, 31] {
        let script = [Step::synchronous(sysreg(PMCR_EL0, rt, false))];
        Guest::default().play(&script, |live, _| {
            let Exit::SysReg(access) = live.run() else {
                panic!("no register")
            };
            assert_eq!(access.reg(), PMCR_EL0);
            assert_eq!(access.write(), Some(pattern(rt)));
            assert_eq!(live.pc(), PC);
            live.complete(access, 0x99);
            assert_eq!(live.pc(), PC + 4);
            assert_regs(live, &[]);
        });
    }
}

/// Every identity reaches the host as the guest named it.
#[test]
fn every_identity_survives() {
    for bits in 0..=u16::MAX {
        let reg = SysReg::from_bits(bits);
        let script = [Step::synchronous(sysreg(
            reg,
            (bits % 32) as u8,
            bits % 3 == 0,
        ))];
        Guest::default().play(&script, |live, _| {
            let Exit::SysReg(access) = live.run() else {
                panic!("no register")
            };
            assert_eq!(access.reg(), reg);
        });
    }
}

#[test]
fn reflected_read_gives_what_the_vm_has() {
    let cases = [
        (ACTLR_EL1, 0),
        (AIDR_EL1, 0),
        (MDRAR_EL1, 0),
        (OSLSR_EL1, 8), // OSLM = 0b10: implemented; unlocked
        (OSDLR_EL1, 0),
        (DBGPRCR_EL1, 0),
    ];
    for (reg, value) in cases {
        let script = [Step::synchronous(sysreg(reg, 3, true))];
        Guest::default().play(&script, |live, _| {
            let exit = live.run();
            live.reflect(exit);
            assert_eq!(live.pc(), PC + 4, "{reg}");
            assert_regs(live, &[(3, value)]);
        });
    }
}

#[test]
fn reflected_write_is_ignored_where_there_is_nothing_to_write() {
    for reg in [ACTLR_EL1, OSLAR_EL1, OSDLR_EL1, DBGPRCR_EL1] {
        let script = [Step::synchronous(sysreg(reg, 3, false))];
        Guest::default().play(&script, |live, _| {
            let exit = live.run();
            live.reflect(exit);
            assert_eq!(live.pc(), PC + 4, "{reg}");
            assert_regs(live, &[]);
        });
    }
}

#[test]
fn what_the_guest_has_not_got_is_undefined() {
    for (reg, is_read) in [
        (PMCR_EL0, true),
        (PMCR_EL0, false),
        (CNTPCT_EL0, false), // read-only
        (CNTPCTSS_EL0, true),
        (MIDR_EL1, false), // read-only
        (OSLSR_EL1, false),
        (AIDR_EL1, false),
        (SysReg::new(3, 0, 12, 12, 5), true), // ICC_SRE_EL1
        (SysReg::new(3, 0, 1, 2, 0), false),  // ZCR_EL1
        (SysReg::new(1, 0, 7, 6, 2), false),  // DC ISW
    ] {
        let script = [Step::synchronous(sysreg(reg, 3, is_read))];
        Guest::default().play(&script, |live, watched| {
            let exit = live.run();
            live.reflect(exit);
            let el1 = &watched.cpu.switched.borrow().el1;
            assert_eq!(el1.esr_el1, esr(0, 0), "{reg}");
            assert_eq!(el1.elr_el1, PC, "{reg}");
            assert_eq!(live.pc(), 0x200, "{reg}");
            assert_regs(live, &[]);
        });
    }
}

/// TI, and the register of a timeout, say which of four instructions it was.
#[test]
fn waits_are_told_apart() {
    let rv = 1 << 2 | 6 << 5; // RV, x6
    let cases = [
        (WFI, WfxKind::Wfi, None),
        (WFE, WfxKind::Wfe, None),
        (WFI | 2 | rv, WfxKind::Wfit, Some(pattern(6))),
        (WFI | 3 | rv, WfxKind::Wfet, Some(pattern(6))),
    ];
    for (word, kind, until) in cases {
        Guest::default().play(&[Step::synchronous(word)], |live, _| {
            let wait = match live.run() {
                Exit::Wfi(wait) if matches!(kind, WfxKind::Wfi | WfxKind::Wfit) => wait,
                Exit::Wfe(wait) if matches!(kind, WfxKind::Wfe | WfxKind::Wfet) => wait,
                other => panic!("{other:?}"),
            };
            assert_eq!((wait.wfx().kind, wait.until()), (kind, until));
            assert_eq!(live.pc(), PC);
            live.complete(wait, ());
            assert_eq!(live.pc(), PC + 4);
            assert_eq!(live.reg(Gpr::X6), pattern(6));
        });
    }
}

/// A wait that the host cuts short stays on its instruction.
#[test]
fn dropped_wait_waits_again() {
    let script = [Step::synchronous(WFI), Step::synchronous(WFI)];
    Guest::default().play(&script, |live, _| {
        for _ in 0..2 {
            assert!(matches!(live.run(), Exit::Wfi(_)));
            assert_eq!(live.pc(), PC);
        }
    });
}
