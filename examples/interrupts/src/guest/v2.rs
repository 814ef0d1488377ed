//! The same guest with a GICv2: x28 is where its CPU interface is, x27 its distributor. Group 0 comes
//! by FIQ (FIQEn).

use machine::guest_code;

guest_code! {
    /// Asks, and does.
    main_v2:
    "1:",
    "hvc #0",
    "cmp x0, #1",
    "b.lo 9f",
    "b.eq 3f",
    "cmp x0, #3",
    "b.lo 4f",
    "b.eq 5f",
    "cmp x0, #5",
    "b.lo 6f",
    "b.hi 8f",
    "orr w1, w1, w2, lsl #1",
    "orr w1, w1, #12", // AckCtl, FIQEn
    "str w1, [x28]", // GICC_CTLR
    "str w3, [x28, #4]", // GICC_PMR
    "b 1b",
    "3:",
    "lsr w1, w1, #24",
    "orr w1, w1, #(2 << 24)", // to itself
    "str w1, [x27, #0xf00]", // GICD_SGIR
    "b 9f",
    "4:",
    "str w2, [x28, #4]", // GICC_PMR
    "str w3, [x28, #8]", // GICC_BPR
    "str w4, [x28, #0x1c]", // GICC_ABPR
    "lsl w1, w1, #8", // bit 1 of ICC_CTLR_EL1 is bit 9 here
    "mov w2, #15", // both groups, AckCtl, FIQEn
    "orr w1, w1, w2",
    "str w1, [x28]", // GICC_CTLR
    "b 1b",
    "5:",
    "msr cntv_tval_el0, x1",
    "mov x1, #1",
    "msr cntv_ctl_el0, x1",
    "isb",
    "msr daifclr, #3",
    "7:",
    "wfi",
    "mrs x1, cntv_ctl_el0",
    "cbnz x1, 7b", // until its handler has stopped it
    "msr daifset, #3",
    "b 1b",
    "8:",
    "msr daifclr, #3",
    "7:",
    "cbz x26, 7b",
    "msr daifset, #3",
    "b 1b",
    "6:",
    "add x0, x28, #0x1000",
    "str w1, [x0]", // GICC_DIR
    "b 1b",
    "9:",
    "dsb sy", // the accesses above, before what they raise
    "msr daifclr, #3",
    "isb",
    "nop",
    "nop",
    "msr daifset, #3",
    "b 1b",
}

guest_code! {
    /// The vectors, and a handler for both groups: AckCtl lets one register acknowledge either.
    /// QEMU lacks the one for Group 1 alone, GICC_AIAR.
    vectors_v2:
    ".macro handle_v2 iar, eoir",
    "sub sp, sp, #48",
    "stp x0, x1, [sp]",
    "mrs x0, elr_el1",
    "mrs x1, spsr_el1",
    "stp x0, x1, [sp, #16]",
    "ldr w0, [x28, #\\iar]",
    "str x0, [sp, #32]",
    "hvc #1",
    "ldr x0, [sp, #32]",
    "and x1, x0, #0x3ff",
    "cmp x1, #1020",
    "b.hs 2f", // nothing was there
    "cmp x1, #27",
    "b.ne 1f",
    "msr cntv_ctl_el0, xzr", // the timer's level falls
    "isb",
    "1:",
    "msr daifclr, #3",
    "isb",
    "nop",
    "msr daifset, #3",
    "ldr x0, [sp, #32]",
    "str w0, [x28, #\\eoir]",
    "dsb sy",
    "hvc #2",
    "cmp x0, #1020",
    "b.hs 2f",
    "add x1, x28, #0x1000",
    "str w0, [x1]", // GICC_DIR
    "2:",
    "ldp x0, x1, [sp, #16]",
    "msr elr_el1, x0",
    "msr spsr_el1, x1",
    "ldp x0, x1, [sp]",
    "add sp, sp, #48",
    "eret",
    ".endm",
    ".org guest_vectors_v2 + 0x280", // an IRQ from EL1h
    "b 3f",
    ".org guest_vectors_v2 + 0x300", // a FIQ
    "b 4f",
    ".org guest_vectors_v2 + 0x800",
    "3:",
    "4:",
    "handle_v2 0x0c, 0x10", // GICC_IAR, GICC_EOIR
    ".purgem handle_v2",
}

/// Returns the code and the vectors.
pub fn pieces() -> (&'static [u8], &'static [u8]) {
    (main_v2(), vectors_v2())
}
