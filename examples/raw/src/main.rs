//! Any flat program at EL1, or an Image or ELF, in a virtual machine.
//!
//! It is entered at its first byte, 512 KiB after the start of RAM at 1 GiB, MMU off, with the
//! device tree in x0. It finds a PL011 at 0x9000000, a GICv3 (GICv2 with `-machine gic-version=2`)
//! with a redistributor for each vCPU, both EL1 timers, and PSCI by HVC. Where no program is given,
//! it is one of our own that tries these.

#![no_std]
#![no_main]

mod checks;
mod program;

use machine::{
    Error, Machine,
    vmm::{self, GuestConfig, Settings},
};

/// `-append checks`: the program of our own is the one that tries the interrupt controller's
/// registers.
const CHECKS: &str = "checks";

machine::main!(main);

fn main(machine: Machine) -> Result<(), Error> {
    let settings = Settings::read(&machine.tree, 1, &[CHECKS])?;
    let checks = settings.names(&machine.tree, CHECKS);
    vmm::run(machine, &settings, |files| {
        let program = match files.given()? {
            Some(given) => given,
            None if checks => checks::bytes(),
            None => program::bytes(),
        };
        Ok([GuestConfig {
            bootargs: files.bootargs(),
            initrd: files.other(0)?,
            ..GuestConfig::new(&settings, program)
        }])
    })
}
