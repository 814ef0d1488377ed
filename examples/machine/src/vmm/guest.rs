//! One virtual machine, made before any of its vCPUs runs.

use alloc::vec::Vec;
use core::{
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use devices::{
    gic::{Gic as Distributor, Version},
    loader::Program,
    tree::{Device, Tree},
};
use spin::Mutex;
use vcpu_asm::El2Cpu;
use vcpu_core::{
    El2, Firmware, Interrupts, Policy, PowerCell, Timers, Vcpu, VcpuConfig, Vm, Waits,
};
use vcpu_hal::Platform;
use vcpu_regs::{Gpr, Ipa, Vmid};

use super::{
    GuestConfig, Host,
    config::layout,
    peripherals::{Peripherals, interrupt_controller},
};
use crate::{Error, Frames, GuestMemory, GuestRam, gic::Gic, layout::GICV2_VIRTUAL_CPU};

/// A virtual machine.
pub struct Guest<P: Platform> {
    /// Memory, clock and ID registers.
    pub(super) vm: Vm,
    /// Its devices.
    pub(super) peripherals: Mutex<Peripherals>,
    /// Its vCPUs.
    pub(super) vcpus: Vec<Slot<P>>,
    /// Which of them are on.
    pub(super) power: Vec<PowerCell>,
    ram: [Range<Ipa>; 1],
    off: AtomicBool,
    /// How many odd things it did.
    pub(super) oddities: AtomicU32,
}

/// A vCPU's place.
pub(super) struct Slot<P: Platform> {
    /// Whoever runs it has the lock.
    pub vcpu: Mutex<Vcpu<P>>,
    /// The distributor has something for it, or wants something back.
    pub attention: AtomicBool,
    /// A physical timer interrupt is active on its behalf: bits by INTID.
    pub held: AtomicU32,
}

/// Where the tree of a guest goes: the start of RAM, as U-Boot wants it.
const TREE: u64 = layout::RAM;
const MIB: u64 = 1 << 20;

impl<P: Host> Guest<P> {
    /// Makes a guest in `ram`, which becomes its RAM, with the VMID of its `number`.
    ///
    /// `overcommitted`: there are more vCPUs than CPUs, so that who spins had better let others run.
    pub fn new(
        el2: &El2<'_, P, El2Cpu>,
        frames: &mut Frames,
        mut ram: GuestRam,
        config: &GuestConfig,
        number: u16,
        overcommitted: bool,
    ) -> Result<Self, Error> {
        let version = match el2.host().gic() {
            Gic::V2 => Version::V2,
            Gic::V3 => Version::V3,
        };
        let gic = Distributor::new(version, config.vcpus).ok_or(Error::Vcpus(config.vcpus))?;
        let peripherals = Peripherals::new(config, gic, ram.view(layout::RAM))?;
        let entry = load(&mut ram, config, &peripherals.gic)?;

        let vmid = Vmid::new(number).ok_or(Error::Guest("0 is no VMID"))?;
        let size_bytes = ram.size_bytes();
        let mut memory = GuestMemory::new(el2.ids(), frames, &ram)?;
        memory.map_ram_at(layout::RAM, ram.start()..ram.end())?;
        if version == Version::V2 {
            // SAFETY: GICV reaches the list registers of the vCPU that is loaded, and no memory.
            unsafe {
                memory.map_device_at(layout::CPU_INTERFACE.start, GICV2_VIRTUAL_CPU)?;
            }
        }
        let vm = Vm::new(el2, memory.finish(vmid)?);

        let policy = Policy {
            interrupts: Interrupts::Virtual,
            // Each vCPU has both timers while it runs; their interrupts are the host's.
            timers: Timers::PassThrough,
            wfi: Waits::Exit,
            wfe: if overcommitted {
                Waits::Exit
            } else {
                Waits::Native
            },
            ..Policy::default()
        };
        let slot = |mpidr| Slot {
            vcpu: Mutex::new(Vcpu::new(&VcpuConfig { mpidr, policy })),
            attention: AtomicBool::new(false),
            held: Default::default(),
        };
        let vcpus: Vec<_> = (0..config.vcpus as u64).map(slot).collect();
        {
            let mut first = vcpus[0].vcpu.lock();
            first.set_pc(entry);
            first.set_reg(Gpr::X0, TREE);
        }
        let power = |mpidr| match mpidr {
            0 => PowerCell::on(0),
            mpidr => PowerCell::off(mpidr),
        };
        Ok(Self {
            vm,
            peripherals: Mutex::new(peripherals),
            vcpus,
            power: (0..config.vcpus as u64).map(power).collect(),
            ram: [Ipa(layout::RAM)..Ipa(layout::RAM + size_bytes)],
            off: AtomicBool::new(false),
            oddities: AtomicU32::new(0),
        })
    }

    /// Returns what answers the guest's calls of firmware.
    #[inline]
    pub(super) fn firmware(&self) -> Firmware<'_> {
        Firmware::new(&self.power, &self.ram)
    }

    /// Returns whether it is switched off.
    pub fn is_off(&self) -> bool {
        self.off.load(Ordering::Acquire)
    }

    /// Switches it off; returns whether it was on.
    pub(super) fn switch_off(&self) -> bool {
        !self.off.swap(true, Ordering::AcqRel)
    }
}

/// Puts tree, program, RAM disk and files in RAM; returns where the program starts.
fn load(ram: &mut GuestRam, config: &GuestConfig, gic: &Distributor) -> Result<u64, Error> {
    let range = layout::RAM..layout::RAM + ram.size_bytes();
    let program = Program::read(config.program, &range, config.flat_offset)?;
    let offset = |ipa: u64| ram.start() + (ipa - layout::RAM);

    let initrd = config.initrd.map(|bytes| {
        let start = program.range.end.next_multiple_of(2 * MIB);
        start..start.saturating_add(bytes.len() as u64)
    });
    if let Some(initrd) = initrd.clone().filter(|initrd| initrd.end > range.end) {
        let needed = initrd;
        return Err(devices::loader::LoadError::NoRam { needed, ram: range }.into());
    }
    let tree = Tree {
        vcpus: config.vcpus,
        ram: range.clone(),
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
    let entry = program.entry;
    let (tree_at, parts): (u64, Vec<_>) = (
        offset(TREE),
        program
            .parts()
            .map(|part| (offset(part.at), part))
            .collect(),
    );
    let initrd_at = initrd.map(|initrd| offset(initrd.start));
    ram.load(tree_at, &tree)?;
    for (at, part) in parts {
        ram.load(at, part.bytes)?;
        ram.clear(at + part.bytes.len() as u64..at + part.size_bytes)?;
    }
    if let (Some(at), Some(bytes)) = (initrd_at, config.initrd) {
        ram.load(at, bytes)?;
    }
    for (at, bytes) in &config.files {
        ram.load(ram.start().saturating_add(*at), bytes)?;
    }
    Ok(entry)
}
