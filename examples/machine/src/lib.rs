//! What the example hypervisors share on QEMU's `virt`: the layer between reset and their `main`.
//!
//! An example is its `main`, and a `build.rs` that says
//! `println!("cargo::rustc-link-arg-bins=-Tmachine.ld")`:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! use machine::Machine;
//!
//! machine::main!(main);
//!
//! fn main(machine: Machine) {
//!     machine::println!("{} MiB for the guest", machine.ram.size_bytes() >> 20);
//! }
//! ```
//!
//! `main` runs at EL2 with MMU and caches on, interrupts masked and SErrors not. The machine goes off
//! when it returns. HCR_EL2.E2H is 0, or 1 where `-append e2h` asks for it and the CPU has FEAT_VHE.

#![no_std]

extern crate alloc;

use core::arch::asm;

mod boot;
pub mod console;
pub mod cpus;
mod critical;
mod error;
mod fatal;
mod frames;
mod gic;
mod guest;
mod guest_tree;
mod heap;
mod host;
pub mod layout;
pub mod log;
mod power;
mod ram;
mod random;
pub mod timer;
mod tree;
mod vhe;
pub mod vmm;

pub use error::Error;
pub use frames::Frames;
pub use gic::Gic;
pub use guest::GuestMemory;
pub use guest_tree::{GuestTree, TreeError};
pub use host::SingleCpu;
pub use power::{power_off, restart};
pub use ram::{GuestRam, NotInRam};
pub use random::Random;
pub use tree::{GuestImage, HostTree};

#[doc(hidden)]
pub use aarch64_rt;

/// What an example gets to work with. There is one, given to `main`.
pub struct Machine {
    /// What QEMU says the machine is.
    pub tree: HostTree,
    /// The part of RAM that the hypervisor leaves to guests.
    pub ram: GuestRam,
    /// The part of its own that it keeps for stage-2 tables.
    pub frames: Frames,
}

impl Machine {
    /// Looks around; an error says what to give QEMU.
    ///
    /// # Safety
    ///
    /// Called once.
    unsafe fn find() -> Result<Self, &'static str> {
        let tree = HostTree::find()
            .ok_or("QEMU left no device tree at the start of RAM: start it with -kernel")?;
        if tree.argument(vhe::ARGUMENT) == Some("") {
            // SAFETY: called once, before anything depends on a layout.
            unsafe { vhe::enter() };
        }
        let ram = tree
            .ram()
            .ok_or("QEMU's device tree does not say where RAM is")?;
        if ram.end <= layout::GUEST_RAM_START {
            return Err("no RAM is left for a guest: the hypervisor keeps 64 MiB, give QEMU -m 1G");
        }
        // SAFETY: called once, as our caller promises; QEMU told us where RAM ends.
        let ram = unsafe { GuestRam::new(ram.end) };
        // SAFETY: called once; RAM reaches further than this, and `enable_mmu` mapped it.
        let frames = unsafe { Frames::new() };
        Ok(Self { tree, ram, frames })
    }
}

/// 160 KiB, and the guard page below them.
#[doc(hidden)]
pub const BOOT_STACK_PAGES: usize = 41;

/// Names the function that an example starts with: `fn(Machine) -> impl Outcome`.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        const _: () = {
            fn boot(_: u64, _: u64, _: u64, _: u64) -> ! {
                // SAFETY: aarch64-rt's entry point calls this once, on the first CPU, after
                // `enable_mmu`.
                unsafe { $crate::start($main) }
            }
            $crate::aarch64_rt::entry!(boot, { $crate::BOOT_STACK_PAGES });
        };
    };
}

/// How a run went, for the log channel.
pub trait Outcome {
    /// Logs a failure as an error; says nothing of a success.
    fn report(self);
}

impl Outcome for () {
    fn report(self) {}
}

impl<E: defmt::Format> Outcome for Result<(), E> {
    fn report(self) {
        if let Err(error) = self {
            defmt::error!("{}", error);
        }
    }
}

/// Runs `main` and powers off; what [`main!`] expands to.
///
/// # Safety
///
/// Called once, on the first CPU, at EL2 as `enable_mmu` left it.
#[doc(hidden)]
pub unsafe fn start<O: Outcome>(main: fn(Machine) -> O) -> ! {
    console::enable();
    // SAFETY: we are called once, and nothing was allocated yet.
    unsafe { heap::enable() };
    // SAFETY: an SError that is the host's has its handler; taking it breaks no invariant of Rust.
    unsafe { asm!("msr daifclr, #4", options(nostack)) };
    // SAFETY: we are called once.
    match unsafe { Machine::find() } {
        Ok(machine) => main(machine).report(),
        Err(why) => {
            println!("{why}");
            defmt::error!("{=str}", why);
        }
    }
    power_off()
}
