//! The EL2 controls: the guest's while it is loaded, the host's own before and after.

use core::mem;

use vcpu_core::{El2, Interrupts, Policy, Timers, Vcpu, Vm, Waits};
use vcpu_hal::{fake::Step, inject::HcrLine, irq::LeavePending};
use vcpu_regs::{Controls, GuestFrame, Hcr, IdRegisters, Pstate, SwitchedReg, SysReg};
use vcpu_stage2::Options;

use crate::rig::*;

const VM: u64 = 1 << 0;
const SWIO: u64 = 1 << 1;
const PTW: u64 = 1 << 2;
const FMO: u64 = 1 << 3;
const IMO: u64 = 1 << 4;
const AMO: u64 = 1 << 5;
const FB: u64 = 1 << 9;
const BSU_INNER: u64 = 1 << 10;
const TWI: u64 = 1 << 13;
const TWE: u64 = 1 << 14;
const TID1: u64 = 1 << 16;
const TID3: u64 = 1 << 18;
const TSC: u64 = 1 << 19;
const TIDCP: u64 = 1 << 20;
const TACR: u64 = 1 << 21;
const RW: u64 = 1 << 31;
const TGE: u64 = 1 << 27;
const E2H: u64 = 1 << 34;
const TLOR: u64 = 1 << 35;
const TERR: u64 = 1 << 36;
const APK: u64 = 1 << 40;
const API: u64 = 1 << 41;
const FWB: u64 = 1 << 46;
const TID5: u64 = 1 << 58;

const ALWAYS: u64 = VM | SWIO | PTW | AMO | FB | BSU_INNER | TID1 | TID3 | TSC | TIDCP | TACR | RW;

/// Plays `script` and returns the controls in force in the guest and between runs.
fn in_force(guest: &Guest) -> (Controls, Controls) {
    let mut found = None;
    guest.play(&[Step::synchronous(WFI)], |live, watched| {
        watched.take();
        let _ = live.run();
        let entered = watched.take().into_iter().find_map(|event| match event {
            Event::Enter(controls) => Some(controls),
            _ => None,
        });
        found = Some((entered.unwrap(), watched.cpu.controls.get()));
    });
    found.unwrap()
}

#[test]
fn guest_runs_under_its_policy() {
    let (guest, _) = in_force(&Guest::default());
    let traps = TLOR | TERR | API | APK | TWI | TWE;
    assert_eq!(guest.hcr.bits(), ALWAYS | IMO | FMO | traps);
    assert_eq!(guest.cnthctl.bits(), 1, "EL1PCTEN; the timer traps");

    let policy = Policy::PASS_THROUGH;
    let (guest, _) = in_force(&Guest {
        policy,
        ..Guest::default()
    });
    assert_eq!(guest.hcr.bits(), ALWAYS | TLOR | TERR | API | APK);
    assert_eq!(guest.cnthctl.bits(), 3, "EL1PCTEN and EL1PCEN");
    assert_eq!(guest.icc_sre.bits(), 0xf);
    assert_eq!(guest.ich_hcr.bits(), 0);
}

#[test]
fn each_choice_of_policy_moves_its_own_bits() {
    let hcr = |policy| {
        in_force(&Guest {
            policy,
            ..Guest::default()
        })
        .0
        .hcr
        .bits()
    };
    let base = hcr(Policy::default());
    let wfi = Waits::Native;
    let policy = Policy::default();
    assert_eq!(hcr(Policy { wfi, ..policy }), base & !TWI);
    let wfe = Waits::Native;
    assert_eq!(hcr(Policy { wfe, ..policy }), base & !TWE);
    let interrupts = Interrupts::PassThrough;
    assert_eq!(
        hcr(Policy {
            interrupts,
            ..policy
        }),
        base & !(IMO | FMO)
    );
    let timers = Timers::PassThrough;
    assert_eq!(hcr(Policy { timers, ..policy }), base);
}

#[test]
fn trap_of_a_feature_needs_the_feature() {
    // RES0 or another meaning without the feature: only then are they written.
    let features: [(u8, u8, u32, u64, u64); 6] = [
        (4, 0, 28, 1, TERR),
        (4, 1, 8, 2, TID5),
        (6, 1, 4, 1, API | APK),
        (6, 1, 8, 1, API | APK),
        (6, 2, 12, 1, API | APK),
        (7, 1, 16, 1, TLOR),
    ];
    let none = ids(&[(4, 0, 0, 1), (4, 0, 4, 1), (7, 0, 0, 2)]);
    let hcr = |ids: IdRegisters| in_force(&Guest::with_ids(ids)).0.hcr.bits();
    let base = ALWAYS | IMO | FMO | TWI | TWE;
    assert_eq!(hcr(none.clone()), base);
    for (crm, op2, lo, value, bits) in features {
        let mut with = none.clone();
        let reg = SysReg::new(3, 0, 0, crm, op2);
        let old = with.get(reg).unwrap();
        with.set(reg, old | value << lo);
        assert_eq!(hcr(with), base | bits, "ID register {crm} {op2} bit {lo}");
    }
}

#[test]
fn what_guests_do_not_get_traps() {
    for policy in [Policy::default(), Policy::PASS_THROUGH] {
        let guest = Guest {
            policy,
            ..Guest::default()
        };
        let (guest, _) = in_force(&guest);
        // RES1 0-7, 9 and 13; TZ, TSM; TTA; TAM. Not CPACR_EL1; FP until it is used.
        let refused = 0x22ff | 1 << 8 | 1 << 12 | 1 << 20 | 1 << 30;
        assert_eq!(guest.cptr.bits(), refused | 1 << 10);
        // TPMCR, TPM, TDOSA, TDRA, TPMS, TTRF; the host's HPMN; debug exceptions stay at EL1.
        let traps = 1 << 5 | 1 << 6 | 1 << 10 | 1 << 11 | 1 << 14 | 1 << 19;
        assert_eq!(guest.mdcr.bits() & !(1 << 9), 6 | traps);
        assert_eq!(guest.hstr, 0);
    }
}

#[test]
fn guest_is_told_who_and_when_it_is() {
    let mut guest = Guest::default();
    guest.ids.set_midr(0x410f_d0c1);
    let cpu = guest.cpu(&[]);
    cpu.counter.set(0x1234_5678_9abc);
    let log = Default::default();
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let host = Plain::new(HcrLine, LeavePending);
    let mut el2 = El2::enable_on(watched, &host).unwrap();
    let stage2 = stage2(7);
    let vm = Vm::new(&el2, stage2);
    cpu.counter.set(0x2000_0000_0000); // a VM's clock starts with the VM, not with a vCPU
    for (mpidr, reads) in [
        (0, 0x8000_0000),
        (0x1_0203, 0x8001_0203),
        (0x12_0000_0003, 0x12_8000_0003),
        (u64::MAX, 0xff_ffff_ffff), // RES0 stays 0
    ] {
        let mut vcpu = Vcpu::new(&vcpu_core::VcpuConfig {
            mpidr,
            ..Default::default()
        });
        assert_eq!(vcpu.mpidr(), reads);
        let _live = vcpu.load(&mut el2, &vm).unwrap();
        let controls = cpu.controls.get();
        assert_eq!(controls.vmpidr, reads);
        assert_eq!(controls.vpidr, 0x410f_d0c1);
        assert_eq!(controls.cntvoff, 0x1234_5678_9abc);
        assert_eq!(controls.vtcr, stage2.vtcr().bits());
        assert_eq!(controls.vttbr, stage2.vttbr().bits());
    }
}

/// IMO, FMO and AMO of the host come back with every run, whatever the guest's are.
#[test]
fn host_keeps_its_routing_between_runs() {
    for routing in 0..8 {
        for policy in [Policy::default(), Policy::PASS_THROUGH] {
            let bits = routing << 3;
            let host = Controls {
                hcr: Hcr::from_bits_retain(RW | bits),
                ..host_controls()
            };
            let guest = Guest {
                policy,
                host,
                ..Guest::default()
            };
            let (entered, between) = in_force(&guest);
            assert_eq!(between.hcr.bits() & (FMO | IMO | AMO), bits);
            let own = match policy.interrupts {
                Interrupts::Virtual => FMO | IMO | AMO,
                Interrupts::PassThrough => AMO,
            };
            assert_eq!(entered.hcr.bits() & (FMO | IMO | AMO), own);
            // All else is the guest's already: nothing is left to switch but that.
            let rest = !(FMO | IMO | AMO);
            assert_eq!(between.hcr.bits() & rest, entered.hcr.bits() & rest);
            let hcr = entered.hcr;
            assert_eq!(Controls { hcr, ..between }, entered);
        }
    }
}

/// A host that is an operating system at EL2: its EL0, its traps, its layouts.
fn e2h_host(tge: u64) -> Controls {
    Controls {
        hcr: Hcr::from_bits_retain(E2H | tge | RW | IMO | FMO | AMO),
        cptr: vcpu_regs::Cptr::from_bits_retain(3 << 20 | 3 << 16),
        cnthctl: vcpu_regs::Cnthctl::from_bits_retain(0x3 | 1 << 10 | 1 << 4),
        ..host_controls()
    }
}

#[test]
fn e2h_host_keeps_its_own_hcr_between_runs() {
    for tge in [TGE, 0] {
        for policy in [Policy::default(), Policy::PASS_THROUGH] {
            let guest = Guest {
                policy,
                host: e2h_host(tge),
                ..Guest::default()
            };
            let (entered, between) = in_force(&guest);
            let own = E2H | tge | RW | IMO | FMO | AMO;
            assert_eq!(between.hcr.bits(), own | VM | PTW);
            // A TLB may be flushed when these change.
            let stage2 = VM | PTW | FWB;
            assert_eq!((between.hcr.bits() ^ entered.hcr.bits()) & stage2, 0);
            assert_eq!(entered.hcr.bits() & (E2H | TGE | VM), E2H | VM);
            let hcr = entered.hcr;
            assert_eq!(Controls { hcr, ..between }, entered);
            // TTA, TAM; ZEN and SMEN trap, and FPEN until FP is used.
            assert_eq!(entered.cptr.bits(), 1 << 28 | 1 << 30);
            let timer = match policy.timers {
                Timers::Virtual => 0,
                Timers::PassThrough => 1 << 11,
            };
            assert_eq!(entered.cnthctl.bits(), 0x3 | 1 << 10 | 1 << 4 | timer);
        }
    }
}

/// With E2H and TGE a TLBI would be of the host's own (`Watched::invalidate` refuses).
#[test]
fn e2h_host_is_itself_again_after_a_load() {
    let guest = Guest {
        host: e2h_host(TGE),
        daif: 0x80,
        ..Guest::default()
    };
    guest.play(&[], |_, watched| {
        assert_eq!(watched.cpu.controls.get().hcr.bits() & TGE, TGE);
        assert_eq!(watched.cpu.daif.get(), 0x80);
        let log = watched.take();
        let at = |event| log.iter().position(|&e| e == event).unwrap();
        let invalidated = |e: &Event| matches!(e, Event::Invalidate(_));
        let first = log.iter().position(invalidated).unwrap();
        let last = log.iter().rposition(invalidated).unwrap();
        assert!(at(Event::Mask) < first && last < at(Event::Unmask(0x80)));
    });
}

/// Each way of leaving a guest.
#[test]
fn host_controls_return_to_the_bit() {
    type Leave = fn(Running<'_, '_, '_>);
    let leave: [(&str, Leave); 2] = [("drop", |live| drop(live)), ("put", |live| live.put())];
    for (how, leave) in leave {
        let guest = Guest::default();
        let script = [Step::synchronous(WFI)];
        enabled!(guest.cpu(&script) => cpu, watched, host, el2);
        let vm = Vm::new(&el2, stage2(1));
        let mut vcpu = guest.vcpu();
        let mut live = vcpu.load(&mut el2, &vm).unwrap();
        let _ = live.run();
        assert_ne!(cpu.controls.get(), host_controls());
        leave(live);
        assert_eq!(cpu.controls.get(), host_controls(), "{how}");
        drop(el2);
        assert_eq!(cpu.controls.get(), host_controls(), "{how}");
    }
}

/// PAN, DIT and their like of a host, which every exit changes, are its own after a put.
#[test]
fn host_pstate_returns_with_put() {
    let guest = Guest::default();
    let theirs = Pstate::PAN | Pstate::TCO;
    let set = |frame: &mut GuestFrame| frame.pstate |= theirs.bits();
    let script = [after(&set, WFI)];
    let cpu = guest.cpu(&script);
    cpu.pstate.set(Pstate::DIT | Pstate::SSBS);
    let log = Default::default();
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let host = Plain::new(HcrLine, LeavePending);
    let mut el2 = El2::enable_on(watched, &host).unwrap();
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    let mut live = vcpu.load(&mut el2, &vm).unwrap();
    let _ = live.run();
    assert_eq!(cpu.pstate.get(), theirs);
    drop(live);
    assert_eq!(cpu.pstate.get(), Pstate::DIT | Pstate::SSBS);
}

#[test]
fn forgotten_guest_is_taken_off_by_the_next_load_and_by_drop() {
    let guest = Guest::default();
    enabled!(guest.cpu(&[]) => cpu, watched, host, el2);
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    mem::forget(vcpu.load(&mut el2, &vm).unwrap());
    assert_ne!(cpu.controls.get(), host_controls());
    // The next one finds the host's controls, not the forgotten guest's, to come back to.
    drop(vcpu.load(&mut el2, &vm).unwrap());
    assert_eq!(cpu.controls.get(), host_controls());
    mem::forget(vcpu.load(&mut el2, &vm).unwrap());
    assert_ne!(cpu.controls.get(), host_controls());
    let timers = [SwitchedReg::CNTV_CTL_EL0, SwitchedReg::CNTP_CTL_EL0];
    for ctl in timers {
        cpu.switched.borrow_mut().set(ctl, 1);
    }
    drop(el2);
    assert_eq!(cpu.controls.get(), host_controls());
    // The physical timer is not this guest's.
    assert_eq!(timers.map(|ctl| cpu.switched.borrow().get(ctl)), [0, 1]);
}

/// A table written for FEAT_S2FWB has another meaning without it.
#[test]
fn forced_write_back_follows_the_table() {
    let mut guest = Guest::default();
    guest.ids.set_mmfr2(1 << 40);
    for (options, fwb) in [(Options::empty(), 0), (Options::FORCE_WRITE_BACK, FWB)] {
        let script = [Step::synchronous(WFI)];
        enabled!(guest.cpu(&script) => cpu, watched, host, el2);
        let vm = Vm::new(&el2, stage2_of(&guest.ids, 1, options));
        let mut vcpu = guest.vcpu();
        let _ = vcpu.load(&mut el2, &vm).unwrap().run();
        assert_eq!(cpu.hcr_in_guest.get().bits() & FWB, fwb);
    }
}

#[test]
fn table_that_this_cpu_cannot_walk_is_refused_untouched() {
    use vcpu_core::LoadError;
    let wide = ids(&[(7, 0, 0, 5), (7, 2, 40, 1)]);
    let cases = [
        (
            stage2_of(&wide, 1, Options::empty()),
            LoadError::PaTooWide {
                needed: 48,
                available: 40,
            },
        ),
        (
            stage2_of(
                &ids(&[(7, 0, 0, 2), (7, 2, 40, 1)]),
                1,
                Options::FORCE_WRITE_BACK,
            ),
            LoadError::NoForceWriteBack,
        ),
    ];
    for (stage2, error) in cases {
        let guest = Guest::default();
        enabled!(guest.cpu(&[]) => cpu, watched, host, el2);
        let vm = Vm::new(&el2, stage2);
        let mut vcpu = guest.vcpu();
        assert_eq!(vcpu.load(&mut el2, &vm).err(), Some(error));
        assert!(
            watched.log.borrow().is_empty(),
            "{:?}",
            watched.log.borrow()
        );
        assert_eq!(cpu.controls.get(), host_controls());
    }
}
