//! The guest: each `hvc #n` with n > 0 tells the host x0, of which `REPORTS` says what it must be.

use machine::guest_code;

guest_code! {
    /// Two vCPUs: the first enters at the first byte, and starts the second.
    code:
    "mov w0, #0x84000000", // PSCI_VERSION
    "hvc #0",
    "hvc #1",
    "mov w0, #0xc4000000", // CPU_ON
    "add w0, w0, #3",
    "mov w9, w0",
    "mov x1, #1",
    "adr x2, 2f",
    "mov x3, #0x1234",
    "smc #0",
    "hvc #2",
    "mov w0, w9",
    "hvc #0",
    "hvc #3",
    "wfi", // the other vCPU's turn, and the clock stands still
    "mrs x0, cntvct_el0",
    "hvc #14",
    "mov w0, #0xc4000000", // AFFINITY_INFO
    "add w0, w0, #4",
    "mov x1, #1",
    "mov x2, #0",
    "hvc #0",
    "hvc #6",

    "mov w0, #0xc4000000", // MIGRATE
    "add w0, w0, #5",
    "hvc #0",
    "hvc #7",
    "mov w0, #0xc4000000", // TRNG_RND, 64 bits
    "add w0, w0, #0x53",
    "mov x1, #64",
    "smc #0",
    "mov x0, x3",
    "hvc #8",

    "isb",
    "mrs x1, cntvct_el0",
    "isb",
    "mrs x2, cntpct_el0", // traps: it has an offset
    "sub x0, x2, x1",
    "lsr x0, x0, #32",
    "hvc #9",
    "mov x1, #1000",
    "msr cntp_tval_el0, x1",
    "mov x1, #1",
    "msr cntp_ctl_el0, x1",
    "3: mrs x0, cntp_ctl_el0",
    "tbz x0, #2, 3b",
    "hvc #10",
    "mrs x1, cntp_cval_el0",
    "mrs x2, cntpct_el0",
    "sub x0, x2, x1",
    "lsr x0, x0, #63",
    "hvc #11",
    "msr cntp_ctl_el0, xzr",

    "adr x1, 6f",
    "msr vbar_el1, x1",
    "isb",
    "msr daifclr, #2",
    "mov x20, #2", // rounds
    "4: mov x21, #0",
    "mov x1, #1000",
    "msr cntv_tval_el0, x1",
    "mov x1, #1",
    "msr cntv_ctl_el0, x1",
    "isb",
    "5: cbz x21, 5b",
    "mov x0, x21",
    "hvc #12",
    "subs x20, x20, #1",
    "b.ne 4b",
    "mov w0, #0x84000000", // SYSTEM_OFF
    "add w0, w0, #8",
    "hvc #0",

    // The second vCPU.
    "2: hvc #4",
    "mrs x0, sctlr_el1",
    "and x0, x0, #1",
    "hvc #5",
    "mov w0, #0x84000000", // CPU_OFF
    "add w0, w0, #2",
    "smc #0",
    "hvc #13",

    // EL1's vectors. The interrupt is acknowledged and ended by calls: there is no controller.
    ".space 0x800 - (. - guest_code)",
    "6: .space 0x280",
    "hvc #20",
    "mov x22, #100", // still asserted, through many exits
    "7: hvc #21",
    "subs x22, x22, #1",
    "b.ne 7b",
    "msr cntv_ctl_el0, xzr",
    "isb",
    "add x21, x21, #1",
    "hvc #22",
    "eret",
}

pub const CODE: fn() -> &'static [u8] = code;

/// What the guest reports by `hvc #n`, from 1 on, and what it must be.
pub const REPORTS: [(&str, u64); 13] = [
    ("PSCI_VERSION", 0x1_0001),
    ("CPU_ON", 0),
    ("CPU_ON once more", -5i64 as u64),
    ("x0 of the started vCPU", 0x1234),
    ("its MMU", 0),
    ("AFFINITY_INFO after CPU_OFF", 1),
    ("MIGRATE, which QEMU has not got either", u64::MAX),
    ("random bits", crate::RANDOM),
    ("distance of the two counters, in 2^32", 0),
    ("CNTP_CTL_EL0 once it is due", 0b101),
    ("CNTPCT_EL0 before CNTP_CVAL_EL0", 0),
    ("timer interrupts taken", 1),
    ("CPU_OFF returned", u64::MAX),
];

/// The guest's virtual counter, after its clock stood still.
pub const CLOCK: u16 = 14;
/// The guest acknowledges its timer's interrupt.
pub const ACKNOWLEDGED: u16 = 20;
/// It is at it.
pub const HANDLING: u16 = 21;
/// It has ended it.
pub const ENDED: u16 = 22;
