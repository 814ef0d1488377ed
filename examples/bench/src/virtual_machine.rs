//! What a guest of the whole machine waits for: `machine::vmm`, its locks, bus, trace and all.
//!
//! The guest counts and prints by itself, on the UART of its machine.

use core::arch::global_asm;

use machine::{
    Error, Machine,
    vmm::{self, GuestConfig, Settings},
};

/// Runs the guest, which prints how long a read of a distributor's register takes (`gicd_read`), and
/// how long after a virtual timer's deadline its handler starts (`timer_late`).
pub fn run(machine: Machine) -> Result<(), Error> {
    let settings = Settings {
        vcpus: 1,
        ram_bytes: Some(4 << 20),
        uart: Settings::UART,
        stats: false,
    };
    vmm::run(machine, &settings, |_| {
        Ok([GuestConfig::new(&settings, program())])
    })
}

machine::guest_bytes! {
    program: { "bench_vm" } to { "bench_vm_end" }
}

global_asm!(
    ".pushsection .rodata.guest, \"a\"",
    ".balign 2048", // so that the vectors are aligned wherever the first byte is
    ".global bench_vm",
    "bench_vm:",
    "mov x19, #0x09000000",
    "mov x23, #0x08000000",
    // Reads of GICD_ISENABLER1.
    "mov w28, #10000",
    "mov w27, w28",
    "isb",
    "mrs x20, cntvct_el0",
    "1: ldr w1, [x23, #0x104]",
    "subs w27, w27, #1",
    "b.ne 1b",
    "isb",
    "mrs x21, cntvct_el0",
    "sub x21, x21, x20",
    "mov x22, #2", // the loop's own
    "adr x1, .Lbench_read",
    "bl .Lbench_report",
    // The timer, its interrupt alone.
    "mov w0, #0x12", // ARE, Group 1
    "str w0, [x23]",
    "mov x1, #0x080b0000", // SGI_base
    "mov w0, #(1 << 27)",
    "str w0, [x1, #0x80]",
    "str w0, [x1, #0x100]",
    "mov x0, #7",
    "msr icc_sre_el1, x0",
    "isb",
    "mov x0, #0xff",
    "msr icc_pmr_el1, x0",
    "mov x0, #1",
    "msr icc_igrpen1_el1, x0",
    "adr x0, .Lbench_vectors",
    "msr vbar_el1, x0",
    "isb",
    "msr daifclr, #2",
    "mov x21, #0",
    "mov w28, #1000",
    "mov w27, w28",
    "2: isb",
    "mrs x20, cntvct_el0",
    "add x20, x20, #200",
    "msr cntv_cval_el0, x20",
    "mov x0, #1",
    "msr cntv_ctl_el0, x0",
    "mov x25, #0",
    "3: cbz x25, 3b",
    "subs w27, w27, #1",
    "b.ne 2b",
    "mov x22, #0",
    "adr x1, .Lbench_late",
    "bl .Lbench_report",
    "movz w0, #0x0008", // SYSTEM_OFF
    "movk w0, #0x8400, lsl #16",
    "hvc #0",
    // Prints the name at x1 and the nanoseconds of each of w28 rounds that took x21 ticks in all,
    // less x22.
    ".Lbench_report:",
    "mov x18, x30",
    "bl .Lbench_print",
    "movz x0, #0xca00",
    "movk x0, #0x3b9a, lsl #16", // 1,000,000,000
    "mul x0, x0, x21",
    "mrs x2, cntfrq_el0",
    "udiv x0, x0, x2",
    "udiv x0, x0, x28",
    "sub x0, x0, x22",
    // Digits from the last to the first, below a buffer's end.
    "adr x1, .Lbench_digits",
    "mov x2, #10",
    "4: udiv x3, x0, x2",
    "msub x4, x3, x2, x0",
    "add w4, w4, #'0'",
    "strb w4, [x1, #-1]!",
    "mov x0, x3",
    "cbnz x0, 4b",
    "bl .Lbench_print",
    "ret x18",
    ".Lbench_print:",
    "ldrb w2, [x1], #1",
    "cbz w2, 5f",
    "strb w2, [x19]",
    "b .Lbench_print",
    "5: ret",
    ".Lbench_read: .asciz \"ours gicd_read \"",
    ".Lbench_late: .asciz \"ours timer_late \"",
    ".space 20",
    ".Lbench_digits: .asciz \" ns\\r\\n\"",
    ".balign 2048",
    ".Lbench_vectors:",
    ".space 0x280",
    // IRQ, current EL with SP_ELx.
    "mrs x17, cntvct_el0",
    "sub x17, x17, x20",
    "add x21, x21, x17",
    "mrs x17, icc_iar1_el1",
    "msr cntv_ctl_el0, xzr",
    "isb", // the timer's level, before the end
    "msr icc_eoir1_el1, x17",
    "mov x25, #1",
    "eret",
    ".global bench_vm_end",
    "bench_vm_end:",
    ".popsection",
);
