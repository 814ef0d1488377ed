//! What the example hypervisors share on QEMU's `virt`: the layer between reset and their `main`.
//!
//! An example is its `main`, and a `build.rs` that says
//! `println!("cargo::rustc-link-arg-bins=-Tmachine.ld")`:
//!
//! ```no_run
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
//! `main` runs at EL2 with MMU and caches on and interrupts masked. The machine goes off when it returns.

#![no_std]

mod boot;
pub mod console;
mod critical;
mod fatal;
pub mod layout;
pub mod log;
mod power;

pub use power::{power_off, restart};

#[doc(hidden)]
pub use aarch64_rt;

/// What an example gets to work with. There is one, given to `main`.
pub struct Machine {}

/// Names the function that an example starts with: `fn(Machine) -> impl Outcome`.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        const _: () = {
            fn boot(x0: u64, _: u64, _: u64, _: u64) -> ! {
                $crate::start(x0, $main)
            }
            $crate::aarch64_rt::entry!(boot, 40);
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
#[doc(hidden)]
pub fn start<O: Outcome>(_x0: u64, main: fn(Machine) -> O) -> ! {
    console::enable();
    main(Machine {}).report();
    power_off()
}
