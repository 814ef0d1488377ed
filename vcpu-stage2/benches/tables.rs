//! Tables made, taken apart and harvested, beside `aarch64-paging` in the same run.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use aarch64_paging::{
    Mapping,
    descriptor::{PhysicalAddress, Stage2Attributes as Flags},
    idmap::IdTranslation,
    paging::{Constraints, MemoryRegion, Stage2},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::{
    alloc::{self, GlobalAlloc, System},
    hint::black_box,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    sync::Mutex,
};
use vcpu_regs::{Granule, Ipa, MemoryModel, Pa};
use vcpu_stage2::{AddressMap, Attributes, Change, FrameSource, Geometry, Options, Request, Table};

const PAGE: u64 = 4096;
const GIB: u64 = 1 << 30;

/// A CPU of 40 bits, as cortex-a53; and with it hardware that records dirty pages.
const MODEL: MemoryModel = MemoryModel {
    mmfr0: 0x1122,
    mmfr1: 2,
    mmfr2: 0,
    mmfr3: 0,
    isar0: 0,
    ctr: 2 << 14,
};

/// The system's allocator, but frames come back to a list: both crates take their tables from
/// here, and neither is charged with the page faults of memory fresh from the kernel.
struct Frames(Mutex<usize>);

#[global_allocator]
static FRAMES: Frames = Frames(Mutex::new(0));

fn is_frame(layout: alloc::Layout) -> bool {
    layout.size() == PAGE as usize && layout.align() == PAGE as usize
}

// SAFETY: the system's allocator is asked for everything; a frame on the list was given out by it,
// has come back, and is in nobody's hands. Its first word links the list, under the lock.
unsafe impl GlobalAlloc for Frames {
    unsafe fn alloc(&self, layout: alloc::Layout) -> *mut u8 {
        if is_frame(layout)
            && let Ok(mut first) = self.0.lock()
            && *first != 0
        {
            let frame = std::ptr::with_exposed_provenance_mut::<usize>(*first);
            // SAFETY: on the list: as above.
            *first = unsafe { frame.read() };
            return frame.cast();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: alloc::Layout) {
        if is_frame(layout)
            && let Ok(mut first) = self.0.lock()
        {
            // SAFETY: the caller gives the frame back; it is as large and aligned as a word.
            unsafe { pointer.cast::<usize>().write(*first) };
            *first = pointer.expose_provenance();
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) };
    }
}

/// The global allocator, at its own addresses: what `aarch64-paging`'s `IdTranslation` uses too.
#[derive(Clone, Copy)]
struct Heap;

fn layout(bytes: u64) -> alloc::Layout {
    alloc::Layout::from_size_align(bytes as usize, bytes as usize).unwrap()
}

// SAFETY: the allocator gives each frame once; its physical address is its own.
unsafe impl FrameSource for Heap {
    fn allocate(&mut self, bytes: u64) -> Option<Pa> {
        // SAFETY: the size is not 0.
        let memory = unsafe { alloc::alloc(layout(bytes)) };
        (!memory.is_null()).then(|| Pa(memory.expose_provenance() as u64))
    }

    fn release(&mut self, frame: Pa, bytes: u64) {
        let memory = std::ptr::with_exposed_provenance_mut(frame.0 as usize);
        // SAFETY: `allocate` gave it with this layout.
        unsafe { alloc::dealloc(memory, layout(bytes)) };
    }
}

// SAFETY: a frame is where the allocator put it.
unsafe impl AddressMap for Heap {
    fn pointer(&self, frame: Pa) -> NonNull<u64> {
        NonNull::new(std::ptr::with_exposed_provenance_mut(frame.0 as usize)).unwrap()
    }
}

type HeapTable = Table<Heap, Heap>;

/// A table that gives its frames back when it is dropped, as `aarch64-paging`'s does.
struct Owned(Option<HeapTable>);

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(table) = self.0.take() {
            // SAFETY: no CPU uses a table of a benchmark.
            unsafe { table.release() };
        }
    }
}

impl Deref for Owned {
    type Target = HeapTable;

    fn deref(&self) -> &HeapTable {
        self.0.as_ref().expect("there until it is dropped")
    }
}

impl DerefMut for Owned {
    fn deref_mut(&mut self) -> &mut HeapTable {
        self.0.as_mut().expect("there until it is dropped")
    }
}

fn table(options: Options) -> Owned {
    let request = Request {
        options,
        granule: Some(Granule::Kib4),
        ..Request::exactly(40)
    };
    // The heap of the benchmark lies above 40 bits: tables may, output addresses need not.
    let wide = MemoryModel {
        mmfr0: 0x1125,
        ..MODEL
    };
    let geometry = Geometry::probe(&wide, &request).unwrap();
    Owned(Some(Table::new(geometry, Heap, Heap).unwrap()))
}

fn settle(change: Change<'_, Heap, Heap>) {
    // SAFETY: no CPU uses a table of a benchmark.
    unsafe { change.settle(|what| _ = black_box(&what)) }
}

fn map(table: &mut HeapTable, ipa: u64, pa: u64, bytes: u64) {
    // SAFETY: no guest runs in a benchmark.
    settle(unsafe { table.map(Ipa(ipa), Pa(pa), bytes, Attributes::RAM) }.unwrap());
}

const FLAGS: Flags = Flags::VALID
    .union(Flags::MEMATTR_NORMAL_INNER_WB)
    .union(Flags::MEMATTR_NORMAL_OUTER_WB)
    .union(Flags::SH_INNER)
    .union(Flags::S2AP_ACCESS_RW)
    .union(Flags::ACCESS_FLAG);

type Peer = Mapping<IdTranslation<Flags>, Stage2>;

fn peer() -> Peer {
    Mapping::new(IdTranslation::new(), 1, Stage2)
}

fn peer_map(peer: &mut Peer, ipa: u64, pa: u64, bytes: u64) {
    let region = MemoryRegion::new(ipa as usize, (ipa + bytes) as usize);
    let pa = PhysicalAddress(pa as usize);
    peer.map_range(&region, pa, FLAGS, Constraints::empty())
        .unwrap();
}

fn pages(c: &mut Criterion) {
    let mut group = c.benchmark_group("map 1 GiB of 4K pages");
    group
        .sample_size(20)
        .throughput(Throughput::Elements(GIB / PAGE));
    // Misaligned to each other, so that no block can be used.
    group.bench_function("vcpu-stage2, one call", |b| {
        b.iter_batched_ref(
            || table(Options::empty()),
            |table| map(table, GIB, GIB + PAGE, GIB),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("aarch64-paging, one call", |b| {
        b.iter_batched_ref(
            peer,
            |peer| peer_map(peer, GIB, GIB + PAGE, GIB),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("vcpu-stage2, page by page", |b| {
        b.iter_batched_ref(
            || table(Options::empty()),
            |table| {
                (0..GIB)
                    .step_by(PAGE as usize)
                    .for_each(|at| map(table, GIB + at, at, PAGE))
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("aarch64-paging, page by page", |b| {
        b.iter_batched_ref(
            peer,
            |peer| {
                (0..GIB)
                    .step_by(PAGE as usize)
                    .for_each(|at| peer_map(peer, GIB + at, GIB + at, PAGE))
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn blocks(c: &mut Criterion) {
    let mut group = c.benchmark_group("map 511 GiB of blocks");
    group.throughput(Throughput::Elements(511));
    group.bench_function("vcpu-stage2, 1 GiB blocks", |b| {
        b.iter_batched_ref(
            || table(Options::empty()),
            |table| map(table, 0, 0, 511 * GIB),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("aarch64-paging, 1 GiB blocks", |b| {
        b.iter_batched_ref(
            peer,
            |peer| peer_map(peer, 0, 0, 511 * GIB),
            BatchSize::PerIteration,
        );
    });
    group
        .sample_size(20)
        .throughput(Throughput::Elements(511 * 512));
    group.bench_function("vcpu-stage2, 2 MiB blocks", |b| {
        b.iter_batched_ref(
            || table(Options::empty()),
            |table| map(table, 0, 2 << 20, 511 * GIB),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("aarch64-paging, 2 MiB blocks", |b| {
        b.iter_batched_ref(
            peer,
            |peer| peer_map(peer, 0, 2 << 20, 511 * GIB),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn unmap(c: &mut Criterion) {
    let mut group = c.benchmark_group("unmap 1 GiB of 4K pages");
    group
        .sample_size(20)
        .throughput(Throughput::Elements(GIB / PAGE));
    let full = || {
        let mut table = table(Options::empty());
        map(&mut table, GIB, GIB + PAGE, GIB);
        table
    };
    let peer_full = || {
        let mut peer = peer();
        peer_map(&mut peer, GIB, GIB + PAGE, GIB);
        peer
    };
    group.bench_function("vcpu-stage2, one call", |b| {
        b.iter_batched_ref(
            full,
            |table| settle(table.unmap(Ipa(GIB), GIB).unwrap()),
            BatchSize::PerIteration,
        );
    });
    let peer_unmap = |peer: &mut Peer, at: u64, bytes: u64| {
        let region = MemoryRegion::new(at as usize, (at + bytes) as usize);
        let pa = PhysicalAddress(at as usize);
        peer.map_range(&region, pa, Flags::empty(), Constraints::empty())
            .unwrap();
    };
    group.bench_function("aarch64-paging, one call", |b| {
        b.iter_batched_ref(
            peer_full,
            |peer| peer_unmap(peer, GIB, GIB),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("vcpu-stage2, page by page", |b| {
        b.iter_batched_ref(
            full,
            |table| {
                for at in (GIB..2 * GIB).step_by(PAGE as usize) {
                    settle(table.unmap(Ipa(at), PAGE).unwrap());
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("aarch64-paging, page by page", |b| {
        b.iter_batched_ref(
            peer_full,
            |peer| {
                (GIB..2 * GIB)
                    .step_by(PAGE as usize)
                    .for_each(|at| peer_unmap(peer, at, PAGE))
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn harvest(c: &mut Criterion) {
    let mut group = c.benchmark_group("harvest the dirty log of 4 GiB");
    group.sample_size(20).throughput(Throughput::Bytes(4 * GIB));
    let mut bitmap = vec![0u64; (4 * GIB / PAGE / 64) as usize];
    let cases = [
        ("no page dirty", 0, Options::empty()),
        ("1 page in 64 dirty", 64, Options::empty()),
        ("every page dirty", 1, Options::empty()),
        ("every page dirty, by hardware", 1, Options::DIRTY),
    ];
    for (name, every, options) in cases {
        group.bench_function(name, |b| {
            let mut table = table(options);
            assert!(table.geometry().options().contains(options));
            map(&mut table, 0, 0, 4 * GIB);
            settle(table.start_log(Ipa(0), 4 * GIB).unwrap());
            b.iter_custom(|rounds| {
                let mut spent = std::time::Duration::ZERO;
                for _ in 0..rounds {
                    if every > 0 {
                        for at in (0..4 * GIB).step_by((every * PAGE) as usize) {
                            settle(table.log_write(Ipa(at)).unwrap());
                        }
                    }
                    let start = std::time::Instant::now();
                    settle(table.harvest_dirty(Ipa(0), 4 * GIB, &mut bitmap).unwrap());
                    spent += start.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pages, blocks, unmap, harvest);
criterion_main!(benches);
