//! Debian's kernel on several vCPUs, which share the CPUs of the machine: interrupts, timers,
//! power and the console are all virtual.

#![no_std]
#![no_main]

use machine::{
    Error, Machine,
    vmm::{self, GuestConfig, Settings},
};

machine::main!(main);

fn main(machine: Machine) -> Result<(), Error> {
    let settings = Settings::read(&machine.tree, 4, &[])?;
    vmm::run(machine, &settings, |files| {
        Ok([GuestConfig {
            bootargs: files.bootargs(),
            initrd: files.other(0)?,
            ..GuestConfig::new(&settings, files.program()?)
        }])
    })
}
