//! Two virtual machines of Debian's kernel, which share the CPUs. Each line of the terminal says
//! whose it is; Ctrl-T and a number choose the guest that is typed to.

#![no_std]
#![no_main]

use machine::{
    Error, Machine,
    vmm::{self, GuestConfig, Settings},
};

machine::main!(main);

fn main(machine: Machine) -> Result<(), Error> {
    let settings = Settings::read(&machine.tree, 1)?;
    vmm::run(machine, &settings, |files| {
        let guest = GuestConfig {
            bootargs: files.bootargs(),
            initrd: files.other(0)?,
            ..GuestConfig::new(&settings, files.program()?)
        };
        Ok([guest.clone(), guest])
    })
}
