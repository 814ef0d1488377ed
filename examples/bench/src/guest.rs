//! What the guests do: a loop around one instruction that leaves the guest.
//!
//! X19 holds the rounds, X22 and X23 what the instruction needs. The guest reads its own counter
//! before and after, so nothing of a host is in the measurement but what the guest waits for.

use machine::{guest_code, layout};

use crate::host::{PING, REPORT};

/// SGI that the guest raises for its host.
pub const SGI: u32 = 3;
/// Where nothing is mapped: the host emulates a device there.
pub const DEVICE: u64 = layout::UART;
/// GICR_ISPENDR0, in the SGI frame of the first CPU's redistributor.
const SET_PENDING: u64 = layout::GIC_CPU_0.start + 0x1_0200;

/// One kind of round trip.
pub struct Workload {
    /// As in the table that `cargo xtask bench` prints.
    pub name: &'static str,
    /// The code, to be run at any address.
    pub code: fn() -> &'static [u8],
    /// Instructions of a round that are the loop's.
    pub loop_cost: u64,
    /// What X22 and X23 hold.
    pub operands: [u64; 2],
}

macro_rules! loops {
    ($($(#[$doc:meta])* $name:ident: $($line:literal)*;)*) => {
        $(guest_code! {
            $(#[$doc])* $name:
            "isb",
            "mrs x20, cntvct_el0",
            "1:",
            $($line,)*
            "subs x19, x19, #1",
            "b.ne 1b",
            "isb",
            "mrs x21, cntvct_el0",
            "sub x1, x21, x20",
            "mov w0, #1", // REPORT
            "movk w0, #0xc600, lsl #16",
            "hvc #0",
        })*
    };
}

const _: () = assert!(REPORT == 0xc600_0001);

loops! {
    /// Does not leave the guest: checks the count.
    nothing: "nop";
    /// Calls the host.
    hvc: "mov x0, x22" "hvc #0";
    /// Loads from an emulated device.
    mmio_read: "ldr w1, [x23]";
    /// Stores to an emulated device.
    mmio_write: "str w1, [x23]";
    /// Reads a register that both hosts trap: OSLSR_EL1, by MDCR_EL2.TDOSA.
    sysreg_read: "mrs x1, oslsr_el1";
    /// Waits, with nothing to wait for.
    wfi: "wfi";
    /// Raises an SGI; it arrives before the next instruction.
    irq: "str w22, [x23]";
}

const fn workload(name: &'static str, code: fn() -> &'static [u8]) -> Workload {
    Workload {
        name,
        code,
        loop_cost: 2,
        operands: [0, DEVICE],
    }
}

/// Every round trip on one vCPU.
pub const WORKLOADS: [Workload; 7] = [
    workload("nothing", nothing),
    CALL,
    workload("mmio_read", mmio_read),
    workload("mmio_write", mmio_write),
    workload("sysreg_read", sysreg_read),
    workload("wfi", wfi),
    Workload {
        operands: [1 << SGI, SET_PENDING],
        ..workload("irq", irq)
    },
];

/// The call: the host answers, or runs another vCPU in between.
pub const CALL: Workload = Workload {
    name: "hvc",
    code: hvc,
    loop_cost: 3,
    operands: [PING as u64, 0],
};
