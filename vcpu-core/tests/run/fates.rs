//! The fates of registers, held against what makes them true: the controls in force, the ID
//! registers shown, and what becomes of a trapped access.

use vcpu_core::{Exit, Extensions, Fp, Interrupts, Policy, Timers, guest_ids};
use vcpu_hal::{fake::Step, inject::ListRegisters, irq::LeavePending};
use vcpu_regs::{
    Controls, Fate, FateRow, Features, Gpr, Hcr, IdRegisters, SwitchedReg, SysReg, Trap,
};

use crate::rig::*;

/// A CPU with every feature, whose debug registers are 16 of each.
fn everything() -> IdRegisters {
    let mut ids = IdRegisters::read_with(|_| u64::MAX);
    ids.set_pfr0(ids.pfr0() & !(0xff << 16) | 0x11 << 16); // FP, AdvSIMD: all ones is none
    ids
}

/// The same without fine-grained traps and HCRX_EL2, nor what Arm gives only together with them.
fn everything_of_8_5() -> IdRegisters {
    let mut ids = everything();
    ids.set_mmfr0(ids.mmfr0() & !(0xf << 56));
    ids.set_mmfr1(ids.mmfr1() & !(0xf << 40));
    for feature in SysReg::fates().filter_map(|row| row.feature) {
        if feature.implies_traps {
            let reg = SysReg::new(3, 0, 0, feature.id.0, feature.id.1);
            let field = 0xf << feature.lo;
            let less = u64::from(feature.least - 1) << feature.lo;
            ids.set(reg, ids.get(reg).unwrap() & !field | less);
        }
    }
    ids.set_mmfr3(0); // FEAT_TCR2, FEAT_S1PIE, FEAT_S1POE: of Armv8.9
    ids
}

/// Every feature but the second fine-grained traps and what comes only with them.
fn everything_of_8_8() -> IdRegisters {
    let mut ids = everything();
    ids.set_mmfr0(ids.mmfr0() & !(0xf << 56) | 1 << 56);
    ids.set_pfr1(ids.pfr1() & !(0xf << 60 | 0xf << 48)); // FEAT_PFAR, FEAT_THE
    let without = |ids: &mut IdRegisters, crm, op2, bits: u64| {
        let reg = SysReg::new(3, 0, 0, crm, op2);
        ids.set(reg, ids.get(reg).unwrap() & !bits);
    };
    without(&mut ids, 5, 1, 0xf << 44); // FEAT_ITE
    without(&mut ids, 7, 4, 0xf << 40); // FEAT_SRMASK
    ids
}

/// CPUs with one feature each and what it implies, and one with none.
fn one_feature_each() -> Vec<IdRegisters> {
    let with = |ids: &mut IdRegisters, crm, op2, bits: u64| {
        let reg = SysReg::new(3, 0, 0, crm, op2);
        ids.set(reg, ids.get(reg).unwrap() | bits);
    };
    let base = ids(&[(4, 0, 0, 1), (4, 0, 4, 1), (7, 0, 0, 2)]);
    let features = SysReg::fates().filter_map(|row| row.feature);
    let each = features.map(|feature| {
        let mut ids = base.clone();
        let (crm, op2) = feature.id;
        with(&mut ids, crm, op2, u64::from(feature.least) << feature.lo);
        if feature.implies_traps {
            with(&mut ids, 7, 0, 2 << 56); // FEAT_FGT2
            with(&mut ids, 7, 1, 1 << 40); // FEAT_HCX
        }
        ids
    });
    let mut all: Vec<_> = [base.clone()].into_iter().chain(each).collect();
    all.dedup();
    all
}

/// Each CPU and host under which each policy is tried, with the controls in the guest.
fn for_each_setting(
    extensions: Extensions,
    mut check: impl FnMut(&IdRegisters, Policy, &Controls),
) {
    let e2h = Hcr::from_bits_retain(host_controls().hcr.bits() | 1 << 34);
    let kinds = [host_controls().hcr, e2h];
    let mut tried = 0;
    let mut cpus = one_feature_each();
    assert!(cpus.len() > 25, "{} CPUs", cpus.len());
    cpus.extend([
        everything(),
        everything_of_8_8(),
        everything_of_8_5(),
        some_ids(),
    ]);
    for ids in &cpus {
        for hcr in kinds {
            let eager = Policy {
                fp: Fp::Eager,
                ..Policy::PASS_THROUGH
            };
            for policy in [Policy::default(), eager] {
                // The host's own words grant all that they can.
                let host = Controls {
                    hcr,
                    mpam2: !0,
                    mdcr: vcpu_regs::Mdcr::from_bits_retain(!(1 << 8)),
                    hcrx: !0,
                    hfgrtr: !0,
                    hfgwtr: !0,
                    hfgitr: !0,
                    hdfgrtr: !0,
                    hdfgwtr: !0,
                    hfgrtr2: !0,
                    hfgwtr2: !0,
                    hdfgrtr2: !0,
                    hdfgwtr2: !0,
                    ..host_controls()
                };
                let guest = Guest {
                    ids: ids.clone(),
                    policy,
                    extensions,
                    host,
                    ..Guest::default()
                };
                guest.play(&[Step::synchronous(WFI)], |live, watched| {
                    watched.take();
                    let _ = live.run();
                    let entered = watched.take().into_iter().find_map(|event| match event {
                        Event::Enter(controls) => Some(controls),
                        _ => None,
                    });
                    check(ids, policy, &entered.unwrap());
                    tried += 1;
                });
            }
        }
    }
    assert_eq!(tried, 4 * cpus.len());
}

/// Returns the traps of a row, where the policy keeps the register from the guest.
fn traps(row: &FateRow, policy: Policy) -> Option<&'static [Trap]> {
    match row.fate {
        Fate::Trapped(traps) | Fate::Emulated(traps) => Some(traps),
        Fate::Interface(traps) if policy.interrupts == Interrupts::Virtual => Some(traps),
        _ => None,
    }
}

fn is_on(row: &FateRow, ids: &IdRegisters) -> bool {
    row.feature.is_none_or(|feature| feature.is_in(ids))
}

/// What the rows say traps does, by the first control of the chain that the CPU has.
#[test]
fn what_is_trapped_traps() {
    for_each_setting(Extensions::empty(), |ids, policy, controls| {
        for row in SysReg::fates().filter(|row| is_on(row, ids)) {
            let Some(traps) = traps(row, policy) else {
                continue;
            };
            let trap = traps.iter().find(|trap| trap.exists(ids.features()));
            let trap = trap.unwrap_or_else(|| panic!("{}: nothing traps it", row.name));
            assert!(
                trap.is_in_force(controls),
                "{}: {trap:?}, {policy:?}",
                row.name
            );
        }
    });
}

/// What stays away from a register that a VM has not been granted, and what grants it.
const BY_GRANT: &[(&[SwitchedReg], Extensions, &[Trap])] = {
    use SwitchedReg::*;
    use vcpu_regs::{Cptr, CptrE2h, Hcrx};
    &[
        (
            &[SCXTNUM_EL0, SCXTNUM_EL1],
            Extensions::CONTEXT_NUMBERS,
            &[Trap::HcrClear(Hcr::EN_SCXT)],
        ),
        (
            &[TCR2_EL1],
            Extensions::TCR2,
            &[Trap::HcrxClear(Hcrx::TCR2_EN)],
        ),
        (
            &[PIRE0_EL1, PIR_EL1],
            Extensions::PERMISSION_INDIRECTION,
            &[Trap::Hfg(1 << 57), Trap::Hfg(1 << 58)],
        ),
        (
            &[POR_EL0, POR_EL1],
            Extensions::PERMISSION_OVERLAYS,
            &[Trap::Hfg(1 << 59), Trap::Hfg(1 << 60)],
        ),
        (
            &[RGSR_EL1, GCR_EL1, TFSR_EL1, TFSRE0_EL1],
            Extensions::ALLOCATION_TAGS,
            &[Trap::HcrClear(Hcr::ATA)],
        ),
        (
            &[ZCR_EL1],
            Extensions::SVE,
            &[Trap::CptrEnable(Cptr::TZ, CptrE2h::ZEN)],
        ),
    ]
};

/// A register that a VM has by grant traps or is switched, and is shown where it is switched.
#[test]
fn what_is_granted_is_switched_and_the_rest_traps() {
    for (regs, one, traps) in BY_GRANT {
        for extensions in [Extensions::empty(), *one, Extensions::all()] {
            for_each_setting(extensions, |ids, policy, controls| {
                let has = |features: Features| regs.iter().all(|reg| reg.exists(features));
                if !has(ids.features()) {
                    return;
                }
                let shown = guest_ids(ids, 40, extensions);
                let is_granted = extensions.contains(*one);
                assert_eq!(has(shown.features()), is_granted, "{regs:?}");
                let switched = ids.features().granted(shown.features());
                assert_eq!(has(switched), is_granted, "{regs:?}");
                // A lazy guest gets it with its first use.
                let is_open = is_granted && (*one != Extensions::SVE || policy.fp == Fp::Eager);
                for trap in *traps {
                    assert!(trap.exists(ids.features()), "{regs:?}: {trap:?}");
                    assert_eq!(trap.is_in_force(controls), !is_open, "{trap:?}");
                }
            });
        }
    }
    let granted: Vec<_> = BY_GRANT.iter().flat_map(|&(regs, ..)| regs).collect();
    // Shown unless it is narrowed away.
    let mut none = IdRegisters::default();
    none.set_isar1(1 << 4);
    let none = none.features();
    for reg in SwitchedReg::ALL {
        let by_grant = reg.exists(everything().features())
            && !reg.exists(everything().features().granted(none));
        assert_eq!(granted.contains(&reg), by_grant, "{reg:?}");
    }
}

/// Where a control refuses what only SME brings, it is not switched; where none can, it is.
#[test]
fn sme_threads_are_switched_where_nothing_traps_them() {
    let regs = [SwitchedReg::TPIDR2_EL0, SwitchedReg::SMPRI_EL1];
    let traps = [Trap::Hfg(1 << 55), Trap::Hfg(1 << 54)];
    for_each_setting(Extensions::all(), |ids, _, controls| {
        for (reg, trap) in regs.into_iter().zip(traps) {
            let has_sme = ids.pfr1() >> 24 & 0xf != 0;
            let is_trapped = trap.exists(ids.features()) && trap.is_in_force(controls);
            let is_switched = reg.exists(ids.features());
            assert_eq!(is_switched, has_sme && !is_trapped, "{reg:?}");
        }
    });
}

/// The guest is not told of a feature whose registers trap.
#[test]
fn what_is_trapped_is_hidden() {
    for extensions in [Extensions::empty(), Extensions::all()] {
        let guest = guest_ids(&everything(), 48, extensions);
        for row in SysReg::fates() {
            let (Some(feature), Fate::Trapped(_)) = (row.feature, row.fate) else {
                continue;
            };
            if row.name == "GMID_EL1" && extensions.contains(Extensions::ALLOCATION_TAGS) {
                assert!(feature.is_in(&guest));
                continue;
            }
            assert!(!feature.is_in(&guest), "{}: {}", row.name, feature.name);
        }
    }
}

/// The physical timer is the host's or the guest's, and in either case switched.
#[test]
fn timer_traps_by_policy() {
    let trap = Trap::CnthctlClear(vcpu_regs::Cnthctl::EL1PCEN);
    for_each_setting(Extensions::empty(), |_, policy, controls| {
        let is_virtual = policy.timers == Timers::Virtual;
        assert_eq!(trap.is_in_force(controls), is_virtual, "{policy:?}");
    });
}

/// Every name of a trapped row, reflected: undefined, or answered and passed.
#[test]
fn trapped_accesses_get_their_answer() {
    let ids = everything();
    let mut counts = [0; 2];
    for (reg, _, name) in SysReg::named() {
        let Some(row) = SysReg::fates().find(|row| row.contains(reg)) else {
            continue;
        };
        if reg.op1() > 3 || traps(row, Policy::default()).is_none() {
            continue;
        }
        let is_answered = matches!(row.fate, Fate::Emulated(_));
        // MDSCR_EL1 and its kind are answered in both directions; constants can be read alone.
        let script = [Step::synchronous(sysreg(reg, 4, true))];
        Guest::with_ids(ids.clone()).play(&script, |live, _| {
            live.set_pc(PC);
            let exit = live.run();
            assert!(matches!(exit, Exit::SysReg(_)));
            live.reflect(exit);
            let is_undefined = live.pc() != PC + 4;
            assert_eq!(is_undefined, !is_answered, "{name}");
            if is_undefined {
                assert_eq!(live.sysreg(SwitchedReg::ELR_EL1), PC, "{name}");
                assert_eq!(live.sysreg(SwitchedReg::ESR_EL1), 1 << 25, "{name}");
                assert_eq!(live.reg(Gpr::X4), pattern(4), "{name}");
            }
            counts[usize::from(is_answered)] += 1;
        });
    }
    assert!(counts[0] > 500 && counts[1] > 90, "{counts:?}");
}

/// ID_AA64PFR0_EL1.GIC says that ICC_* are there: by pass-through, or by the backend.
#[test]
fn interface_is_shown_where_there_is_one() {
    const PFR0: SysReg = SysReg::new(3, 0, 0, 4, 0);
    let script = [Step::synchronous(sysreg(PFR0, 4, true))];
    let shown = |guest: &Guest| {
        let mut shown = 0;
        guest.play(&script, |live, _| {
            let exit = live.run();
            live.reflect(exit);
            shown = live.reg(vcpu_regs::Gpr::X4) >> 24 & 0xf;
        });
        shown
    };
    assert_eq!(shown(&Guest::default()), 0);
    let policy = vcpu_core::Policy::PASS_THROUGH;
    assert_eq!(
        shown(&Guest {
            policy,
            ..Guest::default()
        }),
        1
    );

    // SAFETY: scripted CPUs have no GIC to misuse.
    let host = Host::new(unsafe { ListRegisters::new() }, LeavePending);
    Guest::default().play_on(&host, &script, |live, _| {
        let exit = live.run();
        live.reflect(exit);
        assert_eq!(live.reg(vcpu_regs::Gpr::X4) >> 24 & 0xf, 1);
    });
}
