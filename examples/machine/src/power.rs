//! The end of a run: PSCI, as QEMU implements it.

use aarch64_cpu::asm::wfi;
use aarch64_cpu::registers::{CurrentEL, Readable};
use smccc::{Hvc, Smc, psci};

/// Ends QEMU, with status 0. What failed is told by the log: see [`crate::log`].
pub fn power_off() -> ! {
    // Errors are not looked at: there is nobody left to tell, and the CPU stops below.
    match CurrentEL.read(CurrentEL::EL) {
        // Without EL2, QEMU's PSCI answers HVC.
        1 => drop(psci::system_off::<Hvc>()),
        2 => drop(psci::system_off::<Smc>()),
        // Nobody is above EL3.
        _ => {}
    }
    stop()
}

/// Resets the machine: QEMU loads every image again (or ends, with `-no-reboot`).
pub fn restart() -> ! {
    let _ = psci::system_reset::<Smc>();
    stop()
}

/// Stops this CPU.
pub(crate) fn stop() -> ! {
    loop {
        wfi();
    }
}
