//! Several vCPUs of one guest on fewer CPUs, and a program in it that counts on every interrupt,
//! every wake-up and the time: `guest` says what it tries, and knows nothing of this host.
//!
//! `-append "seconds=… seed=… vcpus=… stats"`: how long, by the guest's own counter, and with which
//! numbers.

#![no_std]
#![no_main]

extern crate alloc;

mod guest;
mod program;

use alloc::{boxed::Box, format};

use machine::{
    Error, HostTree, Machine,
    vmm::{self, GuestConfig, Settings},
};

machine::main!(main);

fn main(machine: Machine) -> Result<(), Error> {
    let settings = Settings::read(&machine.tree, 4, &["seconds", "seed"])?;
    let seconds = number(&machine.tree, "seconds=", 10)?;
    let seed = number(&machine.tree, "seed=", 1)?;
    vmm::run(machine, &settings, |files| {
        if files.given()?.is_some() {
            return Err(Error::Guest("this brings its own program: raw runs others"));
        }
        let bootargs = format!("seconds={seconds} seed={seed}").into_boxed_str();
        Ok([GuestConfig {
            bootargs: Box::leak(bootargs),
            flat_offset: program::offset(),
            ..GuestConfig::new(&settings, program::bytes().leak())
        }])
    })
}

fn number(tree: &HostTree, name: &str, default: u64) -> Result<u64, Error> {
    let Some(text) = tree.argument(name) else {
        return Ok(default);
    };
    text.parse()
        .map_err(|_| Error::Guest("seconds= and seed= want a number"))
}
