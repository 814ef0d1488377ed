//! The other CPUs: from PSCI's CPU_ON to Rust, as the first one is after `start`.

use alloc::boxed::Box;
use core::arch::asm;

use aarch64_cpu::{
    asm::barrier::{SY, isb},
    registers::{HCR_EL2, ReadWriteable},
};
use aarch64_rt::{Stack, start_core};
use dtoolkit::Node;
use smccc::Smc;

use crate::{Error, HostTree};

/// The most CPUs that are used.
pub const MAX_CPUS: usize = 8;

/// 64 KiB for each.
const STACK_PAGES: usize = 16;

/// Returns how many CPUs the machine has, of affinity 0, 1 and so on.
pub fn count(tree: &HostTree) -> usize {
    let cpus = tree.fdt().find_node("/cpus");
    let count = cpus.map_or(1, |cpus| {
        let names = cpus.children();
        names
            .filter(|node| node.name_without_address() == "cpu")
            .count()
    });
    count.clamp(1, MAX_CPUS)
}

/// Starts the CPU of this index, which runs `main` and then stops.
pub fn start(index: usize, main: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let stack: &'static mut Stack<STACK_PAGES> = Box::leak(Box::default());
    let entry = move || {
        // SAFETY: this CPU comes from `enable_mmu`.
        unsafe { crate::vhe::follow() };
        take_interrupts();
        main();
        crate::power::stop()
    };
    // SAFETY: the stack was just made and is never given back; stage 1 maps it the same on each CPU.
    let started = unsafe { start_core::<Smc, _, STACK_PAGES>(index as u64, stack, entry) };
    started.map_err(|_| Error::Guest("firmware does not start the other CPUs"))
}

/// Has physical interrupts, and SErrors, come to EL2. IRQs are masked: the host fetches them.
pub(crate) fn take_interrupts() {
    // SAFETY: masking interrupts breaks no invariant of Rust.
    unsafe { asm!("msr daifset, #3", options(nostack)) };
    HCR_EL2.modify(HCR_EL2::IMO::EnableVirtualIRQ + HCR_EL2::FMO::EnableVirtualFIQ);
    isb(SY); // the routing, before any is waited for
    // SAFETY: an SError that is the host's has its handler; taking it breaks no invariant of Rust.
    unsafe { asm!("msr daifclr, #4", options(nostack)) };
}
