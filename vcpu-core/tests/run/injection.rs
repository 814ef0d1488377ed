//! Exceptions that the guest takes at EL1: its PSTATE, its vector, and when.

use vcpu_core::{Exit, Vm};
use vcpu_exits::SError;
use vcpu_hal::{Cause, ExitWords, fake::Step};
use vcpu_regs::{Esr, Hcr, IdRegisters, Pstate, SwitchedReg};

use crate::rig::*;

const SPAN: u64 = 1 << 23;
const DSSBS: u64 = 1 << 44;

/// PSTATE bits that a handler inherits: NZCV and DIT.
const INHERITED: u64 = 0xf << 28 | 1 << 24;
const PAN: u64 = 1 << 22;
const SSBS: u64 = 1 << 12;
const DAIF: u64 = 0xf << 6;

/// Takes an undefined instruction from `pstate`; returns PSTATE in the handler.
fn handler(ids: &IdRegisters, pstate: u64, sctlr: u64) -> u64 {
    let guest = Guest {
        ids: ids.clone(),
        pstate,
        ..Guest::default()
    };
    let mut bits = 0;
    guest.play(&[], |live, _| {
        live.set_sysreg(SwitchedReg::SCTLR_EL1, sctlr);
        live.inject_undefined();
        assert_eq!(live.sysreg(SwitchedReg::SPSR_EL1), pstate);
        bits = live.pstate().bits();
    });
    bits
}

/// Arm ARM (DDI 0487), pseudocode `AArch64.TakeException`, bit by bit.
#[test]
fn handler_starts_with_the_pstate_of_an_exception() {
    let plain = ids(&[(4, 0, 0, 2), (4, 0, 4, 1), (7, 0, 0, 2)]);
    let full = some_ids(); // PAN and SSBS
    for mode in [EL0, EL1T, EL1H, A32] {
        // Each bit alone, none, all.
        let mut others: Vec<u64> = (5..64).map(|bit| 1 << bit).collect();
        others.extend([0, !0x1f]);
        for other in others {
            let from = mode | other;
            let kept = EL1H | DAIF | from & (INHERITED | PAN);
            for sctlr in [0, SPAN, DSSBS, SPAN | DSSBS] {
                assert_eq!(handler(&plain, from, sctlr), kept, "{from:#x}");
                let pan = if sctlr & SPAN == 0 { PAN } else { 0 };
                let ssbs = if sctlr & DSSBS == 0 { 0 } else { SSBS };
                assert_eq!(handler(&full, from, sctlr), kept | pan | ssbs, "{from:#x}");
            }
        }
    }
}

#[test]
fn undefined_instruction_leaves_far_alone() {
    Guest::default().play(&[], |live, _| {
        live.set_sysreg(SwitchedReg::FAR_EL1, 0x1234);
        live.inject_undefined();
        assert_eq!(live.sysreg(SwitchedReg::FAR_EL1), 0x1234);
        assert_eq!(live.sysreg(SwitchedReg::ESR_EL1), 0x0200_0000);
        assert_eq!(live.sysreg(SwitchedReg::ELR_EL1), PC);
    });
}

#[test]
fn vector_wraps_with_the_address_space() {
    Guest::at(EL0).play(&[], |live, _| {
        live.set_sysreg(SwitchedReg::VBAR_EL1, u64::MAX);
        live.inject_undefined();
        assert_eq!(live.pc(), 0xffff_ffff_ffff_fc00);
    });
}

#[test]
fn class_without_a_name_is_undefined() {
    // Trapped FP, PAuth, BTI, illegal state, SVC, SVE, ERET, BRK, and classes nobody has.
    for class in [
        0x00, 0x03, 0x05, 0x07, 0x09, 0x0d, 0x0e, 0x15, 0x19, 0x1a, 0x1d, 0x22, 0x26, 0x2c, 0x3c,
        0x02, 0x3f,
    ] {
        let script = [Step::synchronous(esr(class, 0))];
        Guest::eager().play(&script, |live, _| {
            let exit = live.run();
            assert!(matches!(exit, Exit::Other(_)), "{class:#x}");
            assert_eq!(live.pc(), PC);
            live.reflect(exit);
            assert_eq!(live.sysreg(SwitchedReg::ESR_EL1), esr(0, 0));
            assert_eq!(live.sysreg(SwitchedReg::ELR_EL1), PC);
        });
    }
}

#[test]
fn interrupts_reflect_as_nothing() {
    let script = [Step::interrupt(Cause::Irq), Step::interrupt(Cause::Fiq)];
    Guest::default().play(&script, |live, watched| {
        for _ in &script {
            let exit = live.run();
            watched.take();
            live.reflect(exit);
            assert!(watched.take().is_empty());
            assert_eq!(live.pc(), PC);
            assert_eq!(live.pstate().bits(), EL1H);
        }
    });
}

/// An SError with a syndrome of the implementation's own.
const SERROR: u64 = esr(0x2f, 1 << 24 | 0x1234);

fn serror() -> Step<'static> {
    Step {
        guest: &|_| (),
        words: ExitWords {
            cause: Cause::SError,
            esr: Esr(SERROR),
            far: 0,
            hpfar: 0,
        },
    }
}

/// HCR_EL2.VSE delivers it; VSESR_EL2 has what the guest's ESR_EL1 will say.
#[test]
fn serror_is_pending_until_the_guest_unmasks_it() {
    const MASKED: u64 = EL1H | 1 << 8;
    let unmask = |frame: &mut vcpu_regs::GuestFrame| frame.pstate = EL1H;
    let script = [
        serror(),
        Step::synchronous(WFI),
        after(&unmask, WFI),
        Step::synchronous(WFI),
        Step::synchronous(WFI),
    ];
    Guest::at(MASKED).play(&script, |live, watched| {
        let pending = |live: &mut Running<'_, '_, '_>| {
            let _ = live.run();
            watched.cpu.hcr_in_guest.get().contains(Hcr::VSE)
        };
        assert!(!live.serror_pending());
        let exit = live.run();
        live.reflect(exit);
        assert!(live.serror_pending());
        assert_eq!(live.sysreg(SwitchedReg::VSESR_EL2), 1 << 24 | 0x1234);
        assert_eq!(live.pc(), PC, "nothing of the guest's has changed");
        assert!(pending(live), "masked");
        assert!(pending(live));
        assert!(live.serror_pending(), "it unmasked, and left at once");
        // Taken on the way in, and once only.
        assert!(pending(live));
        assert!(!live.serror_pending());
        assert!(!pending(live));
    });
}

/// It waits with the vCPU, and for no other.
#[test]
fn pending_serror_moves_with_its_vcpu() {
    let guest = Guest::at(EL1H | 1 << 8);
    let script = [Step::synchronous(WFI); 5];
    enabled!(guest.cpu(&script) => cpu, watched, host, el2);
    let vms = [1, 2].map(|vmid| Vm::new(&el2, stage2(vmid)));
    let (mut a, mut b) = (guest.vcpu(), guest.vcpu());
    a.inject_serror(SError::decode(Esr(SERROR)));
    let mut turns = el2.take_turns();
    for _ in 0..2 {
        let _ = a.load(&mut turns, &vms[0]).unwrap().run();
        assert!(cpu.hcr_in_guest.get().contains(Hcr::VSE));
        let _ = b.load(&mut turns, &vms[1]).unwrap().run();
        assert!(!cpu.hcr_in_guest.get().contains(Hcr::VSE));
        assert!(a.serror_pending() && !b.serror_pending());
    }
    a.set_pstate(Pstate::from_bits_retain(EL1H));
    let _ = a.load(&mut turns, &vms[0]).unwrap().run();
    assert!(!a.serror_pending());
}
