//! `HVC` and `SMC`.

use vcpu_core::{Conduit, Exit};
use vcpu_exits::calls::{PsciCall, PsciFunction};
use vcpu_hal::fake::Step;
use vcpu_regs::{Gpr, GuestFrame};

use crate::rig::*;

const NOT_SUPPORTED: u64 = u64::MAX;
const MAKE_ILLEGAL: &str = "the guest may not tell which conduit it is";

/// What the hardware does: `HVC` is past its instruction, `SMC` on it.
pub fn call<'s>(conduit: Conduit, guest: &'s dyn Fn(&mut GuestFrame), imm: u64) -> Step<'s> {
    match conduit {
        Conduit::Hvc => after(guest, hvc(imm)),
        Conduit::Smc => after(guest, smc(imm)),
    }
}

pub const BOTH: [(Conduit, u64); 2] = [(Conduit::Hvc, 4), (Conduit::Smc, 0)];

#[test]
fn hypercall_arrives_past_its_instruction_and_smc_on_it() {
    for (conduit, moved) in BOTH {
        for imm in [0, 42, 0xffff] {
            let guest = |frame: &mut GuestFrame| {
                frame.x[0] = 0x8600_0000; // vendor hypervisor: nobody knows it
                frame.pc += moved;
            };
            let script = [call(conduit, &guest, imm)];
            Guest::default().play(&script, |live, _| {
                let call = match live.run() {
                    Exit::Hypercall(call) if conduit == Conduit::Hvc => call,
                    Exit::Smc(call) if conduit == Conduit::Smc => call,
                    other => panic!("{other:?}"),
                };
                assert_eq!((call.conduit(), u64::from(call.imm())), (conduit, imm));
                assert_eq!(call.function(live).0, 0x8600_0000);
                assert_eq!(live.pc(), PC + moved);
                live.complete(call, 7);
                assert_eq!(live.pc(), PC + 4);
                assert_regs(live, &[(0, 7)]);
            });
        }
    }
}

/// Returns x0 after `reflect` of a call with these argument registers, having checked the rest.
fn answer(conduit: Conduit, moved: u64, x: [u64; 4]) -> u64 {
    let guest = |frame: &mut GuestFrame| {
        frame.x[..4].copy_from_slice(&x);
        frame.pc += moved;
    };
    let script = [call(conduit, &guest, 0)];
    let mut x0 = 0;
    Guest::default().play(&script, |live, _| {
        let exit = live.run();
        live.reflect(exit);
        assert_eq!(live.pc(), PC + 4);
        x0 = live.reg(Gpr::X0);
        assert_regs(live, &[(0, x0), (1, x[1]), (2, x[2]), (3, x[3])]);
    });
    x0
}

#[test]
fn answers_are_the_same_by_either_conduit() {
    let features = |function| [0x8400_000a, function, 0, 0];
    let cases = [
        ([0x8400_0000, 0, 0, 0], 0x1_0001),           // PSCI_VERSION 1.1
        ([0xdead_beef_8400_0000, 0, 0, 0], 0x1_0001), // the upper half does not count
        ([0x8400_0006, 0, 0, 0], 2),                  // MIGRATE_INFO_TYPE
        (features(0x8400_0000), 0),
        (features(0xc400_0001), 0),
        (features(0x8400_0002), 0),
        (features(0xc400_0003), 0),
        (features(0xc400_0004), 0),
        (features(0x8400_0008), 0),
        (features(0x8400_0009), 0),
        (features(0x8400_000a), 0),
        (features(0x8000_0000), 0),             // SMCCC_VERSION
        (features(0xffff_0000_8400_0003), 0),   // an SMC32 call: 32 bits of argument
        (features(0xc400_000e), NOT_SUPPORTED), // SYSTEM_SUSPEND
        (features(0xc400_0012), NOT_SUPPORTED), // SYSTEM_RESET2
        (features(0x8400_00ff), NOT_SUPPORTED),
        ([0xc400_0003, 1, PC, 0], -2i64 as u64), // CPU_ON: this VM has no CPUs to turn on
        ([0x8400_0008, 0, 0, 0], -6i64 as u64),  // SYSTEM_OFF: nobody did it
        ([0x8400_001f, 0, 0, 0], NOT_SUPPORTED), // in PSCI's range
        ([0xc400_0000, 0, 0, 0], NOT_SUPPORTED), // PSCI_VERSION has no SMC64 form
        ([0x8000_0000, 0, 0, 0], 0x1_0002),      // SMCCC 1.2
        ([0x8000_0001, 0x8000_0000, 0, 0], 0),
        ([0x8000_0001, 0x8000_8000, 0, 0], NOT_SUPPORTED), // workaround 1
        ([0, 0, 0, 0], NOT_SUPPORTED),
        ([0xc300_0001, 0, 0, 0], NOT_SUPPORTED),
        ([0xffff_ffff_ffff_ffff, 0, 0, 0], NOT_SUPPORTED),
    ];
    for (x, expected) in cases {
        for (conduit, moved) in BOTH {
            assert_eq!(
                answer(conduit, moved, x),
                expected,
                "{x:x?} by {conduit:?}: {MAKE_ILLEGAL}"
            );
        }
    }
}

#[test]
fn psci_call_arrives_decoded_and_completes_with_any_answer() {
    for (conduit, moved) in BOTH {
        let guest = |frame: &mut GuestFrame| {
            // The SMC32 form: upper halves are rubbish.
            frame.x[..4].copy_from_slice(&[
                0x1_8400_0003,
                0xffff_ffff_0000_0001,
                0xffff_ffff_4400_0000,
                0xffff_ffff_0000_0005,
            ]);
            frame.pc += moved;
        };
        let script = [call(conduit, &guest, 0)];
        Guest::default().play(&script, |live, _| {
            let Exit::Psci(psci) = live.run() else {
                panic!("no PSCI")
            };
            let expected = PsciCall::CpuOn {
                target: 1,
                entry: 0x4400_0000,
                context: 5,
            };
            assert_eq!(psci.call, expected);
            assert_eq!(psci.call.function(), PsciFunction::CpuOn);
            live.complete(psci, (-4i64) as u64);
            assert_eq!(live.reg(Gpr::X0), 0xffff_ffff_ffff_fffc);
            assert_eq!(live.pc(), PC + 4);
        });
    }
}

/// A PSCI number in x0 means nothing to `hvc #1`.
#[test]
fn other_immediate_is_undefined_on_the_instruction() {
    for (conduit, moved) in BOTH {
        for imm in [1, 42, 0x8000, 0xffff] {
            let guest = |frame: &mut GuestFrame| {
                frame.x[0] = 0x8400_0000;
                frame.pc += moved;
            };
            let script = [call(conduit, &guest, imm)];
            Guest::default().play(&script, |live, watched| {
                watched.cpu.switched.borrow_mut().el1.vbar_el1 = 0x1_0000;
                let exit = live.run();
                assert!(!matches!(exit, Exit::Psci(_)));
                live.reflect(exit);
                let el1 = &watched.cpu.switched.borrow().el1;
                assert_eq!(el1.elr_el1, PC);
                assert_eq!(el1.esr_el1, esr(0, 0));
                assert_eq!(live.pc(), 0x1_0200);
                assert_regs(live, &[(0, 0x8400_0000)]);
            });
        }
    }
}

/// What is dropped is retried: SMC stands on its instruction. HVC is over.
#[test]
fn dropped_call_changes_nothing() {
    for (conduit, moved) in BOTH {
        let guest = |frame: &mut GuestFrame| frame.pc += moved;
        let script = [call(conduit, &guest, 0)];
        Guest::default().play(&script, |live, _| {
            let _ = live.run();
            assert_eq!(live.pc(), PC + moved);
            assert_regs(live, &[]);
        });
    }
}
