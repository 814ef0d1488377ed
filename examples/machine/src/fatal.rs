//! What ends the hypervisor: a panic, or an exception that it did not expect at EL2.
//!
//! Each is said twice, on the console and as an error on the log channel, and then the machine goes
//! off.

use core::panic::PanicInfo;

use aarch64_cpu::registers::{ESR_EL2, FAR_EL2, Readable};
use aarch64_rt::{ExceptionHandlers, RegisterStateRef, exception_handlers};

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    crate::println!("{info}");
    crate::vmm::tell_last_exits();
    defmt::error!("{}", defmt::Display2Format(info));
    crate::power_off()
}

struct Fatal;
exception_handlers!(Fatal);

impl ExceptionHandlers for Fatal {
    extern "C" fn sync_current(state: RegisterStateRef) {
        stop("synchronous exception at EL2", &state)
    }
    extern "C" fn irq_current(state: RegisterStateRef) {
        stop("IRQ at EL2", &state)
    }
    extern "C" fn fiq_current(state: RegisterStateRef) {
        stop("FIQ at EL2", &state)
    }
    extern "C" fn serror_current(state: RegisterStateRef) {
        stop("SError at EL2", &state)
    }
    extern "C" fn sync_lower(state: RegisterStateRef) {
        stop("synchronous exception of a guest, outside `run`", &state)
    }
    extern "C" fn irq_lower(state: RegisterStateRef) {
        stop("IRQ of a guest, outside `run`", &state)
    }
    extern "C" fn fiq_lower(state: RegisterStateRef) {
        stop("FIQ of a guest, outside `run`", &state)
    }
    extern "C" fn serror_lower(state: RegisterStateRef) {
        stop("SError of a guest, outside `run`", &state)
    }
}

/// ESR and FAR are those of the latest exception; they say nothing about an interrupt.
fn stop(what: &str, state: &RegisterStateRef) -> ! {
    let (esr, far, elr) = (ESR_EL2.get(), FAR_EL2.get(), state.elr);
    crate::println!("{what}: ESR {esr:#x} ELR {elr:#x} FAR {far:#x}");
    crate::vmm::tell_last_exits();
    defmt::error!(
        "{=str}: ESR {=u64:#x} ELR {=u64:#x} FAR {=u64:#x}",
        what,
        esr,
        elr as u64,
        far
    );
    crate::power_off()
}
