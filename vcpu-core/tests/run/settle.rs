//! Changes of a VM's table, settled by whichever CPU is at hand.

use std::{
    alloc::{Layout, alloc_zeroed},
    cell::RefCell,
    rc::Rc,
};

use vcpu_core::{El2, OtherTable, Vcpu, Vm};
use vcpu_hal::{inject::HcrLine, irq::LeavePending};
use vcpu_regs::{Controls, Hcr, InvalidateStep, Ipa, Pa, Vmid};
use vcpu_stage2::{Attributes, Change, FrameSource, Geometry, LinearMap, Request, Table};

use crate::rig::*;

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;
/// Where the frames of these tests are, to the guest's hardware.
const BASE: u64 = 0x9000_0000;
const FRAMES: usize = 16;

/// Frames of an arena, and what the CPU had done when the first came back.
#[derive(Clone)]
struct Frames<'c> {
    free: Rc<RefCell<Vec<Pa>>>,
    cpu: Watched<'c>,
    forgotten: Rc<RefCell<Option<Vec<InvalidateStep>>>>,
}

// SAFETY: frames of one allocation that is never freed, each given to one user at a time.
unsafe impl FrameSource for Frames<'_> {
    fn allocate(&mut self, _: u64) -> Option<Pa> {
        self.free.borrow_mut().pop()
    }

    fn release(&mut self, frame: Pa, _: u64) {
        self.forgotten
            .borrow_mut()
            .get_or_insert_with(|| steps(&self.cpu.log.borrow()));
        self.free.borrow_mut().push(frame);
    }
}

type TestTable<'c> = Table<Frames<'c>, LinearMap>;

fn table(cpu: Watched<'_>) -> TestTable<'_> {
    let layout = Layout::from_size_align(FRAMES * PAGE as usize, PAGE as usize).unwrap();
    // SAFETY: the size is not 0.
    let arena = unsafe { alloc_zeroed(layout) };
    assert!(!arena.is_null());
    let offset = (arena.expose_provenance() as u64).wrapping_sub(BASE);
    let frames = Frames {
        free: Rc::new(RefCell::new(
            (0..FRAMES as u64).map(|n| Pa(BASE + n * PAGE)).collect(),
        )),
        cpu,
        forgotten: Rc::default(),
    };
    // One page as the root.
    let geometry = Geometry::probe(&cpu.cpu.ids.memory_model(), &Request::exactly(39)).unwrap();
    // SAFETY: the arena is there, and stays.
    let mut table = Table::new(geometry, frames, unsafe { LinearMap::new(offset) }).unwrap();
    for (ipa, pa) in [(0, 0), (BLOCK, PAGE)] {
        // SAFETY: no guest runs in a test.
        let change = unsafe { table.map(Ipa(ipa), Pa(pa), BLOCK, Attributes::RAM) };
        change.unwrap().defer();
    }
    table
}

fn steps(log: &[Event]) -> Vec<InvalidateStep> {
    let step = |event: &Event| match event {
        Event::Invalidate(step) => Some(*step),
        _ => None,
    };
    log.iter().filter_map(step).collect()
}

/// What is about the loading of controls, as VTTBR_EL2, HCR_EL2.VM and HCR_EL2.TGE.
fn controls(log: &[Event]) -> Vec<(u64, bool, bool)> {
    let of = |c: &Controls| (c.vttbr, c.hcr.contains(Hcr::VM), c.hcr.contains(Hcr::TGE));
    let words = log.iter().filter_map(|event| match event {
        Event::Controls(controls) => Some(of(controls)),
        _ => None,
    });
    words.collect()
}

/// A VM of a table, on a CPU of `guest`; the log is empty.
fn with(
    guest: &Guest,
    test: impl FnOnce(&mut El2<'_, Plain, Watched<'_>>, &Vm, TestTable<'_>, Watched<'_>),
) {
    let host = Plain::new(HcrLine, LeavePending);
    let (cpu, log) = (guest.cpu(&[]), RefCell::default());
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let mut el2 = El2::enable_on(watched, &host).unwrap();
    let mut table = table(watched);
    // SAFETY: no hardware walks it.
    let stage2 = unsafe { table.stage2(Vmid::new(7).unwrap()) }.unwrap();
    let vm = Vm::new(&el2, stage2);
    el2.settle(&vm, table.owed().unwrap()).unwrap();
    assert_eq!(steps(&watched.take()), PUBLISH);
    test(&mut el2, &vm, table, watched);
}

use InvalidateStep::{DsbIsh, DsbIshst, IcIalluis, Ipas2e1is, Ipas2le1is, Isb, Vmalle1is};

const PUBLISH: [InvalidateStep; 2] = [DsbIshst, Isb];

/// Stage 2 first, then what combines both stages; `some_ids` cannot exclude a VPIPT cache.
fn around(middle: &[InvalidateStep]) -> Vec<InvalidateStep> {
    let tail = [DsbIsh, Vmalle1is, IcIalluis, DsbIsh, Isb];
    [&[DsbIshst], middle, &tail].concat()
}

#[test]
fn a_change_is_forgotten_under_the_vm_s_vmid_and_the_host_s_words_are_back() {
    with(&Guest::default(), |el2, vm, mut table, cpu| {
        let before = cpu.cpu.controls.get();
        let change = table.unmap(Ipa(BLOCK), PAGE).unwrap();
        el2.settle(vm, change).unwrap();
        let log = cpu.take();
        let page = Ipas2le1is(BLOCK >> 12);
        assert_eq!(steps(&log), around(&[page]));
        let vttbr = 7 << 48 | table.root().0;
        assert_eq!(
            controls(&log),
            [(vttbr, true, false), (before.vttbr, false, false)]
        );
        assert_eq!(cpu.cpu.controls.get(), before);
        assert_eq!(
            (log.first(), log.last()),
            (Some(&Event::Mask), Some(&Event::Unmask(0)))
        );
        assert!(table.owed().is_none());
    });
}

#[test]
fn frames_come_back_when_all_cpus_have_forgotten() {
    with(&Guest::default(), |el2, vm, mut table, cpu| {
        let change = table.unmap(Ipa(BLOCK), BLOCK).unwrap();
        el2.settle(vm, change).unwrap();
        let all = steps(&cpu.take());
        assert!(matches!(all[1], Ipas2e1is(_)), "tables too");
        // SAFETY: no CPU uses it.
        let frames = unsafe { table.release() };
        assert_eq!(frames.forgotten.take(), Some(all));
        assert_eq!(frames.free.borrow().len(), FRAMES);
    });
}

#[test]
fn a_split_block_becomes_a_table_after_the_invalidation() {
    with(&Guest::default(), |el2, vm, mut table, cpu| {
        let change = table.unmap(Ipa(PAGE), PAGE).unwrap();
        el2.settle(vm, change).unwrap();
        // One address of it drops a block; the pages after it were not visible yet.
        let mut expected = around(&[Ipas2le1is(0)]);
        expected.extend(PUBLISH);
        assert_eq!(steps(&cpu.take()), expected);
    });
}

#[test]
fn a_guest_that_is_loaded_has_its_own_change_settled_in_place() {
    with(&Guest::default(), |el2, vm, mut table, cpu| {
        let mut vcpu: Vcpu<Plain> = Guest::default().vcpu();
        let mut live = vcpu.load(el2, vm).unwrap();
        cpu.take();
        live.settle(table.unmap(Ipa(BLOCK), PAGE).unwrap()).unwrap();
        let log = cpu.take();
        assert_eq!(steps(&log), around(&[Ipas2le1is(BLOCK >> 12)]));
        assert_eq!(controls(&log), [], "the VMID is in force already");
        // SAFETY: no guest runs in a test.
        let change = unsafe { table.map(Ipa(BLOCK), Pa(0), PAGE, Attributes::RAM) }.unwrap();
        live.settle(change).unwrap();
        let published: Vec<_> = PUBLISH.map(Event::Invalidate).into();
        assert_eq!(cpu.take(), published, "nothing to mask for");
    });
}

#[test]
fn a_host_with_tge_forgets_none_of_its_own() {
    let mut guest = Guest::default();
    guest.host.hcr |= Hcr::E2H | Hcr::TGE;
    with(&guest, |el2, vm, mut table, cpu| {
        cpu.cpu.mode.set(vcpu_hal::HostMode {
            e2h: true,
            ..cpu.cpu.mode.get()
        });
        el2.settle(vm, table.unmap(Ipa(BLOCK), PAGE).unwrap())
            .unwrap();
        let log = cpu.take();
        let vttbr = 7 << 48 | table.root().0;
        assert_eq!(
            controls(&log),
            [(vttbr, true, false), (guest.host.vttbr, false, true)]
        );
    });
}

#[test]
fn the_change_of_another_table_stays_owed() {
    with(&Guest::default(), |el2, _, mut table, cpu| {
        let other = Vm::new(el2, stage2(1));
        let changed = table.root();
        let result = el2.settle(&other, table.unmap(Ipa(BLOCK), PAGE).unwrap());
        let vm = Pa(0x8010_0000);
        assert_eq!(result, Err(OtherTable { changed, vm }));
        assert_eq!(cpu.take(), []);
        assert!(table.owed().is_some_and(|change| {
            let what = change.what();
            Change::defer(change);
            matches!(what, vcpu_regs::Invalidate::Range(_))
        }));
    });
}

#[test]
fn a_vm_that_never_ran_is_in_no_tlb() {
    with(&Guest::default(), |el2, _, mut table, cpu| {
        // SAFETY: no hardware walks it.
        let vm = Vm::new(el2, unsafe { table.unnumbered_stage2() }.unwrap());
        el2.settle(&vm, table.unmap(Ipa(BLOCK), PAGE).unwrap())
            .unwrap();
        assert_eq!(steps(&cpu.take()), PUBLISH);
    });
}
