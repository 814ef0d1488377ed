//! Decisions carried out on a vCPU: what a guest finds in its registers, what firmware hears, and how
//! a vCPU starts.

use vcpu_core::{Conduit, Exit, Firmware, Outcome, PowerRequest, Rule, Start, Trng, Vcpu};
use vcpu_exits::{SError, calls::FunctionId};
use vcpu_regs::{
    DebugState, Esr, FpState, Gpr, GuestFrame, Ipa, Pstate, SwitchedReg, SwitchedState,
};

use crate::{
    calls::{BOTH, call},
    firmware::{INVALID, NOT_SUPPORTED, PV_TIME_ST, SIP, TRNG_RND_64, VERSION, cells},
    rig::*,
};

/// Runs one call of a guest whose x0 to x3 are `x`, and serves it.
fn served(
    conduit: Conduit,
    moved: u64,
    x: [u64; 4],
    firmware: &Firmware<'_>,
    test: impl FnOnce(Outcome, &mut Running<'_, '_, '_>, Watched<'_>),
) {
    let guest = |frame: &mut GuestFrame| {
        frame.x[..4].copy_from_slice(&x);
        frame.pc += moved;
    };
    let script = [call(conduit, &guest, 0)];
    Guest::default().play(&script, |live, watched| {
        let outcome = match live.run() {
            Exit::Psci(psci) => live.serve(psci, firmware),
            Exit::Hypercall(call) | Exit::Smc(call) => live.serve(call, firmware),
            other => panic!("{other:?}"),
        };
        test(outcome, live, watched);
    });
}

/// One answer, by either conduit.
#[test]
fn every_service_answers_the_same_by_either_conduit() {
    let entropy = |_| Some([0x1111, 0x2222, 0x3333]);
    let ram = [Ipa(0)..Ipa(1 << 40)];
    for x in [
        [0x8400_0000, 0, 0, 0],
        [0xdead_beef_8400_0006, 0, 0, 0],
        [0x8400_0004, 0, 0, 0],
        [0xc400_0003, 1, 0x1000, 5],
        [0x8400_0008, 0, 0, 0],
        [VERSION, 0, 0, 0],
        [TRNG_RND_64, 192, 0, 0],
        [PV_TIME_ST, 0, 0, 0],
        [0x8600_0000, 0, 0, 0],
    ] {
        let mut answers = BOTH.map(|(conduit, moved)| {
            let cells = cells();
            let firmware = Firmware {
                trng: Some(Trng {
                    uuid: [0; 4],
                    entropy: &entropy,
                }),
                stolen_time: Some(Ipa(0x7000_0000)),
                ..Firmware::new(&cells, &ram)
            };
            let mut answer = None;
            served(conduit, moved, x, &firmware, |outcome, live, watched| {
                assert_eq!(live.pc(), PC + 4, "{x:x?}");
                assert_eq!(watched.cpu.firmware_call.get(), None);
                let registers = [0, 1, 2, 3, 4].map(|n| live.reg(Gpr::new(n)));
                assert_eq!(registers[4], pattern(4));
                answer = Some((outcome, registers));
            });
            answer.take()
        });
        let second = answers[1].take();
        assert_eq!(answers[0].take(), second, "{x:x?}");
    }
}

#[test]
fn results_fill_the_registers_they_have_and_no_other() {
    let entropy = |_| Some([1, 2, 3]);
    let firmware = Firmware {
        trng: Some(Trng {
            uuid: [0; 4],
            entropy: &entropy,
        }),
        ..Firmware::new(&[], &[])
    };
    let x = [TRNG_RND_64, 192, 77, 78];
    served(Conduit::Hvc, 4, x, &firmware, |outcome, live, _| {
        assert_eq!(outcome, Outcome::Handled);
        assert_regs(live, &[(0, 0), (1, 3), (2, 2), (3, 1)]);
    });
    let x = [TRNG_RND_64, 193, 77, 78];
    served(Conduit::Smc, 0, x, &firmware, |_, live, _| {
        assert_regs(live, &[(0, INVALID), (1, 193), (2, 77), (3, 78)]);
    });
}

/// What hardware would change when the instruction is executed is changed; by `HVC` it was.
#[test]
fn a_served_smc_is_an_executed_instruction() {
    const BTYPE: u64 = 3 << 10;
    const SS: u64 = 1 << 21;
    let firmware = Firmware::new(&[], &[]);
    let guest = |frame: &mut GuestFrame| frame.x[0] = 0x8400_0000;
    Guest::at(EL1H | BTYPE | SS).play(&[after(&guest, smc(0))], |live, _| {
        let Exit::Psci(psci) = live.run() else {
            panic!("no PSCI")
        };
        assert_eq!(live.serve(psci, &firmware), Outcome::Handled);
        assert_eq!(live.pstate().bits(), EL1H);
        assert_eq!(live.pc(), PC + 4);
    });
}

#[test]
fn a_call_for_the_host_is_given_back_unanswered() {
    let rules = [
        Rule::host(SIP, SIP),
        Rule::host(FunctionId(0x8400_0013), FunctionId(0x8400_0013)),
    ];
    let firmware = Firmware {
        filter: &rules,
        ..Firmware::new(&[], &[])
    };
    for (conduit, moved) in BOTH {
        // The second is one of PSCI's: MEM_PROTECT.
        for x0 in [SIP.0.into(), 0x8400_0013] {
            let x = [x0, 1, 2, 3];
            served(conduit, moved, x, &firmware, |outcome, live, _| {
                let Outcome::Host(call) = outcome else {
                    panic!("{outcome:?}")
                };
                assert_eq!((call.imm(), call.conduit()), (0, conduit));
                assert_regs(live, &[(0, x0), (1, 1), (2, 2), (3, 3)]);
                assert_eq!(live.pc(), PC + moved);
                live.complete(call, 99);
                assert_eq!((live.reg(Gpr::X0), live.pc()), (99, PC + 4));
            });
        }
    }
}

#[test]
fn a_call_by_another_immediate_is_none_of_the_firmwares() {
    let firmware = Firmware::new(&[], &[]);
    let guest = |frame: &mut GuestFrame| frame.x[0] = 0x8400_0000;
    Guest::default().play(&[after(&guest, hvc(42))], |live, _| {
        let Exit::Hypercall(call) = live.run() else {
            panic!("no call")
        };
        let outcome = live.serve(call, &firmware);
        assert!(matches!(outcome, Outcome::Host(call) if call.imm() == 42));
    });
}

/// Firmware gets the function's arguments and nothing else of the guest or the host.
#[test]
fn firmware_hears_only_of_forwarded_functions_and_only_their_arguments() {
    let sip32 = FunctionId(SIP.0 & !(1 << 30));
    // SAFETY: no firmware hears of these tests.
    let rules = unsafe { [Rule::forward(SIP, SIP), Rule::forward(sip32, sip32)] };
    let firmware = Firmware {
        filter: &rules,
        ..Firmware::new(&[], &[])
    };
    for (conduit, moved) in BOTH {
        for (function, count, mask) in [(SIP, 18, !0), (sip32, 8, 0xffff_ffff)] {
            let x0 = u64::from(function.0) | 0xdead_0000_0000_0000;
            let x = [x0, pattern(1), pattern(2), pattern(3)];
            served(conduit, moved, x, &firmware, |outcome, live, watched| {
                assert_eq!(outcome, Outcome::Handled);
                let sent = watched.cpu.firmware_call.get().expect("not forwarded");
                assert_eq!(sent[0], function.0.into());
                for (n, &sent) in sent.iter().enumerate().skip(1) {
                    let argument = pattern(n as u8) & mask;
                    assert_eq!(sent, if n < count { argument } else { 0 }, "x{n}");
                }
                assert_eq!(live.pc(), PC + 4);
                // This firmware answers -1 and preserves the rest.
                let results = [1, 2, 3].map(|n| (n, pattern(n) & mask));
                let [x1, x2, x3] = results;
                assert_regs(live, &[(0, NOT_SUPPORTED), x1, x2, x3]);
            });
        }
        let x = [0xc200_0011, 0, 0, 0];
        served(conduit, moved, x, &firmware, |_, live, watched| {
            assert_eq!(watched.cpu.firmware_call.get(), None, "denied");
            assert_eq!(live.reg(Gpr::X0), NOT_SUPPORTED);
        });
    }
}

#[test]
fn results_of_firmware_reach_the_guest() {
    // SAFETY: no firmware hears of these tests.
    let rules = [unsafe { Rule::forward(SIP, SIP) }];
    let firmware = Firmware {
        filter: &rules,
        ..Firmware::new(&[], &[])
    };
    let guest = |frame: &mut GuestFrame| frame.x[0] = SIP.0.into();
    Guest::default().play(&[after(&guest, smc(0))], |live, watched| {
        watched.cpu.firmware.set(|x| {
            for (n, x) in x.iter_mut().enumerate() {
                *x = 1000 + n as u64;
            }
        });
        let Exit::Smc(call) = live.run() else {
            panic!("no call")
        };
        assert_eq!(live.serve(call, &firmware), Outcome::Handled);
        let results: Vec<_> = (0..18).map(|n| (n, 1000 + u64::from(n))).collect();
        assert_regs(live, &results);
    });
}

#[test]
fn a_cpu_turned_on_over_the_run_loop_has_its_callers_byte_order() {
    let cells = cells();
    let ram = [Ipa(0)..Ipa(1 << 40)];
    let firmware = Firmware::new(&cells, &ram);
    let guest = |frame: &mut GuestFrame| {
        frame.x[..4].copy_from_slice(&[0xc400_0003, 1, 0x1000, 5]);
    };
    Guest::default().play(&[after(&guest, hvc(0))], |live, _| {
        let sctlr = live.sysreg(SwitchedReg::SCTLR_EL1);
        live.set_sysreg(SwitchedReg::SCTLR_EL1, sctlr | 1 << 25);
        let Exit::Psci(psci) = live.run() else {
            panic!("no PSCI")
        };
        let outcome = live.serve(psci, &firmware);
        assert_eq!(outcome, Outcome::Power(PowerRequest::StartVcpu(1)));
        assert_eq!(live.reg(Gpr::X0), 0);
    });
    let start = Start {
        entry: Ipa(0x1000),
        context: 5,
        big_endian: true,
    };
    assert_eq!(cells[1].take_start(), Some(start));
}

/// Whatever a vCPU held, it starts as out of reset.
#[test]
fn a_started_vcpu_is_as_after_reset() {
    let mut vcpu: Vcpu<Plain> = Guest::at(A32).vcpu();
    for &reg in SwitchedReg::ALL {
        vcpu.set_sysreg(reg, 0x5555);
    }
    vcpu.set_sp_el0(1);
    vcpu.set_thread_ids(2, 3);
    vcpu.fp_mut().q[31] = 4;
    vcpu.debug_mut().bvr[0] = 5;
    vcpu.inject_serror(SError::decode(Esr(0xbe00_0011)));
    for big_endian in [false, true] {
        vcpu.start(&Start {
            entry: Ipa(0x4008_0000),
            context: 0xdead_beef,
            big_endian,
        });
        assert_eq!(vcpu.pc(), 0x4008_0000);
        assert_eq!(vcpu.pstate(), Pstate::RESET, "EL1h, DAIF");
        assert_eq!(vcpu.reg(Gpr::X0), 0xdead_beef);
        for n in 1..31 {
            assert_eq!(vcpu.reg(Gpr::new(n)), 0, "x{n}");
        }
        assert_eq!((vcpu.sp_el0(), vcpu.thread_ids()), (0, (0, 0)));
        let fresh = SwitchedState::default();
        for &reg in SwitchedReg::ALL {
            let ee = u64::from(big_endian && reg == SwitchedReg::SCTLR_EL1) << 25;
            assert_eq!(vcpu.sysreg(reg), fresh.get(reg) | ee, "{reg:?}");
        }
        assert_eq!(
            vcpu.sysreg(SwitchedReg::SCTLR_EL1) & 0x1005,
            0,
            "MMU, caches"
        );
        assert_eq!(vcpu.fp(), &FpState::default());
        assert_eq!(vcpu.debug(), &DebugState::default());
        assert!(!vcpu.serror_pending());
    }
}

/// A CPU without AArch32 keeps refusing it to a vCPU that was restarted while at rest.
#[test]
fn a_restarted_vcpu_still_cannot_leave_for_aarch32() {
    let host = Plain::new(Default::default(), Default::default());
    let guest = Guest::with_ids(ids(&[(4, 0, 0, 1), (4, 0, 4, 1), (7, 0, 0, 2)]));
    let cpu = guest.cpu(&[]);
    let mut el2 = vcpu_core::El2::enable_on(cpu, &host).unwrap();
    let vm = vcpu_core::Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    vcpu.load(&mut el2, &vm).unwrap().put();
    vcpu.start(&Start {
        entry: Ipa(0),
        context: 0,
        big_endian: false,
    });
    let mut live = vcpu.load(&mut el2, &vm).unwrap();
    live.set_pstate(Pstate::from_bits_retain(A32));
    assert!(leads_below_el2(live.pstate().bits(), false));
}
