//! Random tables of a guest, walked in software through stage 2 and by hardware.

use core::ops::Range;

use machine::{Error, Frames, GuestRam, Random, println};
use vcpu_asm::El2Cpu;
use vcpu_regs::{
    At, Granule, GranuleSupport, Invalidate, Ipa, MemoryModel, Pa, Translated, Va, Vmid,
};
use vcpu_stage2::{
    Attributes, Geometry, GuestWalk, LinearMap, Request, Stage1, Stage1Fault, Table, Walk,
};

use crate::oracle::{ACCESSES, Oracle, needs};

/// Tables of a guest, filled as if at any level.
const TABLES: u64 = 6;
/// Entries used of each.
const ENTRIES: u64 = 24;
/// Rounds of new tables, and addresses asked of each.
const ROUNDS: u32 = 40;
const ADDRESSES: u32 = 40;

/// Compares walks of random tables, with pages of `granule`.
pub fn check(
    frames: &mut Frames,
    ram: &mut GuestRam,
    model: &MemoryModel,
    granule: Granule,
) -> Result<(), Error> {
    let (tg0, t0sz) = match granule {
        Granule::Kib4 => (0, 25),
        Granule::Kib16 => (2, 17),
        Granule::Kib64 => (1, 22),
    };
    // Stage 1's own fields; these CPUs have the same at both stages.
    if model.stage2_granule(granule) == GranuleSupport::Absent {
        return Ok(());
    }
    let geometry = Geometry::probe(model, &Request::exactly(36))?;
    // SAFETY: `Frames` gives out hypervisor RAM, which is mapped where it lies, and not at 0.
    let mut ours = Table::new(geometry, frames, unsafe { LinearMap::new(0) })?;
    let start = ram.start();
    let guest = start..start + (16 << 20);
    // SAFETY: no guest runs: the hardware only walks.
    unsafe {
        let bytes = guest.end - guest.start;
        ours.map(Ipa(start), Pa(start), bytes, Attributes::RAM)?
            .defer();
        // A page that cannot be written, and one that is missing.
        ours.protect(Ipa(start + (8 << 20)), 1 << 20, Attributes::RAM.read_only())?
            .defer();
        ours.unmap(Ipa(start + (9 << 20)), 1 << 20)?.defer();
    }
    // SAFETY: released below, when the oracle is gone and its VMID forgotten; the only VMID it has.
    let stage2 = unsafe { ours.stage2(Vmid::FIRST)? };
    let cpu = El2Cpu::current().expect("main runs at EL2");
    let oracle = Oracle::new(cpu, *model, &stage2);
    if let Some(change) = ours.owed() {
        // SAFETY: this CPU alone uses the table, under the VMID in force.
        unsafe { change.settle(|what| oracle.invalidate(what)) };
    }
    let mut random = Random::new(t0sz);
    let (mut compared, mut mapped) = (0u32, 0u32);
    for _ in 0..ROUNDS {
        write_tables(ram, &guest, granule, &mut random)?;
        let stage1 = Stage1 {
            sctlr: 0x30c5_0830 | 1 | random.below(2) << 19, // M, WXN
            // IPS of 40 bits; HPD0, TBI0 at random; the upper half off.
            tcr: t0sz | 1 << 23 | tg0 << 14 | 2 << 32 | random.below(2) << 37,
            tcr2: 0,
            ttbr0: start,
            ttbr1: 0,
            mair: 0xff,
        };
        oracle.with_stage1(&stage1);
        oracle.invalidate(Invalidate::Vmid);
        let bytes = ram.bytes(guest.clone())?;
        let read = |pa: Pa| {
            let at = pa.0.checked_sub(start)? as usize;
            Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
        };
        for _ in 0..ADDRESSES {
            let va = address(granule, t0sz, &mut random);
            let walk = ours.walk_guest(&stage1, Va(va), read);
            for access in ACCESSES {
                let (answer, expected) = (oracle.translate(va, access), expected(&walk, access));
                let agree = match (answer, expected) {
                    (Translated::Mapped { page: found, .. }, Translated::Mapped { page, .. }) => {
                        found == page
                    }
                    // QEMU 7.2 gives the level of the guest's entry, not of ours.
                    (
                        Translated::Stage2OnWalk { status: found },
                        Translated::Stage2OnWalk { status },
                    ) => found >> 2 == status >> 2,
                    (answer, expected) => answer == expected,
                };
                assert!(
                    agree,
                    "{va:#x} {access:?}: {answer:x?} {expected:x?} {walk:x?}"
                );
                compared += 1;
                mapped += u32::from(matches!(answer, Translated::Mapped { .. }));
            }
        }
    }
    oracle.invalidate(Invalidate::Vmid);
    drop(oracle);
    // SAFETY: the oracle was the only user, and what it held of the VMID is forgotten.
    unsafe { ours.release() };
    println!(
        "{:>2}K, a guest's own tables: {compared} compared, {mapped} mapped",
        granule.bytes() >> 10,
    );
    assert!(mapped > 200, "too little was mapped to say anything");
    Ok(())
}

/// An address that tables of [`ENTRIES`] may translate, now and then with a tag or out of range.
fn address(granule: Granule, t0sz: u64, random: &mut Random) -> u64 {
    let va_bits = 64 - t0sz;
    let levels = (va_bits as u32 - granule.shift()).div_ceil(granule.stride());
    let indices =
        (4 - levels as i8..=3).map(|level| random.below(ENTRIES) << granule.entry_shift(level));
    let va = indices.sum::<u64>() & ((1 << va_bits) - 1);
    let extra = [0, 0, 0, 0x5a << 56, 1 << va_bits][random.below(5) as usize];
    (va | random.below(granule.bytes())) + extra
}

fn write_tables(
    ram: &mut GuestRam,
    guest: &Range<u64>,
    granule: Granule,
    random: &mut Random,
) -> Result<(), Error> {
    for table in 0..TABLES {
        let at = guest.start + table * granule.bytes();
        for entry in 0..ENTRIES {
            let word = descriptor(guest, granule, random);
            ram.load(at + entry * 8, &word.to_le_bytes())?;
        }
    }
    Ok(())
}

/// A table, a leaf, or nothing, with random attributes.
fn descriptor(guest: &Range<u64>, granule: Granule, random: &mut Random) -> u64 {
    let page = granule.bytes();
    let attributes = random.below(4) << 6 // AP
        | u64::from(random.below(8) != 0) << 10 // AF
        | random.below(4) << 53; // PXN, UXN
    match random.below(8) {
        0 => 0,
        // A page; as a table it holds whatever is there.
        1..3 => {
            let pages = (guest.end - guest.start) / page;
            (guest.start + random.below(pages) * page) | attributes | 3
        }
        // A block, beyond stage 2 as often as not. QEMU 7.2 takes one of 16K at level 1 too, which
        // there is only with FEAT_LPA2's descriptors.
        3 if granule != Granule::Kib16 => random.below(64) << 30 | attributes | 1,
        // Beyond IPS.
        4 if random.below(4) == 0 => 1 << 45 | attributes | 3,
        // A table, with its hierarchical bits; as a page it is the table itself.
        _ => {
            let table = guest.start + (1 + random.below(TABLES - 1)) * page;
            let hierarchy = if random.below(2) == 0 {
                random.below(16) << 59
            } else {
                0
            };
            table | hierarchy | 1 << 10 | random.below(4) << 6 | 3
        }
    }
}

/// What hardware must answer where the software walk found this.
fn expected(walk: &GuestWalk, access: At) -> Translated {
    let refused = |kind: u8, level: i8| Translated::Stage1 {
        status: kind | level as u8 & 3,
    };
    let own = |leaf: &vcpu_stage2::Stage1Leaf| {
        let level = leaf.level.unwrap_or(0);
        let permissions = match access {
            At::S12e1r | At::S12e1w => leaf.el1,
            _ => leaf.el0,
        };
        if !leaf.accessed {
            Some(refused(0b00_1000, level))
        } else if !permissions.access.contains(needs(access)) {
            Some(refused(0b00_1100, level))
        } else {
            None
        }
    };
    match walk {
        GuestWalk::Stage1(Stage1Fault::Translation { level }) => refused(0b00_0100, *level),
        GuestWalk::Stage1(Stage1Fault::AddressSize { level }) => refused(0, *level),
        GuestWalk::Stage2OnWalk { walk, .. } => match crate::expected(walk, At::S12e1r) {
            Translated::Stage2 { status } => Translated::Stage2OnWalk { status },
            other => other,
        },
        GuestWalk::Stage2 { stage1, walk } => {
            own(stage1).unwrap_or_else(|| crate::expected(walk, access))
        }
        GuestWalk::Mapped { stage1, stage2 } => {
            own(stage1).unwrap_or_else(|| crate::expected(&Walk::Mapped(*stage2), access))
        }
        GuestWalk::Stage1(other) => panic!("{other:?}: stage 2 maps all the tables can be in"),
    }
}
