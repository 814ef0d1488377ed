//! What a guest finds in its RAM at each start: device tree, program, RAM disk, files.

use alloc::{boxed::Box, vec::Vec};

use devices::{
    gic::Gic as Distributor,
    loader::{LoadError, Part, Program},
    tree::{Device, Tree},
};

use super::{GuestConfig, config::layout, peripherals::interrupt_controller};
use crate::{Error, GuestRam};

/// Where the tree of a guest goes: the start of RAM, as U-Boot wants it.
pub(super) const TREE: u64 = layout::RAM;
const MIB: u64 = 1 << 20;

/// A guest's RAM, and how far it is filled: in steps, so that who else shares the CPU need not wait
/// for all of it.
pub(super) struct Contents {
    ram: GuestRam,
    /// By the guest's addresses.
    parts: Vec<Part<'static>>,
    /// Where the program starts.
    pub entry: u64,
    /// The part that is being copied, and how much of it was.
    next: usize,
    copied: u64,
}

impl Contents {
    /// What is copied in one step.
    const STEP_BYTES: u64 = 256 << 10;

    /// Returns what `config` says that there is, of which nothing is there yet.
    pub fn new(config: &GuestConfig, gic: &Distributor, ram: GuestRam) -> Result<Self, Error> {
        let range = layout::RAM..layout::RAM + ram.size_bytes();
        let program = Program::read(config.program, &range, config.flat_offset)?;
        let initrd = config.initrd.map(|bytes| {
            let start = program.range.end.next_multiple_of(2 * MIB);
            start..start.saturating_add(bytes.len() as u64)
        });
        if let Some(needed) = initrd.clone().filter(|initrd| initrd.end > range.end) {
            return Err(LoadError::NoRam { needed, ram: range }.into());
        }
        let tree = Tree {
            vcpus: config.vcpus,
            ram: range,
            bootargs: config.bootargs,
            initrd: initrd.clone(),
            gic: (gic.version(), interrupt_controller(gic)),
            uart: Device {
                registers: config.uart..config.uart + devices::Pl011::SIZE_BYTES,
                spi: layout::UART_SPI,
            },
            virtio: config.disk.map(|_| Device {
                registers: layout::VIRTIO,
                spi: layout::VIRTIO_SPI,
            }),
        };
        let tree = tree
            .write()
            .map_err(|_| Error::Guest("the device tree cannot be written"))?;
        if TREE + tree.len() as u64 > program.range.start {
            return Err(Error::Guest(
                "the program leaves no room for the device tree at the start of RAM",
            ));
        }
        let whole = |at, bytes: &'static [u8]| Part {
            at,
            bytes,
            size_bytes: bytes.len() as u64,
        };
        let files = config.files.iter();
        let files = files.map(|(offset, bytes)| whole(layout::RAM.saturating_add(*offset), bytes));
        let mut parts = Vec::from([whole(TREE, Box::leak(tree.into_boxed_slice()))]);
        parts.extend(program.parts());
        parts.extend(
            initrd
                .zip(config.initrd)
                .map(|(at, bytes)| whole(at.start, bytes)),
        );
        parts.extend(files);
        Ok(Self {
            ram,
            parts,
            entry: program.entry,
            next: 0,
            copied: 0,
        })
    }

    /// Copies some of it; returns whether all is there. The next step starts anew then.
    pub fn copy_some(&mut self) -> Result<bool, Error> {
        let Some(part) = self.parts.get(self.next) else {
            self.next = 0;
            return Ok(true);
        };
        let size_bytes = (part.size_bytes - self.copied).min(Self::STEP_BYTES);
        let at = (part.at - layout::RAM).saturating_add(self.ram.start()) + self.copied;
        let bytes = usize::try_from(self.copied).ok();
        let bytes = bytes
            .and_then(|copied| part.bytes.get(copied..))
            .unwrap_or(&[]);
        let bytes = &bytes[..bytes.len().min(size_bytes as usize)];
        self.ram.load(at, bytes)?;
        self.ram.clear(at + bytes.len() as u64..at + size_bytes)?;
        self.copied += size_bytes;
        if self.copied == part.size_bytes {
            self.next += 1;
            self.copied = 0;
        }
        Ok(false)
    }
}
