//! A flat program that tries the machine it is in: UART, timers, SGIs, other CPUs, power.
//!
//! It runs with the MMU off and without a stack. X19 holds the UART, X20 the device tree, X25 a bit
//! for each INTID that came, X26 the place of this CPU in the GICR range.

use core::arch::global_asm;

machine::guest_bytes! {
    /// Returns the program.
    pub bytes: { "raw_program" } to { "raw_program_end" }
}

global_asm!(
    ".pushsection .rodata.guest, \"a\"",
    ".balign 2048", // so that the vectors are aligned wherever the first byte is
    ".global raw_program",
    "raw_program:",
    "b 1f",
    // Sends the text at x1. Clobbers: x2.
    ".Lprint:",
    "ldrb w2, [x1], #1",
    "cbz w2, 2f",
    "strb w2, [x19]",
    "b .Lprint",
    "2: ret",
    // Enables SGI 1 and both timers on this CPU, its index in x0. Clobbers: x1.
    ".Lenable:",
    "mov x26, #0x080a0000",
    "add x26, x26, x0, lsl #17",
    "str wzr, [x26, #0x14]",        // GICR_WAKER
    "add x26, x26, #0x10, lsl #12", // SGI_base
    "mov w1, #-1",
    "str w1, [x26, #0x80]", // GICR_IGROUPR0
    "mov w1, #(1 << 1)",
    "movk w1, #(1 << 11 | 1 << 14), lsl #16",
    "str w1, [x26, #0x100]", // GICR_ISENABLER0
    "mov x1, #7",
    "msr icc_sre_el1, x1",
    "isb",
    "mov x1, #0xff",
    "msr icc_pmr_el1, x1",
    "mov x1, #1",
    "msr icc_igrpen1_el1, x1",
    "adr x1, .Lvectors",
    "msr vbar_el1, x1",
    "mov x25, #0",
    "isb",
    "msr daifclr, #2",
    "ret",
    // Waits until one of the interrupts in x0 came.
    ".Lwait:",
    "msr daifset, #2", // one that comes in between ends the wfi all the same
    "tst x25, x0",
    "b.ne 2f",
    "wfi",
    "msr daifclr, #2",
    "isb",
    "b .Lwait",
    "2: msr daifclr, #2",
    "bic x25, x25, x0",
    "ret",
    "1:",
    "mov x20, x0",
    "mov x19, #0x09000000",
    "adr x1, .Lhello",
    "bl .Lprint",
    "ldr w0, [x20]", // the tree's magic, in its byte order
    "mov w1, #0x0dd0",
    "movk w1, #0xedfe, lsl #16",
    "cmp w0, w1",
    "b.ne .Lfail",
    "mov x1, #0x08000000",
    "mov w0, #0x12", // ARE, Group 1
    "str w0, [x1]",  // GICD_CTLR
    "mov x0, #0",
    "bl .Lenable",
    // Both timers.
    "mov x0, #5000",
    "msr cntv_tval_el0, x0",
    "mov x0, #1",
    "msr cntv_ctl_el0, x0",
    "mov x0, #(1 << 27)",
    "bl .Lwait",
    "adr x1, .Lvirtual",
    "bl .Lprint",
    "mov x0, #5000",
    "msr cntp_tval_el0, x0",
    "mov x0, #1",
    "msr cntp_ctl_el0, x0",
    "mov x0, #(1 << 30)",
    "bl .Lwait",
    "adr x1, .Lphysical",
    "bl .Lprint",
    // An SGI to itself.
    "mov x0, #(1 << 24)",
    "orr x0, x0, #1",
    "msr icc_sgi1r_el1, x0",
    "mov x0, #2",
    "bl .Lwait",
    "adr x1, .Lsgi",
    "bl .Lprint",
    // Every other CPU: on, until its byte says so. GICR_TYPER.Last says which is the last.
    "mov x21, #0",
    "mov x22, #0x080a0000",
    "3:",
    "ldr w0, [x22, #8]",
    "tbnz w0, #4, 4f",
    "add x22, x22, #0x20, lsl #12",
    "add x21, x21, #1",
    "movz w0, #0x0003", // CPU_ON, SMC64
    "movk w0, #0xc400, lsl #16",
    "mov x1, x21",
    "adr x2, .Lsecondary",
    "mov x3, x21",
    "hvc #0",
    "cbnz x0, .Lfail",
    "5:",
    "mov x0, #2",
    "bl .Lwait", // it raises SGI 1 when it is there
    "adr x1, .Lslots",
    "ldrb w1, [x1, x21]",
    "cbz w1, 5b",
    "b 3b",
    "4:",
    "add w0, w21, #'1'",
    "strb w0, [x19]",
    "adr x1, .Lcpus",
    "bl .Lprint",
    "movz w0, #0x0008", // SYSTEM_OFF
    "movk w0, #0x8400, lsl #16",
    "hvc #0",
    ".Lfail:",
    "adr x1, .Lfailed",
    "bl .Lprint",
    "movz w0, #0x0008",
    "movk w0, #0x8400, lsl #16",
    "hvc #0",
    // X0 = its index.
    ".Lsecondary:",
    "mov x21, x0",
    "bl .Lenable",
    "mov x0, #5000",
    "msr cntv_tval_el0, x0",
    "mov x0, #1",
    "msr cntv_ctl_el0, x0",
    "mov x0, #(1 << 27)",
    "bl .Lwait",
    "adr x1, .Lslots",
    "mov w0, #1",
    "strb w0, [x1, x21]",
    "dsb sy", // the byte, before the interrupt that tells of it
    "mov x0, #(1 << 24)",
    "orr x0, x0, #1",
    "msr icc_sgi1r_el1, x0",
    "movz w0, #0x0002", // CPU_OFF
    "movk w0, #0x8400, lsl #16",
    "hvc #0",
    "b .Lfail",
    ".balign 2048",
    ".Lvectors:",
    ".space 0x280",
    // IRQ, current EL with SP_ELx. Clobbers: x17, x18.
    "mrs x17, icc_iar1_el1",
    "mov x18, #1",
    "lsl x18, x18, x17",
    "orr x25, x25, x18",
    "cmp x17, #27",
    "b.ne 6f",
    "msr cntv_ctl_el0, xzr",
    "6: cmp x17, #30",
    "b.ne 7f",
    "msr cntp_ctl_el0, xzr",
    "7: isb", // the timer's level, before the end
    "msr icc_eoir1_el1, x17",
    "eret",
    ".Lhello: .asciz \"flat program at EL1\\r\\n\"",
    ".Lvirtual: .asciz \"virtual timer interrupt\\r\\n\"",
    ".Lphysical: .asciz \"physical timer interrupt\\r\\n\"",
    ".Lsgi: .asciz \"sgi\\r\\n\"",
    ".Lcpus: .asciz \" cpus\\r\\n\"",
    ".Lfailed: .asciz \"FAILED\\r\\n\"",
    ".Lslots: .space 8",
    ".global raw_program_end",
    "raw_program_end:",
    ".popsection",
);
