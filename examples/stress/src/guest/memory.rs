//! Two pages of its own for each vCPU, at the same addresses in all, under the same ASID: one is
//! mapped as of that ASID, one as global. What a vCPU reads there is what it wrote, for a TLB is a
//! CPU's own; it invalidates only its own.
//!
//! QEMU 7.2 drops its TLB at every write of TCR_EL1, and so whenever a hypervisor loads another
//! vCPU: there, this fails where registers are mixed up or pages lost, and cannot fail where only an
//! invalidation is missing. On hardware it can.

use core::sync::atomic::Ordering::Relaxed;

use machine::Random;

use super::{
    clock,
    registers::{execute, read, write},
    report::fail,
    shared::{Cpu, PAGES, count},
};

/// Of each vCPU: three levels of tables, and two frames for each of two pages.
const FRAMES: usize = 7;
const PAGE: usize = 4096;
/// The first page of TTBR1's half.
const WINDOW: usize = 0xffff_ff80_0000_0000;
const ASID: u64 = 1;

/// nG, which the first page has.
const NOT_GLOBAL: u64 = 1 << 11;

/// Maps both.
pub fn map_own(index: usize) {
    let [first, second, third] = [0, 1, 2].map(|level| frame(index, level));
    for table in [first, second, third] {
        for entry in 0..512 {
            write_word(table + 8 * entry, 0);
        }
    }
    write_word(first, second as u64 | 3);
    write_word(second, third as u64 | 3);
    for page in 0..2 {
        for which in 0..2 {
            write_word(data(index, page, which), tag(index, page, which));
        }
        write_word(third + 8 * page, entry(index, page, 0));
    }
    execute!("dsb ishst"); // the tables, before a walk finds them
    write!(ttbr1_el1, first as u64 | ASID << 48);
    execute!("isb");
    execute!("tlbi vmalle1"); // what was walked in the empty table: nothing, but that may be kept
    execute!("dsb nsh");
    execute!("isb");
}

/// Reads and writes both.
pub fn check(me: &Cpu) {
    let index = me.index();
    for page in 0..2 {
        let which = me.maps[page].load(Relaxed) as usize % 2;
        let at = WINDOW + page * PAGE;
        let (seen, own) = (read_word(at), tag(index, page, which));
        if seen != own {
            fail!(
                "page {page} of vCPU {index} shows {seen:#x}, and {own:#x} is there: a translation \
                 of another time or another vCPU"
            );
        }
        let now = clock::virtual_now();
        write_word(at + 8, now);
        let landed = read_word(data(index, page, which) + 8);
        if landed != now {
            fail!("a store to page {page} of vCPU {index} went elsewhere");
        }
    }
    count(&me.counts.page_checks);
}

/// Maps one of them to its other frame.
pub fn change(me: &Cpu, random: &mut Random) {
    let (index, page) = (me.index(), random.below(2) as usize);
    super::interrupts::mask(); // a handler looks at it too
    let which = (me.maps[page].fetch_add(1, Relaxed) + 1) as usize % 2;
    let at = frame(index, 2) + 8 * page;
    let operand = (WINDOW + page * PAGE) as u64 >> 12 & 0xfff_ffff_ffff;
    write_word(at, 0);
    execute!("dsb nshst");
    // By address and ASID, or by address alone: on this CPU only.
    if page == 0 {
        execute!("tlbi vae1", operand | ASID << 48);
    } else {
        execute!("tlbi vaae1", operand);
    }
    execute!("dsb nsh");
    execute!("isb");
    write_word(at, entry(index, page, which));
    execute!("dsb nshst");
    execute!("isb");
    super::interrupts::unmask();
    count(&me.counts.page_changes);
    check(me);
}

/// What a frame begins with.
fn tag(index: usize, page: usize, which: usize) -> u64 {
    0x7a9e_0000_0000_0000 | (index << 16 | page << 8 | which) as u64
}

/// A page descriptor: write-back, inner shareable, not executed.
fn entry(index: usize, page: usize, which: usize) -> u64 {
    let attributes = 3 << 53 | 1 << 10 | 3 << 8 | 1 << 2 | 3;
    let not_global = if page == 0 { NOT_GLOBAL } else { 0 };
    data(index, page, which) as u64 | attributes | not_global
}

fn data(index: usize, page: usize, which: usize) -> usize {
    frame(index, 3 + 2 * page + which)
}

fn frame(index: usize, number: usize) -> usize {
    PAGES + (index * FRAMES + number) * PAGE
}

fn read_word(at: usize) -> u64 {
    // SAFETY: one of the vCPU's own frames, by its address or through the window, which no
    // reference reaches.
    unsafe { core::ptr::with_exposed_provenance::<u64>(at).read_volatile() }
}

fn write_word(at: usize, value: u64) {
    // SAFETY: as above.
    unsafe { core::ptr::with_exposed_provenance_mut::<u64>(at).write_volatile(value) }
}

/// For a report: what the window's address translates to now (`AT S1E1R`).
pub fn translation(page: usize) -> u64 {
    execute!("at s1e1r", (WINDOW + page * PAGE) as u64);
    execute!("isb");
    read!(par_el1)
}
