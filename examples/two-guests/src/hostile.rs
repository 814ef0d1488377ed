//! A guest that does all it can to others: interrupts off, it floods SGIs and accesses every
//! register of its devices with every size, over and over, and then switches itself off.

use core::arch::global_asm;

/// Returns the program.
pub fn bytes() -> &'static [u8] {
    unsafe extern "C" {
        static hostile: u8;
        static hostile_end: u8;
    }
    let (start, end) = (&raw const hostile, &raw const hostile_end);
    // SAFETY: the assembly below is between the two labels, in read-only memory.
    unsafe { core::slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
}

global_asm!(
    ".pushsection .rodata.guest, \"a\"",
    ".balign 2048", // so that the vectors are aligned wherever the first byte is
    ".global hostile",
    "hostile:",
    "mov x0, #(3 << 20)", // FPEN
    "msr cpacr_el1, x0",
    "adr x0, .Lhostile_vectors",
    "msr vbar_el1, x0",
    "mov x0, #7",
    "msr icc_sre_el1, x0",
    "isb",
    "msr icc_igrpen1_el1, x0", // but DAIF masks all, for good
    "mov x9, #0x10000",        // to CPUs 0 to 15 of no cluster
    "movk x9, #0xffff",
    "mov w28, #40",
    "1:",
    "adr x20, .Lhostile_ranges",
    "2:",
    "ldp x21, x22, [x20], #16",
    "cbz x22, 4f",
    "3:",
    // Values that change, and an SGI to everyone at each offset.
    "mul x9, x9, x21",
    "add x9, x9, #0x55",
    "ldrb w0, [x21]",
    "strb w9, [x21]",
    "ldrh w0, [x21]",
    "strh w9, [x21]",
    "ldr w0, [x21]",
    "str w9, [x21]",
    "ldr x0, [x21]",
    "str x9, [x21]",
    "ldp x0, x1, [x21]",
    ".inst 0x3d8002a0", // str q0, [x21]: the assembler is told of no FP
    "and w0, w21, #0xf",
    "lsl x0, x0, #24",
    "orr x0, x0, #(1 << 40)",
    "msr icc_sgi1r_el1, x0",
    "orr x0, x0, #0xff",
    "bic x0, x0, #(1 << 40)",
    "msr icc_sgi1r_el1, x0",
    "add x21, x21, #1",
    "cmp x21, x22",
    "b.lo 3b",
    "b 2b",
    "4:",
    "subs w28, w28, #1",
    "b.ne 1b",
    "movz w0, #0x0008", // SYSTEM_OFF
    "movk w0, #0x8400, lsl #16",
    "hvc #0",
    ".balign 8",
    ".Lhostile_ranges:",
    ".quad 0x08000000, 0x08002000", // GICD, to ICFGR and beyond
    ".quad 0x08006000, 0x08006400", // GICD_IROUTER
    ".quad 0x0800ff00, 0x08010010", // its end
    ".quad 0x080a0000, 0x080a0100", // GICR
    ".quad 0x080b0000, 0x080b1000", // SGI_base
    ".quad 0x080bfff0, 0x080c0010",
    ".quad 0x09000000, 0x09001010", // UART: what it prints, nobody wants to read
    ".quad 0x0a000000, 0x0a000210", // no disk is there
    ".quad 0, 0",
    ".balign 2048",
    ".Lhostile_vectors:",
    ".space 0x200",
    // Synchronous, current EL with SP_ELx: on to the next instruction. Clobbers: x17.
    "mrs x17, elr_el1",
    "add x17, x17, #4",
    "msr elr_el1, x17",
    "eret",
    ".space 0x600 - 16",
    ".global hostile_end",
    "hostile_end:",
    ".popsection",
);
