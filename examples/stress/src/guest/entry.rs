//! The way into Rust: MMU on, a stack, vectors.
//!
//! The tables of stage 1 that all vCPUs share are a constant: nothing is written before the MMU and
//! the caches are on, so nothing has to be cleaned or invalidated by address.

use core::arch::global_asm;

use super::{interrupts, registers::read, report::fail, shared::STACKS};

/// As a power of two.
const STACK_SHIFT: u32 = 15;

/// 39-bit addresses in both halves, 4 KiB pages, write-back and inner-shareable walks, 40-bit
/// physical addresses, ASIDs of 8 bits from TTBR1.
const TCR: u64 = {
    let half = 25 | 1 << 8 | 1 << 10 | 3 << 12; // TxSZ, IRGN, ORGN, SH
    half | half << 16 | 1 << 22 | 2 << 30 | 2 << 32
};
/// Attributes 0: Device-nGnRE; 1: write-back.
const MAIR: u64 = 0xff04;
/// RES1 bits of Armv8.0; I, C, M.
const SCTLR: u64 = 0x30d0_0800 | 1 << 12 | 1 << 2 | 1;

/// A table of stage 1.
#[repr(C, align(4096))]
struct Table {
    entries: [u64; 512],
}

/// The first two GiB, where they lie: devices, then RAM.
static LOWER: Table = {
    let mut entries = [0; 512];
    entries[0] = 3 << 53 | 1 << 10 | 1; // never executed
    entries[1] = 1 << 30 | 1 << 54 | 1 << 10 | 3 << 8 | 1 << 2 | 1; // not at EL0
    Table { entries }
};

/// Nothing, until a vCPU has tables of its own.
static UPPER: Table = Table { entries: [0; 512] };

global_asm!(
    ".pushsection .text.stress, \"ax\"",
    ".balign 4",
    // X0: the device tree.
    ".global stress_entry",
    "stress_entry:",
    "mov x1, x0",
    "mov x0, #0",
    "b 1f",
    // X0: which vCPU it is.
    ".global stress_secondary",
    "stress_secondary:",
    "mov x1, #0",
    "1:",
    "adrp x2, {lower}",
    "add x2, x2, :lo12:{lower}",
    "msr ttbr0_el1, x2",
    "adrp x2, {upper}",
    "add x2, x2, :lo12:{upper}",
    "msr ttbr1_el1, x2",
    "ldr x2, ={tcr}",
    "msr tcr_el1, x2",
    "ldr x2, ={mair}",
    "msr mair_el1, x2",
    "adrp x2, stress_vectors",
    "add x2, x2, :lo12:stress_vectors",
    "msr vbar_el1, x2",
    "tlbi vmalle1",
    "dsb nsh",
    "isb",
    "ldr x2, ={sctlr}",
    "msr sctlr_el1, x2",
    "isb",
    "ldr x2, ={stacks}",
    "add x3, x0, #1",
    "add x2, x2, x3, lsl #{stack_shift}",
    "mov sp, x2",
    "mov x29, xzr",
    "mov x30, xzr",
    "bl {start}",
    ".ltorg",

    // Whatever is no IRQ from this level: ends here.
    ".macro stress_odd number",
    ".balign 0x80",
    "mov x0, #\\number",
    "bl {odd}",
    ".endm",
    ".balign 2048",
    "stress_vectors:",
    "stress_odd 0", "stress_odd 1", "stress_odd 2", "stress_odd 3",
    "stress_odd 4",
    ".balign 0x80",
    "sub sp, sp, #176",
    "stp x0, x1, [sp]",
    "stp x2, x3, [sp, #16]",
    "stp x4, x5, [sp, #32]",
    "stp x6, x7, [sp, #48]",
    "stp x8, x9, [sp, #64]",
    "stp x10, x11, [sp, #80]",
    "stp x12, x13, [sp, #96]",
    "stp x14, x15, [sp, #112]",
    "stp x16, x17, [sp, #128]",
    "stp x18, x30, [sp, #144]",
    "bl {irq}",
    "b 2f", // the vector is full
    "stress_odd 6", "stress_odd 7", "stress_odd 8", "stress_odd 9", "stress_odd 10", "stress_odd 11",
    "stress_odd 12", "stress_odd 13", "stress_odd 14", "stress_odd 15",
    "2:",
    "ldp x0, x1, [sp]",
    "ldp x2, x3, [sp, #16]",
    "ldp x4, x5, [sp, #32]",
    "ldp x6, x7, [sp, #48]",
    "ldp x8, x9, [sp, #64]",
    "ldp x10, x11, [sp, #80]",
    "ldp x12, x13, [sp, #96]",
    "ldp x14, x15, [sp, #112]",
    "ldp x16, x17, [sp, #128]",
    "ldp x18, x30, [sp, #144]",
    "add sp, sp, #176",
    "eret",
    ".popsection",
    lower = sym LOWER,
    upper = sym UPPER,
    tcr = const TCR,
    mair = const MAIR,
    sctlr = const SCTLR,
    stacks = const STACKS,
    stack_shift = const STACK_SHIFT,
    start = sym super::start,
    odd = sym odd,
    irq = sym interrupts::take,
);

/// An exception that this program does not make: of a vector, by its number.
extern "C" fn odd(vector: u64) -> ! {
    fail!(
        "exception of vector {vector}: ESR {:#x}, ELR {:#x}, FAR {:#x}",
        read!(esr_el1),
        read!(elr_el1),
        read!(far_el1)
    );
}

/// Where `CPU_ON` enters.
pub fn secondary() -> u64 {
    unsafe extern "C" {
        static stress_secondary: u8;
    }
    (&raw const stress_secondary).addr() as u64
}
