//! The guest: it does what its host tells it, and tells its host of every interrupt.
//!
//! `hvc #0` asks for the next command, in x0, with its operands in x1 to x4. `hvc #1` says which
//! INTID was acknowledged (x0), `hvc #2` which was ended: x0 is the INTID to deactivate then, or
//! [`NOTHING`].

mod v2;

use machine::guest_code;

/// Lets interrupts in, until no more come.
pub const OPEN: u64 = 0;
/// The same after an SGI: x1 is for ICC_SGI1R_EL1.
pub const SEND: u64 = 1;
/// Sets ICC_CTLR_EL1, ICC_PMR_EL1, ICC_BPR0_EL1 and ICC_BPR1_EL1 from x1 to x4, and enables both
/// groups.
pub const SET_UP: u64 = 2;
/// Starts the virtual timer, to fire in x1 ticks, and waits until it did.
pub const TIMER: u64 = 3;
/// Writes x1 to ICC_DIR_EL1.
pub const DEACTIVATE: u64 = 4;
/// Sets ICC_IGRPEN0_EL1 and ICC_IGRPEN1_EL1 from x1 and x2, and ICC_PMR_EL1 from x3.
pub const ENABLE: u64 = 5;
/// Lets interrupts in and runs in a loop, without an exit of its own, until x26 is not 0.
pub const SPIN: u64 = 6;

/// The INTID of no interrupt.
pub const NOTHING: u64 = 1023;
/// INTID of the virtual timer.
pub const VIRTUAL_TIMER: u32 = 27;

guest_code! {
    /// Asks, and does.
    main:
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
    "msr S3_0_C12_C12_6, x1", // ICC_IGRPEN0_EL1
    "msr S3_0_C12_C12_7, x2", // ICC_IGRPEN1_EL1
    "msr S3_0_C4_C6_0, x3", // ICC_PMR_EL1
    "isb",
    "b 1b",
    "3:",
    "msr S3_0_C12_C11_5, x1", // ICC_SGI1R_EL1
    "b 9f",
    "4:",
    "msr S3_0_C12_C12_4, x1", // ICC_CTLR_EL1
    "msr S3_0_C4_C6_0, x2", // ICC_PMR_EL1
    "msr S3_0_C12_C8_3, x3", // ICC_BPR0_EL1
    "msr S3_0_C12_C12_3, x4", // ICC_BPR1_EL1
    "mov x1, #1",
    "msr S3_0_C12_C12_6, x1", // ICC_IGRPEN0_EL1
    "msr S3_0_C12_C12_7, x1", // ICC_IGRPEN1_EL1
    "isb",
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
    "msr S3_0_C12_C11_1, x1", // ICC_DIR_EL1
    "isb",
    "b 1b",
    "9:",
    "msr daifclr, #3",
    "isb",
    "nop",
    "nop",
    "msr daifset, #3",
    "b 1b",
}

guest_code! {
    /// The vectors, and a handler for each group. While the host hears of an interrupt, others are
    /// masked; then they may preempt.
    vectors:
    ".macro handle iar, eoir",
    "sub sp, sp, #48",
    "stp x0, x1, [sp]",
    "mrs x0, elr_el1",
    "mrs x1, spsr_el1",
    "stp x0, x1, [sp, #16]",
    "mrs x0, \\iar",
    "str x0, [sp, #32]",
    "hvc #1",
    "ldr x0, [sp, #32]",
    "cmp x0, #1020",
    "b.hs 2f", // nothing was there
    "cmp x0, #27",
    "b.ne 1f",
    "msr cntv_ctl_el0, xzr", // the timer's level falls
    "1:",
    "msr daifclr, #3",
    "isb",
    "nop",
    "msr daifset, #3",
    "ldr x0, [sp, #32]",
    "msr \\eoir, x0",
    "isb",
    "hvc #2",
    "cmp x0, #1020",
    "b.hs 2f",
    "msr S3_0_C12_C11_1, x0", // ICC_DIR_EL1
    "isb",
    "2:",
    "ldp x0, x1, [sp, #16]",
    "msr elr_el1, x0",
    "msr spsr_el1, x1",
    "ldp x0, x1, [sp]",
    "add sp, sp, #48",
    "eret",
    ".endm",
    ".org guest_vectors + 0x280", // an IRQ from EL1h
    "b 3f",
    ".org guest_vectors + 0x300", // a FIQ
    "b 4f",
    ".org guest_vectors + 0x800",
    "3:",
    "handle S3_0_C12_C12_0, S3_0_C12_C12_1", // ICC_IAR1_EL1, ICC_EOIR1_EL1
    "4:",
    "handle S3_0_C12_C8_0, S3_0_C12_C8_1", // ICC_IAR0_EL1, ICC_EOIR0_EL1
    ".purgem handle",
}

guest_code! {
    /// The guest of a plain line asks its host which interrupt it is, and tells it when it is done.
    line_vectors:
    ".org guest_line_vectors + 0x280", // an IRQ from EL1h
    "sub sp, sp, #32",
    "stp x0, x1, [sp]",
    "hvc #1",
    "hvc #2",
    "ldp x0, x1, [sp]",
    "add sp, sp, #32",
    "eret",
}

/// Where each piece lies, from the start of the guest's RAM.
pub const MAIN: u64 = 0;
/// VBAR_EL1 of a guest with a CPU interface.
pub const VECTORS: u64 = 0x1000;
/// VBAR_EL1 of a guest with a plain line.
pub const LINE_VECTORS: u64 = 0x2000;
/// The stack, downwards.
pub const STACK: u64 = 0x8000;

/// Returns every piece and where it lies.
pub fn pieces(has_gicv3: bool) -> [(u64, &'static [u8]); 3] {
    let (main, vectors) = match has_gicv3 {
        true => (main(), vectors()),
        false => v2::pieces(),
    };
    [
        (MAIN, main),
        (VECTORS, vectors),
        (LINE_VECTORS, line_vectors()),
    ]
}
