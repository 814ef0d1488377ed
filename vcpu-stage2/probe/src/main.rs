//! Calls every public function that a guest's values, or an ID register's, can reach, on words
//! the compiler cannot know. Not meant to run.
//!
//! The panic handler calls a function that does not exist: if a panic can be reached from here,
//! the program does not link. `tests/no_panic.rs` links it, and once more with a panic planted.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use vcpu_regs::{Granule, Ipa, MemoryModel, Pa, Va, Vmid, Vtcr};
use vcpu_stage2::*;

unsafe extern "C" {
    safe fn a_panic_can_be_reached() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    a_panic_can_be_reached()
}

fn word() -> u64 {
    black_box(0x1234_5678_9abc_def0)
}

/// Frames from nowhere.
struct Source;

// SAFETY: not meant to run.
unsafe impl FrameSource for Source {
    fn allocate(&mut self, bytes: u64) -> Option<Pa> {
        Some(Pa(word().checked_mul(bytes)?))
    }

    fn release(&mut self, frame: Pa, bytes: u64) {
        black_box((frame, bytes));
    }
}

type ProbeTable = Table<Source, LinearMap>;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let model = MemoryModel {
        mmfr0: word(),
        mmfr1: word(),
        mmfr2: word(),
        mmfr3: word(),
        isar0: word(),
        ctr: word(),
    };
    let model = model.common(&black_box(model));
    let granule = [
        None,
        Some(Granule::Kib4),
        Some(Granule::Kib16),
        Some(Granule::Kib64),
    ];
    let request = Request {
        ipa: IpaBits::Exactly(word() as u8),
        granule: granule[word() as usize & 3],
        levels: Some(word() as u8),
        options: Options::from_bits_truncate(word() as u16),
    };
    black_box(Vtcr::from_bits(word()).fields());
    if let Ok(geometry) = Geometry::probe(&model, &request) {
        black_box(geometry.vtcr());
        // SAFETY: not meant to run.
        let memory = unsafe { LinearMap::new(word()) };
        if let Ok(mut table) = Table::new(geometry, Source, memory) {
            read(&table);
            faults(&mut table, &model);
            changes(&mut table, &model);
            // SAFETY: not meant to run.
            black_box(unsafe { table.release() });
        }
    }
    vmids();
    #[cfg(feature = "planted")]
    black_box([0_u8; 4][word() as usize]);
    loop {
        core::hint::spin_loop();
    }
}

fn read(table: &ProbeTable) {
    black_box(table.walk(Ipa(word())));
    let stage1 = Stage1 {
        sctlr: word(),
        tcr: word(),
        tcr2: word(),
        ttbr0: word(),
        ttbr1: word(),
        mair: word(),
    };
    let _ = black_box(stage1.walk(Va(word()), |ipa| Some(black_box(ipa.0))));
    black_box(table.walk_guest(&stage1, Va(word()), |pa| Some(black_box(pa.0))));
    table.for_each_region(|region| _ = black_box(region));
    // SAFETY: not meant to run.
    let _ = black_box(unsafe { table.stage2(Vmid::FIRST) });
}

fn settle(change: Change<'_, Source, LinearMap>, model: &MemoryModel) {
    let execute = |what: vcpu_regs::Invalidate| {
        for step in what.steps(model) {
            black_box(step);
        }
    };
    // SAFETY: not meant to run.
    unsafe { change.settle(execute) }
}

/// What a guest's own accesses lead to.
fn faults(table: &mut ProbeTable, model: &MemoryModel) {
    if let Some(change) = table.log_write(Ipa(word())) {
        settle(change, model);
    }
    if let Some(change) = table.touch(Ipa(word())) {
        settle(change, model);
    }
}

fn changes(table: &mut ProbeTable, model: &MemoryModel) {
    let (ipa, pa, bytes) = (Ipa(word()), Pa(word()), word());
    let mut bitmap = [0; 8];
    macro_rules! each {
        ($($change:expr),* $(,)?) => { $(
            // SAFETY: not meant to run.
            #[allow(unused_unsafe)]
            if let Ok(change) = unsafe { $change } {
                settle(change, model);
            }
        )* };
    }
    each!(
        table.map(ipa, pa, bytes, Attributes::RAM),
        table.protect(ipa, bytes, Attributes::DEVICE),
        table.remap(ipa, pa, bytes, Attributes::RAM),
        table.unmap(ipa, bytes),
        table.merge(ipa, bytes),
        table.start_log(ipa, bytes),
        table.harvest_dirty(ipa, bytes, &mut bitmap),
        table.harvest_accessed(ipa, bytes, &mut bitmap),
        table.stop_log(ipa, bytes),
    );
}

fn vmids() {
    static VM: VmTag<4> = VmTag::new();
    static VMIDS: Option<Vmids<4>> = Vmids::new(16);
    if let Some(vmids) = &VMIDS {
        // SAFETY: not meant to run.
        let activation =
            unsafe { vmids.activate(word() as usize, &VM, &mut VcpuTag::new(word() as u32)) };
        black_box((activation, VM.vmid()));
    }
}
