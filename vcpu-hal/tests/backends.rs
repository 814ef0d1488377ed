//! The backends that ship with the trait, each by itself, and the scripted CPU they are tested on.

use vcpu_hal::{
    Cause, Cpu, Daif, FetchIrq, Guard, HcrSwitch, Inject, Lines, PerCpu,
    fake::{ScriptedCpu, Step},
    inject::{HcrLine, IntidTooLarge, Pending, Recorder, Recording},
    irq::{GicV2, GicV3, LeavePending},
    percpu::{MpidrTable, Tpidr},
};
use vcpu_regs::{GuestFrame, Hcr, Intid, SwitchedReg, SwitchedState};

const HIGH: Lines = Lines {
    irq: true,
    fiq: false,
};

#[test]
fn lines_are_vi_and_vf() {
    for (irq, fiq, bits) in [
        (false, false, 0),
        (true, false, 1 << 7),
        (false, true, 1 << 6),
        (true, true, 3 << 6),
    ] {
        assert_eq!(Lines { irq, fiq }.hcr().bits(), bits);
    }
}

/// Every INTID it keeps, against a set of integers.
#[test]
fn line_is_the_or_of_what_is_pending() {
    let mut state = Pending::default();
    assert_eq!(HcrLine.lines(&state), Lines::default());
    assert_eq!(state.first(), None);
    for intid in (0..64).rev() {
        HcrLine.inject(&mut state, Intid(intid).into()).unwrap();
        assert_eq!(HcrLine.lines(&state), HIGH);
        assert_eq!(state.first(), Some(Intid(intid)));
    }
    for intid in 0..64 {
        assert_eq!(state.first(), Some(Intid(intid)));
        HcrLine.retract(&mut state, Intid(intid));
    }
    assert_eq!(HcrLine.lines(&state), Lines::default());
}

#[test]
fn larger_intid_is_refused_and_changes_nothing() {
    for intid in [64, 65, 127, 128, 1020, 8192, u32::MAX] {
        let mut state = Pending::default();
        let refused = Err(IntidTooLarge(Intid(intid)));
        assert_eq!(HcrLine.inject(&mut state, Intid(intid).into()), refused);
        assert_eq!(state, Pending::default());
        HcrLine
            .inject(&mut state, Intid(intid % 64).into())
            .unwrap();
        HcrLine.retract(&mut state, Intid(intid));
        assert_eq!(HcrLine.lines(&state), HIGH, "took back another one");
    }
}

#[test]
fn recorder_keeps_the_last_sixteen_in_order() {
    let mut recording = Recording::default();
    assert_eq!((recording.count(), recording.recent().count()), (0, 0));
    for n in 0..40 {
        Recorder.inject(&mut recording, Intid(n).into()).unwrap();
        assert_eq!(recording.count(), n as usize + 1);
        let kept: Vec<Intid> = recording.recent().map(|kept| kept.intid).collect();
        let expected: Vec<Intid> = (n.saturating_sub(15)..=n).map(Intid).collect();
        assert_eq!(kept, expected);
    }
    Recorder.retract(&mut recording, Intid(39));
    assert_eq!(recording.count(), 40);
    assert_eq!(Recorder.lines(&recording), Lines::default());
}

#[test]
fn tpidr_tells_blocks_apart() {
    let cpu = ScriptedCpu::new(&[]);
    for (base, stride, tpidr, index) in [
        (0, 1, 0, 0),
        (0, 1, 7, 7),
        (0x4000_0000, 0x1000, 0x4000_0000, 0),
        (0x4000_0000, 0x1000, 0x4000_3000, 3),
        (0x4000_0000, 0x1000, 0x4000_3fff, 3), // anywhere in the block
        (0xffff_ffff_ffff_0000, 0x8000, 0xffff_ffff_ffff_8000, 1),
    ] {
        cpu.tpidr_el2.set(tpidr);
        // SAFETY: nothing depends on the index in this test.
        let backend = unsafe { Tpidr::new(base, stride) };
        assert_eq!(backend.index(&cpu), index);
    }
}

#[test]
#[should_panic(expected = "blocks without a size")]
fn blocks_have_a_size() {
    // SAFETY: nothing depends on the index in this test.
    let _ = unsafe { Tpidr::new(0, 0) };
}

/// By all four affinity fields, and by nothing else of MPIDR_EL1.
#[test]
fn mpidr_table_gives_the_place() {
    const TABLE: &[u64] = &[0, 1, 0x100, 0x1_0000, 0x1_0000_0000, 0xff_00ff_ffff];
    // SAFETY: nothing depends on the index in this test.
    let backend = unsafe { MpidrTable::new(TABLE) };
    let cpu = ScriptedCpu::new(&[]);
    for (index, &affinity) in TABLE.iter().enumerate() {
        for others in [0, 1 << 31, 1 << 30, 1 << 24, 0xff << 24, !0xff_00ff_ffff] {
            cpu.mpidr.set(affinity | others);
            assert_eq!(backend.index(&cpu), index, "{:#x}", affinity | others);
        }
    }
    cpu.mpidr.set(1 << 31 | 2);
    assert_eq!(backend.index(&cpu), TABLE.len(), "none of the list's");
}

/// A table may have been written with bit 31 set, as the register reads.
#[test]
fn mpidr_table_may_hold_whole_registers() {
    // SAFETY: nothing depends on the index in this test.
    let backend = unsafe { MpidrTable::new(&[0x8000_0000, 0x8000_0001]) };
    let cpu = ScriptedCpu::new(&[]);
    cpu.mpidr.set(0x8000_0001);
    assert_eq!(backend.index(&cpu), 1);
}

#[test]
fn gic_fetch_acknowledges_once() {
    // SAFETY: no GIC to misuse.
    let gic = unsafe { GicV3::new() };
    let cpu = ScriptedCpu::new(&[]);
    cpu.pending.set(Intid(33));
    assert_eq!(gic.fetch(&cpu), Some(Intid(33)));
    assert_eq!(gic.fetch(&cpu), None, "acknowledged by then");
    cpu.pending.set(Intid(33));
    LeavePending.fetch(&cpu);
    assert_eq!(cpu.pending.get(), Intid(33));
}

/// Memory in place of a GICC: an SGI 5 of CPU 3 is acknowledged, ended and deactivated as it came.
#[test]
fn gicv2_fetch_keeps_the_sender() {
    const IAR: usize = 0xc / 4;
    const EOIR: usize = 0x10 / 4;
    const DIR: usize = 0x1000 / 4;
    let block: *mut u32 = Box::into_raw(Box::new([0_u32; 0x1004 / 4])).cast();
    // SAFETY: memory that is this test's, for good, and as large as the block.
    let (gic, at) = unsafe {
        let at = |n: usize| block.add(n).read_volatile();
        block.add(IAR).write_volatile(3 << 10 | 5);
        (GicV2::new(block.expose_provenance()), at)
    };
    let cpu = ScriptedCpu::new(&[]);
    let sgi = gic.fetch(&cpu).unwrap();
    assert_eq!((sgi.intid(), sgi.sender()), (Intid(5), 3));
    gic.end(sgi);
    assert_eq!((at(EOIR), at(DIR)), (3 << 10 | 5, 0), "ended, and active");
    gic.deactivate(sgi);
    assert_eq!(at(DIR), 3 << 10 | 5);
    for spurious in 1020..=1023 {
        // SAFETY: as above.
        unsafe { block.add(IAR).write_volatile(spurious) };
        assert_eq!(gic.fetch(&cpu), None);
    }
}

// The fake itself: it must fail a test that breaks the contract of an entry.

const GOOD: Hcr = Hcr::VM.union(Hcr::AMO).union(Hcr::RW);

fn enter(guest: Hcr, in_force: Hcr, host: Hcr, daif: Option<u64>) {
    let script = [Step::interrupt(Cause::Irq)];
    let cpu = ScriptedCpu::new(&script);
    cpu.controls.set(vcpu_regs::Controls {
        hcr: in_force,
        ..Default::default()
    });
    cpu.mask_interrupts();
    if let Some(daif) = daif {
        cpu.restore_interrupts(Daif(daif));
    }
    // SAFETY: values only.
    unsafe {
        cpu.enter(
            &mut GuestFrame::default(),
            HcrSwitch::new(guest, host),
            &Guard::default(),
        )
    };
    assert_eq!(cpu.steps_left(), 0);
    assert_eq!(cpu.hcr_in_guest.get(), guest);
}

#[test]
fn fake_enters_by_the_contract() {
    enter(GOOD | Hcr::VI, GOOD, GOOD, None);
}

#[test]
#[should_panic(expected = "unmasked")]
fn fake_refuses_unmasked_interrupts() {
    enter(GOOD, GOOD, GOOD, Some(0x380));
}

#[test]
#[should_panic(expected = "another HCR_EL2")]
fn fake_refuses_other_controls_than_the_hosts() {
    enter(GOOD, GOOD | Hcr::IMO, GOOD, None);
}

#[test]
#[should_panic(expected = "TGE")]
fn fake_refuses_tge() {
    enter(GOOD | Hcr::TGE, GOOD, GOOD, None);
}

#[test]
fn fake_refuses_a_guest_without_stage_2_or_with_its_own_serrors_or_a32_kernel() {
    for missing in [Hcr::VM, Hcr::AMO, Hcr::RW] {
        let entered = std::panic::catch_unwind(|| enter(GOOD - missing, GOOD, GOOD, None));
        assert!(entered.is_err(), "{missing:?}");
    }
}

#[test]
#[should_panic(expected = "the script is over")]
fn fake_ends_with_its_script() {
    let cpu = ScriptedCpu::new(&[]);
    let hcr = HcrSwitch::new(GOOD, GOOD);
    // SAFETY: values only.
    unsafe { cpu.enter(&mut GuestFrame::default(), hcr, &Guard::default()) };
}

#[test]
fn fake_switches_what_its_features_bring() {
    let cpu = ScriptedCpu::new(&[]);
    let mut state = SwitchedState::default();
    for (n, &reg) in SwitchedReg::ALL.iter().enumerate() {
        state.set(reg, n as u64 + 1);
    }
    let features = cpu.ids.features(); // none
    // SAFETY: values only.
    unsafe { cpu.load_switched(&state, features) };
    for (n, &reg) in SwitchedReg::ALL.iter().enumerate() {
        if reg.exists(features) {
            assert_eq!(cpu.switched.borrow().get(reg), n as u64 + 1);
        } else {
            assert_eq!(cpu.switched.borrow().get(reg), 0, "{reg:?}");
        }
    }
}
