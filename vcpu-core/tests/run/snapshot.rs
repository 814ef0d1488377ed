//! All state of a vCPU by number, out of one and into another.

use std::collections::BTreeMap;

use vcpu_core::{StateError, StateReg, Vcpu};
use vcpu_regs::{Gpr, Pstate, SwitchedReg, SysReg};

use crate::rig::*;

/// A value that the register can hold, and no other has.
fn value(reg: StateReg) -> u128 {
    let salt = u128::from(reg.id()).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
    match reg {
        StateReg::Q(_) | StateReg::Z(..) | StateReg::P(..) | StateReg::Ffr(_) => salt,
        StateReg::Pstate => 0x2000_0345 | 1 << 12,
        StateReg::VirtualSError => 1,
        StateReg::HeldTimers => 0b1101,
        _ => salt & u128::from(u64::MAX),
    }
}

#[test]
fn all_of_it_moves_by_number() {
    let mut from: Vcpu<Plain> = Vcpu::new(&Default::default());
    for reg in StateReg::all() {
        from.set_state(reg, value(reg)).unwrap();
    }
    let snapshot: BTreeMap<u32, u128> = StateReg::all()
        .map(|reg| (reg.id(), from.state(reg).unwrap()))
        .collect();
    assert_eq!(
        snapshot.len(),
        StateReg::all().count(),
        "two share a number"
    );
    let mut to: Vcpu<Plain> = Vcpu::new(&Default::default());
    for (&id, &value) in &snapshot {
        let reg = StateReg::from_id(id).unwrap();
        to.set_state(reg, value).unwrap();
    }
    for reg in StateReg::all() {
        assert_eq!(to.state(reg), Some(value(reg)), "{reg}");
    }
}

/// What the other accessors say, and all that they say.
#[test]
fn it_is_what_the_vcpu_has() {
    let mut vcpu: Vcpu<Plain> = Vcpu::new(&Default::default());
    for reg in StateReg::all() {
        vcpu.set_state(reg, value(reg)).unwrap();
    }
    let word = |reg| value(reg) as u64;
    for n in 0..31 {
        let reg = Gpr::new(n);
        assert_eq!(vcpu.reg(reg), word(StateReg::X(reg)));
    }
    for &reg in SwitchedReg::ALL {
        assert_eq!(
            vcpu.sysreg(reg),
            word(StateReg::System(reg.sysreg())),
            "{reg:?}"
        );
    }
    for (n, q) in (0..).zip(vcpu.fp().q) {
        assert_eq!(q, value(StateReg::Q(n)));
    }
    let system =
        |op0, op1, crn, crm, op2| word(StateReg::System(SysReg::new(op0, op1, crn, crm, op2)));
    assert_eq!(vcpu.sp_el0(), system(3, 0, 4, 1, 0));
    assert_eq!(
        vcpu.thread_ids(),
        (system(3, 3, 13, 0, 2), system(3, 0, 13, 0, 4))
    );
    assert_eq!(
        (vcpu.fp().fpcr, vcpu.fp().fpsr),
        (system(3, 3, 4, 4, 0), system(3, 3, 4, 4, 1))
    );
    assert_eq!(vcpu.pc(), word(StateReg::Pc));
    assert!(vcpu.serror_pending());
    for n in 0..16 {
        let debug = vcpu.debug();
        let words = [debug.bvr, debug.bcr, debug.wvr, debug.wcr].map(|bank| bank[usize::from(n)]);
        assert_eq!(words, [4, 5, 6, 7].map(|op2| system(2, 0, 0, n, op2)));
    }
}

/// Those of SVE, where there is memory for them.
#[test]
fn vectors_move_by_number_too() {
    let mut vcpus: [Vcpu<Plain>; 2] = [0, 1].map(|_| Vcpu::new(&Default::default()));
    for reg in StateReg::of_sve() {
        assert_eq!(vcpus[0].state(reg), None);
        let value = value(reg);
        let refused = vcpus[0].set_state(reg, value);
        assert_eq!(refused, Err(StateError { reg, value }));
    }
    for vcpu in &mut vcpus {
        vcpu.lend_sve(Box::leak(Box::default()));
    }
    let all = || StateReg::all().chain(StateReg::of_sve());
    for reg in all() {
        vcpus[0].set_state(reg, value(reg)).unwrap();
    }
    let snapshot: BTreeMap<u32, u128> = all()
        .map(|reg| (reg.id(), vcpus[0].state(reg).unwrap()))
        .collect();
    assert_eq!(snapshot.len(), all().count(), "two share a number");
    for (&id, &value) in &snapshot {
        let reg = StateReg::from_id(id).unwrap();
        vcpus[1].set_state(reg, value).unwrap();
    }
    let [from, to] = &vcpus;
    for n in 0..32 {
        assert_eq!(from.z(n), to.z(n));
        let z = to.z(n).unwrap();
        let part = |at: usize| u128::from_le_bytes(*z[at * 16..].first_chunk().unwrap());
        assert_eq!(part(0), value(StateReg::Q(n as u8)));
        assert_eq!(part(15), value(StateReg::Z(n as u8, 15)));
    }
    assert_eq!(from.predicates(), to.predicates());
    let ffr = to.predicates().unwrap().ffr;
    let high = u128::from_le_bytes(*ffr.last_chunk().unwrap());
    assert_eq!(high, value(StateReg::Ffr(1)));
    for reg in [
        StateReg::Z(0, 0),
        StateReg::Z(0, 16),
        StateReg::P(16, 0),
        StateReg::Ffr(2),
    ] {
        assert_eq!(to.state(reg), None, "{reg}");
    }
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut vcpu: Vcpu<Plain> = Vcpu::new(&Default::default());
    let absent = StateReg::System(SysReg::new(3, 0, 0, 0, 0));
    for (reg, value) in [
        (StateReg::Pc, 1 << 64),
        (StateReg::VirtualSError, 2),
        (StateReg::HeldTimers, 0b10),
        (StateReg::HeldTimers, 0b1_0000),
        (StateReg::Q(32), 0),
        (absent, 0),
    ] {
        let before = vcpu.state(reg);
        assert_eq!(vcpu.set_state(reg, value), Err(StateError { reg, value }));
        assert_eq!(vcpu.state(reg), before);
    }
    assert_eq!(vcpu.state(absent), None);
    assert_eq!(StateReg::from_id(31), None, "XZR is no state");
    // A mode that would lead to EL2 does not come in by this door.
    vcpu.set_state(StateReg::Pstate, 0b1001).unwrap();
    assert_eq!(vcpu.pstate(), Pstate::from_bits_retain(0b0101));
}

/// The numbers are for files that outlive us.
#[test]
fn numbers_stay() {
    let id = |op0, op1, crn, crm, op2| StateReg::System(SysReg::new(op0, op1, crn, crm, op2)).id();
    assert_eq!(StateReg::X(Gpr::X30).id(), 30);
    assert_eq!([StateReg::Pc.id(), StateReg::Pstate.id()], [0x20, 0x21]);
    assert_eq!(StateReg::VirtualSError.id(), 0x22);
    assert_eq!(StateReg::HeldTimers.id(), 0x23);
    assert_eq!(StateReg::Q(31).id(), 0x11f);
    assert_eq!(StateReg::Z(31, 15).id(), 0x3ff);
    assert_eq!(
        [StateReg::P(15, 1).id(), StateReg::Ffr(1).id()],
        [0x41f, 0x421]
    );
    assert_eq!(id(3, 0, 1, 0, 0), 0x1_c080); // SCTLR_EL1, as KVM numbers it: 0xc080
}
