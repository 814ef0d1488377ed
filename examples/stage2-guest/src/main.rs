//! Checks what a guest meets under stage 2: permissions, access flag and dirty state by its own
//! loads, stores and fetches; two VMIDs taking turns on one CPU with no TLBI between; two vCPUs of one
//! VMID that do, each with a TLB that it takes for its own; and, as the controls, what it sees where
//! an invalidation that is needed is left out.
//!
//! TCG drops its TLB when `VTTBR_EL2.VMID` changes, and keeps it when only the root does: the
//! controls show stale entries, and that two VMIDs need none is the tables' doing only in part.

#![no_std]
#![no_main]

mod permissions;
mod rig;
mod shared_tlb;

use core::cell::RefCell;

use machine::{Error, Frames, Machine, println};
use rig::{Access, Outcome, Rig};
use vcpu_asm::El2Cpu;
use vcpu_regs::{Ipa, Pa, Vmid};
use vcpu_stage2::{
    Attributes, Change, FrameSource, Geometry, IpaBits, LinearMap, Options, Request, Table, Walk,
};

machine::main!(main);

const PAGE: u64 = 4096;
/// Where guests find what they are to access; their code is where it is in RAM.
const DATA: u64 = 0x1000_0000;
/// Pages of it.
const PAGES: u64 = 8;
/// Where the memory starts that all granules find aligned.
const LARGE_PAGE: u64 = 2 << 16;

/// Frames for several tables at a time.
#[derive(Clone, Copy)]
struct Shared<'f>(&'f RefCell<Frames>);

// SAFETY: the promises are those of the source in the cell.
unsafe impl FrameSource for Shared<'_> {
    fn allocate(&mut self, bytes: u64) -> Option<Pa> {
        self.0.borrow_mut().allocate(bytes)
    }

    fn release(&mut self, frame: Pa, bytes: u64) {
        self.0.borrow_mut().release(frame, bytes);
    }
}

type GuestTable<'f> = Table<Shared<'f>, LinearMap>;

fn main(mut machine: Machine) -> Result<(), Error> {
    let start = machine.ram.start();
    machine.ram.load(start, rig::code())?;
    // Each page of memory begins with an exit, and tells its number.
    for page in 1..=2 * PAGES {
        machine.ram.load(start + page * PAGE, &rig::WFI)?;
        machine
            .ram
            .load(start + page * PAGE + 4, &(page as u32).to_le_bytes())?;
    }
    machine.ram.load(start + LARGE_PAGE, &rig::WFI)?;
    let frames = RefCell::new(machine.frames);
    let frames = Shared(&frames);
    shared_tlb::check(&mut machine.ram, frames)?;
    let rig = Rig::new(El2Cpu::current().expect("main runs at EL2"), start);
    permissions::check(&rig, frames, start)?;
    dirty_log(&rig, frames, start)?;
    aging(&rig, frames, start)?;
    paging(&rig, frames, start)?;
    vmids(&rig, frames, start)?;
    Ok(())
}

/// A table under which guests find their code, and pages of data from `data` on.
fn table<'f>(
    rig: &Rig,
    frames: Shared<'f>,
    options: Options,
    code: u64,
    data: u64,
) -> Result<GuestTable<'f>, Error> {
    let request = Request {
        ipa: IpaBits::AtMost(40),
        options,
        ..Request::MOST
    };
    table_of(rig, frames, &request, code, data)
}

/// The same in any format. `code` and `data` begin pages of it.
fn table_of<'f>(
    rig: &Rig,
    frames: Shared<'f>,
    request: &Request,
    code: u64,
    data: u64,
) -> Result<GuestTable<'f>, Error> {
    let geometry = Geometry::probe(rig.model(), request)?;
    let page = geometry.granule().bytes();
    // SAFETY: `Frames` gives out hypervisor RAM, which is mapped where it lies, and not at 0.
    let mut table = Table::new(geometry, frames, unsafe { LinearMap::new(0) })?;
    let code_attributes = Attributes::RAM.read_only();
    // SAFETY: RAM of guests, which the hypervisor only reads and writes while none runs.
    unsafe {
        table
            .map(Ipa(code), Pa(code), page, code_attributes)?
            .defer();
        let bytes = (PAGES * PAGE).max(page);
        table
            .map(Ipa(DATA), Pa(data), bytes, Attributes::RAM)?
            .defer();
    }
    Ok(table)
}

/// Puts a table in force under a VMID that nothing is cached for.
fn enter(rig: &Rig, table: &mut GuestTable<'_>, vmid: u16) -> Result<(), Error> {
    let vmid = Vmid::new(vmid).expect("not 0");
    // SAFETY: `leave` forgets the VMID before the table goes, and before it gets another; guests get
    // their own RAM.
    unsafe { rig.load(&table.stage2(vmid)?) };
    if let Some(change) = table.owed() {
        settle(rig, change);
    }
    Ok(())
}

fn leave(rig: &Rig, table: GuestTable<'_>) {
    rig.invalidate(vcpu_regs::Invalidate::Vmid);
    // SAFETY: this CPU alone used the table, and has just forgotten it.
    unsafe { table.release() };
}

fn settle(rig: &Rig, change: Change<'_, Shared<'_>, LinearMap>) {
    // SAFETY: this CPU alone uses the table, under the VMID in force.
    unsafe { change.settle(|what| rig.invalidate(what)) };
}

/// The log, kept by faults, and by hardware where it can.
fn dirty_log(rig: &Rig, frames: Shared<'_>, start: u64) -> Result<(), Error> {
    for options in [Options::empty(), Options::ACCESS_FLAG, Options::DIRTY] {
        let mut table = table(rig, frames, options, start, start + PAGE)?;
        let by_hardware = table.geometry().options().contains(Options::DIRTY);
        enter(rig, &mut table, 1)?;
        settle(rig, table.start_log(Ipa(DATA), PAGES * PAGE)?);
        let mut log = [0];
        for (round, written) in [0b0001_0110_u64, 0b1000_0000, 0, 0b1111_1111]
            .into_iter()
            .enumerate()
        {
            let mut faults = 0;
            for page in (0..PAGES).filter(|page| written >> page & 1 != 0) {
                let at = DATA + page * PAGE + 8;
                while let Outcome::Refused(status) = rig.run(Access::Store(round as u32), at, false)
                {
                    assert_eq!(status, 0b00_1111, "permission");
                    faults += 1;
                    settle(rig, table.log_write(Ipa(at)).expect("under the log"));
                }
            }
            settle(rig, table.harvest_dirty(Ipa(DATA), PAGES * PAGE, &mut log)?);
            assert_eq!(log, [written], "round {round}");
            assert_eq!(faults, if by_hardware { 0 } else { written.count_ones() });
            log = [0];
        }
        let how = if by_hardware { "hardware" } else { "faults" };
        println!("by {how}: the log held the pages written");
        leave(rig, table);
    }
    Ok(())
}

/// What was used since the last look, told by faults, and by hardware that sets the access flag
/// and nothing else.
fn aging(rig: &Rig, frames: Shared<'_>, start: u64) -> Result<(), Error> {
    for options in [Options::empty(), Options::ACCESS_FLAG] {
        let mut table = table(rig, frames, options, start, start + PAGE)?;
        let by_hardware = table.geometry().options().contains(Options::ACCESS_FLAG);
        enter(rig, &mut table, 1)?;
        let mut used = [0];
        settle(
            rig,
            table.harvest_accessed(Ipa(DATA), PAGES * PAGE, &mut used)?,
        );
        assert_eq!(used, [(1 << PAGES) - 1], "all begin with the flag");
        for (round, touched) in [0b0001_0110_u64, 0b1000_0000, 0, 0b1111_1111]
            .into_iter()
            .enumerate()
        {
            let access = [Access::Load, Access::Store(round as u32)][round % 2];
            let mut faults = 0;
            for page in (0..PAGES).filter(|page| touched >> page & 1 != 0) {
                let at = DATA + page * PAGE + 8;
                while let Outcome::Refused(status) = rig.run(access, at, false) {
                    assert_eq!(status, 0b00_1011, "access flag, level 3");
                    faults += 1;
                    settle(rig, table.touch(Ipa(at)).expect("mapped"));
                }
            }
            used = [0];
            settle(
                rig,
                table.harvest_accessed(Ipa(DATA), PAGES * PAGE, &mut used)?,
            );
            assert_eq!(used, [touched], "round {round}");
            assert_eq!(faults, if by_hardware { 0 } else { touched.count_ones() });
        }
        let how = if by_hardware { "hardware" } else { "faults" };
        println!("by {how}: the flags were those of the pages used");
        leave(rig, table);
    }
    Ok(())
}

/// Pages that come when they are used, and pages shared until they are written.
fn paging(rig: &Rig, frames: Shared<'_>, start: u64) -> Result<(), Error> {
    let mut table = table(rig, frames, Options::empty(), start, start + PAGE)?;
    enter(rig, &mut table, 1)?;
    settle(rig, table.unmap(Ipa(DATA), PAGES * PAGE)?);
    // On demand: a translation fault, the page, the same load again.
    let Walk::Unmapped { level } = table.walk(Ipa(DATA)) else {
        panic!("unmapped just now");
    };
    assert_eq!(look(rig), Outcome::Refused(0b00_0100 | level as u8));
    let page = Pa(start + PAGE);
    // SAFETY: RAM of guests, as in `table`; so below.
    settle(rig, unsafe {
        table.map(Ipa(DATA), page, PAGE, Attributes::RAM.read_only())?
    });
    assert_eq!(look(rig), Outcome::Done(1));
    // On write: a permission fault, a page of its own in place of the shared one, the store again.
    let store = Access::Store(77);
    assert_eq!(rig.run(store, DATA + 4, false), Outcome::Refused(0b00_1111));
    let copy = Pa(start + (2 * PAGES + 1) * PAGE);
    // SAFETY: as above.
    settle(rig, unsafe {
        table.remap(Ipa(DATA), copy, PAGE, Attributes::RAM)?
    });
    assert_eq!(rig.run(store, DATA + 4, false), Outcome::Done(0));
    assert_eq!(look(rig), Outcome::Done(77));
    // SAFETY: as above.
    settle(rig, unsafe {
        table.remap(Ipa(DATA), page, PAGE, Attributes::RAM)?
    });
    assert_eq!(look(rig), Outcome::Done(1), "the shared page was written");
    println!("pages came on demand, and were copied on write");
    leave(rig, table);
    Ok(())
}

/// The number that a guest finds in the first page of its data.
fn look(rig: &Rig) -> Outcome {
    rig.run(Access::Load, DATA + 4, false)
}

/// Two guests taking turns, and what goes wrong without what the tables ask for.
fn vmids(rig: &Rig, frames: Shared<'_>, start: u64) -> Result<(), Error> {
    let (here, there) = (start + PAGE, start + (1 + PAGES) * PAGE);
    let (first, second) = (Outcome::Done(1), Outcome::Done(1 + PAGES as u32));
    let mut a = table(rig, frames, Options::empty(), start, here)?;
    let mut b = table(rig, frames, Options::empty(), start, there)?;
    enter(rig, &mut a, 1)?;
    enter(rig, &mut b, 2)?;
    let turn = |table: &GuestTable<'_>, vmid| -> Result<Outcome, Error> {
        // SAFETY: the tables live to the end, and lead to RAM of guests. Where two have one VMID,
        // that is what the control is about.
        unsafe { rig.load(&table.stage2(vmid)?) };
        Ok(look(rig))
    };
    let (one, two) = (Vmid::FIRST, Vmid::new(2).expect("not 0"));
    for _ in 0..50 {
        assert_eq!(turn(&a, one)?, first);
        assert_eq!(turn(&b, two)?, second);
    }
    println!("two VMIDs: each guest saw its own memory");

    assert_eq!(turn(&a, one)?, first);
    say(
        "one VMID for both (the control)",
        turn(&b, one)?,
        first,
        second,
    );
    rig.invalidate(vcpu_regs::Invalidate::Vmid);
    assert_eq!(
        look(rig),
        second,
        "b under the VMID that was a's, forgotten"
    );

    rig.invalidate(vcpu_regs::Invalidate::Vmid);
    assert_eq!(turn(&a, one)?, first);
    // SAFETY: RAM of guests. The change is settled only after the first look.
    unsafe { a.remap(Ipa(DATA), Pa(there), PAGE, Attributes::RAM)? }.defer();
    say(
        "changed without invalidation (the control)",
        look(rig),
        first,
        second,
    );
    settle(rig, a.owed().expect("deferred"));
    say("changed and invalidated", look(rig), first, second);
    leave(rig, a);
    // `b` is leaked: TLBs may hold it under the other VMID.
    Ok(())
}

/// Says whether a guest saw what was there before, or what is there now.
fn say(what: &str, outcome: Outcome, old: Outcome, new: Outcome) {
    let seen = match outcome {
        outcome if outcome == old => "stale",
        outcome if outcome == new => "new",
        Outcome::Refused(_) => "refused",
        Outcome::Done(_) => "neither",
    };
    println!("{what}: {seen}");
}
