//! What is asked for on QEMU's command line.

use alloc::vec::Vec;
use core::ops::Range;

use devices::{gic::MAX_VCPUS, loader::FLAT_OFFSET};
use dtoolkit::{Node, Property};

use crate::{Error, HostTree};

/// One virtual machine that is to be made.
#[derive(Clone, Debug)]
pub struct GuestConfig {
    /// How many vCPUs.
    pub vcpus: usize,
    /// The program: an arm64 Image, ELF, or flat.
    pub program: &'static [u8],
    /// Where that goes if it is flat: so many bytes after the start of RAM.
    pub flat_offset: u64,
    /// Its command line.
    pub bootargs: &'static str,
    /// Its initial RAM disk.
    pub initrd: Option<&'static [u8]>,
    /// More that is put in its RAM: offsets from its start, and bytes.
    pub files: Vec<(u64, &'static [u8])>,
    /// Where its UART is.
    pub uart: u64,
    /// Its disk, which it can only read.
    pub disk: Option<&'static [u8]>,
    /// Where it finds flash that is erased and cannot be written.
    pub erased_flash: Option<Range<u64>>,
}

/// `-append` of the machine: words that name what is not as usual.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `vcpus=N`: of each guest.
    pub vcpus: usize,
    /// `ram=MiB`: of each guest.
    pub ram_bytes: Option<u64>,
    /// `uart=ADDRESS`: where guests find it.
    pub uart: u64,
    /// `stats`: say at the end what there was to do.
    pub stats: bool,
}

impl GuestConfig {
    /// Returns a guest of `program`, as `settings` ask for.
    pub fn new(settings: &Settings, program: &'static [u8]) -> Self {
        Self {
            vcpus: settings.vcpus,
            program,
            flat_offset: FLAT_OFFSET,
            bootargs: "",
            initrd: None,
            files: Vec::new(),
            uart: settings.uart,
            disk: None,
            erased_flash: None,
        }
    }
}

impl Settings {
    /// Where QEMU's `virt` has its UART too.
    pub const UART: u64 = 0x0900_0000;

    /// Reads them, with `vcpus` for when none are named. `others` are words of the example's own, up
    /// to a `=` that they have.
    pub fn read(tree: &HostTree, vcpus: usize, others: &[&str]) -> Result<Self, Error> {
        let mut settings = Self {
            vcpus,
            ram_bytes: None,
            uart: Self::UART,
            stats: false,
        };
        for word in words(tree) {
            let name = word.split_once('=').map_or(word, |(name, _)| name);
            if others.contains(&name) {
                continue;
            }
            settings.take(word)?;
        }
        Ok(settings)
    }

    /// Returns whether `word` is among them.
    pub fn names(&self, tree: &HostTree, word: &str) -> bool {
        words(tree).any(|named| named == word)
    }

    fn take(&mut self, word: &str) -> Result<(), Error> {
        const NOT_A_NUMBER: Error = Error::Guest("vcpus=, ram= and uart= want a number");
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || number(value).ok_or(NOT_A_NUMBER);
        match name {
            "vcpus" => {
                self.vcpus = number()? as usize;
                if !(1..=MAX_VCPUS).contains(&self.vcpus) {
                    return Err(Error::Vcpus(self.vcpus));
                }
            }
            "ram" => self.ram_bytes = Some(number()?.saturating_mul(1 << 20)),
            "uart" => self.uart = number()?,
            "stats" => self.stats = true,
            "e2h" => {} // of the host: `crate::start` has seen to it
            _ => {
                return Err(Error::Guest(
                    "the machine's command line names what nobody knows",
                ));
            }
        }
        Ok(())
    }
}

fn words(tree: &HostTree) -> impl Iterator<Item = &'static str> {
    let chosen = tree.fdt().find_node("/chosen");
    let line = chosen.and_then(|chosen| chosen.property("bootargs")?.value_as::<&str>().ok());
    line.unwrap_or("").split_ascii_whitespace()
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Where a guest finds things: as on QEMU's `virt`, whose drivers and programs it runs.
pub(crate) mod layout {
    use super::Range;

    /// RAM.
    pub const RAM: u64 = 0x4000_0000;
    /// The distributor.
    pub const DISTRIBUTOR: u64 = 0x0800_0000;
    /// GICv2: the CPU interface, GICV in truth, but for its second page.
    pub const CPU_INTERFACE: Range<u64> = 0x0801_0000..0x0801_2000;
    /// GICC_DIR is alone there: an interrupt may be active without a list register, and GICV would
    /// not know which it is.
    pub const GICC_DIR_PAGE: u64 = 0x0801_1000;
    /// GICv3: the redistributors.
    pub const REDISTRIBUTORS: u64 = 0x080a_0000;
    /// The UART's SPI.
    pub const UART_SPI: u32 = 1;
    /// Stolen time.
    pub const STOLEN_TIME: Range<u64> = 0x090a_0000..0x090a_1000;
    /// A virtio device.
    pub const VIRTIO: Range<u64> = 0x0a00_0000..0x0a00_0200;
    /// Its SPI.
    pub const VIRTIO_SPI: u32 = 16;
}
