//! Debian's U-Boot in a virtual machine. Its RAM has a kernel and an initrd for `booti`.

#![no_std]
#![no_main]

use core::ops::Range;

use machine::{
    Error, Machine, println,
    vmm::{self, GuestConfig, Settings},
};

machine::main!(main);

/// Where U-Boot goes: its first stack is below that (`CONFIG_CUSTOM_SYS_INIT_SP_ADDR`).
const U_BOOT: u64 = 2 << 20;
/// U-Boot looks for its saved environment in flash (`CONFIG_ENV_ADDR`), whatever its tree says.
const ENVIRONMENT: Range<u64> = 0x0400_0000..0x0404_0000;
/// Where the files are: `0x44000000` and `0x48000000` to the guest, clear of U-Boot itself, which
/// moves to the end of RAM.
const KERNEL: u64 = 64 << 20;
const INITRD: u64 = 128 << 20;
/// Where the guest's RAM starts.
const RAM: u64 = 0x4000_0000;

fn main(machine: Machine) -> Result<(), Error> {
    let settings = Settings::read(&machine.tree, 1, &[])?;
    vmm::run(machine, &settings, |files| {
        let mut config = GuestConfig {
            flat_offset: U_BOOT,
            erased_flash: Some(ENVIRONMENT),
            ..GuestConfig::new(&settings, files.program()?)
        };
        for (index, offset, name) in [(0, KERNEL, "kernel"), (1, INITRD, "initrd")] {
            if let Some(bytes) = files.other(index)? {
                let (at, size) = (RAM + offset, bytes.len());
                println!("{name}: {at:#x}, {size:#x} bytes");
                config.files.push((offset, bytes));
            }
        }
        config.disk = files.other(1)?; // the initrd, to be found by another way
        Ok([config])
    })
}
