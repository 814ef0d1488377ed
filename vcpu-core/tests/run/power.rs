//! PSCI as decisions: what is answered, what is asked of the host.

use std::{ops::Range, sync::Barrier, thread};

use vcpu_core::{
    Caller, Decision, Firmware, PowerCell, PowerRequest, PsciOptions, ResetKind, Start, Suspend,
};
use vcpu_exits::calls::{AffinityState, PowerState, PsciError};
use vcpu_regs::Ipa;

const RAM: [Range<Ipa>; 1] = [Ipa(0x4000_0000)..Ipa(0x8000_0000)];
const ENTRY: u64 = 0x4008_0000;
const CALLER: Caller = Caller {
    mpidr: 1 << 31,
    big_endian: false,
};

const CPU_SUSPEND: u64 = 0xc400_0001;
const CPU_OFF: u64 = 0x8400_0002;
const CPU_ON: u64 = 0xc400_0003;
const CPU_ON_32: u64 = 0x8400_0003;
const AFFINITY_INFO: u64 = 0xc400_0004;
const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;
const FEATURES: u64 = 0x8400_000a;
const SYSTEM_SUSPEND: u64 = 0xc400_000e;
const SYSTEM_RESET2: u64 = 0xc400_0012;
const SYSTEM_OFF2: u64 = 0xc400_0015;

/// Two clusters of two; the first CPU is on.
fn cells() -> [PowerCell; 4] {
    [
        PowerCell::on(1 << 31),
        PowerCell::off(1 << 31 | 1),
        PowerCell::off(1 << 31 | 0x100),
        PowerCell::off(1 << 31 | 0x101),
    ]
}

fn everything<'a>(cells: &'a [PowerCell]) -> Firmware<'a> {
    Firmware {
        psci: PsciOptions {
            system_suspend: true,
            warm_reset: true,
            vendor_resets: true,
            hibernate: true,
        },
        ..Firmware::new(cells, &RAM)
    }
}

/// x0 and what the host is to do.
fn outcome(firmware: &Firmware<'_>, x: [u64; 4]) -> (u64, Option<PowerRequest>) {
    match firmware.decide(x, CALLER) {
        Decision::Answer(results, request) => {
            assert_eq!(results.as_slice().len(), 1);
            (results.as_slice()[0], request)
        }
        other => panic!("{other:?}"),
    }
}

fn refused(error: PsciError) -> (u64, Option<PowerRequest>) {
    (error.as_x0(), None)
}

#[test]
fn cpu_on_starts_its_target_with_entry_and_context() {
    let cells = cells();
    let firmware = Firmware::new(&cells, &RAM);
    let called = outcome(&firmware, [CPU_ON, 0x100, ENTRY, 0x1234_5678_9abc_def0]);
    assert_eq!(called, (0, Some(PowerRequest::StartVcpu(2))));
    assert_eq!(cells[2].state(), AffinityState::OnPending);
    let start = Start {
        entry: Ipa(ENTRY),
        context: 0x1234_5678_9abc_def0,
        big_endian: false,
    };
    assert_eq!(cells[2].take_start(), Some(start));
    assert_eq!(cells[2].take_start(), None, "handed over once");
    assert_eq!(cells[2].state(), AffinityState::On);
}

#[test]
fn a_started_vcpu_has_its_callers_byte_order() {
    let cells = cells();
    let firmware = Firmware::new(&cells, &RAM);
    let caller = Caller {
        big_endian: true,
        ..CALLER
    };
    let _ = firmware.decide([CPU_ON, 1, ENTRY, 0], caller);
    assert!(cells[1].take_start().unwrap().big_endian);
}

/// An SMC32 call has 32 bits of argument.
#[test]
fn smc32_arguments_of_cpu_on_are_truncated() {
    let rubbish = 0xffff_ffff_0000_0000;
    let cells = cells();
    let firmware = Firmware::new(&cells, &RAM);
    let x = [
        CPU_ON_32 | rubbish,
        1 | rubbish,
        ENTRY | rubbish,
        5 | rubbish,
    ];
    assert_eq!(outcome(&firmware, x), (0, Some(PowerRequest::StartVcpu(1))));
    let start = cells[1].take_start().unwrap();
    assert_eq!((start.entry, start.context), (Ipa(ENTRY), 5));
}

#[test]
fn cpu_on_refuses_as_psci_says() {
    let cells = cells();
    let firmware = Firmware::new(&cells, &RAM);
    let on = |target, entry| outcome(&firmware, [CPU_ON, target, entry, 0]);
    assert_eq!(on(0, ENTRY), refused(PsciError::AlreadyOn));
    for target in [2, 0x200, 1 << 31, 1 << 31 | 1, 1 << 32, 1 << 24 | 1, !0] {
        let why = refused(PsciError::InvalidParameters);
        assert_eq!(on(target, ENTRY), why, "{target:#x}");
    }
    for entry in [
        0,
        RAM[0].start.0 - 4,
        RAM[0].end.0,
        ENTRY | 1,
        ENTRY | 2,
        !3,
    ] {
        let why = refused(PsciError::InvalidAddress);
        assert_eq!(on(1, entry), why, "{entry:#x}");
    }
    assert_eq!(cells[1].state(), AffinityState::Off, "nothing happened");
    assert_eq!(on(1, RAM[0].end.0 - 4).0, 0);
    assert_eq!(on(1, ENTRY), refused(PsciError::OnPending));
    cells[1].take_start().unwrap();
    assert_eq!(on(1, ENTRY), refused(PsciError::AlreadyOn));
}

/// Also checked in every interleaving, by loom, beside the cell.
#[test]
fn of_many_callers_one_turns_a_cpu_on() {
    for _ in 0..50 {
        let cells = cells();
        let firmware = Firmware::new(&cells, &RAM);
        let barrier = Barrier::new(4);
        let started: usize = thread::scope(|scope| {
            let call = |caller| {
                barrier.wait();
                outcome(&firmware, [CPU_ON, 0x101, ENTRY, caller])
                    .1
                    .is_some()
            };
            let callers: Vec<_> = (0..4).map(|n| scope.spawn(move || call(n))).collect();
            let won = callers.into_iter().map(|caller| caller.join().unwrap());
            won.filter(|&won| won).count()
        });
        assert_eq!(started, 1);
    }
}

#[test]
fn affinity_info_follows_a_cpu_from_off_to_on_and_back() {
    let cells = cells();
    let firmware = Firmware::new(&cells, &RAM);
    let info = || outcome(&firmware, [AFFINITY_INFO, 1, 0, 0]);
    assert_eq!(info(), (1, None));
    let _ = outcome(&firmware, [CPU_ON, 1, ENTRY, 0]);
    assert_eq!(info(), (2, None));
    cells[1].take_start().unwrap();
    assert_eq!(info(), (0, None));
    assert!(cells[1].turn_off());
    assert_eq!(info(), (1, None));
    assert_eq!(outcome(&firmware, [CPU_ON, 1, ENTRY, 0]).0, 0, "again");
}

#[test]
fn a_start_that_nobody_took_is_forgotten_when_turned_off() {
    let cells = cells();
    let firmware = Firmware::new(&cells, &RAM);
    let _ = outcome(&firmware, [CPU_ON, 1, ENTRY, 0]);
    assert!(cells[1].turn_off());
    assert!(!cells[1].turn_off());
    assert_eq!(cells[1].take_start(), None);
}

#[test]
fn affinity_info_of_a_cluster_is_that_of_its_cpus() {
    let cells = cells();
    let firmware = Firmware::new(&cells, &RAM);
    let info = |target, level| outcome(&firmware, [AFFINITY_INFO, target, level, 0]);
    // Fields below the level do not count.
    for target in [0, 1, 0xff] {
        assert_eq!(info(target, 1), (0, None), "CPU 0 is on");
    }
    assert_eq!(info(0x100, 1), (1, None), "all off");
    assert_eq!(info(0xffff, 2), (0, None));
    assert_eq!(info(0xff_ffff, 3), (0, None));
    let _ = outcome(&firmware, [CPU_ON, 0x101, ENTRY, 0]);
    assert_eq!(info(0x100, 1), (2, None), "one is pending");
    for (target, level) in [(2, 0), (0x200, 1), (0x1_0000, 2), (1 << 32, 3), (0, 4)] {
        let why = refused(PsciError::InvalidParameters);
        assert_eq!(info(target, level), why, "{target:#x} {level}");
    }
    assert_eq!(info(1 << 31, 0), refused(PsciError::InvalidParameters));
}

/// The host stops it first: until then it is on for others.
#[test]
fn cpu_off_stops_the_caller_once_its_host_says_so() {
    let cells = cells();
    let firmware = Firmware::new(&cells, &RAM);
    let (x0, request) = outcome(&firmware, [CPU_OFF, 0, 0, 0]);
    assert_eq!(request, Some(PowerRequest::StopSelf));
    assert_eq!(x0, PsciError::InternalFailure.as_x0(), "it does not return");
    assert_eq!(cells[0].state(), AffinityState::On);
    assert!(cells[0].turn_off());
    assert_eq!(cells[0].state(), AffinityState::Off);
}

#[test]
fn the_vm_powers_off_and_resets() {
    let cells = cells();
    let firmware = everything(&cells);
    let failure = PsciError::InternalFailure.as_x0();
    let vendor = ResetKind::Vendor {
        reset_type: 0x8000_0007,
        cookie: 9,
    };
    for (x, request) in [
        ([SYSTEM_OFF, 0, 0, 0], PowerRequest::SystemOff),
        (
            [SYSTEM_RESET, 0, 0, 0],
            PowerRequest::SystemReset(ResetKind::Cold),
        ),
        (
            [SYSTEM_RESET2, 0, 0, 0],
            PowerRequest::SystemReset(ResetKind::Warm),
        ),
        (
            [SYSTEM_RESET2, 0x8000_0007, 9, 0],
            PowerRequest::SystemReset(vendor),
        ),
        ([SYSTEM_OFF2, 1, 0, 0], PowerRequest::Hibernate),
        ([SYSTEM_OFF2, 0, 0, 0], PowerRequest::Hibernate),
    ] {
        assert_eq!(outcome(&firmware, x), (failure, Some(request)), "{x:x?}");
    }
    for x in [
        [SYSTEM_RESET2, 1, 0, 0],
        [SYSTEM_RESET2, 0x7fff_ffff, 0, 0],
        [SYSTEM_OFF2, 2, 0, 0],
        [SYSTEM_OFF2, 1, 1, 0],
    ] {
        let why = refused(PsciError::InvalidParameters);
        assert_eq!(outcome(&firmware, x), why, "{x:x?}");
    }
    let plain = Firmware {
        psci: PsciOptions {
            warm_reset: true,
            ..PsciOptions::default()
        },
        ..firmware
    };
    assert_eq!(
        outcome(&plain, [SYSTEM_RESET2, 0x8000_0000, 0, 0]),
        refused(PsciError::InvalidParameters)
    );
}

#[test]
fn standby_resumes_behind_the_call_and_power_down_at_its_entry() {
    let cells = cells();
    let firmware = Firmware::new(&cells, &RAM);
    let suspend = |state, entry| outcome(&firmware, [CPU_SUSPEND, state, entry, 7]);
    let standby = Suspend {
        state: PowerState(3),
        resume: None,
    };
    assert_eq!(suspend(3, 0), (0, Some(PowerRequest::Suspend(standby))));
    let state = PowerState(1 << 24 | 1 << 16 | 0xabcd);
    assert_eq!((state.power_level(), state.state_id()), (1, 0xabcd));
    let resume = Some(Start {
        entry: Ipa(ENTRY),
        context: 7,
        big_endian: false,
    });
    let deep = PowerRequest::Suspend(Suspend { state, resume });
    assert_eq!(suspend(state.0.into(), ENTRY), (0, Some(deep)));
    let why = refused(PsciError::InvalidAddress);
    assert_eq!(suspend(state.0.into(), 0), why);
    for reserved in [1 << 17, 1 << 23, 1 << 26, 1 << 31] {
        let why = refused(PsciError::InvalidParameters);
        assert_eq!(suspend(reserved, ENTRY), why, "{reserved:#x}");
    }
}

#[test]
fn the_system_sleeps_when_its_last_cpu_asks() {
    let cells = cells();
    let firmware = everything(&cells);
    let sleep = |entry| outcome(&firmware, [SYSTEM_SUSPEND, entry, 7, 0]);
    let resume = Start {
        entry: Ipa(ENTRY),
        context: 7,
        big_endian: false,
    };
    let failure = PsciError::InternalFailure.as_x0();
    let request = PowerRequest::SystemSuspend(resume);
    assert_eq!(sleep(ENTRY), (failure, Some(request)));
    assert_eq!(sleep(0), refused(PsciError::InvalidAddress));
    cells[3].turn_on(&resume).unwrap();
    assert_eq!(sleep(ENTRY), refused(PsciError::Denied), "one is pending");
    cells[3].take_start().unwrap();
    assert_eq!(sleep(ENTRY), refused(PsciError::Denied), "one is on");
}

/// What PSCI_FEATURES says is there is answered, and what it denies is not: for every number.
#[test]
fn features_tell_the_truth() {
    let optional = [
        PsciOptions::default(),
        PsciOptions {
            system_suspend: true,
            warm_reset: true,
            vendor_resets: true,
            hibernate: true,
        },
        PsciOptions {
            vendor_resets: true,
            ..PsciOptions::default()
        },
    ];
    for (psci, count) in optional.into_iter().zip([12, 18, 14]) {
        let mut there = 0;
        for number in 0..0x100 {
            for base in [0x8400_0000u64, 0xc400_0000] {
                let cells = cells();
                let firmware = Firmware {
                    psci,
                    ..Firmware::new(&cells, &RAM)
                };
                let id = base | number;
                let not_supported = PsciError::NotSupported.as_x0();
                let (features, _) = outcome(&firmware, [FEATURES, id, 0, 0]);
                let (answer, _) = outcome(&firmware, [id, 1, ENTRY, 0]);
                let is_there = features != not_supported;
                if id == FEATURES {
                    // It was asked about function 1, which is none.
                    assert_eq!((is_there, answer), (true, not_supported));
                } else {
                    assert_eq!(is_there, answer != not_supported, "{id:#x}");
                }
                there += usize::from(is_there);
            }
        }
        assert_eq!(there, count, "{psci:?}");
    }
}

#[test]
fn the_version_is_1_1_and_1_3_with_hibernation() {
    let cells = cells();
    let version = |firmware: &Firmware<'_>| outcome(firmware, [0x8400_0000, 0, 0, 0]);
    assert_eq!(version(&Firmware::new(&cells, &RAM)), (0x1_0001, None));
    assert_eq!(version(&everything(&cells)), (0x1_0003, None));
}
