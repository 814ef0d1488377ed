//! From what QEMU loaded to guests that run.

use alloc::{boxed::Box, vec::Vec};

use vcpu_core::El2;
use vcpu_hal::{
    inject::{ListRegisters, list::ListRegistersV2},
    irq,
};

use super::{Guest, GuestConfig, Host, Hypervisor, Settings, VirtHost};
use crate::{
    Error, Frames, Gic, GuestImage, GuestRam, Machine, cpus,
    layout::{GICV2_CPU, GICV2_LISTS},
};

/// The files that QEMU placed in RAM, of which guests get copies.
pub struct Files {
    ram: &'static GuestRam,
    kernel: Option<GuestImage>,
    others: Vec<GuestImage>,
}

impl Files {
    /// Returns the program that was given, if one was.
    pub fn given(&self) -> Result<Option<&'static [u8]>, Error> {
        let Some(kernel) = &self.kernel else {
            return Ok(None);
        };
        Ok(Some(self.ram.bytes(kernel.range.clone())?))
    }

    /// Returns the program.
    pub fn program(&self) -> Result<&'static [u8], Error> {
        self.given()?.ok_or(Error::Guest(
            "QEMU's device tree names no program: start this with `cargo xtask qemu`",
        ))
    }

    /// Returns the command line given with the program.
    pub fn bootargs(&self) -> &'static str {
        self.kernel
            .as_ref()
            .and_then(|kernel| kernel.bootargs)
            .unwrap_or("")
    }

    /// Returns another file, in the order they were given.
    pub fn other(&self, index: usize) -> Result<Option<&'static [u8]>, Error> {
        let Some(file) = self.others.get(index) else {
            return Ok(None);
        };
        Ok(Some(self.ram.bytes(file.range.clone())?))
    }
}

/// Makes as many guests as `settings.ram` is told for, by what `configure` says of them, and runs
/// them until they are off.
pub fn run<const GUESTS: usize>(
    machine: Machine,
    settings: &Settings,
    configure: impl FnOnce(&Files) -> Result<[GuestConfig; GUESTS], Error>,
) -> Result<(), Error> {
    let gic = machine.tree.gic();
    let gic = gic.ok_or(Error::Guest(
        "QEMU's device tree has no interrupt controller",
    ))?;
    match gic {
        Gic::V3 => {
            // SAFETY: QEMU says that this is the controller; `run_on` sets it up on every CPU
            // before a guest runs there.
            let host = unsafe { VirtHost::new(ListRegisters::new(), irq::GicV3::new(), gic) };
            run_on(host, machine, settings, configure)
        }
        Gic::V2 => {
            // SAFETY: as above; stage 1 maps both blocks as Device.
            let host = unsafe {
                let lists = ListRegistersV2::new(GICV2_LISTS.start as usize);
                VirtHost::new(lists, irq::GicV2::new(GICV2_CPU.start as usize), gic)
            };
            run_on(host, machine, settings, configure)
        }
    }
}

fn run_on<P: Host, const GUESTS: usize>(
    host: P,
    machine: Machine,
    settings: &Settings,
    configure: impl FnOnce(&Files) -> Result<[GuestConfig; GUESTS], Error>,
) -> Result<(), Error> {
    let Machine {
        tree,
        mut ram,
        mut frames,
    } = machine;
    let cpus = cpus::count(&tree);
    // SAFETY: nothing else uses the controller that QEMU says is there.
    unsafe { host.gic().enable() };

    let kernel = tree.kernel();
    let others = tree.ramdisks();
    let files_end = others.iter().chain(&kernel).map(|file| file.range.end);
    let files_end = files_end.max().unwrap_or(ram.start());
    let free = ram.end().saturating_sub(files_end) / GUESTS as u64;
    let size_bytes = settings.ram_bytes.unwrap_or(free);
    if size_bytes > free {
        return Err(Error::Guest(
            "the machine has less RAM than its guests are to have: give QEMU more by --mem",
        ));
    }
    let mut rams = Vec::new();
    for _ in 0..GUESTS {
        rams.push(ram.split_off(size_bytes)?);
    }
    // It stays: guests have disks in it.
    let ram: &'static GuestRam = Box::leak(Box::new(ram));
    let files = Files {
        ram,
        kernel,
        others,
    };
    let configs = configure(&files)?;
    let overcommitted = configs.iter().map(|config| config.vcpus).sum::<usize>() > cpus;
    let guests = make(&host, &mut frames, rams, &configs, overcommitted)?;
    Hypervisor::new(host, guests, cpus, settings.stats).run()
}

fn make<P: Host>(
    host: &P,
    frames: &mut Frames,
    rams: Vec<GuestRam>,
    configs: &[GuestConfig],
    overcommitted: bool,
) -> Result<Vec<Guest<P>>, Error> {
    let el2 = El2::enable(host)?;
    let guests = rams.into_iter().zip(configs).zip(1..);
    guests
        .map(|((ram, config), number)| Guest::new(&el2, frames, ram, config, number, overcommitted))
        .collect()
}
