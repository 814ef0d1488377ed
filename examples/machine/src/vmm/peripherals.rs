//! A guest's devices, in one lock: who is at which address, and what an access does.

use alloc::collections::VecDeque;

use devices::{
    Bus, BusError, Pl011,
    gic::{Gic, Mask, Version, v2, v3},
    virtio::{self, Block},
};
use vcpu_regs::Intid;

use super::{GuestConfig, config::layout};
use crate::ram::GuestView;

/// What a guest finds besides memory and CPUs.
pub struct Peripherals {
    bus: Bus<Owner, 9>,
    /// Its interrupt controller.
    pub gic: Gic,
    uart: Pl011,
    disk: Option<Block<'static>>,
    ram: GuestView,
    /// Typed, and not taken by the UART yet.
    typed: VecDeque<u8>,
}

/// Whose addresses they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Distributor,
    Redistributors,
    /// GICv2: the page of GICC_DIR.
    Deactivation,
    Uart,
    Virtio,
    ErasedFlash,
    /// Stage 2: no access that it allows comes here.
    Memory,
}

/// What a write did that concerns others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effect {
    /// A byte that the guest sent.
    pub sent: Option<u8>,
    /// It is done in part only: the guest is to make it again.
    pub is_unfinished: bool,
}

/// What is typed ahead of a guest that does not read, at most.
const TYPED_AHEAD: usize = 1024;
const UART: Intid = Intid(32 + layout::UART_SPI);
const VIRTIO: Intid = Intid(32 + layout::VIRTIO_SPI);

impl Peripherals {
    /// Puts the devices of a guest on its bus.
    pub fn new(config: &GuestConfig, gic: Gic, ram: GuestView) -> Result<Self, BusError> {
        let ram_bytes = ram.size_bytes();
        let mut bus = Bus::new();
        // The one that is read most comes first.
        let [distributor, second] = interrupt_controller(&gic);
        bus.add(distributor, Owner::Distributor)?;
        bus.add(
            layout::RAM..layout::RAM.saturating_add(ram_bytes),
            Owner::Memory,
        )?;
        match gic.version() {
            Version::V2 => {
                let (page, end) = (layout::GICC_DIR_PAGE, second.end);
                bus.add(second.start..page, Owner::Memory)?;
                bus.add(page..end, Owner::Deactivation)?;
            }
            Version::V3 => bus.add(second, Owner::Redistributors)?,
        }
        let uart = config.uart..config.uart.saturating_add(Pl011::SIZE_BYTES);
        bus.add(uart, Owner::Uart)?;
        bus.add(layout::VIRTIO, Owner::Virtio)?;
        if let Some(flash) = &config.erased_flash {
            bus.add(flash.clone(), Owner::ErasedFlash)?;
        }
        bus.add(layout::STOLEN_TIME, Owner::Memory)?;
        Ok(Self {
            bus,
            gic,
            uart: Pl011::new(),
            disk: config.disk.map(Block::new),
            ram,
            typed: VecDeque::new(),
        })
    }

    /// Makes all of them as they were at first; what was typed and not read is gone.
    pub fn reset(&mut self) {
        if let Some(gic) = Gic::new(self.gic.version(), self.gic.vcpus()) {
            self.gic = gic;
        }
        self.uart = Pl011::new();
        if let Some(disk) = &mut self.disk {
            disk.reset();
        }
        self.typed.clear();
    }

    /// Returns what a vCPU reads; `None` where nothing is.
    #[inline(always)]
    pub fn read(&mut self, vcpu: usize, at: u64, size_bytes: u8) -> Option<u64> {
        let (owner, offset) = self.bus.find(at, size_bytes)?;
        // The one that is read most.
        if let Owner::Distributor = owner {
            return Some(match self.gic.version() {
                Version::V3 => self.gic.read_distributor(offset, size_bytes),
                Version::V2 => self.gic.read_distributor_v2(vcpu, offset, size_bytes),
            });
        }
        match owner {
            Owner::Redistributors => Some(self.gic.read_redistributor(offset, size_bytes)),
            Owner::Uart => {
                let value = self.uart.read(offset, size_bytes);
                self.feed();
                Some(value)
            }
            Owner::Virtio => Some(match &self.disk {
                Some(disk) => disk.read(offset, size_bytes),
                None => virtio::read_empty(offset, size_bytes),
            }),
            Owner::ErasedFlash => Some(!0),
            Owner::Deactivation => Some(0), // GICC_DIR is write-only
            Owner::Distributor | Owner::Memory => None,
        }
    }

    /// Returns the vCPUs, a bit for each, on whose lists an access of `vcpu` to `at` depends.
    pub fn behind(&self, vcpu: usize, at: u64) -> Mask {
        match self.bus.find(at, 1) {
            Some((Owner::Distributor, offset)) => self.gic.behind_distributor(vcpu, offset),
            Some((Owner::Redistributors, offset)) => self.gic.behind_redistributor(offset),
            _ => 0,
        }
    }

    /// Does what a write of a vCPU asks for; `None` where nothing is.
    pub fn write(&mut self, vcpu: usize, at: u64, size_bytes: u8, value: u64) -> Option<Effect> {
        let (owner, offset) = self.bus.find(at, size_bytes)?;
        let gic = &mut self.gic;
        match owner {
            Owner::Distributor => match gic.version() {
                Version::V3 => gic.write_distributor(offset, size_bytes, value),
                Version::V2 => gic.write_distributor_v2(vcpu, offset, size_bytes, value),
            },
            Owner::Redistributors => gic.write_redistributor(offset, size_bytes, value),
            Owner::Uart => {
                let sent = self.uart.write(offset, size_bytes, value);
                self.feed();
                return Some(Effect {
                    sent,
                    ..Effect::default()
                });
            }
            Owner::Virtio => {
                if let Some(disk) = &mut self.disk {
                    let is_unfinished = disk.write(&mut self.ram, offset, size_bytes, value);
                    gic.set_line(VIRTIO, disk.line());
                    return Some(Effect {
                        is_unfinished,
                        ..Effect::default()
                    });
                }
            }
            Owner::Deactivation if offset == 0 && size_bytes == 4 => {
                gic.deactivate_v2(vcpu, value);
            }
            Owner::Deactivation | Owner::ErasedFlash => {}
            Owner::Memory => return None,
        }
        Some(Effect::default())
    }

    /// Types a byte; it is lost when too many wait.
    pub fn type_byte(&mut self, byte: u8) {
        if self.typed.len() < TYPED_AHEAD {
            self.typed.push_back(byte);
        }
        self.feed();
    }

    fn feed(&mut self) {
        while self.uart.has_room() {
            let Some(&byte) = self.typed.front() else {
                break;
            };
            if !self.uart.receive(byte) {
                break; // the guest does not listen yet
            }
            self.typed.pop_front();
        }
        self.gic.set_line(UART, self.uart.line());
    }
}

/// Returns where the guest's interrupt controller is: distributor, then redistributors or CPU
/// interface.
pub fn interrupt_controller(gic: &Gic) -> [core::ops::Range<u64>; 2] {
    let at = layout::DISTRIBUTOR;
    match gic.version() {
        Version::V2 => [at..at + v2::DISTRIBUTOR_BYTES, layout::CPU_INTERFACE],
        Version::V3 => {
            let redistributors = v3::REDISTRIBUTOR_BYTES * gic.vcpus() as u64;
            let second = layout::REDISTRIBUTORS;
            [
                at..at + v3::DISTRIBUTOR_BYTES,
                second..second + redistributors,
            ]
        }
    }
}
