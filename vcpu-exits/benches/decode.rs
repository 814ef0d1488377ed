//! Decoding one syndrome, beside google's `aarch64-esr-decoder` on the same corpus in the same run.
//!
//! The corpus has a few words of every class that reaches EL2, as guests make them; the peer refuses some, which
//! costs it less than decoding them would. Times are for the whole corpus: divide by its length.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use vcpu_exits::explain::Fields;
use vcpu_exits::{Decoded, Fault, Syndrome};
use vcpu_regs::Esr;

const CORPUS: [u64; 64] = [
    0x0200_0000,
    0x07e0_0000,
    0x07e0_0001,
    0x07e0_00e6,
    0x0fe0_0c41,
    0x0ff0_0c41,
    0x1212_3456,
    0x17e0_1461,
    0x1bf0_0001,
    0x1fe0_0000,
    0x2010_0005,
    0x2600_0000,
    0x2a00_0002,
    0x32e0_0000,
    0x3600_0001,
    0x3a00_0000,
    0x4600_0000,
    0x4a00_002a,
    0x4fe8_0000,
    0x5232_0401,
    0x5600_0000,
    0x5a00_0000,
    0x5a00_002a,
    0x5e00_0000,
    0x6232_0401,
    0x623a_3016,
    0x6230_0481,
    0x6212_780a,
    0x623a_f801,
    0x6600_0000,
    0x6a00_0002,
    0x6e00_00a0,
    0x7200_0003,
    0x7600_0002,
    0x8200_0006,
    0x8200_0087,
    0x8600_000f,
    0x8a00_0000,
    0x9383_0046,
    0x9365_8007,
    0x9200_0006,
    0x9200_004f,
    0x9200_00c7,
    0x9200_0147,
    0x93c0_8006,
    0x9240_0410,
    0x9600_0046,
    0x9600_0021,
    0x9a00_0000,
    0x9e04_0c41,
    0xb2c0_0701,
    0xb680_0000,
    0xbe00_0011,
    0xbe00_0c11,
    0xbf00_0000,
    0xc200_0022,
    0xca00_0022,
    0xcb00_0062,
    0xd200_0022,
    0xd266_0022,
    0xe200_0001,
    0xea00_0022,
    0xf200_0800,
    0xf600_0001,
];

fn decode(c: &mut Criterion) {
    let refused = CORPUS
        .iter()
        .filter(|&&word| aarch64_esr_decoder::decode(word).is_err())
        .count();
    println!("{} words; the peer refuses {refused}", CORPUS.len());
    let mut group = c.benchmark_group("decode");
    group.bench_function("vcpu-exits Syndrome", |b| {
        b.iter(|| {
            for word in black_box(&CORPUS) {
                black_box(Syndrome::decode(Esr(*word)));
            }
        });
    });
    group.bench_function("vcpu-exits Decoded", |b| {
        b.iter(|| {
            for word in black_box(&CORPUS) {
                black_box(Decoded::new(Esr(*word)));
            }
        });
    });
    group.bench_function("vcpu-exits Fault with IPA", |b| {
        b.iter(|| {
            for word in black_box(&CORPUS) {
                black_box(Fault::new(Esr(*word), 0x1000, 0x9_0000).map(Fault::ipa));
            }
        });
    });
    group.bench_function("vcpu-exits Fields", |b| {
        b.iter(|| {
            for word in black_box(&CORPUS) {
                black_box(
                    Fields::of(Esr(*word))
                        .map(|field| field.in_place())
                        .sum::<u64>(),
                );
            }
        });
    });
    group.bench_function("aarch64-esr-decoder", |b| {
        b.iter(|| {
            for word in black_box(&CORPUS) {
                let _ = black_box(aarch64_esr_decoder::decode(*word));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
