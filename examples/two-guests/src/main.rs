//! Two virtual machines of Debian's kernel, which share the CPUs. Each line of the terminal says
//! whose it is; Ctrl-T and a number choose the guest that is typed to.
//!
//! With `-append hostile`, the second is a program that does all it can to the first.

#![no_std]
#![no_main]

mod hostile;

use machine::{
    Error, Machine,
    vmm::{self, GuestConfig, Settings},
};

machine::main!(main);

const HOSTILE: &str = "hostile";

fn main(machine: Machine) -> Result<(), Error> {
    let settings = Settings::read(&machine.tree, 1, &[HOSTILE])?;
    let is_hostile = settings.names(&machine.tree, HOSTILE);
    vmm::run(machine, &settings, |files| {
        let guest = GuestConfig {
            bootargs: files.bootargs(),
            initrd: files.other(0)?,
            ..GuestConfig::new(&settings, files.program()?)
        };
        let second = match is_hostile {
            true => GuestConfig {
                vcpus: hostile::VCPUS,
                disk: Some(hostile::bytes()),
                ..GuestConfig::new(&settings, hostile::bytes())
            },
            false => guest.clone(),
        };
        Ok([guest, second])
    })
}
