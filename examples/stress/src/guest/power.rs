//! PSCI by HVC.

use core::arch::asm;

use super::{clock, entry, registers::execute, report::fail, shared::Shared, wait};

const CPU_OFF: u64 = 0x8400_0002;
const CPU_ON: u64 = 0xc400_0003;
const AFFINITY_INFO: u64 = 0xc400_0004;
const SYSTEM_OFF: u64 = 0x8400_0008;

fn call(function: u64, arguments: [u64; 3]) -> i64 {
    let result;
    let [x1, x2, x3] = arguments;
    // SAFETY: a call by SMCCC, which keeps all but x0 to x17; those used here leave memory alone, or
    // do not return.
    unsafe {
        asm!(
            "hvc #0",
            inout("x0") function => result,
            inout("x1") x1 => _, inout("x2") x2 => _, inout("x3") x3 => _,
            clobber_abi("C"),
            options(nostack),
        );
    }
    result
}

/// Starts a vCPU.
pub fn on(vcpu: usize) {
    match call(CPU_ON, [vcpu as u64, entry::secondary(), vcpu as u64]) {
        0 => {}
        error => fail!("CPU_ON of vCPU {vcpu}: {error}"),
    }
}

/// Stops the calling vCPU.
pub fn off() -> ! {
    let error = call(CPU_OFF, [0; 3]);
    fail!("CPU_OFF: {error}");
}

/// Waits until all others are off.
pub fn wait_until_off(shared: &Shared) {
    let start = clock::virtual_now();
    for vcpu in 1..shared.cpus().len() {
        while call(AFFINITY_INFO, [vcpu as u64, 0, 0]) != 1 {
            if clock::virtual_now() - start > clock::ticks(wait::PATIENCE_US) {
                fail!("vCPU {vcpu} does not go off");
            }
        }
    }
}

/// Ends all.
pub fn system_off() -> ! {
    call(SYSTEM_OFF, [0; 3]);
    loop {
        execute!("wfi");
    }
}
