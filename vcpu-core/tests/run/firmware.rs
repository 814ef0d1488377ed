//! The services of SMCCC, the filter, and carrying decisions out on a vCPU.

use vcpu_core::{
    Caller, Conduit, Decision, Exit, Firmware, Outcome, PowerCell, PowerRequest, Rule, SocId,
    Start, StolenTime, StolenTimeRecord, Trng, Vcpu, Workarounds,
};
use vcpu_exits::calls::FunctionId;
use vcpu_regs::{DebugState, FpState, Gpr, GuestFrame, Ipa, Pstate, SwitchedReg, SwitchedState};

use crate::{
    calls::{BOTH, call},
    rig::*,
};

const NOT_SUPPORTED: u64 = u64::MAX;
const INVALID: u64 = -2i64 as u64;
const NO_ENTROPY: u64 = -3i64 as u64;
const VERSION: u64 = 0x8000_0000;
const FEATURES: u64 = 0x8000_0001;
const SOC_ID: u64 = 0x8000_0002;
const WORKAROUND_1: u64 = 0x8000_8000;
const WORKAROUND_2: u64 = 0x8000_7fff;
const WORKAROUND_3: u64 = 0x8000_3fff;
const TRNG_VERSION: u64 = 0x8400_0050;
const TRNG_FEATURES: u64 = 0x8400_0051;
const TRNG_UUID: u64 = 0x8400_0052;
const TRNG_RND: u64 = 0x8400_0053;
const TRNG_RND_64: u64 = 0xc400_0053;
const PV_TIME_FEATURES: u64 = 0xc500_0020;
const PV_TIME_ST: u64 = 0xc500_0021;
const SIP: FunctionId = FunctionId(0xc200_0010);

fn cells() -> [PowerCell; 2] {
    [PowerCell::on(0), PowerCell::off(1)]
}

fn results(firmware: &Firmware<'_>, x: [u64; 4]) -> Vec<u64> {
    let caller = Caller {
        mpidr: 1 << 31 | 1,
        big_endian: false,
    };
    match firmware.decide(x, caller) {
        Decision::Answer(results, None) => results.as_slice().to_vec(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn expect(firmware: &Firmware<'_>, x: [u64; 3], expected: &[u64]) {
    let [x0, x1, x2] = x;
    assert_eq!(results(firmware, [x0, x1, x2, 0]), expected, "{x:x?}");
}

#[test]
fn what_is_not_offered_is_not_supported() {
    let firmware = Firmware::new(&[], &[]);
    expect(&firmware, [VERSION, 0, 0], &[0x1_0002]);
    for function in [VERSION, FEATURES] {
        expect(&firmware, [FEATURES, function, 0], &[0]);
    }
    for function in [
        SOC_ID,
        WORKAROUND_1,
        WORKAROUND_2,
        WORKAROUND_3,
        TRNG_VERSION,
        PV_TIME_FEATURES,
        PV_TIME_ST,
        SIP.0.into(),
    ] {
        expect(&firmware, [FEATURES, function, 0], &[NOT_SUPPORTED]);
        expect(&firmware, [function, 0, 0], &[NOT_SUPPORTED]);
    }
    for unknown in [0, 0x8400_0fff, 0xb200_0001, !0] {
        expect(&firmware, [unknown, 0, 0], &[NOT_SUPPORTED]);
    }
}

#[test]
fn soc_id_is_told_where_the_host_knows_it() {
    let firmware = Firmware {
        soc: Some(SocId {
            version: 0x8036_0123,
            revision: 2,
        }),
        ..Firmware::new(&[], &[])
    };
    expect(&firmware, [FEATURES, SOC_ID, 0], &[0]);
    expect(&firmware, [SOC_ID, 0, 0], &[0x0036_0123]);
    expect(&firmware, [SOC_ID, 0xffff_ffff_0000_0001, 0], &[2]);
    expect(&firmware, [SOC_ID, 2, 0], &[-3i64 as u64]);
}

#[test]
fn mitigations_that_are_not_needed_say_so_and_do_nothing() {
    let firmware = Firmware {
        unneeded: Workarounds::BRANCH_TARGETS | Workarounds::STORE_BYPASS,
        ..Firmware::new(&[], &[])
    };
    expect(&firmware, [FEATURES, WORKAROUND_1, 0], &[1]);
    expect(&firmware, [WORKAROUND_1, 0, 0], &[0]);
    expect(&firmware, [FEATURES, WORKAROUND_2, 0], &[-2i64 as u64]);
    expect(&firmware, [WORKAROUND_2, 1, 0], &[0]);
    expect(&firmware, [FEATURES, WORKAROUND_3, 0], &[NOT_SUPPORTED]);
    expect(&firmware, [WORKAROUND_3, 0, 0], &[NOT_SUPPORTED]);
}

#[test]
fn random_bits_are_as_many_as_were_asked_for() {
    let entropy = |_| Some([!0, 0x1111_2222_3333_4444 | 1 << 63, !0 << 1]);
    let firmware = Firmware {
        trng: Some(Trng {
            uuid: [1, 2, 3, 0xffff_ffff],
            entropy: &entropy,
        }),
        ..Firmware::new(&[], &[])
    };
    let middle = 0x9111_2222_3333_4444;
    expect(&firmware, [TRNG_VERSION, 0, 0], &[0x1_0000]);
    expect(&firmware, [TRNG_UUID, 0, 0], &[1, 2, 3, 0xffff_ffff]);
    for function in [TRNG_VERSION, TRNG_UUID, TRNG_RND, TRNG_RND_64] {
        expect(&firmware, [TRNG_FEATURES, function, 0], &[0]);
    }
    for function in [VERSION, 0x8400_0054, 0xc400_0050] {
        expect(&firmware, [TRNG_FEATURES, function, 0], &[NOT_SUPPORTED]);
    }
    for (bits, words) in [
        (1, [0, 0, 1]),
        (64, [0, 0, !0]),
        (65, [0, 0, !0]),
        (67, [0, 4, !0]),
        (128, [0, middle, !0]),
        (131, [6, middle, !0]),
        (192, [!0 << 1, middle, !0]),
    ] {
        let [x1, x2, x3] = words;
        expect(&firmware, [TRNG_RND_64, bits, 0], &[0, x1, x2, x3]);
    }
    let low = 0xffff_ffff;
    for (bits, words) in [
        (1, [0, 0, 1]),
        (32, [0, 0, low]),
        (40, [0, 0xff, low]),
        (96, [0x3333_4444, low, low]),
        (low << 32 | 8, [0, 0, 0xff]),
    ] {
        let [x1, x2, x3] = words;
        expect(&firmware, [TRNG_RND, bits, 0], &[0, x1, x2, x3]);
    }
    for (function, bits) in [
        (TRNG_RND, 0),
        (TRNG_RND, 97),
        (TRNG_RND_64, 0),
        (TRNG_RND_64, 193),
        (TRNG_RND_64, 1 << 32 | 1),
    ] {
        expect(&firmware, [function, bits, 0], &[INVALID]);
    }
}

#[test]
fn an_empty_pool_is_no_entropy_and_never_short() {
    let entropy = |bits| (bits <= 64).then_some([5, 0, 0]);
    let firmware = Firmware {
        trng: Some(Trng {
            uuid: [0; 4],
            entropy: &entropy,
        }),
        ..Firmware::new(&[], &[])
    };
    expect(&firmware, [TRNG_RND_64, 64, 0], &[0, 0, 0, 5]);
    expect(&firmware, [TRNG_RND_64, 65, 0], &[NO_ENTROPY]);
}

#[test]
fn each_vcpu_has_its_own_record_of_stolen_time() {
    let cells = cells();
    let firmware = Firmware {
        stolen_time: Some(Ipa(0x7000_0000)),
        ..Firmware::new(&cells, &[])
    };
    expect(&firmware, [FEATURES, PV_TIME_FEATURES, 0], &[0]);
    expect(&firmware, [PV_TIME_FEATURES, PV_TIME_ST, 0], &[0]);
    expect(&firmware, [PV_TIME_FEATURES, PV_TIME_FEATURES, 0], &[0]);
    expect(&firmware, [PV_TIME_FEATURES, VERSION, 0], &[NOT_SUPPORTED]);
    expect(&firmware, [PV_TIME_ST, 0, 0], &[0x7000_0040]); // the second
}

#[test]
fn stolen_time_counts_nanoseconds_without_losing_any() {
    let record = StolenTimeRecord::default();
    let mut stolen = StolenTime::new(62_500_000);
    for _ in 0..1000 {
        stolen.add(1); // 16 ns
    }
    assert_eq!(stolen.nanoseconds(), 16_000);
    stolen.publish(&record);
    // SAFETY: plain words, 64 bytes of them, that nobody writes now.
    let words: [u64; 8] = unsafe { std::mem::transmute(record) };
    assert_eq!(words, [0, 16_000u64.to_le(), 0, 0, 0, 0, 0, 0]);
    stolen.add(u64::MAX);
    assert_eq!(stolen.nanoseconds(), u64::MAX);
    assert_eq!(StolenTime::new(0).nanoseconds(), 0);
}

#[test]
fn the_first_rule_that_names_a_function_decides() {
    let only = |id: u32| (FunctionId(id), FunctionId(id));
    let (hole, end) = (only(0xc200_0011), FunctionId(0xc200_ffff));
    // SAFETY: no firmware hears of these tests.
    let forward = unsafe { Rule::forward(SIP, end) };
    let rules = [
        Rule::deny(hole.0, hole.1),
        forward,
        Rule::host(FunctionId(0x8600_0000), FunctionId(0x8600_00ff)),
        Rule::deny(FunctionId(0), FunctionId(!0)),
        Rule::host(FunctionId(0), FunctionId(!0)), // never reached
    ];
    let firmware = Firmware {
        filter: &rules,
        ..Firmware::new(&[], &[])
    };
    let caller = Caller {
        mpidr: 0,
        big_endian: false,
    };
    let denied = firmware.decide([0, 0, 0, 0], caller);
    assert_eq!(results(&firmware, [0, 0, 0, 0]), [NOT_SUPPORTED]);
    for (x0, expected) in [
        (0xc200_000f, denied),
        (0xc200_0010, Decision::ToFirmware),
        (0xc200_0011, denied),
        (0xc200_0012, Decision::ToFirmware),
        (0xc200_ffff, Decision::ToFirmware),
        (0xc201_0010, Decision::ToFirmware), // with the hint about SVE
        (0xc300_0000, denied),
        (0x8600_0000, Decision::ToHost),
        (0x8600_0100, denied),
        (0x8400_0005, denied), // MIGRATE
    ] {
        assert_eq!(firmware.decide([x0, 0, 0, 0], caller), expected, "{x0:#x}");
        let about = firmware.decide([FEATURES, x0, 0, 0], caller);
        assert_eq!(about, expected, "about {x0:#x}");
    }
    assert_eq!(results(&firmware, [VERSION, 0, 0, 0]), [0x1_0002], "ours");
}

/// PEERS.md 4: rubbish in the upper half of x0 names the same function to the filter as to EL3.
#[test]
fn rubbish_above_w0_does_not_get_past_the_filter() {
    // SAFETY: no firmware hears of these tests.
    let rules = [Rule::deny(SIP, SIP), unsafe {
        Rule::forward(FunctionId(0), FunctionId(!0))
    }];
    let firmware = Firmware {
        filter: &rules,
        ..Firmware::new(&[], &[])
    };
    for rubbish in [1 << 32, 1 << 63, 0xffff_ffff_0000_0000] {
        expect(
            &firmware,
            [u64::from(SIP.0) | rubbish, 0, 0],
            &[NOT_SUPPORTED],
        );
    }
}

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

/// PEERS.md 23: one answer, by either conduit.
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

/// PEERS.md 4: firmware gets the function's arguments and nothing else of the guest or the host.
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
